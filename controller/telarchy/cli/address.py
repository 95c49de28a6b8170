"""Which cluster the verbs are about: kubectl's own options, taken out of the command line, and kubectl itself.

kubectl knows every way to log in to a cluster, so nothing of that is done here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import click

from telarchy.errors import TelarchyError

NAMESPACE = "TELARCHY_NAMESPACE"
KUBECTL_SECONDS = 60.0


@dataclass(frozen=True)
class Address:
    """Which cluster: kubectl's own options, and the namespace."""

    options: tuple[str, ...] = ()
    namespace: str = "default"


chosen: Address | None = None
"""Set by `choose`, asked by `client.connect`."""


def choose(arguments: Sequence[str], *, plugin: bool) -> list[str]:
    """Take kubectl's options out of the arguments. `plugin`: a cluster is meant even without them."""
    global chosen
    arguments = list(arguments)
    if arguments[:1] == ["operator"]:
        return arguments
    rest: list[str] = []
    found: dict[str, str] = {}
    wanted = {"--context": "--context", "--kubeconfig": "--kubeconfig"}
    if plugin or any(one.partition("=")[0] in wanted for one in arguments):
        wanted |= {"-n": "--namespace", "--namespace": "--namespace"}
    while arguments:
        word = arguments.pop(0)
        name, equals, value = word.partition("=")
        if name not in wanted:
            rest.append(word)
        elif equals:
            found[wanted[name]] = value
        elif arguments:
            found[wanted[name]] = arguments.pop(0)
        else:
            raise click.UsageError(f"Option '{word}' requires an argument.")
    if not found and not plugin:
        return rest
    options = tuple(f"{name}={value}" for name, value in found.items() if name != "--namespace")
    namespace = found.get("--namespace") or os.environ.get(NAMESPACE) or _context_namespace(options)
    # verbs with an option for it read it there
    os.environ[NAMESPACE] = namespace
    chosen = Address(options, namespace)
    return rest


def _context_namespace(options: Sequence[str]) -> str:
    path = "jsonpath={..namespace}"
    try:
        return kubectl(options, "config", "view", "--minify", "-o", path).strip() or "default"
    except TelarchyError:
        return "default"


def kubectl(options: Sequence[str], *words: str, ends: Sequence[int] = (0,)) -> str:
    """What kubectl prints. Raises TelarchyError with what it complains about. `ends`: exit codes that are fine."""
    try:
        done = subprocess.run(
            ["kubectl", *options, *words],
            capture_output=True,
            text=True,
            timeout=KUBECTL_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise TelarchyError("kubectl is not installed, or not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise TelarchyError(f"kubectl did not answer within {KUBECTL_SECONDS:.0f} s") from None
    if done.returncode not in ends:
        raise TelarchyError(f"kubectl: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
