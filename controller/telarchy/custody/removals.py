"""How many titles left a volume within the last day (custody rule 6), by the controller's own memory.

The trash tells it too, but only at the next look, and no longer once it was emptied: removals that trickle, one
title at a time, must not add up to a large change that nobody was asked about.
"""

from __future__ import annotations

from telarchy.custody.roots import DAY, Memory

MOST_KEPT = 2000  # per volume; far more than may go unasked


class Removals:
    """The moments at which titles left, by volume. Outlives the process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def note(self, volume: str, now: float) -> None:
        self._memory.put(self._key(volume), [*self._within_day(volume, now), now][-MOST_KEPT:])

    def count(self, volume: str, now: float) -> int:
        return len(self._within_day(volume, now))

    def _within_day(self, volume: str, now: float) -> list[float]:
        # What is said to be of tomorrow was noted by a clock that was wrong: nobody knows when it was.
        return [at for at in self._memory.get(self._key(volume), []) if abs(now - at) < DAY]

    def _key(self, volume: str) -> str:
        return f"custody/removals/{volume}"
