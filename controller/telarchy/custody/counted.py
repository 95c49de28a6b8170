"""For how long each volume has counted under each floor that may trim, in watched time.

There are too many copies of a title from when they count together, and not from when they were made: a host that was
gone for longer than its grace comes back with old ones, and all are old when `maxCopies` is written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telarchy.custody.roots import Memory
from telarchy.custody.terms import FloorTerms
from telarchy.custody.trash import WatchedTime, number
from telarchy.custody.weighing import Standing, Weight

KEPT = "custody/counted/"


class CountedTime:
    """By floor and volume. Outlives the process; what it knows nothing about counts since now."""

    def __init__(self, memory: Memory, watched: WatchedTime) -> None:
        self._memory, self._watched = memory, watched
        self._kept: dict[str, dict[str, float]] = {
            key.removeprefix(KEPT): {str(place): number(since) for place, since in value.items()}
            for key, value in memory.under(KEPT).items()
            if isinstance(value, dict)
        }

    def note(self, inputs: Iterable[tuple[FloorTerms, Mapping[str, Standing]]]) -> None:
        """Take in how a plan that is carried out weighs the volumes."""
        now = self._watched.now()
        seen: dict[str, dict[str, float]] = {}
        for terms, standings in inputs:
            if terms.max_copies is not None:
                known = self._kept.get(terms.surplus_key, {})
                places = (
                    one.place_of(volume)
                    for volume, one in standings.items()
                    if one.counts and one.weight > Weight.GONE
                )
                seen[terms.surplus_key] = {place: known.get(place, now) for place in places}
        for floor in self._kept.keys() - seen.keys():
            self._memory.forget(KEPT + floor)
        for floor, places_since in seen.items():
            if places_since != self._kept.get(floor):
                self._memory.put(KEPT + floor, places_since)
        self._kept = seen
        self._watched.keep()

    def ages(self) -> dict[str, dict[str, float]]:
        """Seconds by floor and place, as they are called in `FloorTerms.surplus_key` and `Standing.place_of`."""
        now = self._watched.now()
        return {
            floor: {place: max(0.0, now - since) for place, since in kept.items()}
            for floor, kept in self._kept.items()
        }
