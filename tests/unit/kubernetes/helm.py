"""Real Helm, where it is to be had: the `helm` command, or the library in the Python package `helm-sdkpy`, which is
Helm's own Go code behind a C door. `make test` fetches it where it can; without it tests that need one are skipped,
and say so.

    python -m tests.unit.kubernetes.helm         fetch the package into ~/.cache/telarchy/helm (47 MB, once)

The library has no `helm template`: a chart is installed instead, into a stand-in for an API server, with the release
kept in memory, and what was rendered is in the answer. It runs in a process of its own, since a Go runtime does not
belong into ours.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/telarchy"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "telarchy/helm"
PACKAGE = "helm-sdkpy==0.1.32"
LIBRARY = "libhelm_sdkpy.so"
# Ten times as quick where PyYAML has its C part; the CRDs are long.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WHY_SKIPPED = "no Helm here: put `helm` on PATH, or run `python -m tests.unit.kubernetes.helm`"


@dataclass(frozen=True)
class Rendered:
    """What Helm made of the chart: the text, or the reason why it would not."""

    text: str = ""
    error: str = ""

    @functools.cached_property
    def objects(self) -> list[dict[str, Any]]:
        return [one for one in yaml.load_all(self.text, LOADER) if one]


@dataclass(frozen=True)
class Order:
    """One rendering that is wanted."""

    values: dict[str, Any]
    release: str = "telarchy"
    namespace: str = "telarchy"


def available() -> bool:
    return bool(shutil.which("helm") or library())


@functools.cache
def library() -> Path | None:
    """The library, installed or fetched; None when there is none for this machine."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    spec = find_spec("helm_sdkpy")
    folders = [Path(spec.origin).parent] if spec and spec.origin else []
    for folder in (*folders, CACHE / "helm_sdkpy"):
        path = folder / "_lib" / f"linux-{machine}" / LIBRARY
        if path.is_file():
            return path
    return None


def render(orders: list[Order]) -> list[Rendered]:
    """All of them, in order."""
    if command := shutil.which("helm"):
        return [_by_command(command, order) for order in orders]
    return _by_library(orders)


def _by_command(command: str, order: Order) -> Rendered:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as values:
        json.dump(order.values, values)
        values.flush()
        done = subprocess.run(
            [command, "template", order.release, str(CHART), "-n", order.namespace, "-f", values.name],
            capture_output=True,
            text=True,
            check=False,
        )
    return Rendered(done.stdout) if done.returncode == 0 else Rendered(error=done.stderr)


def _by_library(orders: list[Order]) -> list[Rendered]:
    from tests.unit.kubernetes.standin import standin

    with tempfile.TemporaryDirectory() as folder, standin(Path(folder)) as kubeconfig:
        done = subprocess.run(
            [sys.executable, __file__, str(library()), str(kubeconfig)],
            input=json.dumps([vars(order) for order in orders]),
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.defpath, "HELM_DRIVER": "memory", "HOME": folder},
        )
    return [Rendered(**one) for one in json.loads(done.stdout)]


def _serve(path: str, kubeconfig: str) -> None:
    """In the process of its own: orders on stdin, answers on stdout."""
    helm = ctypes.CDLL(path)
    helm.helm_sdkpy_last_error.restype = ctypes.c_char_p
    answers: list[dict[str, str]] = []
    for order in json.load(sys.stdin):
        handle, answer = ctypes.c_ulonglong(), ctypes.c_char_p()
        failed = helm.helm_sdkpy_config_create(
            order["namespace"].encode(), kubeconfig.encode(), None, b"{}", ctypes.byref(handle)
        ) or helm.helm_sdkpy_install(
            handle,
            order["release"].encode(),
            str(CHART).encode(),
            json.dumps(order["values"]).encode(),
            b"",
            b'{"wait": false, "disable_openapi_validation": true, "server_side_apply": "false"}',
            ctypes.byref(answer),
        )
        if failed:
            answers.append({"error": helm.helm_sdkpy_last_error().decode()})
        else:
            answers.append({"text": json.loads(answer.value or b"{}")["manifest"]})
    json.dump(answers, sys.stdout)


def fetch() -> None:
    """The package out of whatever index pip is set up with. It names a newer Python than ours may be, but all that
    is wanted of it is the library."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, "--python-version", "3.12", "--dest", folder, PACKAGE], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(CACHE)
    print(library() or "the package has no library for this machine")


if __name__ == "__main__":
    _serve(*sys.argv[1:]) if len(sys.argv) == 3 else fetch()
