"""The controller's clock: what the date is set to does not show in it, and what the machine slept through does."""

from __future__ import annotations

import time

import pytest

from telarchy.core.clock import SteadyClock


def test_the_date_may_be_set_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    right = time.time()
    monkeypatch.setattr(time, "time", lambda: right + 365 * 86400)
    assert abs(clock.now() - right) < 3600


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that counts sleep")
def test_a_night_asleep_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody can put the machine to sleep in a test: its clock stands in for one that was.
    real, slept = time.clock_gettime, 8 * 3600.0
    clock = SteadyClock()
    before = clock.now()
    monkeypatch.setattr(
        time, "clock_gettime", lambda which: real(which) + slept * (which == time.CLOCK_BOOTTIME)
    )
    assert 0 <= clock.now() - before - slept < 3600
