"""A real sshd on loopback, with its own keys and configuration."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from telarchy.links.secrets import Secret
from telarchy.links.way import Way
from telarchy.resources.host import Endpoint

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
USER = pwd.getpwuid(os.getuid()).pw_name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@dataclass
class Sshd:
    """One sshd. `key` logs in as the user who runs the tests."""

    folder: Path
    port: int = 0
    host_key: Path = Path()
    key: Path = Path()
    extra: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        self.host_key = make_key(self.folder / "host")
        self.key = make_key(self.folder / "user")
        self.authorized = self.folder / "authorized_keys"
        self.authorized.write_bytes((self.folder / "user.pub").read_bytes())

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.authorized}",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "PermitRootLogin yes",
            "Subsystem sftp internal-sftp",
            *self.extra,
        ]
        config = self.folder / "config"
        config.write_text("\n".join(lines) + "\n")
        log = (self.folder / "log").open("ab")
        assert SSHD is not None
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(config)], stderr=log, start_new_session=True
        )
        for _ in range(1500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def sessions(self) -> list[int]:
        """Process ids of sshd's children: one for each connection."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def cut(self) -> None:
        """End every connection, as a pulled plug that is noticed at once."""
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.process is not None:
            self.cut()
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def public(self) -> str:
        return Path(f"{self.host_key}.pub").read_text().strip()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(USER, "127.0.0.1", self.port)

    def way(self, name: str = "black") -> Way:
        return Way(name, (self.endpoint,), self.public, Secret(self.key.read_bytes()))
