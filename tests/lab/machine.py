"""One booted machine: systemd-nspawn around a Debian tree, started, entered, frozen and killed.

The process runs in control groups of its own in every hierarchy, so that the systemd inside owns what it
sees, and so that everything of the machine can be frozen or killed at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.command import LabError, command, tools, wait_until
from tests.lab.slot import Slot, cgroup_roots

_STOP = signal.SIGRTMIN + 4
_IDENTITIES = {"root": (0, "/root"), "media": (1000, "/home/media")}


class Machine:
    """A running (or ended) machine; a new object for every boot."""

    def __init__(self, slot: Slot, name: str, log: Path) -> None:
        self.name = name
        self._slot = slot
        self._log = log
        self._groups = [root / slot.cgroup / name for root in cgroup_roots()]
        self._process: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def boot(self, root: Path, namespace: str, binds: Mapping[Path, str]) -> None:
        """Start systemd on `root` inside the network namespace; returns when its process 1 exists."""
        for group in self._groups:
            group.mkdir(parents=True, exist_ok=True)
        enter = 'for g in $GROUPS_TO_ENTER; do echo $$ > "$g/cgroup.procs"; done; exec "$@"'
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            f"--directory={root}",
            f"--machine={self._slot.prefix}-{self.name}",
            f"--hostname={self.name}",
            f"--network-namespace-path=/run/netns/{namespace}",
            "--console=pipe",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            *(f"--bind={source}:{target}" for source, target in binds.items()),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", enter, "sh", *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=tools(GROUPS_TO_ENTER=" ".join(map(str, self._groups))),
                start_new_session=True,
            )
        wait_until(self._found_leader, f"{self.name} to start its process 1", timeout=30)

    def _found_leader(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise LabError(f"{self.name} did not boot: {self.console()[-600:]}")
        supervisor = self._process.pid
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children")
        for child in children.read_text().split():
            try:
                status = Path(f"/proc/{child}/status").read_text()
                started = Path(f"/proc/{child}/comm").read_text().strip() == "systemd"
            except (FileNotFoundError, ProcessLookupError):
                continue
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if started and len(numbers) > 1 and numbers[-1] == "1":
                self.leader = int(child)
                return True
        return False

    @property
    def running(self) -> bool:
        """Whether its process 1 is there."""
        return self._process is not None and self._process.poll() is None

    def console(self) -> str:
        """What every boot of this machine has said on its console."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def path(self, inside: str) -> Path:
        """A path of the machine, mounts included, as this machine sees it."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def run(
        self, argv: Sequence[str], user: str, data: bytes | None, timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command inside, as `user`, without ssh (a few milliseconds)."""
        if not self.running:
            raise LabError(f"{self.name} is not running")
        if user not in _IDENTITIES:
            raise LabError(f"no user {user!r} on a lab host; there are {', '.join(_IDENTITIES)}")
        uid, home = _IDENTITIES[user]
        environment = {
            "HOME": home,
            "USER": user,
            "LOGNAME": user,
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "XDG_RUNTIME_DIR": f"/run/user/{uid}",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{uid}/bus",
        }
        identity = [f"--reuid={uid}", f"--regid={uid}", "--init-groups"]
        enter = [f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--wd=/"]
        return subprocess.run(
            ["nsenter", *enter, "setpriv", *identity, "env", f"--chdir={home}", *argv],
            input=data if data is not None else b"",
            env=environment,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def order(self, *argv: str, check: bool = True) -> bool:
        """Run a command as root that the lab itself needs done; whether it succeeded."""
        done = self.run(argv, "root", None, timeout=60)
        if check and done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise LabError(f"{self.name}: {' '.join(argv)}: exit {done.returncode}: {said}")
        return done.returncode == 0

    def kill(self) -> None:
        """End every process of the machine at once, with no chance to say or write anything."""
        if self._process is None:
            return
        self.thaw()
        for pid in (self.leader, self._process.pid):
            if pid:
                command("kill", "-KILL", str(pid), check=False)
        self._process.wait(timeout=30)
        self._gone()

    def power_off(self, timeout: float) -> None:
        """Ask its systemd to power off, and wait for that."""
        if self._process is None:
            return
        os.kill(self.leader, _STOP)
        try:
            self._process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not power off in {timeout:g} s") from None
        self._gone()

    def freeze(self) -> None:
        """Stop every process where it stands: the machine hangs, its network card still answers."""
        self._set_frozen("1", "FROZEN")

    def thaw(self) -> None:
        """Let a frozen machine go on."""
        self._set_frozen("0", "THAWED")

    def _set_frozen(self, v2: str, v1: str) -> None:
        for group in self._groups:
            if (group / "cgroup.freeze").exists():
                (group / "cgroup.freeze").write_text(v2)
                return
        for group in self._groups:
            if (group / "freezer.state").exists():
                (group / "freezer.state").write_text(v1)

    def memory(self) -> int:
        """Bytes that its processes alone need (their proportional share of memory)."""
        total = 0
        for pid in self._members():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total * 1024

    def kill_strays(self) -> None:
        """Kill what `run` left behind: processes inside that belong to no unit of the machine."""
        inside = Path(f"/proc/{self.leader}/ns/pid").readlink()
        members = self._members()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                stray = (entry / "ns/pid").readlink() == inside and entry.name not in members
            except OSError:  # ended meanwhile, or guarded even from root: not ours
                continue
            if stray:
                command("kill", "-KILL", entry.name, check=False)

    def _members(self) -> set[str]:
        return {
            pid
            for group in self._groups
            for procs in group.rglob("cgroup.procs")
            for pid in procs.read_text().split()
        }

    def _gone(self) -> None:
        wait_until(lambda: _ended(self.leader), f"{self.name} to be gone", timeout=20)
        self._process = None
        self.leader = 0


def _ended(pid: int) -> bool:
    """Whether the process is gone, or waits for nothing but to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"
