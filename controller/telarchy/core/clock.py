"""A clock that a changed system time cannot push: the wall time at start plus what a steady clock counted since.

The steady one goes on while the machine sleeps, where there is such a clock (Linux): after a week of closed lids, the
hour at which transfers may begin is still that hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def counted() -> float:
    """Seconds by the steady clock, since a moment that stays the same while `boot` does."""
    asleep_too: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if asleep_too is None else time.clock_gettime(asleep_too)


def boot() -> str:
    """The name of this run of the machine, "" where it has none: until it changes nothing set `counted` back."""
    try:
        return _BOOT.read_text().strip()
    except (OSError, ValueError):
        return ""


class SteadyClock:
    """`now()` in seconds since the epoch. NTP steps and a person setting the date do not show in it."""

    def __init__(self, counted: Callable[[], float] = counted) -> None:
        self._wall = time.time()
        self._counted = counted
        self._began = counted()

    def now(self) -> float:
        return self._wall + (self._counted() - self._began)
