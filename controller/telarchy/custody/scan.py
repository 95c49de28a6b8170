"""Looking a volume through: one exec per root, in full or as the difference from the last time.

What cannot be read is unknown and not absent: the titles in it stay in the catalogue as they were last seen.
That goes for unreadable folders, for errors of the disk, and for a file system that used to be mounted below
the root and is not now.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from telarchy.custody import shell
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.listing import ScanAnswer, group, parse_scan, regroup, touched, under
from telarchy.custody.manifest import Manifest
from telarchy.custody.mounts import concerns
from telarchy.custody.survey import Place, survey
from telarchy.custody.titles import TitlePatterns
from telarchy.errors import ActionFailed
from telarchy.links.link import Link

SCAN_TIMEOUT = 1800.0
SMALL_ANSWER = 1 << 16  # bytes that are read sooner than a thread is found for them
SHORTEST, LONGEST = 15.0, 600.0  # seconds between two scans when nobody declares it
SCANS_PER_SECOND = 10.0  # of all roots together, when nobody declares it
TIMES_LAST = 20  # … a scan may take a twentieth of the time


@dataclass(frozen=True)
class ScanMemo:
    """What has to be known of the last scan for the next one.

    listing:  name of the listing kept on the volume, "" when the next scan must be a full one
    mounts:   file systems mounted below the root
    patterns: what titles were made by; when it changes, everything is read anew
    """

    listing: str = ""
    mounts: tuple[str, ...] = ()
    patterns: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"listing": self.listing, "mounts": list(self.mounts), "patterns": self.patterns}

    @classmethod
    def from_json(cls, value: Any) -> ScanMemo:
        if not isinstance(value, dict):
            return cls()
        return cls(
            str(value.get("listing", "")), tuple(value.get("mounts", ())), str(value.get("patterns", ""))
        )


@dataclass(frozen=True)
class Scanned:
    """What a scan brought. `memo` is to be stored after the catalogue was saved, not before."""

    memo: ScanMemo
    changed: bool
    full: bool
    blind: tuple[str, ...] = field(default=())
    lost: tuple[str, ...] = field(default=())  # those of them where something was mounted, and is not
    others: int = 0
    # those whose titles nobody can look at: a title that merely holds a folder that cannot be read is as last seen
    hidden: tuple[str, ...] = field(default=())

    @property
    def message(self) -> str:
        """What a person should know about what could not be read, "" if nothing."""
        if not self.blind:
            return ""
        if "" in self.blind:
            return "parts of it could not be read; what is known of titles there is as it was last seen"
        if self.lost:
            shown = ", ".join(repr(folder) for folder in self.lost[:3])
            return (
                f"what was mounted at {shown} is not there; titles there are unknown until it is mounted again, or "
                "until a title is put there by hand, which gives that disk up"
            )
        shown = ", ".join(repr(folder) for folder in self.blind[:3])
        return f"cannot read {shown}{' and more' if len(self.blind) > 3 else ''}; titles there are unknown"


def next_scan_after(duration: float, declared: float | None, *, roots: int = 1) -> float:
    """Seconds from the end of a scan to the next one, in a fleet of so many roots."""
    if declared is not None:
        return declared
    return min(LONGEST, max(SHORTEST, TIMES_LAST * duration, roots / SCANS_PER_SECOND))


async def scan(
    link: Link,
    path: str,
    volume_id: str,
    key: str,
    catalogue: Catalogue,
    patterns: TitlePatterns,
    memo: ScanMemo,
    now: float,
    *,
    leave_trace: bool,
) -> Scanned:
    """Scan the volume that stands at `path` into the catalogue under `key`.

    Raises ActionFailed(reason="VolumeGone") when the volume was not there from beginning to end, or when the
    answer is not whole; the catalogue is then untouched. HostUnreachable comes from the link.
    """
    signature = f"{sorted(patterns.select)}"
    known = memo.listing if memo.patterns == signature else ""
    following = secrets.token_hex(8) if leave_trace else ""
    done = await shell.run(
        link,
        ("fence", "list", "scan"),
        [shell.script("batch"), path, volume_id, known, following],
        within=SCAN_TIMEOUT,
    )
    try:
        if len(done.stdout) < SMALL_ANSWER:
            answer = parse_scan(done.stdout, path)
        else:
            answer = await asyncio.to_thread(parse_scan, done.stdout, path)
    except ValueError as trouble:
        raise ActionFailed(f"scan of {path} on {link.host}: {trouble}", reason="ScanFailed") from None
    # A library is long: it is only gone through where something is missing.
    titles = tuple(catalogue.titles_on(key)) if set(memo.mounts) - answer.mounts else ()
    blind = _blind(answer, memo, patterns, titles)
    changed = _take(answer, key, catalogue, patterns, blind, now)
    settled = not blind and (answer.listing != "")
    kept_mounts = set(memo.mounts) & blind if blind else set()
    lost = kept_mounts - answer.mounts
    return Scanned(
        ScanMemo(
            listing=answer.listing if settled else "",
            mounts=tuple(sorted(answer.mounts | kept_mounts)),
            patterns=signature,
        ),
        changed,
        not answer.delta,
        tuple(sorted(blind)),
        tuple(sorted(lost)),
        answer.now.others,
        tuple(sorted(one for one in blind if one and (one in lost or not _within_a_title(one, patterns)))),
    )


async def look_again(
    place: Place,
    key: str,
    titles: Iterable[str],
    catalogue: Catalogue,
    now: float,
    *,
    blind: Iterable[str] = (),
) -> None:
    """A difference says nothing of a file that came by an action and went again: ask for those titles, but for what
    cannot be looked into."""
    for title in titles:
        if under(title, blind):
            continue
        seen = await survey(place, title)
        if seen.whole:
            catalogue.patch_volume(key, {title: seen.manifest or None}, now)


def _blind(answer: ScanAnswer, memo: ScanMemo, patterns: TitlePatterns, known: Collection[str]) -> set[str]:
    """Folders whose contents are unknown now. `known`: the titles that were seen on this volume.

    A mount point that lost its file system is a folder without titles, or none. Once a title is in it, somebody has
    given up that disk and put it there by hand. Where no title was, nothing is missed.
    """
    blind = set(answer.now.blind)
    if answer.errors and not blind:
        blind.add("")
    for point in set(memo.mounts) - answer.mounts:
        if not any(concerns(title, (point,)) for title in known):
            continue
        inside = point + "/"
        found = (path for path in answer.now.files if path.startswith(inside) and patterns.titles_of(path))
        if answer.delta or not any(found):
            blind.add(point)
    return blind


def _within_a_title(folder: str, patterns: TitlePatterns) -> bool:
    """Whether a folder can only be a part of titles, and neither be one nor hold any."""
    titles = patterns.titles_of(f"{folder}/x")
    return bool(titles) and all(folder.startswith(f"{title}/") for title in titles)


def _take(
    answer: ScanAnswer,
    key: str,
    catalogue: Catalogue,
    patterns: TitlePatterns,
    blind: set[str],
    now: float,
) -> bool:
    if answer.delta:
        answer.gone = {path for path in answer.gone if not (blind and under(path, blind))}
        before = {title: catalogue.manifest(key, title) for title in touched(answer, patterns)}
        changes = regroup(answer, patterns, before)
        catalogue.patch_volume(key, changes, now)
        return bool(changes)
    titles = group(((path, *seen) for path, seen in answer.now.files.items()), patterns)
    if blind:
        for title in list(catalogue.titles_on(key)):
            if under(title, blind):
                titles[title] = _as_before(
                    title, catalogue.manifest(key, title), titles.get(title, ()), blind
                )
    return bool(catalogue.replace_volume(key, titles, now))


def _as_before(title: str, before: Manifest, seen: Manifest, blind: set[str]) -> Manifest:
    """What was seen of a title, and the files last seen where nothing can be seen now."""
    paths = {one.path for one in seen}
    kept = [
        one
        for one in before
        if one.path not in paths and under(f"{title}/{one.path}" if one.path else title, blind)
    ]
    return tuple(sorted((*seen, *kept), key=lambda one: one.path))
