"""The system disk of a host: the shared Debian tree below, the host's own layer on a disk above it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.lab.command import command
from tests.lab.disk import check_disk, make_disk, mount_disk

_MEGABYTES = 4096


class SystemDisk:
    """An overlay whose upper layer has a disk of its own, so that it loses power like a real one."""

    def __init__(self, directory: Path, layers: Sequence[Path]) -> None:
        self.root = directory / "root"
        self.door = directory / "system"
        self.image = directory / "system-disk"
        self._layers = layers

    def make(self, name: str, address: str, client_public_key: str) -> str:
        """Make the disk and put on it what sets this host apart; returns its ssh host key."""
        make_disk(self.image, _MEGABYTES, label="system", owner="0:0")
        mount_disk(self.image, self.door)
        for layer in ("upper", "work"):
            (self.door / layer).mkdir()
        self._overlay()
        try:
            self._furnish(name, address, client_public_key)
            return self.make_host_key(self.root / "etc/ssh")
        finally:
            self.unmount()

    def mount(self) -> None:
        """Put the root file system together, on this machine, for the next boot."""
        check_disk(self.image)
        mount_disk(self.image, self.door)
        self._overlay()

    def unmount(self) -> None:
        """Take the root file system apart."""
        command("umount", str(self.root))
        command("umount", str(self.door))

    @staticmethod
    def make_host_key(ssh_directory: Path) -> str:
        """Write a new ed25519 host key into the ssh server's folder and return its public half."""
        private = ssh_directory / "ssh_host_ed25519_key"
        public = private.with_name(f"{private.name}.pub")
        private.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(private))
        return " ".join(public.read_text().split()[:2])

    def _overlay(self) -> None:
        self.root.mkdir(exist_ok=True)
        lower = ":".join(str(layer) for layer in self._layers)
        options = f"lowerdir={lower},upperdir={self.door}/upper,workdir={self.door}/work"
        command("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))

    def _furnish(self, name: str, address: str, client_public_key: str) -> None:
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{name}\n")
        (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n")
        for home, owner in (("root", 0), ("home/media", 1000)):
            keys = self.root / home / ".ssh/authorized_keys"
            keys.write_text(f"{client_public_key}\n")
            keys.chmod(0o600)
            os.chown(keys, owner, owner)
