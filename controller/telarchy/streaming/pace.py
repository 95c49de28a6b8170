"""Whether an encoder keeps up with real time, told calmly: what swings around a bound changes nothing. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

# Times real time: it begins below the first, and is over from the second on.
LAG_BELOW, LAG_OVER = 0.98, 0.99
SLOW_BELOW, SLOW_OVER = 0.9, 0.95
SURE_SECONDS = 4.0  # for which it must be so; a machine that is busy for a moment is made good at once
CALM_SECONDS = 15.0  # for which it must be over without a break


@dataclass
class Shortfall:
    """Since when something is too little: below `below` for `SURE_SECONDS`, and until it was `over` for
    `CALM_SECONDS`."""

    below: float
    over: float
    since: float | None = None
    _short: float | None = None
    _well: float | None = None

    def add(self, at: float, value: float | None) -> None:
        """A measurement; None where there was nothing to measure, which neither begins nor ends anything."""
        if value is None:
            self._well = None
            return
        self._short = None if value >= self.below else at if self._short is None else self._short
        self._well = None if value < self.over else at if self._well is None else self._well
        if self.since is None and self._short is not None and at - self._short >= SURE_SECONDS:
            self.since = self._short
        elif self._well is not None and at - self._well >= CALM_SECONDS:
            self.since = None


@dataclass
class Pace:
    """Of one encoder, over its starts. `lag`: it is not quite in time; `slow`: it cannot do what is asked of it;
    `last`: the speed that was measured last."""

    lag: Shortfall = field(default_factory=lambda: Shortfall(LAG_BELOW, LAG_OVER))
    slow: Shortfall = field(default_factory=lambda: Shortfall(SLOW_BELOW, SLOW_OVER))

    last: float | None = None

    def add(self, at: float, speed: float | None) -> None:
        """`speed`: times real time; None where it is not known."""
        self.last = self.last if speed is None else speed
        self.lag.add(at, speed)
        self.slow.add(at, speed)
