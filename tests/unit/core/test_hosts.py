"""When a host counts as up, missing or gone, and when nobody does."""

import pytest

from telarchy.core.hosts import HostState, fleet_brake, host_state
from telarchy.core.observation import HostEvidence

UP, SUSPECT, DOWN, UNKNOWN, AWAY = (
    HostState.UP,
    HostState.SUSPECT,
    HostState.DOWN,
    HostState.UNKNOWN,
    HostState.MAINTENANCE,
)


def missing(seconds: float) -> HostEvidence:
    return HostEvidence("a", False, missing_for=seconds)


@pytest.mark.parametrize(
    ("evidence", "options", "state", "changes_at"),
    [
        (HostEvidence("a", True), {}, UP, None),
        (HostEvidence("a", True), {"cut_off": True, "maintenance_until": 999.0}, UP, None),
        (HostEvidence("a", True), {"maintenance_until": 2000.0}, AWAY, 2000.0),  # it goes at any moment
        (None, {}, UNKNOWN, None),
        (HostEvidence("a"), {}, UNKNOWN, None),
        (missing(0), {}, SUSPECT, 1100.0),
        (missing(99), {}, SUSPECT, 1001.0),
        (missing(100), {}, DOWN, None),
        (missing(500), {"cut_off": True}, UNKNOWN, None),
        (missing(500), {"maintenance_until": 1500.0}, AWAY, 1500.0),
        (missing(500), {"maintenance_until": 990.0}, SUSPECT, 1090.0),  # late: its grace begins then
        (missing(500), {"maintenance_until": 900.0}, DOWN, None),
        (missing(10), {"maintenance_until": 100.0}, SUSPECT, 1090.0),
    ],
)
def test_host_state(evidence, options, state, changes_at) -> None:
    assert host_state(evidence, grace=100.0, now=1000.0, **options) == (state, changes_at)


@pytest.mark.parametrize(
    ("states", "cut_off", "engaged"),
    [
        ([], False, False),
        ([UP, UP, UP], False, False),
        ([UP, UP, DOWN], False, False),  # one loss never engages it
        ([DOWN], False, False),
        ([UP, DOWN, DOWN], False, True),
        ([UP] * 6 + [DOWN] * 2, False, False),  # 75 % exactly
        ([UP] * 5 + [DOWN, SUSPECT], False, True),
        ([UP, AWAY, AWAY, DOWN], False, False),  # who is announced to be away is left out
        ([UP, UNKNOWN, UNKNOWN], False, True),
        ([UP, UP, UP], True, True),
    ],
)
def test_fleet_brake(states, cut_off, engaged) -> None:
    named = [(f"h{number}", state) for number, state in enumerate(states)]
    brake = fleet_brake(named, min_up_percent=75, cut_off=cut_off)
    assert (brake.engaged, bool(brake.reason)) == (engaged, engaged)
