"""A floor that is gone for a while: what is known of its titles, and what lies in the trash, waits for it."""

from __future__ import annotations

from pathlib import Path

from telarchy.core.clock import SteadyClock
from telarchy.custody.selected import SelectedLately
from telarchy.custody.titles import TitlePatterns
from telarchy.custody.trash import WatchedTime
from tests.unit.custody.fleet import LocalFleet, MemoryInRam
from tests.unit.custody.test_act_care import TITLE, everywhere, rot, verified
from tests.unit.custody.test_plan_custody import plan
from tests.world import GIB, NOW, TrashSeen, files, fleet, floor, host, seen

DAY = 86400.0


async def test_a_floor_that_is_taken_away_and_back_costs_no_digests(tmp_path: Path) -> None:
    local = LocalFleet(tmp_path / "fleet", "ab")
    everywhere(local)
    await verified(local, "ab")
    select, local.select = local.select, ["flims/*"]
    local.custody.configure(local.world())
    await local.look()
    rot(local.volumes["a"].path / TITLE / "e1", b"evil")
    local.custody = local.controller()
    await local.look()
    local.select = select
    local.custody.configure(local.world())
    await local.look()
    await local.act(local.verify(TITLE))
    assert local.manifest("a", TITLE)[0].damaged, "and not recorded as good"
    await local.custody.close()


def test_a_day_later_it_was_no_slip() -> None:
    now = 0.0
    memory = MemoryInRam()

    def select(*patterns: str, sure: bool = True) -> frozenset[str]:
        watched = WatchedTime(memory, SteadyClock(), counted=lambda: now, boot="this one")
        watched.keep()
        return SelectedLately(memory, watched).with_those(TitlePatterns(patterns), sure=sure).select

    assert select("a/*", "b/*") == {"a/*", "b/*"}
    now += 9 * DAY
    assert select("a/*", sure=False) == {"a/*", "b/*"}, "not all was read"
    now += 9 * DAY
    assert select("a/*") == {"a/*", "b/*"}
    now += 0.9 * DAY
    assert select("a/*") == {"a/*", "b/*"}
    now += 0.2 * DAY
    assert select("a/*") == {"a/*"}
    assert select() == {"a/*"}
    assert select("a/*") == {"a/*"}
    now += 9 * DAY
    assert select() == {"a/*"}, "it was back meanwhile"


def test_the_trash_of_titles_that_no_floor_selects_stays() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor(copies=2))
    for name in "ab":
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 60))
    old = TrashSeen("20200101T000000Z-abc", 40 * DAY, ("films/Alien",))
    of.set_volume("c", trash=(old,))
    assert [step.action.verb for step in plan(of).steps] == ["ExpireTrash"]
    of.resources[-1] = floor(copies=2, select={"paths": ["films/*"], "exclude": ["films/Alien"]})
    assert plan(of).steps == ()
