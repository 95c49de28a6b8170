"""What custody has seen: volumes, jobs on them, and the catalogue of titles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from telarchy.custody.catalogue import Catalogue


class VolumeState(StrEnum):
    """What stands at a media root now. Only `Mounted`, `ReadOnly` and `New` say anything about titles."""

    NEW = "New"  # readable, never had a sentinel that we know of
    MOUNTED = "Mounted"  # the sentinel is the one we know
    READ_ONLY = "ReadOnly"  # as Mounted; nothing can be written
    MISSING = "Missing"  # no sentinel, or no folder, where there was one
    WRONG_ID = "WrongId"  # another volume's sentinel
    CONFLICT = "Conflict"  # the same volume id is seen in two places
    UNKNOWN = "Unknown"  # not looked at yet, or its host does not answer


@dataclass(frozen=True)
class JobSeen:
    """A job folder on a volume: an action under way, staged, ended, or left over.

    action:   id of the action it was started for
    state:    Running | Staged | Failed | Lost   (Lost: neither running nor ended, e.g. after a power cut)
    """

    action: str
    verb: str
    title: str
    state: str
    bytes: int = 0
    total: int = 0


@dataclass(frozen=True)
class TrashSeen:
    """A folder in a volume's trash; `age` in seconds by the holder's own clock; `titles` that lie in it."""

    entry: str
    age: float
    titles: tuple[str, ...] = ()


@dataclass(frozen=True)
class VolumeSeen:
    """One media root as last seen.

    id:        the sentinel id that belongs here ("" while New)
    found:     the sentinel id that was found, when it is another
    scanned:   seconds since the epoch of the last finished scan, None if never
    adoptable: while New: whether it can be given a sentinel; else it may be the same folder as any other such one
    removed:   titles moved to trash within the last 24 h (for the mass-change brake)
    quarantined:  titles of which something lies in this volume's quarantine
    set_aside: how many of them came there within the last 24 h
    missing_for:  seconds for which the volume was looked for in vain on a host that is up
    returns:   how often it came back after something else, or nothing, stood at its root
    mounts:    folders in it where another file system is mounted or was, relative to the root: nothing is copied there
    borrowed:  those of them where that may be another volume's
    hidden:    folders in it that cannot be looked into, or that have lost what was mounted there
    toolless_until:  until when it gets no copies since its host had no rsync, seconds since the epoch; 0: it gets some
    """

    host: str
    root: str
    path: str
    id: str = ""
    found: str = ""
    state: VolumeState = VolumeState.UNKNOWN
    message: str = ""
    free: int | None = None
    total: int | None = None
    scanned: float | None = None
    jobs: tuple[JobSeen, ...] = ()
    trash: tuple[TrashSeen, ...] = ()
    removed: int = 0
    quarantined: frozenset[str] = frozenset()
    set_aside: int = 0
    missing_for: float = 0.0
    returns: int = 0
    adoptable: bool = True
    toolless_until: float = 0.0
    mounts: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    borrowed: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the volume in the catalogue: its id, or `host/root` while it has none."""
        return self.id or f"{self.host}/{self.root}"


@dataclass(frozen=True)
class CustodySeen:
    """Custody's section of the Observation.

    volumes:   by `VolumeSeen.key`
    fenced:    why this controller may not write ("" when it may): another one holds the lease
    restless:  titles that change while they are copied, and until when each is left alone
    counted:   by floor that may trim and place: seconds for which it has counted there, see `counted.CountedTime`; None
               where nobody noted it
    """

    catalogue: Catalogue
    volumes: Mapping[str, VolumeSeen] = field(default_factory=dict)
    fenced: str = ""
    restless: Mapping[str, float] = field(default_factory=dict)
    counted: Mapping[str, Mapping[str, float]] | None = None
