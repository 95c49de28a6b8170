"""A lab host: a real Debian machine with an address, disks, and a plug that can be pulled."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.command import LabError, wait_until
from tests.lab.disk import flip_byte, in_use, power_lost
from tests.lab.machine import Machine
from tests.lab.slot import Slot
from tests.lab.system_disk import SystemDisk
from tests.lab.volume import FILLING, Volume
from tests.lab.wire import Wire

_QUIET = """
rm -rf /home/media/.config/systemd /root/.config/systemd
systemctl kill --signal=KILL user-1000.slice user-0.slice 2>/dev/null
systemctl reset-failed user@1000.service user-runtime-dir@1000.service
systemctl restart user@1000.service
"""
_BOOTED = "systemctl is-system-running | grep -qx -e running -e degraded"
_ACTIVE_UNITS = (
    "systemctl list-units --plain --no-legend --state=active,activating,failed "
    "--type=service,socket,timer,path | cut -d ' ' -f 1 | grep -v -e ^user -e ^session"
)
_TIDY = """
set -eu
systemctl reset-failed
find /home/media /root -mindepth 1 -maxdepth 1 ! -name '.bash*' ! -name .profile -exec rm -rf {} +
install -d -m 700 /root/.ssh
install -d -m 700 -o media -g media /home/media/.ssh
cat > /root/.ssh/authorized_keys
install -m 600 -o media -g media /root/.ssh/authorized_keys /home/media/.ssh/authorized_keys
chmod 600 /root/.ssh/authorized_keys
sync -f /root/.ssh/authorized_keys
systemctl start ssh
"""
_HIDDEN = "/var/lib/lab-hidden"


@dataclass(frozen=True)
class SshEndpoint:
    """All that a client needs to reach a host: where, as whom, with which key, and which key to expect."""

    host: str
    port: int
    user: str
    client_key: Path
    host_key: str


class LabHost:
    """One host of the lab. Made by `Lab.host`; every method blocks until what it names is done."""

    port = 22

    def __init__(
        self, name: str, index: int, slot: Slot, wire: Wire, layers: Sequence[Path], client_key: Path
    ) -> None:
        self.name = name
        self.index = index
        self.address = wire.address(index)
        self._slot = slot
        self._wire = wire
        self._client_key = client_key
        self._directory = slot.directory / name
        self._boots = 0
        self._volumes: dict[str, Volume] = {}
        self._machine = Machine(slot, name, self._directory / "console")
        self._directory.mkdir()
        self._install(layers)

    def _install(self, layers: Sequence[Path]) -> None:
        public = self._client_key.with_name(f"{self._client_key.name}.pub").read_text().strip()
        self.layers = tuple(layers)
        self._system = SystemDisk(self._directory, layers)
        self.host_key = self._system.make(self.name, self.address, public)
        self._units: frozenset[str] = frozenset()

    # -- life ----------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the machine is on (a frozen one is)."""
        return self._machine.running

    @property
    def booted(self) -> bool:
        """Whether it was ever switched on."""
        return self._boots > 0

    @property
    def volumes(self) -> tuple[str, ...]:
        """Where its volumes belong, mounted or not."""
        return tuple(self._volumes)

    def start(self) -> None:
        """Switch the machine on; returns at once, see `wait_ssh`. Volumes are mounted as by fstab."""
        if self.running:
            raise LabError(f"{self.name} is already running")
        self._boots += 1
        self._system.mount()
        outside = {self._directory / f"boot-{n}": volume for n, volume in enumerate(self._volumes.values())}
        for directory, volume in outside.items():
            volume.mount_outside(directory)
        namespace = self._wire.plug(self.index, self._boots)
        self._machine = Machine(self._slot, self.name, self._directory / "console")
        binds = {directory: volume.point for directory, volume in outside.items()}
        self._machine.boot(self._system.root, namespace, binds)
        for directory, volume in outside.items():
            volume.hand_over(directory)

    def power_cut(self) -> None:
        """Pull the plug: silence on the network, every process gone, unsynced writes lost.

        Real: no farewell packets; data that was not fsynced is lost on volumes and system disk alike; the
        journal is replayed at the next start. Not simulated: torn or reordered sectors, write caches that
        lie about a flush, a damaged disk.
        """
        self._wire.unplug(self.index, self._boots)
        doors = [self._machine.path(volume.point) for volume in self._mounted()]
        with power_lost([self._system.door, *doors]):
            self._machine.kill()
        self._off()

    def shutdown(self, timeout: float = 60.0) -> None:
        """Power off in order: services are stopped, disks are synced."""
        self._machine.power_off(timeout)
        self._wire.unplug(self.index, self._boots)
        self._off()

    def reinstall(self, layers: Sequence[Path] | None = None) -> None:
        """Switch off, and put a new system with a new host key on the system disk. Volumes stay."""
        if self.running:
            self.power_cut()
        self._install(layers or self.layers)

    def reset(self, volumes: Mapping[str, int]) -> None:
        """As good as new for another test, in a fraction of a boot: see README.md for what stays."""
        if self.running:
            self.thaw()
            self.run(_QUIET)
            self._machine.kill_strays()
            self.attach(volumes)
        else:
            self.attach(volumes)
            self.start()
        self._tidy()
        self.wait_ssh()
        self.wait_user_manager()

    def _tidy(self) -> None:
        wait_until(lambda: self.run(_BOOTED, check=False).returncode == 0, f"{self.name} to boot", 30)
        now = frozenset(self.text(_ACTIVE_UNITS).split())
        self._units = self._units or now
        if extra := sorted(now - self._units):
            self.run(["systemctl", "stop", *extra], check=False)
        self.restore()
        public = self._client_key.with_name(f"{self._client_key.name}.pub").read_text()
        self.run(_TIDY, input=public)

    def discard(self) -> None:
        """End the machine for good, in no order at all."""
        self._wire.unplug(self.index, self._boots)
        self._machine.kill()

    def _off(self) -> None:
        self._system.unmount()
        images = [self._system.image, *(volume.image for volume in self._volumes.values())]
        wait_until(lambda: not any(map(in_use, images)), f"the disks of {self.name} to be let go", timeout=10)

    def freeze(self) -> None:
        """Hang the machine: it still answers pings and takes connections, and never says a word."""
        self._machine.freeze()

    def thaw(self) -> None:
        """Let a hanging machine go on."""
        self._machine.thaw()

    def wait_ssh(self, timeout: float = 30.0) -> float:
        """Wait until its ssh server greets this machine; returns how many seconds that took."""
        begun = time.monotonic()
        wait_until(self._greets, f"ssh on {self.name}; console: {self.console()[-400:]}", timeout)
        return time.monotonic() - begun

    def wait_user_manager(self, timeout: float = 30.0) -> None:
        """Wait until `systemctl --user` of the lingering media user can be used."""
        ask = ["systemctl", "--user", "is-system-running"]

        def up() -> bool:
            return self.run(ask, "media", check=False).stdout.strip() in (b"running", b"degraded")

        wait_until(up, f"the user manager of media on {self.name}", timeout)

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=1.0) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    # -- inside --------------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str] | str,
        user: str = "root",
        *,
        check: bool = True,
        input: bytes | str | None = None,  # noqa: A002 (subprocess' own word)
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command inside (a str goes to `sh -c`), as root or media, without going through ssh."""
        words = ["sh", "-c", argv] if isinstance(argv, str) else list(argv)
        data = input.encode() if isinstance(input, str) else input
        done = self._machine.run(words, user, data, timeout)
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise LabError(f"{self.name}: {shlex.join(words)}: exit {done.returncode}: {said}")
        return done

    def text(self, argv: Sequence[str] | str, user: str = "root") -> str:
        """What a command that must succeed prints, stripped."""
        return self.run(argv, user).stdout.decode().strip()

    def write(self, path: str, data: bytes | str, user: str = "media", mode: str = "644") -> None:
        """Write a file and the folders above it, owned by `user`, and sync it."""
        quoted = shlex.quote(path)
        self.run(
            f'umask 022; mkdir -p "$(dirname {quoted})" && cat > {quoted} && chmod {mode} {quoted} '
            f"&& sync {quoted}",
            user,
            input=data,
        )

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        return self.run(["cat", "--", path]).stdout

    def exists(self, path: str) -> bool:
        """Whether there is anything at this path."""
        return self.run(["test", "-e", path], check=False).returncode == 0

    def console(self) -> str:
        """What the machine said on its console, over all its boots."""
        return self._machine.console()

    def memory(self) -> int:
        """Bytes that the machine's processes need."""
        return self._machine.memory()

    # -- being reached -------------------------------------------------------------------------------

    def ssh_endpoint(self, user: str = "media") -> SshEndpoint:
        """How to reach the host by ssh."""
        return SshEndpoint(self.address, self.port, user, self._client_key, self.host_key)

    def ssh_command(self, *remote: str, user: str = "media") -> list[str]:
        """An argv that runs `remote` by the stock ssh client, with this host's key pinned."""
        known = self._directory / "known_hosts"
        known.write_text(f"{self.address} {self.host_key}\n")
        options = ("BatchMode=yes", f"UserKnownHostsFile={known}", "ConnectTimeout=5", "LogLevel=ERROR")
        flags = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", "-i", str(self._client_key), *flags, f"{user}@{self.address}", *remote]

    def change_host_key(self) -> str:
        """Give the ssh server a new host key, as a reinstalled machine has; returns the new one."""
        self.host_key = self._system.make_host_key(self._machine.path("/etc/ssh"))
        self.run(["systemctl", "restart", "ssh"])
        self.wait_ssh()
        return self.host_key

    def uninstall(self, binary: str) -> None:
        """Take a binary away, as if its package was not installed; `restore` brings it back."""
        found = self.text(["sh", "-c", 'readlink -f "$(command -v "$1")"', "sh", binary])
        stored = f"{_HIDDEN}{found}"
        self.run(["sh", "-c", 'mkdir -p "$(dirname "$2")" && mv "$1" "$2"', "sh", found, stored])

    def restore(self, binary: str | None = None) -> None:
        """Bring a binary back (every one of them without a name)."""
        name = binary or "*"
        self.run(
            f"cd {_HIDDEN} 2>/dev/null || exit 0; find . -type f -name {shlex.quote(name)} | "
            'while read -r file; do mv "$file" "/$file"; done'
        )

    # -- disks ---------------------------------------------------------------------------------------

    def attach(self, volumes: Mapping[str, int]) -> None:
        """Give the host exactly these volumes (where → megabytes), each of them new and empty."""
        for volume in self._volumes.values():
            if self.running:
                volume.drop(self._machine)
            volume.image.unlink(missing_ok=True)
        self._volumes = {}
        for point, megabytes in volumes.items():
            image = self._directory / f"volume-{uuid.uuid4().hex[:8]}"
            self._volumes[point] = Volume(image, point, megabytes)
            self._volumes[point].make()
            if self.running:
                self._volumes[point].mount_inside(self._machine)

    def unmount(self, volume: str) -> None:
        """Unmount a volume in order; what stays is the empty folder below it. Busy is an error."""
        self._volume(volume).unmount(self._machine)

    def pull(self, volume: str) -> None:
        """Pull the disk out of the running machine: I/O errors for who holds it, unsynced data lost."""
        self._volume(volume).pull(self._machine)

    def mount(self, volume: str) -> None:
        """Mount a volume that was unmounted or pulled (checked and repaired first if need be)."""
        self._volume(volume).mount_inside(self._machine)

    def remount_ro(self, volume: str) -> None:
        """Make a volume read-only under whoever uses it, as ext4 does after an I/O error."""
        self._volume(volume).make_read_only(self._machine)

    def remount_rw(self, volume: str) -> None:
        """Repair a read-only volume by an unmount, a check and a mount."""
        self._volume(volume).unmount(self._machine)
        self._volume(volume).mount_inside(self._machine)

    def fill(self, volume: str, leave_bytes: int = 0) -> None:
        """Fill a volume with one file, `.lab-filling`, until media can write about `leave_bytes` more."""
        self._volume(volume).fill(self._machine, leave_bytes)

    def unfill(self, volume: str) -> None:
        """Give back what `fill` took."""
        self.run(["rm", "-f", f"{volume}/{FILLING}"])

    def rot(self, path: str, offset: int = 0) -> None:
        """Change one byte of a file on a volume, below the file system: no size, no time changes."""
        owner = max(
            (v for v in self._volumes.values() if path.startswith(f"{v.point}/")),
            key=lambda volume: len(volume.point),
            default=None,
        )
        if owner is None:
            raise LabError(f"{path} is on no volume of {self.name}; only volumes rot")
        flip_byte(owner.image, self._machine.path(path), offset)

    def _volume(self, point: str) -> Volume:
        if point not in self._volumes:
            raise LabError(
                f"{self.name} has no volume at {point}; it has {', '.join(self._volumes) or 'none'}"
            )
        return self._volumes[point]

    def _mounted(self) -> list[Volume]:
        return [volume for volume in self._volumes.values() if volume.is_mounted(self._machine)]
