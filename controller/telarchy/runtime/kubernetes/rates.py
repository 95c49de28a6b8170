"""How often the API server may be written to: a bucket that fills steadily."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LONGEST_PENALTY_SECONDS = 30.0


class TokenBucket:
    """`rate` tokens a second, at most `burst` saved up. The first `burst` takers do not wait."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst = rate, burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    async def take(self) -> None:
        """One token, as soon as there is one. Takers are served in the order in which they came."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate) - 1
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self.rate)

    def penalise(self, seconds: float) -> None:
        """The server asked for a pause: everybody waits about so much longer."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._tokens = max(min(self._tokens, 0.0) - seconds * self.rate, -LONGEST_PENALTY_SECONDS * self.rate)
        self._at = now
