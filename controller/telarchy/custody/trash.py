"""How long each folder has lain in a volume's trash, by more than one clock.

The holder's clock says it, and may jump: a board without a battery, a date set by hand. The controller's may jump while
none runs. Each of them alone would empty a trash that a person still counts on. So a folder is never older than the
time for which controllers with this state folder have known of it.
"""

from __future__ import annotations

from dataclasses import replace

from telarchy.core.clock import SteadyClock
from telarchy.custody.evidence import TrashSeen
from telarchy.custody.looking import RootLook
from telarchy.custody.roots import Memory

KEPT = "custody/watched"
KEEP_SECONDS = 300.0
LONGEST_GAP = 12 * 3600.0  # what may have passed between two controllers, for all that this one believes
SAME_TIME_SECONDS = 3600.0  # clocks that differ by less agree


class WatchedTime:
    """Seconds for which controllers with this memory were at work; of the time between two, `LONGEST_GAP` at most."""

    def __init__(self, memory: Memory, clock: SteadyClock) -> None:
        self._memory, self._clock = memory, clock
        self._began = clock.now()
        self._before = 0.0
        self._kept_at: float | None = None
        kept = memory.get(KEPT)
        if isinstance(kept, dict):
            self._before = float(kept["seconds"])
            self._before += min(max(0.0, self._began - float(kept["at"])), LONGEST_GAP)

    def now(self) -> float:
        return self._before + self._clock.now() - self._began

    def keep(self) -> None:
        """Remember it, now and then."""
        now = self._clock.now()
        if self._kept_at is None or now - self._kept_at >= KEEP_SECONDS:
            self._kept_at = now
            self._memory.put(KEPT, {"at": round(now), "seconds": round(self.now())})


class TrashWatch:
    """Since when each folder of each trash is known, in watched time."""

    def __init__(self, memory: Memory, clock: SteadyClock, watched: WatchedTime) -> None:
        self._memory, self._clock, self._watched = memory, clock, watched
        self._since: dict[str, dict[str, float]] = {}

    def aged(self, look: RootLook, *, remember: bool) -> tuple[TrashSeen, ...]:
        """The trash of the volume that was looked at; a folder's age is the least that is sure.

        A volume that this memory knows nothing about yet is believed, if its host's clock agrees with ours.
        """
        key = f"custody/trash/{look.id}"
        known = self._since.get(look.id)
        if known is None:
            stored = self._memory.get(key)
            known = (
                {str(entry): float(at) for entry, at in stored.items()} if isinstance(stored, dict) else None
            )
        now = self._watched.now()
        believed = known is None and abs(look.clock - self._clock.now()) < SAME_TIME_SECONDS
        since = {
            one.entry: (known or {}).get(one.entry, now - one.age if believed else now) for one in look.trash
        }
        if remember:
            self._watched.keep()
            self._since[look.id] = since
            if since != known:
                self._memory.put(key, since)
        return tuple(replace(one, age=max(0.0, min(one.age, now - since[one.entry]))) for one in look.trash)

    def forget(self, volume: str) -> None:
        """The volume is not declared any more."""
        self._since.pop(volume, None)
        self._memory.forget(f"custody/trash/{volume}")
