"""How fast an encoder is, told calmly: noise around a bound changes nothing, and what lasts is told in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telarchy.streaming.pace import (
    CALM_SECONDS,
    LAG_BELOW,
    LAG_OVER,
    SLOW_BELOW,
    SLOW_OVER,
    SURE_SECONDS,
    Pace,
    Shortfall,
)

NOW = 1_800_000_000.0
bounds = st.sampled_from([(LAG_BELOW, LAG_OVER), (SLOW_BELOW, SLOW_OVER)])
steps = st.lists(st.floats(0.5, 5.0), min_size=2, max_size=200)


def told(one: Shortfall, measured: list[tuple[float, float | None]]) -> list[tuple[float, bool]]:
    """When what was said changed."""
    changes: list[tuple[float, bool]] = []
    for at, value in measured:
        before = one.since is not None
        one.add(at, value)
        if (one.since is not None) != before:
            changes.append((at, not before))
    return changes


def clocked(gaps: list[float], values: list[float | None]) -> list[tuple[float, float | None]]:
    at, found = NOW, []
    for gap, value in zip(gaps, values, strict=False):
        at += gap
        found.append((at, value))
    return found


@given(bounds, steps, st.data())
def test_noise_around_a_bound_does_not_flap(
    bound: tuple[float, float], gaps: list[float], data: st.DataObject
) -> None:
    below, over = bound
    around = data.draw(st.sampled_from(bound))
    noise = st.floats(-(over - below) * 0.99, (over - below) * 0.99)
    values = [around + one for one in data.draw(st.lists(noise, min_size=len(gaps), max_size=len(gaps)))]
    changes = told(Shortfall(below, over), clocked(gaps, list(values)))
    assert len(changes) <= (1 if around == below else 0)  # begun, where it was below; and never over again


@given(bounds, steps, st.lists(st.one_of(st.none(), st.floats(0, 2)), min_size=200, max_size=200))
def test_nothing_ends_before_it_was_well_for_a_while(
    bound: tuple[float, float], gaps: list[float], values: list[float | None]
) -> None:
    below, over = bound
    measured = clocked(gaps, values)
    changes = told(Shortfall(below, over), measured)
    for at, began in changes:
        if began:
            last = [value for moment, value in measured if at - SURE_SECONDS <= moment <= at]
            assert last and all(value is None or value < below for value in last)
        else:
            last = [value for moment, value in measured if at - CALM_SECONDS <= moment <= at]
            assert last and all(value is not None and value >= over for value in last)


@given(bounds, steps)
def test_what_lasts_is_told_in_time(bound: tuple[float, float], gaps: list[float]) -> None:
    below, over = bound
    one = Shortfall(below, over)
    one.add(NOW - SURE_SECONDS, below - 0.01)
    assert one.since is None
    one.add(NOW, below - 0.01)
    assert one.since == NOW - SURE_SECONDS
    well = clocked(gaps, [over] * len(gaps))
    for at, value in well:
        one.add(at, value)
        assert (one.since is None) == (at - well[0][0] >= CALM_SECONDS)


def test_who_is_far_behind_is_behind() -> None:
    pace = Pace()
    for at, speed in enumerate([1.0, 0.95, 0.5, 0.5, None, 0.5]):
        pace.add(NOW + at, speed)
    assert (pace.lag.since, pace.slow.since) == (NOW + 1, None)
    pace.add(NOW + 6, 0.5)
    assert (pace.lag.since, pace.slow.since) == (NOW + 1, NOW + 2)
    for at in range(40):
        pace.add(NOW + 10 + at, 0.96)
    assert pace.slow.since is None and pace.lag.since is not None
