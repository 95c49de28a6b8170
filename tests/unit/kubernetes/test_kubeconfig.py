"""Kubeconfigs as people have them."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.errors import ConfigError
from telarchy.runtime.kubernetes import kubeconfig, login


def written(
    path: Path,
    user: dict[str, Any],
    *,
    cluster: dict[str, Any] | None = None,
    name: str = "home",
    current: bool = True,
) -> Path:
    found = {
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443"} | (cluster or {})}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "media"}}],
    } | ({"current-context": name} if current else {})
    path.write_text(yaml.safe_dump(found))
    return path


def plugin(folder: Path, says: str, code: int = 0) -> dict[str, Any]:
    """A program beside the kubeconfig, which keeps what it was asked."""
    script = folder / "bin" / "login"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"open({str(folder / 'asked')!r}, 'w').write(os.environ['KUBERNETES_EXEC_INFO'] + os.environ['REGION'])\n"
        f"print({says!r})\nprint('first\\nthe reason', file=sys.stderr)\nsys.exit({code})\n"
    )
    script.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "bin/login",
            "args": ["token"],
            "env": [{"name": "REGION", "value": "eu"}],
            "interactiveMode": "IfAvailable",
        }
    }


def test_certificates_as_data_and_as_paths(tmp_path: Path) -> None:
    data = base64.b64encode(b"x").decode()
    file = written(
        tmp_path / "config",
        {"client-certificate-data": data, "client-certificate": "ignored", "client-key": "keys/me.pem"},
        cluster={"certificate-authority": "ca.pem"},
    )
    found = kubeconfig.read([file])
    assert found is not None
    assert (found.certificate_data, found.certificate_path) == (data, None)
    assert found.private_key_path == str(tmp_path / "keys/me.pem")
    assert found.ca_path == str(tmp_path / "ca.pem")
    assert (found.server, found.default_namespace) == ("https://home:6443", "media")


def test_a_token_file_wins_and_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    file = written(tmp_path / "config", {"tokenFile": "token", "token": "written"})
    assert login.connection(file).token == "first"
    (tmp_path / "token").write_text("second\n")
    assert login.connection(file).as_http_headers() == {"Authorization": "Bearer second"}


def test_a_list_of_files_of_which_the_first_word_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = written(tmp_path / "one", {"token": "t1"}, name="cabin", current=False)
    two = written(tmp_path / "two", {"token": "t2"}, name="home")
    written(tmp_path / "three", {"token": "t3"}, name="home")
    monkeypatch.setenv("KUBECONFIG", f"{one}:{tmp_path}/none:{two}:{tmp_path / 'three'}:")
    monkeypatch.setattr(login, "_service_account", lambda: None)
    assert login.connection().token == "t2"


def test_a_program_is_asked_for_a_token(tmp_path: Path) -> None:
    answer = {
        "kind": "ExecCredential",
        "status": {"token": "given", "expirationTimestamp": "2030-01-01T00:00:00Z"},
    }
    found = login.connection(written(tmp_path / "config", plugin(tmp_path, json.dumps(answer))))
    assert found.token == "given"
    asked, _, region = (tmp_path / "asked").read_text().rpartition("}")
    assert json.loads(asked + "}")["spec"] == {"interactive": False} and region == "eu"


def test_a_program_is_asked_for_a_certificate(tmp_path: Path) -> None:
    pem = "-----BEGIN CERTIFICATE-----"
    answer = json.dumps({"status": {"clientCertificateData": pem, "clientKeyData": "-----BEGIN KEY"}})
    found = login.connection(written(tmp_path / "config", plugin(tmp_path, answer)))
    assert (found.certificate_data, found.private_key_data, found.token) == (pem, "-----BEGIN KEY", None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"command": "no/such", "installHint": "install it"},
            "no/such of the kubeconfig cannot be run: No such file",
        ),
        (
            {"apiVersion": "client.authentication.k8s.io/v1alpha1"},
            "speaks client.authentication.k8s.io/v1alpha1",
        ),
        ({"interactiveMode": "Always"}, "wants to ask a person"),
    ],
)
def test_a_program_that_cannot_be_asked(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    user = plugin(tmp_path, "{}")
    user["exec"] |= change
    with pytest.raises(ConfigError, match=says):
        login.connection(written(tmp_path / "config", user))


@pytest.mark.parametrize(
    ("says", "code", "why"), [("hello", 0, "else than an ExecCredential"), ("", 3, "the reason")]
)
def test_a_program_that_answers_badly(tmp_path: Path, says: str, code: int, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        login.connection(written(tmp_path / "config", plugin(tmp_path, says, code)))


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_service_account", lambda: None)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no cluster is configured"):
        login.connection()
    with pytest.raises(ConfigError, match="no context is chosen"):
        login.connection(written(tmp_path / "a", {}, current=False))
    with pytest.raises(ConfigError, match="auth-provider"):
        login.connection(written(tmp_path / "b", {"auth-provider": {"name": "gcp"}}))
    (tmp_path / "c").write_text("current-context: x\n")
    with pytest.raises(ConfigError, match="no context named 'x'"):
        login.connection(tmp_path / "c")
    (tmp_path / "d").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        login.connection(tmp_path / "d")
