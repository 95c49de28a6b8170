"""What a loop counts about itself."""

from __future__ import annotations

from telarchy.core.tally import ROUND_BOUNDS, Tally
from tests.unit.core.test_loop import Room, loop_of, turn


def test_a_round_is_counted_where_it_belongs() -> None:
    tally = Tally()
    for seconds in (0.0, 0.005, 0.0051, 10.0, 11.0):
        tally.round_took(seconds)
    assert tally.rounds[0] == 2 and tally.rounds[1] == 1 and tally.rounds[-2:] == [1, 1]
    assert sum(tally.rounds) == 5 and len(tally.rounds) == len(ROUND_BOUNDS) + 1
    assert tally.seconds == 21.0101


async def test_a_loop_counts_its_rounds_and_how_actions_ended() -> None:
    async def fails(_: object) -> None:
        raise OSError("no")

    room = Room("wood", ["w"])
    loop, _ = loop_of(room)
    await turn(loop)
    assert loop.tally.outcomes == {("Work", "Done"): 1}
    room.doing, room.wanted = fails, ["v"]
    await turn(loop)
    assert loop.tally.outcomes == {("Work", "Done"): 1, ("Work", "Failed"): 1}
    assert sum(loop.tally.rounds) == loop.rounds == 2
