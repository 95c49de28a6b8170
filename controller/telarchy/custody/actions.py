"""What custody can do to a volume. Values only; `act` runs them, `plan` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telarchy.core.action import Action
from telarchy.core.words import format_bytes, quoted


@dataclass(frozen=True, kw_only=True)
class VolumeAction(Action):
    """An action on one volume. `volume` is the sentinel id, or `host/root` while there is none yet."""

    capability: ClassVar[str] = "custody"

    root: str
    volume: str


@dataclass(frozen=True, kw_only=True)
class AdoptVolume(VolumeAction):
    """Write the sentinel of a root that has none, so that from now on it cannot be mistaken for another.

    `replaces` is the id that stood here before: only a person can decide that the old volume is given up. `returns`
    is how often it came back before: who gave it up once was not asked about the next time.
    """

    verb: ClassVar[str] = "AdoptVolume"

    path: str
    replaces: str = ""
    returns: int = 0

    def identity(self) -> tuple[object, ...]:
        return (self.host, self.root, self.replaces, *([self.returns] if self.returns else ()))

    def __str__(self) -> str:
        extra = f" in place of volume {self.replaces}" if self.replaces else ""
        return f"adopt {self.path} on {self.host} as a volume{extra}"


@dataclass(frozen=True, kw_only=True)
class Copy(VolumeAction):
    """Bring a title (or what is missing of it) from a holder to this volume.

    fingerprint:  of the reference manifest (paths and sizes), 16 hex digits
    partial:      the target already holds some of its files; only the missing ones come
    """

    verb: ClassVar[str] = "Copy"

    title: str
    source_host: str
    source_root: str
    source_volume: str
    fingerprint: str
    files: int = 0
    partial: bool = False

    def identity(self) -> tuple[object, ...]:
        return (self.title, self.volume, self.fingerprint)

    def __str__(self) -> str:
        what = f"the missing files of {quoted(self.title)}" if self.partial else quoted(self.title)
        return f"copy {what} ({format_bytes(self.bytes)}) from {self.source_host} to {self.host}"


@dataclass(frozen=True, kw_only=True)
class Verify(VolumeAction):
    """Digest every file of a copy where it lies, and compare with what was recorded."""

    verb: ClassVar[str] = "Verify"

    title: str

    def identity(self) -> tuple[object, ...]:
        return (self.title, self.volume)

    def __str__(self) -> str:
        return f"verify {quoted(self.title)} ({format_bytes(self.bytes)}) on {self.host}"


@dataclass(frozen=True, kw_only=True)
class Quarantine(VolumeAction):
    """Set damaged files of a copy aside on the same volume; good ones stand on `keepers` (volume ids)."""

    verb: ClassVar[str] = "Quarantine"

    title: str
    paths: tuple[str, ...]  # relative to the title; ("",) where the title is a file
    keepers: tuple[str, ...]

    def identity(self) -> tuple[object, ...]:
        return (self.title, self.volume, *self.paths)

    def __str__(self) -> str:
        return f"quarantine {len(self.paths)} damaged file(s) of {quoted(self.title)} on {self.host}"


@dataclass(frozen=True, kw_only=True)
class Trim(VolumeAction):
    """Move a surplus copy to the trash of its own volume. Runs only with a proof made at that moment."""

    verb: ClassVar[str] = "Trim"
    removes: ClassVar[bool] = True

    title: str
    fingerprint: str
    keepers: tuple[str, ...]  # volume ids whose copies must be shown to be good
    floor: int  # copies on distinct failure domains that must remain
    always_on: int  # and as many of them on always-on hosts

    def identity(self) -> tuple[object, ...]:
        return (self.title, self.volume, self.fingerprint)

    def __str__(self) -> str:
        return f"move the surplus copy of {quoted(self.title)} on {self.host} to its trash ({format_bytes(self.bytes)})"


@dataclass(frozen=True, kw_only=True)
class ExpireTrash(VolumeAction):
    """Delete what has lain in a volume's trash for longer than `keep` seconds. `entries` are trash folder names."""

    verb: ClassVar[str] = "ExpireTrash"
    removes: ClassVar[bool] = True

    entries: tuple[str, ...]

    def identity(self) -> tuple[object, ...]:
        return (self.volume, *self.entries)

    def __str__(self) -> str:
        return f"empty {len(self.entries)} expired folder(s) from the trash of {self.root} on {self.host}"


@dataclass(frozen=True, kw_only=True)
class CancelJob(VolumeAction):
    """Stop a job that no plan wants any more; what it staged stays a while, to be resumed or swept."""

    verb: ClassVar[str] = "CancelJob"

    job: str  # id of the action it was started for

    def identity(self) -> tuple[object, ...]:
        return (self.volume, self.job)

    def __str__(self) -> str:
        return f"cancel job {self.job} on {self.host}"


@dataclass(frozen=True, kw_only=True)
class Forget(Action):
    """Strike a title off the record that no declared host has any more. Touches no host."""

    verb: ClassVar[str] = "Forget"
    capability: ClassVar[str] = "custody"

    title: str

    def identity(self) -> tuple[object, ...]:
        return (self.title,)

    def __str__(self) -> str:
        return f"forget {quoted(self.title)}, which no host has any more"
