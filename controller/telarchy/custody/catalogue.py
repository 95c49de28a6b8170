"""Which titles lie on which volumes: columns of numbers, so that a million titles are counted in a blink.

A volume's holdings are parallel numpy arrays sorted by title id; names live in `TitleNames`; the files of a
title are read one title at a time from `Manifests` (a table in the store). Titles whose holders do not agree
are few and need their files to be understood, so those manifests stay in memory as `irregular`.

The catalogue is evidence and a cache: everything in it but the digests can be seen again on the hosts.
It changes only between rounds, by the observing side; `version` and `changed_since` let a census follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from telarchy.custody.manifest import (
    FileSeen,
    Manifest,
    carry_digests,
    content_number,
    fingerprint_number,
    rewritten,
)
from telarchy.custody.names import TitleNames
from telarchy.custody.titles import TitlePatterns

DAMAGED = 1  # flag: some file fails its digest
IS_FILE = 2  # flag: the title is a file, not a folder

REMEMBERED_CHANGES = 10_000


class Manifests(Protocol):
    """Where the files of titles are kept, by volume and title id."""

    def get(self, volume: str, title: int) -> Manifest: ...
    def put(self, volume: str, title: int, manifest: Manifest) -> None: ...
    def drop(self, volume: str, title: int) -> None: ...
    def rename(self, old: str, new: str) -> None: ...


class ManifestsInMemory:
    """For plans without a store, and for tests."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], Manifest] = {}

    def get(self, volume: str, title: int) -> Manifest:
        return self._held.get((volume, title), ())

    def put(self, volume: str, title: int, manifest: Manifest) -> None:
        self._held[volume, title] = manifest

    def drop(self, volume: str, title: int) -> None:
        self._held.pop((volume, title), None)

    def rename(self, old: str, new: str) -> None:
        for volume, title in [key for key in self._held if key[0] == old]:
            self._held[new, title] = self._held.pop((volume, title))


ROW = np.dtype(
    [
        ("title", np.int32),
        ("files", np.int32),
        ("bytes", np.int64),
        ("fingerprint", np.uint64),
        ("content", np.uint64),
        ("since", np.int64),  # first seen here, seconds since the epoch
        ("verified", np.int64),  # oldest reading among its files, 0 if any was never read
        ("flags", np.uint8),
    ]
)
"""One copy: a title on a volume."""


@dataclass(frozen=True, eq=False)
class Holdings:
    """What one volume holds: columns of equal length, sorted by title id. Never changed in place."""

    title: npt.NDArray[np.int32]
    files: npt.NDArray[np.int32]
    bytes: npt.NDArray[np.int64]
    fingerprint: npt.NDArray[np.uint64]
    content: npt.NDArray[np.uint64]
    since: npt.NDArray[np.int64]
    verified: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]

    @classmethod
    def from_rows(cls, rows: npt.NDArray[np.void]) -> Holdings:
        return cls(*(np.ascontiguousarray(rows[name]) for name in ROW.names or ()))

    @classmethod
    def empty(cls) -> Holdings:
        return cls.from_rows(np.zeros(0, ROW))

    def __len__(self) -> int:
        return len(self.title)

    def row(self, title: int) -> int | None:
        """Position of a title, None when it is not here."""
        # A key of the column's own type: with any other, numpy would first convert the whole column.
        at = int(self.title.searchsorted(np.int32(title)))
        return at if at < len(self.title) and self.title[at] == title else None

    def rows(self, titles: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        """Positions of these titles, -1 for those that are not here."""
        if not len(self.title):
            return np.full(len(titles), -1, np.intp)
        at = np.minimum(self.title.searchsorted(titles), len(self.title) - 1)
        return np.where(self.title[at] == titles, at, -1)

    @cached_property
    def total_bytes(self) -> int:
        """Bytes of all copies here."""
        return int(self.bytes.sum())

    def with_rows(self, rows: Mapping[int, tuple[int, ...] | None]) -> Holdings:
        """A new one with these titles set (rows without the title id) or, for None, gone."""
        names = ROW.names or ()
        columns = {name: getattr(self, name) for name in names}
        ids = np.fromiter(sorted(rows), np.int32, len(rows))
        keep = ~np.isin(self.title, ids, assume_unique=True)
        added = [(title, *row) for title, row in sorted(rows.items()) if row is not None]
        fresh = np.array(added, ROW)
        where = np.searchsorted(columns["title"][keep], fresh["title"])
        return Holdings(*(np.insert(columns[name][keep], where, fresh[name]) for name in names))


def _row(manifest: Manifest, since: int) -> tuple[int, ...]:
    flags = DAMAGED if any(one.damaged for one in manifest) else 0
    if manifest[0].path == "":
        flags |= IS_FILE
    return (
        len(manifest),
        sum(one.size for one in manifest),
        fingerprint_number(manifest),
        content_number(manifest),
        since,
        int(min(one.verified_at for one in manifest)),
        flags,
    )


class Catalogue:
    """All copies that were seen, by volume key (the sentinel id, or `host/root` while there is none)."""

    def __init__(
        self,
        *,
        names: TitleNames | None = None,
        holdings: Mapping[str, Holdings] | None = None,
        manifests: Manifests | None = None,
        patterns: TitlePatterns | None = None,
        irregular: Iterable[int] | None = None,
    ) -> None:
        """`irregular`: ids of the titles whose holders disagree, where somebody counted them before."""
        self.names = names or TitleNames()
        self.holdings: dict[str, Holdings] = dict(holdings or {})
        self.manifests: Manifests = manifests or ManifestsInMemory()
        self.patterns = patterns or TitlePatterns(())
        self.irregular: dict[int, dict[str, Manifest]] = {}
        self.version = 0  # moves with every change
        self.shape = 0  # moves when volumes or patterns come and go: whoever counts starts anew
        self.unsaved: set[str] = set()
        self._changes: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_CHANGES)
        self._refresh_irregular(self._disagreeing() if irregular is None else irregular)

    # --- reading ---------------------------------------------------------------------------------------------

    def changed_since(self, version: int) -> set[int] | None:
        """Ids of titles changed after `version`; None when that is too long ago to tell."""
        if version == self.version:
            return set()
        # A full memory may have lost a part of the oldest change that it still knows.
        oldest_whole = version if len(self._changes) == self._changes.maxlen else version + 1
        if not self._changes or self._changes[0][0] > oldest_whole:
            return None
        return {title for moment, title in self._changes if moment > version}

    def manifest(self, volume: str, title: str) -> Manifest:
        """The files of a title on a volume; () when it is not there."""
        number = self.names.find(title)
        held = self.holdings.get(volume)
        if number is None or held is None or held.row(number) is None:
            return ()
        return self.manifests.get(volume, number)

    def titles_on(self, volume: str) -> Iterator[str]:
        held = self.holdings.get(volume)
        for number in [] if held is None else held.title.tolist():
            yield self.names.name(number)

    def holders(self, title: int) -> dict[str, int]:
        """Volume key -> row of the title there."""
        return self.holders_of([title])[title]

    def holders_of(self, titles: Collection[int]) -> dict[int, dict[str, int]]:
        """`holders` of many titles at once."""
        found: dict[int, dict[str, int]] = {title: {} for title in titles}
        if len(titles) == 1:
            (title,) = titles
            for volume, held in self.holdings.items():
                at = held.row(title)
                if at is not None:
                    found[title][volume] = at
            return found
        ids = np.fromiter(found, np.int32, len(found))
        for volume, held in self.holdings.items():
            rows = held.rows(ids)
            here = np.flatnonzero(rows >= 0)
            for title, at in zip(ids[here].tolist(), rows[here].tolist(), strict=True):
                found[title][volume] = at
        return found

    # --- writing: only by the observing side, between rounds ---------------------------------------------------

    def set_patterns(self, patterns: TitlePatterns) -> None:
        """Take new floors' patterns; every known title is marked again."""
        if patterns != self.patterns:
            self.patterns = patterns
            self.names.mark_all(patterns)
            self._reshape()

    def add_volume(self, volume: str) -> None:
        if volume not in self.holdings:
            self.holdings[volume] = Holdings.empty()
            self._reshape()

    def drop_volume(self, volume: str) -> None:
        """Forget a volume that is no longer declared. What lies on it is untouched, and is seen again if it returns."""
        held = self.holdings.pop(volume, None)
        if held is not None:
            for title in held.title.tolist():
                self.manifests.drop(volume, title)
                self.irregular.pop(title, None)
            self.unsaved.add(volume)
            self._refresh_irregular(self._disagreeing())
            self._reshape()

    def rename_volume(self, old: str, new: str) -> None:
        """A root got its sentinel: what was seen under its provisional key belongs to the id from now on, unless the
        id has a record of its own."""
        if old == new or old not in self.holdings:
            return
        if new in self.holdings:
            self.drop_volume(old)
            return
        self.holdings[new] = self.holdings.pop(old)
        self.manifests.rename(old, new)
        for by_volume in self.irregular.values():
            if old in by_volume:
                by_volume[new] = by_volume.pop(old)
        self.unsaved |= {old, new}
        self._reshape()

    def forget(self, title: str) -> None:
        """A person gave a title up that no volume holds. It is remembered again as soon as one does."""
        number = self.names.find(title)
        if number is not None and not self.holders(number):
            self.names.forgotten.add(number)
            self._moved([number])

    def replace_volume(self, volume: str, titles: Mapping[str, Manifest], now: float) -> set[str]:
        """A full scan of a volume. Digests of unchanged files are kept. Returns the titles that changed."""
        self.add_volume(volume)
        held = self.holdings[volume]
        gone = {self.names.name(number) for number in held.title.tolist()} - titles.keys()
        changed: dict[str, Manifest | None] = dict.fromkeys(gone)
        for title, manifest in titles.items():
            number = self.names.find(title)
            at = None if number is None else held.row(number)
            if at is None or number is None or not _same_files(self.manifests.get(volume, number), manifest):
                changed[title] = manifest
        self.patch_volume(volume, changed, now)
        return set(changed)

    def patch_volume(self, volume: str, changed: Mapping[str, Manifest | None], now: float) -> None:
        """Only these titles changed (None or (): gone)."""
        self.add_volume(volume)
        if not changed:
            return
        held = self.holdings[volume]
        rows: dict[int, tuple[int, ...] | None] = {}
        for title, manifest in changed.items():
            if not manifest and self.names.find(title) is None:
                continue  # what nobody ever had is not lost
            number = self.names.intern(title, self.patterns)
            at = held.row(number)
            if not manifest:
                if at is not None:
                    rows[number] = None
                    self.manifests.drop(volume, number)
                continue
            before = self.manifests.get(volume, number) if at is not None else ()
            kept = carry_digests(before, tuple(sorted(manifest, key=lambda one: one.path)))
            since = int(held.since[at]) if at is not None else int(now)
            rows[number] = _row(kept, since)
            self.manifests.put(volume, number, kept)
        self._set(volume, rows)

    def record_digests(
        self,
        volume: str,
        title: str,
        digests: Mapping[str, str],
        damaged: Collection[str],
        at: float,
        blake3: Mapping[str, str] | None = None,
        found: Mapping[str, str] | None = None,
    ) -> None:
        """Files were read: `digests` by SHA-256, `blake3` of those that were read by that as well. `damaged` ones keep
        the digests that were recorded as the good ones, until every copy was `found` to be written over with the same.
        """
        manifest = self.manifest(volume, title)
        if not manifest:
            return
        read: list[FileSeen] = []
        for one in manifest:
            if one.path in damaged:
                other = (found or {}).get(one.path, "")
                # Not where it is as it was when it was last read as it should be: disks rot, and write nothing.
                written = not one.verified_at or other == one.found
                read.append(one._replace(verified_at=at, damaged=True, found=other if written else ""))
            elif one.path in digests:
                sha256 = digests[one.path]
                # A BLAKE3 belongs to the bytes that its SHA-256 is of, and goes with it.
                kept = one.blake3 if sha256 == one.sha256 else ""
                other = (blake3 or {}).get(one.path, kept)
                read.append(FileSeen(one.path, one.size, one.mtime_ns, sha256, at, blake3=other))
            else:
                read.append(one)
        number = self.names.intern(title, self.patterns)
        held = self.holdings[volume]
        row = held.row(number)
        since = int(held.since[row]) if row is not None else int(at)
        self.manifests.put(volume, number, tuple(read))
        self._set(volume, {number: _row(tuple(read), since)})
        self._take_for_new(number, {one.path for one in read if one.found})

    def _take_for_new(self, title: int, paths: Collection[str]) -> None:
        """What a person wrote over every copy of a file is its new version."""
        held = {
            volume: self.manifests.get(volume, title) for volume in (self.holders(title) if paths else ())
        }
        digests = {path: digest for path in paths if (digest := rewritten(path, held.values()))}
        for volume, manifest in held.items() if digests else ():
            taken = tuple(
                FileSeen(*one[:3], digests[one.path], one.verified_at) if one.path in digests else one
                for one in manifest
            )
            row = self.holdings[volume].row(title)
            self.manifests.put(volume, title, taken)
            self._set(volume, {title: _row(taken, int(self.holdings[volume].since[row]))})

    # --- inside ------------------------------------------------------------------------------------------------

    def _set(self, volume: str, rows: Mapping[int, tuple[int, ...] | None]) -> None:
        if not rows:
            return
        self.holdings[volume] = self.holdings[volume].with_rows(rows)
        self.unsaved.add(volume)
        # Whatever was given up and is seen again is on the record again.
        self.names.forgotten.difference_update(title for title, row in rows.items() if row is not None)
        self._moved(rows)
        self._refresh_irregular(rows)

    def _moved(self, titles: Iterable[int]) -> None:
        self.version += 1
        self._changes.extend((self.version, title) for title in titles)

    def _reshape(self) -> None:
        self.shape += 1
        self.version += 1
        self._changes.clear()

    def _refresh_irregular(self, titles: Iterable[int]) -> None:
        """Keep the files of these titles in memory if their holders disagree or some copy is damaged."""
        for title, rows in self.holders_of(list(titles)).items():
            prints, contents, damaged = set(), set(), False
            for volume, at in rows.items():
                held = self.holdings[volume]
                prints.add(int(held.fingerprint[at]))
                contents.add(int(held.content[at]))
                damaged = damaged or bool(held.flags[at] & DAMAGED)
            if len(prints) > 1 or len(contents - {0}) > 1 or damaged:
                self.irregular[title] = {volume: self.manifests.get(volume, title) for volume in rows}
            else:
                self.irregular.pop(title, None)

    def _disagreeing(self) -> Iterable[int]:
        """Ids of titles whose holders differ, or of which some copy is damaged. One pass over the columns."""
        count = len(self.names)
        first = np.zeros(count, np.uint64)
        content = np.zeros(count, np.uint64)
        odd = np.zeros(count, bool)
        for held in self.holdings.values():
            ids = held.title
            seen = first[ids]
            odd[ids] |= (seen != 0) & (seen != held.fingerprint)
            first[ids] = held.fingerprint
            known = content[ids]
            odd[ids] |= (known != 0) & (held.content != 0) & (known != held.content)
            content[ids] = np.where(held.content != 0, held.content, known)
            odd[ids] |= (held.flags & DAMAGED) != 0
        found: list[int] = np.flatnonzero(odd).tolist()
        return found


def _same_files(before: Manifest, now: Manifest) -> bool:
    if len(before) != len(now):
        return False
    now = tuple(sorted(now, key=lambda one: one.path))
    return all(
        (a.path, a.size, a.mtime_ns) == (b.path, b.size, b.mtime_ns) for a, b in zip(before, now, strict=True)
    )
