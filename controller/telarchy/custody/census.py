"""Counting copies: for every floor and every title, is it met, and if not, how urgent is it. Pure.

Two paths compute the same thing. Titles whose holders agree (nearly all) are counted in columns; a title that
changed since the last count, or whose holders disagree, is weighed one by one (`weigh`). A property test holds
the two against each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from telarchy.custody.catalogue import Catalogue
from telarchy.custody.mounts import concerns
from telarchy.custody.readings import Readings
from telarchy.custody.terms import FloorTerms
from telarchy.custody.titles import selects
from telarchy.custody.weighing import Standing, TitleState, TitleView, Weighing, Weight, view_of, weigh

NEVER = np.iinfo(np.int64).max
REMEMBERED_VERDICTS = 20_000  # per floor; a plan looks at a few hundred titles, and mostly at the same ones


class _Bits(IntEnum):
    """How a sort key is laid out, most urgent first: level, floor priority, size, in one uint64."""

    LEVEL = 60
    PRIORITY = 48
    SIZE_MASK = (1 << 48) - 1


def sort_key(level: int, priority: int, size: int) -> int:
    """Smaller is more urgent: HDFS' level, then the floor's priority, then the smaller title."""
    return (level << _Bits.LEVEL) | ((1000 - priority) << _Bits.PRIORITY) | min(size, _Bits.SIZE_MASK)


Tally = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""A number per title id."""

_Volumes = tuple[tuple[str, int], ...]
"""Volumes, and which titles are left out on each: 0 none, 1 the hidden ones, 2 those and the borrowed ones."""


@dataclass(eq=False)
class FloorCount:
    """One floor's count. Arrays are indexed by title id.

    order:     ids of titles that want a copy, most urgent first; `keys` are their sort keys
    surplus:   ids of titles with more live copies than `maxCopies`
    """

    terms: FloorTerms
    member: npt.NDArray[np.bool_]
    state: npt.NDArray[np.uint8]
    need: npt.NDArray[np.int16]
    order: npt.NDArray[np.int32]
    keys: npt.NDArray[np.uint64]
    surplus: set[int] = field(default_factory=set)
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(TitleState), np.int64))
    copies_wanted: int = 0
    bytes_to_move: int = 0

    def with_state(self, state: TitleState, most: int) -> list[int]:
        """Up to `most` ids of titles in this state, lowest id first."""
        if not self.counts[state]:
            return []
        hits: list[int] = np.flatnonzero(self.member & (self.state == state))[:most].tolist()
        return hits


class Census:
    """The count of all floors over one catalogue. `refresh` follows a few changed titles in milliseconds.

    inputs:    what was counted: each floor, and how it weighs each volume
    readings:  when which copy is due to be read again
    borrowed:  by volume, ids of the titles whose copies there may be another volume's
    hidden:    by volume, ids of the titles that nobody can look at there now
    """

    def __init__(
        self, catalogue: Catalogue, floors: Iterable[tuple[FloorTerms, Mapping[str, Standing]]]
    ) -> None:
        self.catalogue = catalogue
        self.inputs = tuple(floors)
        self.shape, self.version = catalogue.shape, catalogue.version
        self.readings = Readings()
        self._verdicts: tuple[dict[int, tuple[TitleView, Weighing]], ...] = tuple({} for _ in self.inputs)
        self.size = self._title_sizes()
        self.borrowed: dict[str, npt.NDArray[np.int32]] = {}
        self.hidden: dict[str, npt.NDArray[np.int32]] = {}
        self._places: list[tuple[dict[str, npt.NDArray[np.int32]], str, tuple[str, ...]]] = []
        for volume, standing in {key: one for _, of in self.inputs for key, one in of.items()}.items():
            for ids, folders in ((self.borrowed, standing.borrowed), (self.hidden, standing.hidden)):
                if folders and volume in catalogue.holdings:
                    ids[volume] = self._lying_in(folders, catalogue.holdings[volume].title.tolist())
                    self._places.append((ids, volume, folders))
        counted: dict[_Volumes, Tally] = {}
        self.floors = tuple(self._count(terms, standings, counted) for terms, standings in self.inputs)
        self._weigh_anew(sorted(catalogue.irregular))

    def fits(self, catalogue: Catalogue, floors: Iterable[tuple[FloorTerms, Mapping[str, Standing]]]) -> bool:
        """Whether this census can follow by `refresh` alone."""
        return catalogue is self.catalogue and catalogue.shape == self.shape and tuple(floors) == self.inputs

    def refresh(self) -> bool:
        """Follow the catalogue. False when too much changed: then a new census is quicker."""
        changed = self.catalogue.changed_since(self.version)
        if changed is None or len(changed) > 2_000:
            return False
        if changed:
            count = len(self.catalogue.names)
            if count > len(self.size):
                self._grow(count)
            for ids, volume, folders in self._places:
                more = self._lying_in(folders, changed)
                if len(more):
                    ids[volume] = np.union1d(ids[volume], more)
            self._weigh_anew(sorted(changed))
        self.version = self.catalogue.version
        return True

    def verdict(self, floor: int, title: int) -> tuple[TitleView, Weighing]:
        """One title under the floor of this index: who has it, and how that weighs. Remembered until it changes."""
        known = self._verdicts[floor].get(title)
        return known if known is not None else self._judge(floor, title, self.catalogue.holders(title))

    def _judge(self, floor: int, title: int, rows: Mapping[str, int]) -> tuple[TitleView, Weighing]:
        terms, standings = self.inputs[floor]
        view = view_of(self.catalogue, title, standings, rows)
        kept = self._verdicts[floor]
        if len(kept) >= REMEMBERED_VERDICTS:
            kept.clear()
        kept[title] = verdict = view, weigh(view, terms)
        return verdict

    # --- in columns --------------------------------------------------------------------------------------------

    def _title_sizes(self) -> npt.NDArray[np.int64]:
        size = np.zeros(len(self.catalogue.names), np.int64)
        standing = {volume for _, standings in self.inputs for volume in standings}
        for volume in standing & self.catalogue.holdings.keys():
            held = self.catalogue.holdings[volume]
            size[held.title] = held.bytes  # the same on all that agree; the others are weighed one by one
        return size

    def _lying_in(self, folders: Collection[str], titles: Iterable[int]) -> npt.NDArray[np.int32]:
        """Those of the titles whose paths have to do with one of the folders, in ascending order."""
        names = self.catalogue.names
        return np.array(sorted(one for one in titles if concerns(names.name(one), folders)), np.int32)

    def _members(self, terms: FloorTerms) -> npt.NDArray[np.bool_]:
        names = self.catalogue.names
        chosen = np.array([selects(one, terms.select, terms.exclude) for one in names.mark_sets] or [False])
        member = chosen[names.marks] if len(names) else np.zeros(0, bool)
        if names.forgotten:
            member[np.fromiter(names.forgotten, np.int64)] = False
        return member

    def _domains(self, volumes: _Volumes, standings: Mapping[str, Standing]) -> Tally:
        """Copies of each title on distinct failure domains, over these volumes."""
        by_domain: dict[str, list[npt.NDArray[np.int32]]] = {}
        for volume, left_out in volumes:
            here = self.catalogue.holdings[volume].title
            for unsure in (self.borrowed, self.hidden)[2 - left_out :]:
                if volume in unsure:
                    here = np.setdiff1d(here, unsure[volume], assume_unique=True)
            by_domain.setdefault(standings[volume].domain, []).append(here)
        count = len(self.catalogue.names)
        counted: Tally = np.zeros(count, np.uint8) if len(by_domain) < 256 else np.zeros(count, np.uint16)
        for ids in by_domain.values():
            # Ids on one volume are unique; two volumes of one domain may hold the same title.
            counted[ids[0] if len(ids) == 1 else np.unique(np.concatenate(ids))] += 1
        return counted

    def _count(
        self,
        terms: FloorTerms,
        standings: Mapping[str, Standing],
        counted: dict[_Volumes, Tally],
    ) -> FloorCount:
        """`counted`: what `_domains` said of these volumes before. On a good day most questions are the same one."""
        held = [volume for volume in self.catalogue.holdings if volume in standings]
        counting = [volume for volume in held if standings[volume].counts]
        steady = [volume for volume in counting if standings[volume].always_on]

        def over(volumes: list[str], least: Weight, *, borrowed: bool = False) -> Tally:
            left_out = 0 if least <= Weight.UNKNOWN else 1 if borrowed else 2
            asked = tuple(
                (volume, left_out if volume in self.borrowed or volume in self.hidden else 0)
                for volume in volumes
                if standings[volume].weight >= least
            )
            if asked not in counted:
                counted[asked] = self._domains(asked, standings)
            return counted[asked]

        live = over(counting, Weight.LIVE)
        sure, maybe = over(counting, Weight.WAITING), over(counting, Weight.UNKNOWN)
        steady_sure, steady_maybe = over(steady, Weight.WAITING), over(steady, Weight.UNKNOWN)
        sources, known = over(held, Weight.LIVE, borrowed=True), over(held, Weight.GONE)

        state = np.full(len(live), TitleState.LACKING, np.uint8)
        enough = sure >= terms.copies
        state[(maybe >= terms.copies) & (steady_maybe >= terms.always_on)] = TitleState.UNKNOWN
        state[enough & (steady_maybe < terms.always_on)] = TitleState.BADLY_PLACED
        state[enough & (steady_sure >= terms.always_on)] = TitleState.MET
        wanting = (state == TitleState.LACKING) | (state == TitleState.BADLY_PLACED)
        state[wanting & (sources == 0)] = TitleState.UNKNOWN
        state[known == 0] = TitleState.UNRECOVERABLE
        member = self._members(terms)

        # From here on only those that want a copy.
        wanting = (state == TitleState.LACKING) | (state == TitleState.BADLY_PLACED)
        wanted = np.flatnonzero(wanting)
        short = terms.copies - maybe[wanted].astype(np.int16)
        steady_short = terms.always_on - steady_maybe[wanted].astype(np.int16)
        need = np.zeros(len(live), np.int16)
        need[wanted] = np.maximum(short, steady_short)

        ids = np.flatnonzero(wanting & member).astype(np.int32)
        alive = live[ids].astype(np.int32)
        level = np.full(len(ids), 2, np.uint64)
        level[alive * 3 < terms.copies] = 1
        level[alive <= 1] = 0
        level[state[ids] == TitleState.BADLY_PLACED] = 3
        size = np.minimum(self.size[ids], int(_Bits.SIZE_MASK)).astype(np.uint64)
        keys = (level << np.uint64(_Bits.LEVEL)) | np.uint64((1000 - terms.priority) << _Bits.PRIORITY) | size
        by_urgency = _stable_order(keys)
        count = FloorCount(terms, member, state, need, ids[by_urgency], keys[by_urgency])
        for one in TitleState:
            count.counts[one] = np.count_nonzero(member & (state == one))
        count.copies_wanted = int(need[ids].sum())
        count.bytes_to_move = int(np.dot(need[ids].astype(np.int64), self.size[ids]))
        if terms.max_copies is not None:
            count.surplus = set(np.flatnonzero(member & (live > terms.max_copies)).tolist())
        return count

    # --- one by one --------------------------------------------------------------------------------------------

    def _weigh_anew(self, titles: Collection[int]) -> None:
        """Weigh these titles under every floor. `titles` in ascending order."""
        if not titles:
            return
        for count, verdicts in zip(self.floors, self._verdicts, strict=True):
            for title in titles:
                verdicts.pop(title, None)
            self._leave(count, titles)
        rows = self.catalogue.holders_of(titles)
        for index, count in enumerate(self.floors):
            self._enter(index, count, titles, rows)

    def _leave(self, floor: FloorCount, titles: Collection[int]) -> None:
        """Take titles out of a floor's sums and queue."""
        queued = np.zeros(len(floor.member), bool)
        for title in titles:
            if not floor.member[title]:
                continue
            need = int(floor.need[title])
            floor.counts[floor.state[title]] -= 1
            floor.copies_wanted -= need
            floor.bytes_to_move -= need * int(self.size[title])
            floor.surplus.discard(title)
            floor.need[title] = 0
            queued[title] = need > 0
        if queued.any():
            keep = ~queued[floor.order]
            floor.order, floor.keys = floor.order[keep], floor.keys[keep]

    def _enter(
        self, index: int, floor: FloorCount, titles: Collection[int], rows: Mapping[int, Mapping[str, int]]
    ) -> None:
        """Weigh titles, and put them into a floor's sums and queue."""
        names, terms = self.catalogue.names, floor.terms
        wanting: list[tuple[int, int]] = []
        for title in titles:
            marks = names.mark_sets[names.marks[title]]
            member = title not in names.forgotten and selects(marks, terms.select, terms.exclude)
            if member != floor.member[title]:
                floor.member[title] = member
                self.readings.forget_spans()
            view, weighed = self._judge(index, title, rows[title])
            self.size[title] = view.bytes
            if not member:
                continue
            floor.state[title] = weighed.state
            floor.need[title] = weighed.need
            floor.counts[weighed.state] += 1
            floor.copies_wanted += weighed.need
            floor.bytes_to_move += weighed.need * view.bytes
            if weighed.surplus:
                floor.surplus.add(title)
            if weighed.need:
                wanting.append((sort_key(weighed.level, terms.priority, view.bytes), title))
        if wanting:
            wanting.sort()
            keys = np.array([key for key, _ in wanting], np.uint64)
            ids = np.array([title for _, title in wanting], np.int32)
            at = [_place(floor, key, title) for key, title in zip(keys, ids, strict=True)]
            floor.order, floor.keys = np.insert(floor.order, at, ids), np.insert(floor.keys, at, keys)

    def _grow(self, count: int) -> None:
        # Room for more than asked: new titles come one by one, and each growth copies the columns.
        room = max(count, len(self.size) + len(self.size) // 8 + 1024)
        extra = room - len(self.size)
        self.size = np.concatenate([self.size, np.zeros(extra, np.int64)])
        self.readings.forget_spans()
        for floor in self.floors:
            floor.member = np.concatenate([floor.member, np.zeros(extra, bool)])
            floor.state = np.concatenate([floor.state, np.zeros(extra, np.uint8)])
            floor.need = np.concatenate([floor.need, np.zeros(extra, np.int16)])


def _stable_order(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """What a stable argsort gives. The other kind is five times as quick, and right where no two keys are equal."""
    order = np.argsort(keys)
    ranked = keys[order]
    return np.argsort(keys, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order


def _place(floor: FloorCount, key: np.uint64, title: np.int32) -> int:
    """Where a title with this key belongs in the queue: among equal keys by id."""
    first, last = floor.keys.searchsorted(key, "left"), floor.keys.searchsorted(key, "right")
    return int(first + floor.order[first:last].searchsorted(title))
