"""What look.sh says about the roots of a host, read into values. Pure."""

from __future__ import annotations

import calendar
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from telarchy.custody.evidence import TrashSeen
from telarchy.custody.mounts import Mount, mounts_below
from telarchy.custody.shell import records, text

EPOCH_DIGITS = 16
_ENTRY = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{1,64})")


@dataclass(frozen=True)
class Lease:
    """The lease file of a volume: who may write, and how long ago that was renewed by the holder's clock."""

    epoch: int
    controller: str
    name: str
    age: float


@dataclass
class RootLook:
    """One root as it stands now.

    writable:  the root, and what of ours lies in it
    id:        of the sentinel, "" when there is none
    damaged:   its file is there, and tells no id
    clock:     the host's clock when it was looked at, seconds since the epoch
    boot:      which run of which machine it was, "" when that has no name
    device:    number of its file system on that host
    mounts:    file systems mounted below it
    free, total: bytes, None when df did not say
    staging:   staging folders by action id, with their age in seconds
    jobs:      what was written down about each job folder, by action id
    """

    path: str
    clock: float = 0.0
    boot: str = ""
    exists: str = ""  # folder | other | "" (nothing there)
    readable: bool = False
    writable: bool = False
    id: str = ""
    damaged: bool = False
    device: str = ""
    free: int | None = None
    total: int | None = None
    mounts: tuple[Mount, ...] = ()
    lease: Lease | None = None
    trash: tuple[TrashSeen, ...] = ()
    quarantine: tuple[TrashSeen, ...] = ()
    staging: dict[str, float] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)


def parse_look(data: bytes) -> list[RootLook]:
    """Raises ValueError when the answer makes no sense; a cut-off one ends with the last whole root."""
    fields = records(data)
    now, boot = 0.0, ""
    roots: list[RootLook] = []
    renewed = job = true = ""
    for key, value in zip(fields[::2], map(text, fields[1::2]), strict=False):
        if key == b"now":
            now = float(value)
            continue
        if key == b"boot":
            boot = value
            continue
        if key == b"root":
            roots.append(RootLook(value, clock=now, boot=boot))
            renewed = job = true = ""
            continue
        if not roots:
            raise ValueError(f"not an answer of look.sh: {data[:80]!r}")
        root = roots[-1]
        match key:
            case b"exists" | b"id" | b"device":
                setattr(root, key.decode(), value)
            case b"readable" | b"writable" | b"damaged":
                setattr(root, key.decode(), True)
            case b"true":
                true = value
            case b"mounts":
                root.mounts = mounts_below(true, value)
            case b"space":
                total, _, free = value.partition(" ")
                if free:
                    root.total, root.free = int(total) * 1024, int(free) * 1024
            case b"renewed":
                renewed = value
            case b"epoch":
                root.lease = _lease(value, renewed, now)
            case b"trash" | b"quarantine":
                setattr(root, key.decode(), _entries(value, now))
            case b"staging":
                root.staging = {
                    name.rstrip("\t").removesuffix(".begun"): now - mtime for mtime, name in _aged(value)
                }
            case b"job":
                job = value
                root.jobs[job] = {}
            case b"meta":
                root.jobs[job] = _meta(value)
    return roots


def _aged(lines: str) -> list[tuple[float, str]]:
    found = []
    for line in lines.splitlines():
        mtime, _, name = line.partition(" ")
        if name and mtime.lstrip("-").isdigit():
            found.append((float(mtime), name.removeprefix("./")))
    return found


def _entries(lines: str, now: float) -> tuple[TrashSeen, ...]:
    """Folders of the trash: `MTIME ./NAME` and, where it was written down, a TAB and the title as JSON.

    The younger of name and mtime counts: a copied folder keeps a name, a touched one an mtime, and what is
    deleted for good had better be old by both.
    """
    found = []
    for mtime, rest in _aged(lines):
        name, _, label = rest.partition("\t")
        match = _ENTRY.fullmatch(name)
        if match is None:
            continue
        try:
            named = calendar.timegm(time.strptime(match[1], "%Y%m%dT%H%M%SZ"))
        except ValueError:  # no such day: somebody else's name
            continue
        age = max(0.0, min(now - mtime, now - named))
        found.append(TrashSeen(name, age, _titles(label)))
    return tuple(sorted(found, key=lambda one: one.entry))


def _titles(label: str) -> tuple[str, ...]:
    try:
        title = json.loads(label) if label else None
    except ValueError:
        return ()
    return (title,) if isinstance(title, str) else ()


def _lease(line: str, renewed: str, now: float) -> Lease | None:
    epoch, _, rest = line.partition(" ")
    controller, _, name = rest.partition(" ")
    mtime = renewed.partition(" ")[0]
    # More digits than `holder` of fence.sh takes: the file is damaged, and no shell could count on from there.
    if not epoch.isdigit() or len(epoch) > EPOCH_DIGITS or not controller:
        return None
    return Lease(int(epoch), controller, name, now - float(mtime) if mtime.isdigit() else 0.0)


def _meta(value: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
