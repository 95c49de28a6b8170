"""How much of the time a host answers, in hourly windows: one bad hour weighs no more than one good one.

A plain ratio of probes would ruin a host that was probed often during one bad hour. Here every hour in which it
was probed counts once, with the share of probes that were answered; hours in which no controller looked are
left out. A new host starts at one half and is believed by and by (a prior of 24 windows).
"""

from __future__ import annotations

from typing import Any

HOUR = 3600
WINDOWS = 30 * 24  # hours that count
PRIOR, PRIOR_WINDOWS = 0.5, 24


class Uptime:
    """Windows of one host, or those that `to_json` gave.

    Kept as runs of equal hours, since most hosts are steady: `[first hour, hours, percent]`.
    """

    def __init__(self, kept: Any = None) -> None:
        self._runs: list[list[int]] = []
        self._hour, self._answered, self._asked = 0, 0, 0
        self._score: float | None = None
        if isinstance(kept, dict):
            self._runs = [[int(first), int(hours), int(percent)] for first, hours, percent in kept["runs"]]
            self._hour, self._answered, self._asked = (int(number) for number in kept["now"])

    def count(self, answered: bool, now: float) -> bool:
        """Count a probe at `now` (seconds since the epoch). True when a window was closed."""
        hour = int(now // HOUR)
        closed = hour != self._hour and self._asked > 0
        if closed:
            self._close()
        if hour < self._hour:
            self._drop_from(hour)
        if hour != self._hour:
            self._hour, self._answered, self._asked = hour, 0, 0
        self._score = None
        self._answered += answered
        self._asked += 1
        return closed

    @property
    def score(self) -> float:
        """Mean of the windows, 0..1, the present one included."""
        if self._score is None:
            self._score = self._mean()
        return self._score

    def _mean(self) -> float:
        total = PRIOR * PRIOR_WINDOWS + sum(hours * percent / 100 for _, hours, percent in self._runs)
        count = PRIOR_WINDOWS + sum(hours for _, hours, _ in self._runs)
        if self._asked:
            total, count = total + self._answered / self._asked, count + 1
        return total / count

    def to_json(self) -> dict[str, Any]:
        return {"runs": self._runs, "now": [self._hour, self._answered, self._asked]}

    def _drop_from(self, hour: int) -> None:
        """Forget hours that are yet to come: a clock that was ahead counted them, and none behind them would expire."""
        self._runs = [
            [first, min(hours, hour - first), percent] for first, hours, percent in self._runs if first < hour
        ]

    def _close(self) -> None:
        percent = round(100 * self._answered / self._asked)
        last = self._runs[-1] if self._runs else None
        if last is not None and last[0] + last[1] == self._hour and last[2] == percent:
            last[1] += 1
        else:
            self._runs.append([self._hour, 1, percent])
        oldest = self._hour + 1 - WINDOWS
        while self._runs and self._runs[0][0] < oldest:
            first = self._runs[0]
            drop = oldest - first[0]
            if drop >= first[1]:
                del self._runs[0]
            else:
                self._runs[0] = [oldest, first[1] - drop, first[2]]
