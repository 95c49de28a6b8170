"""Counting copies: for every floor and every title, is it met, and if not, how urgent is it. Pure.

Two paths compute the same thing. Titles whose holders agree (nearly all) are counted in columns; a title that
changed since the last count, or whose holders disagree, is weighed one by one (`weigh`). A property test holds
the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from telarchy.custody.catalogue import Catalogue
from telarchy.custody.terms import FloorTerms
from telarchy.custody.titles import selects
from telarchy.custody.weighing import Standing, TitleState, Weight, Weighing, view_of, weigh

NEVER = np.iinfo(np.int64).max


class _Bits(IntEnum):
    """How a sort key is laid out, most urgent first: level, floor priority, size, in one uint64."""

    LEVEL = 60
    PRIORITY = 48
    SIZE_MASK = (1 << 48) - 1


def sort_key(level: int, priority: int, size: int) -> int:
    """Smaller is more urgent: HDFS' level, then the floor's priority, then the smaller title."""
    return (level << _Bits.LEVEL) | ((1000 - priority) << _Bits.PRIORITY) | min(size, _Bits.SIZE_MASK)


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
    bytes_to_move: int = 0

    def with_state(self, state: TitleState, most: int) -> list[int]:
        """Up to `most` ids of titles in this state, lowest id first."""
        hits: list[int] = np.flatnonzero(self.member & (self.state == state))[:most].tolist()
        return hits


class Census:
    """The count of all floors over one catalogue. `refresh` follows a few changed titles in milliseconds."""

    def __init__(
        self, catalogue: Catalogue, floors: Iterable[tuple[FloorTerms, Mapping[str, Standing]]]
    ) -> None:
        self.catalogue = catalogue
        self.inputs = tuple((terms, tuple(sorted(standings.items()))) for terms, standings in floors)
        self.shape, self.version = catalogue.shape, catalogue.version
        self.size = self._title_sizes()
        self.floors = tuple(self._count(terms, dict(standings)) for terms, standings in self.inputs)

    def fits(self, catalogue: Catalogue, floors: Iterable[tuple[FloorTerms, Mapping[str, Standing]]]) -> bool:
        """Whether this census can follow by `refresh` alone."""
        asked = tuple((terms, tuple(sorted(standings.items()))) for terms, standings in floors)
        return catalogue is self.catalogue and catalogue.shape == self.shape and asked == self.inputs

    def refresh(self) -> bool:
        """Follow the catalogue. False when too much changed: then a new census is quicker."""
        changed = self.catalogue.changed_since(self.version)
        if changed is None or len(changed) > 2_000:
            return False
        count = len(self.catalogue.names)
        if count > len(self.size):
            self._grow(count)
        for title in changed:
            for floor, (_, standings) in zip(self.floors, self.inputs, strict=True):
                self._recount(floor, dict(standings), title)
        self.version = self.catalogue.version
        return True

    # --- in columns --------------------------------------------------------------------------------------------

    def _title_sizes(self) -> npt.NDArray[np.int64]:
        size = np.zeros(len(self.catalogue.names), np.int64)
        for held in self.catalogue.holdings.values():
            ids = held.title
            size[ids] = np.maximum(size[ids], held.bytes)
        return size

    def _members(self, terms: FloorTerms) -> npt.NDArray[np.bool_]:
        names = self.catalogue.names
        chosen = np.array([selects(one, terms.select, terms.exclude) for one in names.mark_sets] or [False])
        member = chosen[names.marks] if len(names) else np.zeros(0, bool)
        if names.forgotten:
            member[np.fromiter(names.forgotten, np.int64)] = False
        return member

    def _domains(self, volumes: Iterable[str], standings: Mapping[str, Standing]) -> npt.NDArray[np.uint8]:
        """Copies of each title on distinct failure domains, over these volumes."""
        counted = np.zeros(len(self.catalogue.names), np.uint8)
        by_domain: dict[str, list[npt.NDArray[np.int32]]] = {}
        for volume in volumes:
            by_domain.setdefault(standings[volume].domain, []).append(self.catalogue.holdings[volume].title)
        for ids in by_domain.values():
            # Ids on one volume are unique; two volumes of one domain may hold the same title.
            counted[ids[0] if len(ids) == 1 else np.unique(np.concatenate(ids))] += 1
        return counted

    def _count(self, terms: FloorTerms, standings: Mapping[str, Standing]) -> FloorCount:
        held = [volume for volume in self.catalogue.holdings if volume in standings]
        weight = {volume: standings[volume].weight for volume in held}
        counting = [volume for volume in held if standings[volume].counts]
        steady = [volume for volume in counting if standings[volume].always_on]

        def over(volumes: list[str], least: Weight) -> npt.NDArray[np.uint8]:
            return self._domains([volume for volume in volumes if weight[volume] >= least], standings)

        live = over(counting, Weight.LIVE)
        sure, maybe = over(counting, Weight.WAITING), over(counting, Weight.UNKNOWN)
        steady_sure, steady_maybe = over(steady, Weight.WAITING), over(steady, Weight.UNKNOWN)
        sources, known = over(held, Weight.LIVE), over(held, Weight.GONE)

        state = np.full(len(live), TitleState.LACKING, np.uint8)
        enough = sure >= terms.copies
        state[(maybe >= terms.copies) & (steady_maybe >= terms.always_on)] = TitleState.UNKNOWN
        state[enough & (steady_maybe < terms.always_on)] = TitleState.BADLY_PLACED
        state[enough & (steady_sure >= terms.always_on)] = TitleState.MET
        wanting = (state == TitleState.LACKING) | (state == TitleState.BADLY_PLACED)
        state[wanting & (sources == 0)] = TitleState.UNKNOWN
        state[known == 0] = TitleState.UNRECOVERABLE
        wanting = (state == TitleState.LACKING) | (state == TitleState.BADLY_PLACED)
        short = terms.copies - maybe.astype(np.int16)
        steady_short = terms.always_on - steady_maybe.astype(np.int16)
        need = np.where(wanting, np.maximum(np.maximum(short, steady_short), 1), 0).astype(np.int16)
        member = self._members(terms)

        level = np.full(len(live), 2, np.uint64)
        level[live.astype(np.int16) * 3 < terms.copies] = 1
        level[live <= 1] = 0
        level[state == TitleState.BADLY_PLACED] = 3
        ids = np.flatnonzero(wanting & member).astype(np.int32)
        size = np.minimum(self.size[ids], int(_Bits.SIZE_MASK)).astype(np.uint64)
        keys = (
            (level[ids] << np.uint64(_Bits.LEVEL))
            | np.uint64((1000 - terms.priority) << _Bits.PRIORITY)
            | size
        )
        by_urgency = np.argsort(keys, kind="stable")
        count = FloorCount(terms, member, state, need, ids[by_urgency], keys[by_urgency])
        count.counts = np.bincount(state[member], minlength=len(TitleState)).astype(np.int64)
        count.bytes_to_move = int(np.dot(need[ids].astype(np.int64), self.size[ids]))
        if terms.max_copies is not None:
            count.surplus = set(np.flatnonzero(member & (live > terms.max_copies)).tolist())
        for title in self.catalogue.irregular:
            self._recount(count, standings, title)
        return count

    # --- one by one --------------------------------------------------------------------------------------------

    def _recount(self, floor: FloorCount, standings: Mapping[str, Standing], title: int) -> None:
        names, terms = self.catalogue.names, floor.terms
        if title >= len(floor.member):
            return
        if floor.member[title]:
            self._forget(floor, title)
        marks = names.mark_sets[names.marks[title]]
        floor.member[title] = title not in names.forgotten and selects(marks, terms.select, terms.exclude)
        view = view_of(self.catalogue, title, standings)
        self.size[title] = view.bytes
        if not floor.member[title]:
            return
        weighed = weigh(view, terms)
        floor.state[title] = weighed.state
        floor.need[title] = weighed.need
        floor.counts[weighed.state] += 1
        floor.bytes_to_move += weighed.need * view.bytes
        if weighed.surplus:
            floor.surplus.add(title)
        if weighed.need:
            self._enqueue(floor, title, weighed, view.bytes)

    def _forget(self, floor: FloorCount, title: int) -> None:
        floor.counts[floor.state[title]] -= 1
        floor.bytes_to_move -= int(floor.need[title]) * int(self.size[title])
        floor.surplus.discard(title)
        if floor.need[title]:
            keep = floor.order != title
            floor.order, floor.keys = floor.order[keep], floor.keys[keep]
            floor.need[title] = 0

    def _enqueue(self, floor: FloorCount, title: int, weighed: Weighing, size: int) -> None:
        key = np.uint64(sort_key(weighed.level, floor.terms.priority, size))
        first, last = np.searchsorted(floor.keys, key, "left"), np.searchsorted(floor.keys, key, "right")
        at = first + np.searchsorted(floor.order[first:last], title)
        floor.order = np.insert(floor.order, at, title)
        floor.keys = np.insert(floor.keys, at, key)

    def _grow(self, count: int) -> None:
        # Room for more than asked: new titles come one by one, and each growth copies the columns.
        room = max(count, len(self.size) + len(self.size) // 8 + 1024)
        extra = room - len(self.size)
        self.size = np.concatenate([self.size, np.zeros(extra, np.int64)])
        for floor in self.floors:
            floor.member = np.concatenate([floor.member, np.zeros(extra, bool)])
            floor.state = np.concatenate([floor.state, np.zeros(extra, np.uint8)])
            floor.need = np.concatenate([floor.need, np.zeros(extra, np.int16)])
