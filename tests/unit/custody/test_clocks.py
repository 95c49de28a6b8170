"""Clocks that jump, on hosts and under the controller: nothing is gone, let go of or believed because of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telarchy.core.clock import SteadyClock
from telarchy.custody.trash import KEPT, LONGEST_GAP, WatchedTime
from telarchy.errors import SafetyRefusal
from tests.unit.custody import fleet as fleets
from tests.unit.custody.fleet import LocalFleet, MemoryInRam
from tests.unit.custody.test_act_care import TITLE, everywhere, expire, trim

DAY = 86400.0
YEAR = 365 * DAY
KEEP = 30 * DAY


class ShiftedClock(SteadyClock):
    """A controller's clock that is wrong by so many seconds from its start."""

    by = 0.0

    def now(self) -> float:
        return super().now() + self.by


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalFleet]:
    monkeypatch.setattr(fleets, "SteadyClock", ShiftedClock)
    monkeypatch.setattr(ShiftedClock, "by", 0.0)
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    yield fleet
    await fleet.custody.close()


def set_hosts_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """The hosts' `date` is off by so many seconds. A stand-in: the machine's own clock is not for a test to set."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "date").write_text(f'#!/bin/sh\nexec /bin/date -d "@$(($(/bin/date +%s) + {int(by)}))" "$@"\n')
    (tools / "date").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")


async def trimmed(fleet: LocalFleet) -> str:
    """A copy in the trash since just now; the name of its folder."""
    everywhere(fleet)
    await fleet.look()
    await fleet.act(trim(fleet))
    await fleet.look()
    [entry] = (fleet.volumes["c"].own / "trash").iterdir()
    return entry.name


async def trash_age(fleet: LocalFleet) -> float:
    [one] = (await fleet.look())[fleet.volumes["c"].id].trash
    return one.age


@pytest.mark.parametrize("by", [YEAR, 80 * YEAR, -YEAR])
async def test_a_hosts_clock_that_jumps_expires_no_trash(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    entry = await trimmed(fleet)
    set_hosts_clock(tmp_path, monkeypatch, by)
    assert await trash_age(fleet) < DAY
    assert fleet.custody.section().volumes[fleet.volumes["c"].id].removed == 1
    with pytest.raises(SafetyRefusal) as caught:
        await fleet.act(expire(fleet, entry))
    assert caught.value.rule == "trash"
    assert list(fleet.volumes["c"].own.glob(f"trash/{entry}/{TITLE}/e1"))


async def test_a_controller_that_wakes_in_another_year_expires_no_trash(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = await trimmed(fleet)
    set_hosts_clock(tmp_path, monkeypatch, YEAR)
    monkeypatch.setattr(ShiftedClock, "by", YEAR)
    fleet.custody = fleet.controller()
    assert await trash_age(fleet) <= LONGEST_GAP + 60
    with pytest.raises(SafetyRefusal):
        await fleet.act(expire(fleet, entry))
    assert list(fleet.volumes["c"].own.glob(f"trash/{entry}/{TITLE}/e1"))


async def test_a_new_controller_believes_no_host_whose_clock_is_not_its_own(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trimmed(fleet)
    set_hosts_clock(tmp_path, monkeypatch, YEAR)
    fleet.memory.held.clear()
    fleet.custody = fleet.controller()
    assert await trash_age(fleet) < 60


def test_watched_time_goes_on_where_it_stopped() -> None:
    memory = MemoryInRam()
    ShiftedClock.by = 0.0
    first = WatchedTime(memory, ShiftedClock())
    first.keep()
    kept = memory.get(KEPT)
    assert abs(WatchedTime(memory, ShiftedClock()).now() - first.now()) < 5
    memory.put(KEPT, {**kept, "at": kept["at"] - 3600})
    assert 3590 < WatchedTime(memory, ShiftedClock()).now() < 3700
    memory.put(KEPT, {**kept, "at": kept["at"] - YEAR})
    assert LONGEST_GAP - 5 < WatchedTime(memory, ShiftedClock()).now() < LONGEST_GAP + 60
    memory.put(KEPT, {**kept, "at": kept["at"] + YEAR})
    assert WatchedTime(memory, ShiftedClock()).now() < 60


async def test_what_an_undeclared_volume_held_outlives_a_jump(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(fleet)
    await fleet.look()
    volume = fleet.volumes.pop("c")
    fleet.custody.configure(fleet.world())
    monkeypatch.setattr(ShiftedClock, "by", YEAR)
    fleet.custody = fleet.controller()
    fleet.custody.configure(fleet.world())
    assert volume.id in fleet.catalogue.holdings


@pytest.mark.parametrize("by", [YEAR, -YEAR])
async def test_removals_of_another_year_are_not_those_of_today(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    await trimmed(fleet)
    for entry in (fleet.volumes["c"].own / "trash").iterdir():
        entry.rename(fleet.path / entry.name)
    monkeypatch.setattr(ShiftedClock, "by", by)
    fleet.custody = fleet.controller()
    await fleet.look()
    assert fleet.custody.section().volumes[fleet.volumes["c"].id].removed == 0


async def test_trash_that_lost_its_label_stays(fleet: LocalFleet) -> None:
    entry = await trimmed(fleet)
    (fleet.volumes["c"].own / "trash" / entry / ".title").write_text("")
    fleet.spec = {"trash": {"keep": "0s"}}
    fleet.custody.configure(fleet.world())
    await fleet.look()
    with pytest.raises(SafetyRefusal) as caught:
        await fleet.act(expire(fleet, entry))
    assert "which title" in str(caught.value)
    assert list(fleet.volumes["c"].own.glob(f"trash/{entry}/{TITLE}/e1"))


async def test_a_folder_of_an_impossible_day_hides_no_volume(fleet: LocalFleet) -> None:
    for name in ("20261399T996199Z-abc", "Season 01", "00000000T000000Z-0"):
        fleet.volumes["c"].write(f".telarchy/trash/{name}/e1")
    seen = (await fleet.look())[fleet.volumes["c"].id]
    assert seen.state == "Mounted" and seen.trash == ()
