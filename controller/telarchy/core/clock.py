"""A clock that a changed system time cannot push: the wall time at start plus what the monotonic clock counted."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SteadyClock:
    """`now()` in seconds since the epoch. NTP steps and a person setting the date do not show in it."""

    def __init__(self) -> None:
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def now(self) -> float:
        return self._wall + (time.monotonic() - self._monotonic)


def rfc3339(seconds: float) -> str:
    """`2026-11-20T22:53:00Z` for a moment in seconds since the epoch."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
