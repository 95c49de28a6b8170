"""Surplus is as old as there are too many copies: what comes back, or was there before anybody asked, is young."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from telarchy.core.clock import SteadyClock
from telarchy.core.world import World
from telarchy.custody.actions import Trim
from telarchy.custody.counted import CountedTime
from telarchy.custody.plan import deliberate
from telarchy.custody.trash import WatchedTime
from tests.unit.custody.fleet import LocalFleet, MemoryInRam
from tests.unit.custody.test_act_care import seen_by
from tests.world import GIB, NOW, Seen, files, fleet, floor, host, seen

DAY = 86400.0


class Months:
    """A fleet over time, and a controller that remembers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.memory = MemoryInRam()
        self.restart()

    def restart(self) -> None:
        watched = WatchedTime(self.memory, SteadyClock(), counted=lambda: self.now, boot="this one")
        self.counted = CountedTime(self.memory, watched)

    def trims(self, of: Seen, days: float = 0.0) -> list[str]:
        """The hosts that a plan takes a copy from after so many days more."""
        self.now += days * DAY
        of.counted = self.counted.ages()
        done = deliberate(of.world, of.observation(), NOW)
        self.counted.note(done.census.inputs)
        return [step.action.host for step in done.steps if isinstance(step.action, Trim)]


def home(*names: str, **spec: object) -> Seen:
    of = seen(fleet(), *map(host, names), floor(**{"copies": 2, "maxCopies": 2, **spec}))
    for age, name in enumerate(names):
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 60), at=NOW - (90 - age) * DAY)
    return of


@pytest.fixture
def months() -> Months:
    return Months()


def test_a_host_that_comes_back_after_weeks_keeps_its_copies_for_the_cool_down(months: Months) -> None:
    of = home("a", "b", "c")
    of.miss("a", 0.0)
    months.trims(of)
    of.miss("a", 20 * DAY)  # and what it held was made again on c
    assert months.trims(of, 20) == []
    of.answer("a")
    assert months.trims(of) == [], "its copies are old, and the surplus is not"
    months.restart()
    assert months.trims(of, 6.9) == []
    assert months.trims(of, 0.2) == ["a"]


def test_a_missed_probe_makes_no_surplus_young(months: Months) -> None:
    of = home("a", "b", "c")
    months.trims(of)
    of.miss("a", 60)
    months.trims(of, 6)
    of.answer("a")
    assert months.trims(of, 2) == ["a"]


def test_a_lower_max_is_waited_for_as_long_as_a_new_copy(months: Months) -> None:
    of = home("a", "b", "c", maxCopies=3)
    assert months.trims(of) == months.trims(of, 30) == []
    of.resources[-1] = floor(copies=2, maxCopies=2)
    assert months.trims(of) == []
    assert months.trims(of, 6.9) == []
    assert months.trims(of, 0.2) == ["a"]


def test_one_host_that_stops_being_another_ones_twin_makes_young_surplus(months: Months) -> None:
    of = home("a", "b", "c")
    of.resources[1] = host("a", failureDomain="b")
    months.trims(of)
    assert months.trims(of, 30) == []
    of.resources[1] = host("a")
    assert months.trims(of) == []
    assert months.trims(of, 7.1) == ["a"]


async def test_the_plan_of_a_controller_goes_by_it(tmp_path: Path) -> None:
    local = LocalFleet(tmp_path / "fleet", "abc")
    local.floor_spec = {"maxCopies": 2}
    for volume in local.volumes.values():
        volume.write("films/Alien/a.mkv")
    local.custody.configure(local.world())
    await local.look()
    plan = local.custody.plan(local.world(), seen_by(local), time.time() + 30 * DAY)
    assert plan.steps == ()
    local.custody.planned(plan)
    counted = local.custody.section().counted
    assert counted is not None
    [ages] = counted.values()
    assert len(ages) == 3 and max(ages.values()) < 60
    # One that begins thinks before it has read what is declared, and forgets nothing by it.
    before = local.memory.under("custody/counted/")
    nothing = World(complete=False)
    again = local.controller()
    again.configure(nothing)
    again.planned(again.plan(nothing, seen_by(local), time.time()))
    assert local.memory.under("custody/counted/") == before != {}
    await again.close()
    await local.custody.close()
