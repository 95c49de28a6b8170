"""A clock that a changed system time cannot push: the wall time at start plus what the monotonic clock counted."""

from __future__ import annotations

import time


class SteadyClock:
    """`now()` in seconds since the epoch. NTP steps and a person setting the date do not show in it."""

    def __init__(self) -> None:
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def now(self) -> float:
        return self._wall + (time.monotonic() - self._monotonic)
