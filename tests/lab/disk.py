"""Disks of a host: ext4 file systems on sparse image files, which can lose power like real ones.

Losing power is ext4's own shutdown ioctl with "do not flush the log": what was fsynced is there after the
next mount (the journal is replayed), what was only written is gone.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.command import LabError, command

MOUNT_OPTIONS = "noatime,noinit_itable,errors=remount-ro"
_FIBMAP = 1
_FIGETBSZ = 2
_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = struct.pack("I", 2)


def make_disk(image: Path, megabytes: int, label: str, owner: str) -> None:
    """Make an empty ext4 file system, as mkfs makes it for a large disk, in a sparse file."""
    image.parent.mkdir(parents=True, exist_ok=True)
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    options = ("-q", "-T", "default", "-b", "4096", "-L", label[:16], "-E", f"root_owner={owner},nodiscard")
    command("mkfs.ext4", *options, str(image))


def copy_disk(image: Path) -> Path:
    """Copy what is on the disk now to a new image, and forget the old one."""
    copy = image.with_name(f"{image.name}+")
    command("cp", "--sparse=always", str(image), str(copy))
    image.unlink()
    return copy


def check_disk(image: Path) -> None:
    """Replay the journal and repair what an interrupted host or a forced error left."""
    command("e2fsck", "-p", str(image), check=False)


def mount_disk(image: Path, directory: Path) -> None:
    """Mount the image on this machine; its loop device vanishes with the last mount of it."""
    directory.mkdir(parents=True, exist_ok=True)
    command("mount", "-o", f"loop,{MOUNT_OPTIONS}", str(image), str(directory))


def loop_device(image: Path) -> str:
    """Attach the image to a loop device that the caller mounts and then releases."""
    return command("losetup", "--find", "--show", str(image))


def release_loop(device: str) -> None:
    """Let the loop device go as soon as nothing is mounted from it."""
    command("losetup", "--detach", device)


def in_use(image: Path) -> bool:
    """Whether a loop device still stands on the image."""
    files = (entry / "loop/backing_file" for entry in Path("/sys/block").glob("loop*"))
    return any(_text(file) == str(image) for file in files)


@contextmanager
def power_lost(directories: Iterable[Path]) -> Iterator[None]:
    """Hold the file systems of these directories through the body, then let nothing reach their disks."""
    descriptors: list[int] = []
    try:
        descriptors.extend(os.open(directory, os.O_RDONLY | os.O_DIRECTORY) for directory in directories)
        yield
        for descriptor in descriptors:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def flip_byte(image: Path, file: Path, offset: int) -> None:
    """Change one byte of `file` on its disk below the file system, so that no inode field moves."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        if not 0 <= offset < size:
            raise LabError(f"{file} has {size} bytes, none at offset {offset}")
        os.fsync(descriptor)
        before = os.pread(descriptor, 1, offset)
        block_size = _ioctl_int(descriptor, _FIGETBSZ, 0)
        block = _ioctl_int(descriptor, _FIBMAP, offset // block_size)
        if block == 0:
            raise LabError(f"{file} has a hole at offset {offset}: nothing there can rot")
        with image.open("r+b") as disk:
            disk.seek(block * block_size + offset % block_size)
            stored = disk.read(1)
            if stored != before:
                raise LabError(f"{file} at {offset} is not where its disk says it is")
            disk.seek(-1, os.SEEK_CUR)
            disk.write(bytes([stored[0] ^ 0xFF]))
            disk.flush()
            os.fsync(disk.fileno())
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if os.pread(descriptor, 1, offset) == before:
            raise LabError(f"{file} is still read from memory: some process has it mapped")
    finally:
        os.close(descriptor)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _ioctl_int(descriptor: int, request: int, value: int) -> int:
    answer = fcntl.ioctl(descriptor, request, struct.pack("i", value))
    number: int = struct.unpack("i", answer)[0]
    return number
