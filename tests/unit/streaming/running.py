"""Services run for a test as a host would run them: their files in a folder, their argv, their signals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from telarchy.core.service import Service
from telarchy.streaming import nginx

PATHS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
MODULES = ("ngx_rtmp_module.so", "ngx_http_js_module.so")


def need(*programs: str) -> None:
    """Skips a test visibly where programs are missing; in CI that is a failure."""
    missing = [one for one in programs if shutil.which(one, path=PATHS) is None]
    if "nginx" in programs:
        missing += [one for one in MODULES if not (Path(nginx.DEBIAN_MODULES) / one).exists()]
    if not missing:
        return
    told = f"not installed: {', '.join(missing)} (tests/lab/prerequisites.sh installs them)"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)


def free_ports(count: int = 1) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def free_endpoint_port() -> int:
    """A port whose companion on 127.0.0.1 (ten thousand away) is free too."""
    from telarchy.streaming.layout import health_port

    while True:
        (port,) = free_ports()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", health_port(port)))
            except OSError:
                continue
            return port


def wait(condition: Callable[[], bool], seconds: float = 10.0, what: str = "") -> float:
    """Until something holds; seconds it took. Fails after `seconds`."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            pytest.fail(f"did not come within {seconds:g} s: {what or condition}")
        time.sleep(0.03)
    return time.monotonic() - start


def listening(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class _Straight(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def get(url: str, method: str = "GET", **headers: str) -> Answer:
    """One request, past every proxy; `_` in a header's name stands for `-`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Straight())
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=told)
    try:
        with opener.open(request, timeout=20) as answer:
            status, found, body = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, found, body = error.code, error.headers, error.read()
    return Answer(status, {name.lower(): value for name, value in found.items()}, body)


def raw(port: int, text: bytes) -> bytes:
    """What a server answers to bytes as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(text)
        parts = []
        while part := line.recv(65536):
            parts.append(part)
        return b"".join(parts)


class Running:
    """A service in its folder."""

    def __init__(self, base: Path, service: Service, secrets: Mapping[str, bytes] | None = None) -> None:
        self.base = base
        self.lay(service, secrets or {})
        self.errors = base / f"{service.name}.err"
        self.process = self._start()

    def lay(self, service: Service, secrets: Mapping[str, bytes]) -> None:
        self.service = service
        folder = self.base / "services" / service.name / "files"
        new = folder.with_name("files.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        assert set(secrets) == set(service.secret_files)
        for name, content in {**service.files, **secrets}.items():
            (new / name).write_bytes(content)
            (new / name).chmod(0o600)
        if service.check:
            argv = [part.replace("{files}", str(new.relative_to(self.base))) for part in service.check]
            done = subprocess.run(argv, cwd=self.base, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)

    def _start(self) -> subprocess.Popen[bytes]:
        with self.errors.open("ab") as errors:
            return subprocess.Popen(
                self.service.argv,
                cwd=self.base,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )

    def reload(self, service: Service, secrets: Mapping[str, bytes] | None = None) -> None:
        self.lay(service, secrets or {})
        self.process.send_signal(getattr(signal, f"SIG{service.reload}"))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(getattr(signal, f"SIG{self.service.stop}"))
            try:
                self.process.wait(self.service.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def restart(self) -> None:
        self.process = self._start()


def texts(base: Path, *, but: tuple[str, ...] = ()) -> str:
    """All that lies in a folder, as one text: for looking that something is nowhere."""
    found = []
    for one in sorted(base.rglob("*")):
        if one.is_file() and not one.is_symlink() and str(one.relative_to(base)) not in but:
            found.append(f"{one.relative_to(base)}\n" + one.read_bytes().decode("latin-1"))
    return "\n".join(found)
