"""A source that one edge cannot reach, though it reports itself well: how often its viewers are moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from telarchy.core.service import ServiceSeen, ServiceState
from telarchy.streaming.choice import SourceView, Terms, choose
from telarchy.streaming.evidence import Choice
from telarchy.streaming.health import StreamState
from tests.unit.streaming.stage import Stage, edge, key, origin, ssh_host, stream

HOUR = 3600.0
NOTICED = 15.0  # seconds that an edge takes to find that a source gives it nothing
Failing = Callable[[str, float, Choice], str]


def life(failing: Failing, seconds: float, terms: Terms | None = None) -> list[tuple[float, str, str]]:
    """When an edge moved, to which source, and why. `failing`: why it gets nothing from one."""
    choice, moves = Choice("first", -HOUR), []
    for second in range(int(seconds)):
        views = [
            SourceView(name, at, StreamState.HEALTHY, failing=failing(name, float(second), choice))
            for at, name in enumerate(("first", "second"), start=1)
        ]
        done = choose(choice, views, None, terms or Terms(), float(second)).choice
        assert done is not None
        if done.source != choice.source:
            moves.append((float(second), done.source, done.why))
        choice = done
    return moves


def known(begin: float, end: float) -> Failing:
    """The line to the first is cut, and the edge's host tells so."""
    return lambda name, now, _: "no answer of first" if name == "first" and begin <= now < end else ""


def found_out(*names: str) -> Failing:
    """These give nothing, which shows only while they are asked."""

    def failing(name: str, now: float, choice: Choice) -> str:
        tried = choice.source == name and now - max(choice.since, 0.0) >= NOTICED
        return f"nothing of {name}" if name in names and tried else ""

    return failing


@pytest.mark.parametrize("lasts", [5.0, 90.0, 3 * HOUR])
def test_a_line_that_is_cut_and_mended_is_one_move_away_and_one_back(lasts: float) -> None:
    moves = life(known(100, 100 + lasts), 4 * HOUR)
    assert [(at, to) for at, to, _ in moves] == [(100, "second"), (100 + lasts + 60, "first")]
    assert moves[0][2] == "no answer of first"
    assert moves[1][2] == "first is better, and has been in order for 1m"


def test_a_line_that_flickers_is_taken_again_later_each_time() -> None:
    moves = life(lambda name, now, _: "cut" if name == "first" and now % 120 < 10 else "", 2 * HOUR)
    assert len(moves) == 3, "after the second time, 110 seconds are no longer enough"


def test_where_nobody_can_tell_a_cut_line_is_tried_later_each_time() -> None:
    moves = life(found_out("first"), 8 * HOUR)
    tries = [at for at, to, _ in moves if to == "first"]
    gaps = [b - a for a, b in pairwise(tries)]
    assert gaps == sorted(gaps) and gaps[-1] > 15 * 60
    in_hour = [sum(HOUR * hour <= at < HOUR * (hour + 1) for at, _, _ in moves) for hour in range(8)]
    assert in_hour[0] <= 13, "once away, and six times there and back"
    assert max(in_hour[1:]) <= 8, "four times there and back, with all patience used up"


def test_when_no_source_gives_anything_viewers_are_not_moved_between_them_all_the_time() -> None:
    moves = life(found_out("first", "second"), 3 * HOUR)
    in_hour = [sum(HOUR * hour <= at < HOUR * (hour + 1) for at, _, _ in moves) for hour in range(3)]
    assert 2 <= max(in_hour) <= 20


def test_a_source_that_lasted_is_forgiven() -> None:
    moves = life(lambda name, now, _: "cut" if name == "first" and now % 600 < 10 else "", HOUR)
    assert len(moves) == 12, "six cuts, and back after the clear time each time"


def test_a_source_that_failed_is_taken_at_once_when_the_other_is_dead() -> None:
    views = [
        SourceView("first", 1, StreamState.HEALTHY),
        SourceView("second", 2, StreamState.STALE, why="its playlist stands still"),
    ]
    done = choose(Choice("second", 0.0, failed={"first": (5, 0.0)}), views, None, Terms(), 5.0).choice
    assert done is not None
    assert (done.source, done.why) == ("first", "second is Stale: its playlist stands still")


def two(*, mode: str = "Cache") -> Stage:
    """An edge that plays from the first of two origins."""
    stage = Stage(
        *(ssh_host(one) for one in ("black", "box", "vps")),
        origin("a"),
        origin("b", on="box"),
        stream(ingest={"test": {}}),
        key(),
        edge(sources=("a", "b"), mode=mode),
    )
    stage.run(30)
    assert stage.status("MediaEndpoint", "edge")["source"] == "a"
    stage.told.clear()
    return stage


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("Cache", "4 of 4 fetches from a failed in the last 6 s"),
        ("Relay", "no answer of a comes to edge"),
    ],
)
def test_an_edge_moves_twice_for_a_line_that_is_cut_and_says_why(mode: str, why: str) -> None:
    stage = two(mode=mode)
    stage.cut.add(("edge", "a"))
    stage.run(12)
    assert stage.status("MediaEndpoint", "edge")["source"] == "b"
    stage.run(HOUR, step=5.0)
    assert "no answer of a comes to edge" in str(stage.status("MediaEndpoint", "edge"))
    stage.cut.clear()
    stage.run(90)
    assert stage.status("MediaEndpoint", "edge")["source"] == "a"
    stage.run(HOUR, step=5.0)
    assert [one for one in stage.told if one.startswith("edge: ")] == [
        f"edge: garden: from a to b: {why}",
        "edge: garden: from b to a: a is better, and has been in order for 1m",
    ]


def test_where_nobody_can_tell_a_cache_goes_by_its_fetches() -> None:
    stage = two()
    stage.tries = False
    stage.cut.add(("edge", "a"))
    stage.run(20)
    assert stage.told == ["edge: garden: from a to b: 4 of 4 fetches from a failed in the last 6 s"]


def test_a_controller_that_begins_leaves_no_source_before_it_has_looked_at_it() -> None:
    stage = two()
    seen = stage.reported.pop("a")
    begun = {name: replace(one, playlists={}) for name, one in stage.reported["edge"].streams.items()}
    stage.reported["edge"] = replace(stage.reported["edge"], streams=begun)
    for _ in range(3):
        stage.now += 1
        stage.round()
    assert not stage.told and stage.status("MediaEndpoint", "edge")["source"] == "a"
    stage.reported["a"] = seen
    stage.off.add("black")
    stage.run(8)
    assert stage.status("MediaEndpoint", "edge")["source"] == "b", "that one is away"


def test_one_silent_moment_is_no_reason_and_what_comes_is_believed() -> None:
    stage = two(mode="Relay")
    stage.cut.add(("edge", "a"))
    stage.run(2)
    stage.cut.clear()
    stage.run(30)
    assert not stage.told, "one answer was missing"
    stage = two()
    served = {"garden": replace(stage.there["a@black"].streams["garden"], fetched=5)}
    stage._by_another = lambda *told: told[-1].update(served)  # type: ignore[method-assign]
    stage.cut.add(("edge", "a"))
    stage.run(30)
    assert not stage.told, "it is served by what does not answer the tries"


def test_a_relay_that_is_started_again_and_again_leaves_its_source() -> None:
    stage = two(mode="Relay")
    stage.tries = False
    there = stage.there["edge@vps"]
    silent = {name: replace(one, viewers=0) for name, one in there.streams.items()}
    begun = stage.now
    stage._mirror = lambda *_: None  # type: ignore[method-assign]
    for _ in range(30):
        stage.now += 1
        relay = ServiceSeen("relay-garden", ServiceState.RUNNING, starts=9, since=stage.now - 2)
        services = {**there.services, "relay-garden": relay}
        stage.there["edge@vps"] = replace(
            there, streams=silent, services=services, restarts={"relay-garden": 4}
        )
        stage.run(1)
        if stage.told:
            break
    assert stage.told == ["edge: garden: from a to b: nothing has come from a for more than 6 s"]
    assert stage.now - begun > 15
