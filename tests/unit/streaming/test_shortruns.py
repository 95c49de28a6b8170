"""What counts as a crash loop: short runs in a row. Publishers that come and go are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.core.service import BACK_OFF, LASTED_SECONDS, ServiceSeen, ServiceState
from telarchy.streaming.health import CRASH_LOOP_STARTS
from telarchy.streaming.shortruns import NO_INPUT, ShortRuns

NOW = 1_800_000_000.0
NAME = "ladder-garden"
INTERVAL = 2.0


class Ladder:
    """A ladder under its supervisor, looked at every two seconds."""

    def __init__(self) -> None:
        self.runs, self.now, self.starts, self.most = ShortRuns(), NOW, 1, 0
        self.since, self.state, self.digest = NOW, ServiceState.RUNNING, "ab"

    def be(self, state: ServiceState, seconds: float) -> int:
        """Be so for a while; the row as it was seen last."""
        if state is ServiceState.RUNNING and self.state is not ServiceState.RUNNING:
            self.starts += 1
        if state is not self.state:
            self.state, self.since = state, self.now
        end, row = self.now + seconds, 0
        while True:  # a change is told at once
            seen = ServiceSeen(NAME, state, self.digest, self.digest, self.starts, self.since)
            row = self.runs.note({NAME: seen}, self.now).get(NAME, 0)
            self.most = max(self.most, row)
            if self.now >= end:
                return row
            self.now = min(end, self.now + INTERVAL)

    def crash(self, runs: float, waits: float) -> int:
        self.be(ServiceState.RUNNING, runs)
        return self.be(ServiceState.BACK_OFF, waits)


@pytest.mark.parametrize("away", [3, 30, 300])
@pytest.mark.parametrize("plays", [5, 60])
def test_a_publisher_who_comes_and_goes_is_no_crash_loop(away: float, plays: float) -> None:
    ladder = Ladder()
    for _ in range(20):
        ladder.be(ServiceState.RUNNING, plays)
        ladder.be(ServiceState.BACK_OFF, 0.3)  # it ends, and only then it is seen that nobody publishes
        ladder.be(ServiceState.WAITING, away)
    assert ladder.most < 2


def test_a_crash_loop_is_one_however_long_its_runs_and_ends_with_a_run_that_lasts() -> None:
    for runs in (0.1, 15, 100, LASTED_SECONDS - 10):
        ladder = Ladder()
        rows = [ladder.crash(runs, BACK_OFF[min(at, len(BACK_OFF) - 1)]) for at in range(12)]
        assert rows[-1] >= CRASH_LOOP_STARTS
        assert rows == sorted(rows), "it is not taken back while it goes on"
        assert ladder.be(ServiceState.RUNNING, LASTED_SECONDS - 10) >= CRASH_LOOP_STARTS
        assert ladder.be(ServiceState.RUNNING, 20) == 0


def test_a_source_that_has_nothing_to_give_is_no_crash_loop() -> None:
    runs, starts = ShortRuns(), 0
    for starts in range(1, 40):
        for state in (ServiceState.RUNNING, ServiceState.BACK_OFF):
            seen = ServiceSeen(NAME, state, "ab", "ab", starts, NOW, code=NO_INPUT)
            assert runs.note({NAME: seen}, NOW).get(NAME, 0) == 0
    for more in range(1, 6):
        seen = ServiceSeen(NAME, ServiceState.BACK_OFF, "ab", "ab", starts + more, NOW, code=1)
        assert runs.note({NAME: seen}, NOW)[NAME] == more


def test_another_service_of_the_name_begins_anew() -> None:
    ladder = Ladder()
    for _ in range(8):
        ladder.crash(1, 1)
    ladder.digest = "cd"
    assert ladder.be(ServiceState.RUNNING, 10) == 0


@given(st.lists(st.tuples(st.floats(0.1, 400), st.floats(0.1, 90), st.booleans()), max_size=40))
def test_only_short_runs_in_a_row_count(days: list[tuple[float, float, bool]]) -> None:
    ladder, row = Ladder(), 0
    for runs, rests, parted in days:
        ladder.be(ServiceState.RUNNING, runs)
        row = 0 if runs >= LASTED_SECONDS + INTERVAL else row
        ladder.be(ServiceState.WAITING if parted else ServiceState.BACK_OFF, rests)
        row = 0 if parted else row + 1
        assert ladder.most <= len(days)
        assert ladder.be(ladder.state, 0) <= row
