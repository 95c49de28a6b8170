"""What a loop counts about itself, from its start on: how long rounds took, and what became of actions."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

ROUND_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Tally:
    """`rounds[i]` rounds took at most `ROUND_BOUNDS[i]` seconds and more than the bound before; the last, longer."""

    def __init__(self) -> None:
        self.rounds = [0] * (len(ROUND_BOUNDS) + 1)
        self.seconds = 0.0
        self.outcomes: Counter[tuple[str, str]] = Counter()  # (verb, Done | Failed | Refused | Cancelled)

    def round_took(self, seconds: float) -> None:
        self.rounds[bisect_left(ROUND_BOUNDS, seconds)] += 1
        self.seconds += seconds

    def ended(self, verb: str, outcome: str) -> None:
        self.outcomes[verb, outcome] += 1
