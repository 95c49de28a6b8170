"""Clocks that jump, on hosts and under the controller: nothing is gone, let go of or believed because of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telarchy.core.clock import SteadyClock
from telarchy.custody.evidence import TrashSeen
from telarchy.custody.looking import RootLook
from telarchy.custody.trash import KEPT, TrashWatch, WatchedTime
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
    # Not even what is kept for an hour only.
    fleet.spec = {"trash": {"keep": "1h"}}
    fleet.custody.configure(fleet.world())
    assert await trash_age(fleet) < 600
    with pytest.raises(SafetyRefusal):
        await fleet.act(expire(fleet, entry))
    assert list(fleet.volumes["c"].own.glob(f"trash/{entry}/{TITLE}/e1"))


async def test_a_new_controller_believes_no_clock_that_is_its_own(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trimmed(fleet)
    set_hosts_clock(tmp_path, monkeypatch, YEAR)
    monkeypatch.setattr(ShiftedClock, "by", YEAR)
    fleet.memory.held.clear()
    fleet.custody = fleet.controller()
    assert await trash_age(fleet) < 600


async def test_a_new_controller_believes_no_host_whose_clock_is_not_its_own(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trimmed(fleet)
    set_hosts_clock(tmp_path, monkeypatch, YEAR)
    fleet.memory.held.clear()
    fleet.custody = fleet.controller()
    assert await trash_age(fleet) < 60


def watched(memory: MemoryInRam, counted: float, boot: str, *, wall: float = 0.0) -> WatchedTime:
    """As of a controller that begins now, with a steady clock that stands still; `wall`: what its clock is off by."""
    clock = ShiftedClock()
    clock.by = wall
    return WatchedTime(memory, clock, counted=lambda: counted, boot=boot)


def test_watched_time_is_counted_and_not_read_off_a_clock() -> None:
    memory = MemoryInRam()
    watched(memory, 1000, "first").keep()
    assert watched(memory, 1000 + 20 * DAY, "first").now() == 20 * DAY, "the machine was on all the while"
    assert watched(memory, 1060, "first", wall=YEAR).now() == 60
    assert watched(memory, 1060, "first", wall=-YEAR).now() == 60
    assert watched(memory, 10, "first").now() == 0
    # Of the time until the machine started, only a clock tells; of that since then, the machine itself.
    assert watched(memory, 3600, "second", wall=YEAR).now() == 3600
    assert watched(memory, 3600, "second", wall=-YEAR).now() == 0
    assert watched(memory, YEAR, "of another machine", wall=600).now() == pytest.approx(600, abs=60)
    assert watched(memory, YEAR, "", wall=YEAR).now() == 0


@pytest.mark.parametrize(
    "kept", [{"at": 1.0, "seconds": 500.0}, {"seconds": 500.0, "counted": None}, {}, [], "x"]
)
def test_watched_time_of_an_earlier_version_goes_on(kept: object) -> None:
    memory = MemoryInRam()
    memory.put(KEPT, kept)
    now = watched(memory, 7.0, "boot").now()
    assert now in (0.0, 7.0, 500.0, 507.0) and (now >= 500) == (isinstance(kept, dict) and "seconds" in kept)


def test_watched_time_is_kept_now_and_then() -> None:
    memory, counted = MemoryInRam(), [1000.0]
    time = WatchedTime(memory, SteadyClock(), counted=lambda: counted[0], boot="boot")
    for counted[0] in range(1000, 2000, 10):
        time.keep()
    assert watched(memory, counted[0], "boot").now() == counted[0] - 1000
    assert memory.get(KEPT)["counted"] == 1900


class CountingMemory(MemoryInRam):
    """… and how often each key was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def put(self, key: str, value: object, now: float | None = None) -> bool:
        self.written.append(key)
        return super().put(key, value, now)


def test_a_volume_that_is_shown_twice_keeps_the_age_of_what_either_shows() -> None:
    """One share that one host may not look into, or a disk and its copy: they show one id and unlike folders."""
    memory, counted = CountingMemory(), [0.0]

    def watch() -> TrashWatch:
        time = WatchedTime(memory, SteadyClock(), counted=lambda: counted[0], boot="boot")
        return TrashWatch(memory, SteadyClock(), time)

    def look(*entries: str) -> RootLook:
        return RootLook("/srv", id="v", trash=tuple(TrashSeen(entry, YEAR) for entry in entries))

    one = watch()
    for round_ in range(200):
        counted[0] = round_ * 10.0
        if round_ == 100:
            one = watch()
        for shown in (look("x", "y"), look("x"), look()):
            ages = [seen.age for seen in one.aged(shown, remember=True)]
            assert ages == pytest.approx([counted[0]] * len(shown.trash), abs=1)
    assert memory.written.count("custody/trash/v") == 1
    counted[0] = 10_000.0
    one.aged(look("x"), remember=True)
    assert memory.get("custody/trash/v").keys() == {"x"}, "nobody has shown the other for a long time"
    assert [seen.age for seen in one.aged(look("x", "y"), remember=True)] == [10_000.0, 0.0]


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
