"""What is mounted below a media root: perhaps another host's folder, and then no second copy of anything. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

DECLARE_IT = "mount it beside that root and declare it as a media root of its own"

_ON_DISKS = "bcachefs btrfs exfat ext2 ext3 ext4 f2fs fuseblk iso9660 jfs ntfs ntfs3 reiserfs squashfs udf vfat xfs zfs"
_ELSEWHERE = "apfs hfs hfsplus msdos msdosfs ufs"  # on BSD, macOS
OWN_KINDS = frozenset(f"{_ON_DISKS} {_ELSEWHERE} ramfs tmpfs".split())
"""File systems on disks or in the memory of the host itself. Any other may show what lies elsewhere."""

_OCTAL = re.compile(rb"\\([0-7]{3})")
_AFTER_OPTIONS = "-"


@dataclass(frozen=True)
class Mount:
    """A mount point below a root. `path` relative to it; `device` as `major:minor`, "" where nobody tells it."""

    path: str
    kind: str
    device: str = ""

    @property
    def own(self) -> bool:
        """Whether it is a file system of the host itself, and not the network's or a program's."""
        return self.kind in OWN_KINDS


def mounts_below(root: str, table: str) -> tuple[Mount, ...]:
    """Mounts below a root (by its true name), out of lines of /proc/self/mountinfo, or of `: KIND POINT` elsewhere."""
    found: dict[str, Mount] = {}
    inside = root.rstrip("/") + "/"
    for line in table.split("\n"):
        head, _, rest = line.partition(" ")
        if head == ":":
            kind, _, point = rest.partition(" ")
            device = ""
        else:
            words = line.split(" ")
            if len(words) < 8 or _AFTER_OPTIONS not in words[6:-1]:
                continue
            point, device = plain(words[4].encode("utf-8", "surrogateescape")), words[2]
            kind = words[words.index(_AFTER_OPTIONS, 6) + 1]
        path = point.removeprefix(inside)
        if path and path != point and path.split("/")[0] != ".telarchy":
            found[path] = Mount(path, kind, device)  # of two at one point the later one is on top
    return tuple(found[path] for path in sorted(found))


def concerns(title: str, folders: Iterable[str]) -> bool:
    """Whether a title is, lies in, or holds one of these folders."""
    return any(f"{title}/".startswith(f"{one}/") or one.startswith(f"{title}/") for one in folders)


def lost_mount(title: str, known: Iterable[str], now: Collection[str]) -> str:
    """Where something was mounted that holds some of a title, and is not mounted now; "" where all is as it was."""
    return next((one for one in known if one not in now and concerns(title, (one,))), "")


def device_of(number: str) -> str:
    """`major:minor` of the number that Linux gives a device, "" for what is none."""
    if not number.isdigit():
        return ""
    device = int(number)
    major, minor = (device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF), (device & 0xFF) | (device >> 12 & ~0xFF)
    return f"{major}:{minor & 0xFFFFFFFF}"


def plain(escaped: bytes) -> str:
    """A path of the kernel's tables: spaces and the like are told in octal there."""
    raw = _OCTAL.sub(lambda found: bytes([int(found[1], 8) & 255]), escaped)
    return raw.decode("utf-8", "surrogateescape")
