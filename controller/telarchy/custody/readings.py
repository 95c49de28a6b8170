"""Which copies are due to be read again. Pure; remembers, per volume, what stays true until the next falls due."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from telarchy.custody.catalogue import DAMAGED, Holdings

if TYPE_CHECKING:
    from telarchy.custody.census import FloorCount

AHEAD_SECONDS = 3600.0  # a reading from later than this was dated by a clock that was wrong

# Up to a fifth earlier, by id, so that what was copied in one evening is not read in one evening.
_EARLINESS = 1.0 - 0.2 * ((np.arange(1024, dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(1024)) / 1024


@dataclass(frozen=True, eq=False)
class Due:
    """What one volume owes.

    rows:     of the copies that are due, and when each of them fell due
    bytes:    of all of them
    next_at:  when the next copy falls due, seconds since the epoch; infinite for never
    """

    rows: npt.NDArray[np.intp]
    due_at: npt.NDArray[np.float64]
    bytes: int
    next_at: float
    _oldest: dict[int, list[int]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.rows)

    def __contains__(self, row: int) -> bool:
        at = int(self.rows.searchsorted(row))
        return at < len(self.rows) and bool(self.rows[at] == row)

    def oldest(self, most: int) -> list[int]:
        """The rows of the longest overdue copies, the oldest first, equally old ones by row."""
        if most not in self._oldest:
            rows, due_at = self.rows, self.due_at
            if most < len(rows):
                among = due_at <= np.partition(due_at, most - 1)[most - 1]
                rows, due_at = rows[among], due_at[among]
            self._oldest[most] = rows[np.argsort(due_at, kind="stable")][:most].tolist()
        return self._oldest[most]


class Readings:
    """When each copy falls due, for one census. A copy that was never read is due at once, and so is one that was read
    at a time to come: else a clock that was a year ahead for a day would keep it unread for a year."""

    def __init__(self) -> None:
        self._spans: npt.NDArray[np.float64] | None = None
        self._known: dict[str, tuple[Holdings, float, Due]] = {}

    def forget_spans(self) -> None:
        """Some title came under a floor, or left it."""
        self._spans = None
        self._known.clear()

    def due(self, floors: Sequence[FloorCount], volume: str, held: Holdings, now: float) -> Due:
        """What is due on this volume now."""
        known = self._known.get(volume)
        if known is not None and known[0] is held and known[1] <= now < known[2].next_at:
            return known[2]
        if self._spans is None:
            self._spans = _spans(floors)
        span = self._spans[held.title]
        due_at = held.verified + span
        due_at[(held.verified == 0) | (held.verified > now + AHEAD_SECONDS)] = 0.0
        due_at[(span == 0) | ((held.flags & DAMAGED) != 0)] = math.inf
        late = due_at <= now
        rows, coming = np.flatnonzero(late), due_at[~late]
        next_at = float(coming.min()) if len(coming) else math.inf
        found = Due(rows, due_at[rows], int(held.bytes[rows].sum()), next_at)
        self._known[volume] = held, now, found
        return found


def _spans(floors: Sequence[FloorCount]) -> npt.NDArray[np.float64]:
    """Seconds between readings by title id, 0 for never: the shortest that a floor of the title asks for."""
    count = max((len(floor.member) for floor in floors), default=0)
    spans = np.zeros(-(-count // len(_EARLINESS)) * len(_EARLINESS))
    for floor in floors:
        every, known = floor.terms.verify_every, spans[: len(floor.member)]
        if every and floor.terms.acts:
            known[floor.member & ((known == 0) | (known > every))] = every
    table = spans.reshape(-1, len(_EARLINESS))
    table *= _EARLINESS
    return spans
