"""A person's kubeconfig as kubectl reads it: lists of files, relative paths, token files, programs that log in.

kopf's own reading of it knows neither of the last three. What cannot be followed (an `auth-provider`, which kubectl
dropped in 1.26) is refused with a sentence, instead of going on without credentials.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kopf
import yaml

from telarchy.errors import ConfigError

EXEC_SECONDS = 60.0
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

Section = Mapping[str, Any]


def paths(text: str | None) -> list[Path]:
    """The files of $KUBECONFIG that there are, or kubectl's default one."""
    if text:
        named = [Path(one.strip()).expanduser() for one in text.split(os.pathsep) if one.strip()]
        return [one for one in named if one.exists()]  # kubectl skips those that are missing too
    default = Path("~/.kube/config").expanduser()
    return [default] if default.exists() else []


def read(files: Sequence[Path]) -> kopf.ConnectionInfo | None:
    """The current context's connection; None without any file. Raises ConfigError."""
    if not files:
        return None
    current = ""
    named: dict[str, dict[str, Any]] = {"contexts": {}, "clusters": {}, "users": {}}
    for file in files:
        try:
            found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"the kubeconfig {file} cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise ConfigError(f"{file} is no kubeconfig")
        current = current or str(found.get("current-context") or "")
        for section, entries in named.items():
            for one in found.get(section) or []:
                inner = one.get(section[:-1]) or {}
                entries.setdefault(str(one.get("name")), (inner, file.parent))
    if not current:
        raise ConfigError(f"no context is chosen in {files[0]}: kubectl config use-context NAME")
    context, _ = _entry(named["contexts"], "context", current)
    cluster, cluster_folder = _entry(named["clusters"], "cluster", str(context.get("cluster")))
    user, user_folder = _entry(named["users"], "user", str(context.get("user")))
    if "auth-provider" in user:
        raise ConfigError(
            "the kubeconfig's `auth-provider` is of the past; kubectl too wants `exec` in its place"
        )
    if "exec" in user:
        user = {**user, **_asked(user["exec"], cluster, user_folder)}
    try:
        return kopf.ConnectionInfo(
            server=str(cluster.get("server") or ""),
            ca_path=_path(cluster, "certificate-authority", cluster_folder),
            ca_data=cluster.get("certificate-authority-data"),
            insecure=cluster.get("insecure-skip-tls-verify"),
            certificate_path=_path(user, "client-certificate", user_folder),
            certificate_data=user.get("client-certificate-data"),
            private_key_path=_path(user, "client-key", user_folder),
            private_key_data=user.get("client-key-data"),
            username=user.get("username"),
            password=user.get("password"),
            token=_token(user, user_folder),
            default_namespace=context.get("namespace"),
            proxy_url=cluster.get("proxy-url"),
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"the kubeconfig cannot be used: {error}") from None


def _entry(entries: Mapping[str, Any], what: str, name: str) -> tuple[Section, Path]:
    if name not in entries:
        raise ConfigError(f"the kubeconfig has no {what} named {name!r}")
    found: tuple[Section, Path] = entries[name]
    return found


def _path(section: Section, name: str, folder: Path) -> str | None:
    """Data beside a path wins, as with kubectl."""
    if not section.get(name) or section.get(f"{name}-data"):
        return None
    return str(folder / Path(str(section[name])).expanduser())


def _token(user: Section, folder: Path) -> str | None:
    """A file wins over what is written beside it: it is the one that is renewed."""
    if user.get("tokenFile"):
        return (folder / str(user["tokenFile"])).read_text(encoding="utf-8").strip()
    return user.get("token")


def _asked(plugin: Section, cluster: Section, folder: Path) -> dict[str, Any]:
    """What the program answers, in a user's own words. It is asked at each login: it keeps what it has itself."""
    version, command = str(plugin.get("apiVersion")), str(plugin.get("command") or "")
    if version not in EXEC_VERSIONS:
        raise ConfigError(f"the kubeconfig's exec speaks {version}; known are {' and '.join(EXEC_VERSIONS)}")
    if plugin.get("interactiveMode") == "Always":
        raise ConfigError(f"{command} wants to ask a person (interactiveMode: Always), and nobody is there")
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = dict(cluster)
    asked = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    environment = os.environ | {str(one["name"]): str(one["value"]) for one in plugin.get("env") or []}
    environment["KUBERNETES_EXEC_INFO"] = json.dumps(asked)
    # a path is meant from the kubeconfig on, a bare name from the PATH
    program = str(folder / command) if "/" in command else command
    try:
        done = subprocess.run(
            [program, *map(str, plugin.get("args") or [])],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=EXEC_SECONDS,
            check=False,
        )
    except OSError as error:
        hint = f"; {plugin['installHint']}" if plugin.get("installHint") else ""
        raise ConfigError(
            f"{command} of the kubeconfig cannot be run: {error.strerror or error}{hint}"
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{command} of the kubeconfig did not answer within {EXEC_SECONDS:.0f} s") from None
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise ConfigError(f"{command} of the kubeconfig failed: {why[0]}")
    try:
        status = json.loads(done.stdout)["status"]
        given = {
            "token": status.get("token"),
            "client-certificate-data": status.get("clientCertificateData"),
            "client-key-data": status.get("clientKeyData"),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{command} of the kubeconfig answered something else than an ExecCredential"
        ) from None
    return {name: value for name, value in given.items() if value}
