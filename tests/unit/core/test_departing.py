"""Deleted resources that are kept until what they have on hosts is undone."""

from __future__ import annotations

from dataclasses import dataclass, field

from telarchy.core.plan import Plan, merge
from telarchy.core.world import World
from telarchy.errors import Problem
from telarchy.resources.meta import Ref
from tests.unit.core.test_loop import Room, loop_of, turn
from tests.world import floor, host

GONE, OTHER = host("gone"), floor("other")


@dataclass
class Clinging(Room):
    """Names what it still has."""

    has: dict[Ref, str] = field(default_factory=dict)

    def plan(self, world: World, seen: object, now: float) -> Plan:
        self.think()
        return Plan(lingering=dict(self.has))


def departing(*resources: object, complete: bool = True) -> World:
    return World(revision="2", complete=complete, departing={one.ref: one for one in resources})  # type: ignore[attr-defined]


async def test_what_departs_is_released_once_no_room_names_it() -> None:
    one, other = Clinging("wood", has={GONE.ref: "a plank on attic"}), Clinging("stone")
    loop, journal = loop_of(one, other)
    loop.set_world(departing(GONE, OTHER))
    await turn(loop)
    assert loop.released == {OTHER.ref}
    assert not loop.settled
    (ready,) = journal.statuses[GONE.ref]["conditions"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "Releasing", "a plank on attic")
    one.has = {}
    await turn(loop)
    assert loop.released == {GONE.ref, OTHER.ref}
    assert "nothing of it is left" in journal.statuses[GONE.ref]["conditions"][0]["message"]


async def test_nothing_is_released_while_a_room_cannot_think_or_not_every_kind_was_read() -> None:
    def fault() -> None:
        raise RuntimeError("a bug")

    room = Clinging("wood")
    loop, _ = loop_of(room)
    loop.set_world(departing(GONE, complete=False))
    await turn(loop)
    assert loop.released == frozenset()
    loop.set_world(departing(GONE))
    room.think = fault
    await turn(loop)
    assert loop.released == frozenset()
    room.think, room.blind = lambda: None, True
    await turn(loop)
    assert loop.released == frozenset()
    room.blind = False
    await turn(loop)
    assert loop.released == {GONE.ref}


async def test_a_deleted_resource_is_not_stalled_besides() -> None:
    loop, journal = loop_of(Clinging("wood"))
    broken = Problem("it is broken")
    loop.set_world(World(revision="2", departing={GONE.ref: GONE}, stalled={GONE.ref: (broken,)}))
    await turn(loop)
    assert [one["type"] for one in journal.statuses[GONE.ref]["conditions"]] == ["Ready"]


def test_rooms_that_name_the_same_resource_are_both_heard() -> None:
    plan = merge([Plan(lingering={GONE.ref: "a plank"}), Plan(lingering={GONE.ref: "a stone"}), Plan()])
    assert plan.lingering == {GONE.ref: "a plank; a stone"}
    assert not plan.settled
