"""A run's place on this machine: one number from which every name and address of the run follows.

The number is held by a file lock for as long as the process lives, so two runs never meet, and whoever
starts next can tell a run that crashed (its lock is free) and clear away what it left.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import TextIO

from tests.lab.command import LabError, command, wait_until

_SLOTS = range(1, 255)
_RUNS = Path("/var/lib/telarchy-lab")
_NETWORK = "10.213"


class Slot:
    """A number held by this process, and the names that follow from it."""

    def __init__(self, number: int, lock: TextIO) -> None:
        self.number = number
        self._lock = lock
        self.directory = _RUNS / str(number)
        self.prefix = f"tl{number}"
        self.network = f"{_NETWORK}.{number}"
        self.cgroup = f"telarchy-lab-{number}"

    @classmethod
    def take(cls) -> Slot:
        """Clear away what crashed runs left, and hold the first number that nobody holds."""
        _RUNS.mkdir(parents=True, exist_ok=True)
        taken: Slot | None = None
        for number in _SLOTS:
            if taken and not (_RUNS / str(number)).exists():
                continue
            slot = cls._try(number)
            if slot is None:
                continue
            slot.clear()
            if taken is None and not slot._network_in_use():
                taken = slot
            else:
                slot.release()
        if taken is None:
            raise LabError("every lab slot of this machine is taken")
        taken._settle()
        return taken

    @classmethod
    def _try(cls, number: int) -> Slot | None:
        lock = (_RUNS / f"{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return cls(number, lock)

    def _settle(self) -> None:
        """Make the run's directory, shared: what is unmounted in it is unmounted in every copy as well.

        Each booting machine copies the mounts of this one, those of other hosts among them.
        """
        self.directory.mkdir()
        command("mount", "--bind", str(self.directory), str(self.directory))
        command("mount", "--make-shared", str(self.directory))

    def release(self) -> None:
        """Give the number back."""
        self._lock.close()

    def clear(self) -> None:
        """Remove every process, mount, link, namespace and file of this number."""
        for root in cgroup_roots():
            _kill_cgroup(root / self.cgroup)
        _unmount_all(self.directory)
        command("ip", "link", "delete", self.prefix, check=False)
        for namespace in Path("/run/netns").glob(f"{self.prefix}-*"):
            command("ip", "netns", "delete", namespace.name, check=False)
        for leftover in Path("/run/systemd/nspawn/propagate").glob(f"{self.prefix}-*"):
            leftover.rmdir()
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def _network_in_use(self) -> bool:
        return f"{self.network}." in command("ip", "-4", "address") + command("ip", "-4", "route")


def cgroup_roots() -> list[Path]:
    """Every mounted cgroup hierarchy (one with v2; several with v1 or both), but cpuset's.

    A v1 cpuset group takes no process before it is given processors, and systemd does not use it.
    """
    roots = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "cpuset" not in options):
            roots.append(Path(fields.split(" ")[4]))
    return roots


def _kill_cgroup(group: Path) -> None:
    if not group.is_dir():
        return

    def emptied() -> bool:
        for folder, _, _ in os.walk(group, topdown=False):
            members = (Path(folder) / "cgroup.procs").read_text().split()
            if members:
                command("kill", "-KILL", *members, check=False)
                return False
            try:
                Path(folder).rmdir()
            except OSError:
                return False
        return True

    wait_until(emptied, f"the end of every process in {group}", timeout=20)


def _unmount_all(directory: Path) -> None:
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed([point for point in points if Path(point).is_relative_to(directory)]):
        command("umount", "--lazy", point, check=False)
