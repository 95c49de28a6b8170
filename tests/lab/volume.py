"""A volume of a host: an ext4 disk of its own that can be unmounted, pulled, filled and broken."""

from __future__ import annotations

import os
from pathlib import Path

from tests.lab.command import LabError, command
from tests.lab.disk import (
    MOUNT_OPTIONS,
    check_disk,
    copy_disk,
    loop_device,
    make_disk,
    mount_disk,
    power_lost,
    release_loop,
)
from tests.lab.machine import Machine

FILLING = ".lab-filling"


class Volume:
    """One disk of a host, and where the host mounts it."""

    def __init__(self, image: Path, point: str, megabytes: int) -> None:
        self.image = image
        self.point = point
        self.megabytes = megabytes

    def make(self) -> None:
        """Make the disk new and empty; its top folder belongs to media and has ext4's `lost+found`."""
        make_disk(self.image, self.megabytes, label=Path(self.point).name, owner="1000:1000")

    # -- with the machine off ------------------------------------------------------------------------

    def mount_outside(self, directory: Path) -> None:
        """Mount the disk on this machine, for a boot that takes it from there."""
        check_disk(self.image)
        mount_disk(self.image, directory)

    def hand_over(self, directory: Path) -> None:
        """Let go of the outside mount, so that the booted machine holds the disk alone."""
        command("umount", str(directory))

    # -- with the machine on -------------------------------------------------------------------------

    def is_mounted(self, machine: Machine) -> bool:
        """Whether the machine has anything mounted at this point."""
        mounts = Path(f"/proc/{machine.leader}/mountinfo").read_text().splitlines()
        return any(line.split(" ")[4] == self.point for line in mounts)

    def mount_inside(self, machine: Machine) -> None:
        """Mount the disk on a running machine, checked and repaired first."""
        if self.is_mounted(machine):
            raise LabError(f"{self.point} of {machine.name} is mounted already")
        check_disk(self.image)
        loop = loop_device(self.image)
        try:
            number = str(os.minor(Path(loop).stat().st_rdev))
            machine.order("mkdir", "-p", self.point)
            machine.order("mknod", loop, "b", "7", number)
            machine.order("mount", "-t", "ext4", "-o", MOUNT_OPTIONS, loop, self.point)
        finally:
            machine.order("rm", "-f", loop)
            release_loop(loop)

    def unmount(self, machine: Machine) -> None:
        """Unmount in order."""
        machine.order("umount", self.point)

    def drop(self, machine: Machine) -> None:
        """Take the disk away for good, whoever holds it; its content does not matter any more."""
        if self.is_mounted(machine):
            machine.order("umount", "--lazy", self.point)
        self.image.unlink(missing_ok=True)

    def pull(self, machine: Machine) -> None:
        """Pull the disk: what was synced is on it, whoever still has a file open gets I/O errors."""
        if not self.is_mounted(machine):
            raise LabError(f"{self.point} of {machine.name} is not mounted: there is nothing to pull")
        with power_lost([machine.path(self.point)]):
            pass
        # Open files may keep the dead file system, and with it the old image, for long.
        self.image = copy_disk(self.image)
        machine.order("umount", "--lazy", self.point)

    def make_read_only(self, machine: Machine) -> None:
        """Read-only: politely if nobody writes, else by an error that the file system reports itself."""
        if machine.order("mount", "-o", "remount,ro", self.point, check=False):
            return
        device = machine.path(self.point).stat().st_dev
        Path(f"/sys/fs/ext4/loop{os.minor(device)}/trigger_fs_error").write_text("broken by the lab\n")

    def fill(self, machine: Machine, leave_bytes: int) -> None:
        """One file that leaves an ordinary user about this much room."""
        filling = f"{self.point}/{FILLING}"
        machine.order("rm", "-f", filling)
        figures = os.statvfs(machine.path(self.point))
        surplus = figures.f_bavail * figures.f_frsize - leave_bytes
        if surplus < 0:
            raise LabError(f"{self.point} of {machine.name} has less than {leave_bytes} bytes free already")
        if surplus > 0:
            machine.order("fallocate", "--length", str(surplus), filling)
