"""How long each folder has lain in a volume's trash, by more than one clock.

The holder's clock says it, and may jump: a board without a battery, a date set by hand. The controller's may jump while
none runs, and on its own machine both are one clock. Each of them would empty a trash that a person still counts on. So
a folder is never older than what was counted, and not read off a clock, since controllers with this state folder know
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from telarchy.core import clock as clocks
from telarchy.core.clock import SteadyClock
from telarchy.custody.evidence import TrashSeen
from telarchy.custody.looking import RootLook
from telarchy.custody.roots import Memory

KEPT = "custody/watched"
KEEP_SECONDS = 300.0
UNSEEN_SECONDS = 3600.0  # a folder that nobody showed for so long is forgotten
SAME_TIME_SECONDS = 3600.0  # clocks that differ by less agree


class WatchedTime:
    """Seconds that surely passed since the first controller with this memory; a clock that is set moves them nowhere.

    Counted is a controller's own time and, until the machine starts again, the time between two. Of what was before
    the start of a machine that was off, nothing is: there only a clock tells, and it may tell anything.
    """

    def __init__(
        self,
        memory: Memory,
        clock: SteadyClock,
        *,
        counted: Callable[[], float] = clocks.counted,
        boot: str | None = None,
    ) -> None:
        """`boot`: which run of the machine `counted` counts in; this one."""
        self._memory, self._clock, self._counted = memory, clock, counted
        self._boot = clocks.boot() if boot is None else boot
        self._began = counted()
        self._before = 0.0
        self._kept_at: float | None = None
        kept = memory.get(KEPT)
        if isinstance(kept, dict):
            self._before = number(kept.get("seconds")) + self._since(kept)

    def _since(self, kept: Mapping[str, Any]) -> float:
        """What surely passed since this was kept."""
        if self._boot and kept.get("boot") == self._boot:
            return max(0.0, self._began - number(kept.get("counted")))
        # It was kept before this machine started, or on another one that has been on for longer than that is ago.
        return max(0.0, min(self._began, self._clock.now() - number(kept.get("at")))) if self._boot else 0.0

    def now(self) -> float:
        return self._before + self._counted() - self._began

    def keep(self) -> None:
        """Remember it, now and then."""
        counted = self._counted()
        if self._kept_at is None or counted - self._kept_at >= KEEP_SECONDS:
            self._kept_at = counted
            self._memory.put(
                KEPT,
                {
                    "at": round(self._clock.now()),
                    "boot": self._boot,
                    "counted": round(counted),
                    "seconds": round(self.now()),
                },
            )


def number(value: object) -> float:
    """What was kept as a number, 0 for what is none."""
    return float(value) if isinstance(value, int | float) else 0.0


class TrashWatch:
    """Since when each folder of each trash is known, in watched time.

    Folders belong to a volume, whoever shows it: of one share on two hosts, or a disk and its copy, each look tells of
    a part. So none is forgotten because one look lacks it.
    """

    def __init__(self, memory: Memory, clock: SteadyClock, watched: WatchedTime) -> None:
        self._memory, self._clock, self._watched = memory, clock, watched
        self._since: dict[str, dict[str, float]] = {}
        self._shown: dict[str, dict[str, float]] = {}  # when each was last seen

    def aged(self, look: RootLook, *, remember: bool) -> tuple[TrashSeen, ...]:
        """The trash of the volume that was looked at; a folder's age is the least that is sure.

        A volume that this memory knows nothing about yet is believed, if another machine's clock agrees with ours.
        """
        key = f"custody/trash/{look.id}"
        known = self._since.get(look.id)
        if known is None:
            stored = self._memory.get(key)
            known = (
                {str(entry): number(at) for entry, at in stored.items()} if isinstance(stored, dict) else None
            )
        now = self._watched.now()
        believed = (
            known is None
            and look.boot != clocks.boot()
            and abs(look.clock - self._clock.now()) < SAME_TIME_SECONDS
        )
        since = dict(known or {})
        for one in look.trash:
            since.setdefault(one.entry, now - one.age if believed else now)
        if remember:
            shown = self._shown.setdefault(look.id, dict.fromkeys(since, now))
            shown.update((one.entry, now) for one in look.trash)
            kept = {
                entry: at
                for entry, at in since.items()
                if now - shown.setdefault(entry, now) < UNSEEN_SECONDS
            }
            for entry in shown.keys() - kept.keys():
                del shown[entry]
            self._watched.keep()
            self._since[look.id] = kept
            if kept != known:
                self._memory.put(key, kept)
        return tuple(replace(one, age=max(0.0, min(one.age, now - since[one.entry]))) for one in look.trash)

    def forget(self, volume: str) -> None:
        """The volume is not declared any more."""
        self._since.pop(volume, None)
        self._shown.pop(volume, None)
        self._memory.forget(f"custody/trash/{volume}")
