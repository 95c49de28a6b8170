"""A fleet as a person runs it: manifests in a folder, `telarchy` as a process, hosts of the lab."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tests.lab.host import LabHost
from tests.lab.lab import Lab

ROOT = "/srv/media"
FAST = {
    "probes": {"every": "1s", "timeout": "2s", "misses": 2},
    "scan": {"every": "2s"},
    "grace": {"server": "4s", "roamer": "4s"},
}


class Story:
    """Manifests, a state folder, and the controller over them."""

    def __init__(self, folder: Path, lab: Lab, hosts: tuple[LabHost, ...], **fleet: Any) -> None:
        self.lab, self.hosts = lab, {host.name: host for host in hosts}
        self.manifests, self.state = folder / "fleet", folder / "state"
        self.manifests.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "controller.log"
        self.declare("fleet", "Fleet", "home", FAST | fleet)
        for host in hosts:
            self.declare_host(host)
        self.floor()

    # --- what is declared --------------------------------------------------------------------------------------

    def declare(self, file: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        """Save a manifest as an editor does: a new file renamed over the old one."""
        document = {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        fresh = self.manifests / f".{file}.new"
        fresh.write_text(yaml.safe_dump(document))
        fresh.replace(self.manifests / f"{file}.yaml")

    def declare_host(self, host: LabHost, **spec: Any) -> None:
        secret = self.state / "secrets" / "lab" / "key"
        if not secret.exists():
            secret.parent.mkdir(parents=True, mode=0o700)
            secret.write_bytes(Path(self.lab.client_key).read_bytes())
            secret.chmod(0o600)
        base = {
            "class": "Server",
            "alwaysOn": True,
            "connection": {
                "ssh": {
                    "endpoints": [f"media@{host.address}:{host.port}"],
                    "hostKey": host.host_key,
                    "identity": {"secretRef": {"name": "lab", "key": "key"}},
                }
            },
            "mediaRoots": [{"name": "main", "path": ROOT, "reserve": "1Mi"}],
        }
        self.declare(f"host-{host.name}", "Host", host.name, base | spec)

    def floor(self, **spec: Any) -> None:
        base = {"select": {"paths": ["tv/*/*", "films/*"]}, "copies": 2, "alwaysOn": 1}
        self.declare("floor", "CustodyFloor", "twice", base | spec)

    # --- the controller ----------------------------------------------------------------------------------------

    def telarchy(
        self, *words: str, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "telarchy", *words, "--state", str(self.state)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self._environment(),
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"telarchy {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def settle(self, seconds: int = 60) -> str:
        """`run --until-settled` to its end."""
        words = ("run", "--source", str(self.manifests), "--until-settled", "--timeout", f"{seconds}s")
        return self.telarchy(*words, timeout=seconds + 30).stdout

    def start(self, state: Path | None = None) -> subprocess.Popen[bytes]:
        """The controller as a process of its own; SIGKILL it at will."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "telarchy", "run", "--source", str(self.manifests), "--state"]
                + [str(state or self.state)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
                start_new_session=True,
            )
        if state is None:
            self.process = process
        return process

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, process: subprocess.Popen[bytes] | None = None) -> int:
        process = process or self.process
        if process is None or process.poll() is not None:
            return 0
        process.terminate()
        return process.wait(15)

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    # --- what is seen ------------------------------------------------------------------------------------------

    def get(self, name: str) -> dict[str, Any]:
        """A resource with its status, by `kind/name`; {} while nobody knows of it."""
        told = self.telarchy("get", name, "-o", "json", check=False)
        found: dict[str, Any] = json.loads(told.stdout) if told.returncode == 0 else {}
        return found

    def host_status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.get(f"host/{name}").get("status", {})
        return status

    def floor_status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get("custodyfloor/twice").get("status", {})
        return status

    def events(self) -> str:
        return self.telarchy("events").stdout

    def until(self, true: Callable[[], object], seconds: float = 40, what: str = "") -> None:
        """Wait until it holds. Fails with the controller's own words when it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if true():
                return
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the controller ended ({self.process.returncode}):\n{self.log[-3000:]}")
            time.sleep(0.1)
        told = self.telarchy("get", "all", check=False).stdout + self.telarchy("plan", check=False).stdout
        raise AssertionError(
            f"{what or 'it'} did not come to hold in {seconds} s\n{told}\n{self.log[-3000:]}"
        )

    def holders(self, title: str) -> set[str]:
        """Hosts on which the title stands in the library, as the machines themselves say."""
        return {
            name
            for name, host in self.hosts.items()
            if host.running and host.run(["test", "-e", f"{ROOT}/{title}"], check=False).returncode == 0
        }

    def digests(self, host: LabHost) -> dict[str, str]:
        """Every library file of a host and its SHA-256, read on the host."""
        told = host.run(
            f"cd {ROOT} && find . -path ./.telarchy -prune -o -path ./lost+found -prune -o -type f -print0"
            " | xargs -0 -r sha256sum"
        ).stdout.decode()
        return {line[66:].removeprefix("./"): line[:64] for line in told.splitlines()}

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(Path("controller").absolute()),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }


def film(seed: int, megabytes: int) -> bytes:
    """Bytes of a film: the same for the same seed, like nothing else."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 20)
    return b"".join(bytes([index % 251]) + block[1:] for index in range(megabytes))
