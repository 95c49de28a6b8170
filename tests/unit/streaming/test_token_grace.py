"""The end of the quarter of an hour for which a session outlives its token, at real edges: what lies in a cache too."""

from __future__ import annotations

import time

from telarchy.streaming import tokens
from tests.unit.streaming.conftest import Run
from tests.unit.streaming.test_edge import SECRET, edge_of, origin
from tests.unit.streaming.test_edge import kind as kind  # a fixture
from tests.unit.streaming.test_serving import GENERATION, PLAYLIST, SEGMENT

MASTER = f"{GENERATION}/master.m3u8"


def ended(seconds_ago: int) -> str:
    return tokens.sign(SECRET, "attic", int(time.time()) - seconds_ago)


def test_a_session_goes_on_for_a_quarter_of_an_hour_and_no_longer(run: Run, kind: str) -> None:
    source = origin(run, "origin")
    near = edge_of(run, source.url, kind=kind)
    further = edge_of(run, near.url, name="further")
    good = tokens.sign(SECRET, "attic", int(time.time()) + 60)
    for server in (source, near, further):
        for rest in (MASTER, PLAYLIST, SEGMENT):
            assert server.get(f"{good}/live/attic/{rest}").status == 200
    for server in (source, near, further):
        for rest in (PLAYLIST, SEGMENT):
            assert server.get(f"{ended(14 * 60 + 55)}/live/attic/{rest}").status == 200
            over = server.get(f"{ended(15 * 60 + 5)}/live/attic/{rest}")
            assert (over.status, over.headers["cache-control"]) == (410, "no-store")
            assert server.get(f"{good}/live/attic/{rest}").status == 200, "nobody else is told so"
        for ago in (14 * 60 + 55, 15 * 60 + 5):
            assert server.get(f"{ended(ago)}/live/attic/{MASTER}").status == 410, "none begins with it"


def test_the_moment_itself(run: Run) -> None:
    """The same token, before the end of its quarter of an hour and after."""
    source = origin(run, "origin")
    near = edge_of(run, source.url)
    end = int(time.time()) - tokens.GRACE_SECONDS + 8
    prefix = tokens.sign(SECRET, "attic", end)
    answers = []
    while time.time() < end + tokens.GRACE_SECONDS + 2:
        before = time.time()
        status = near.get(f"{prefix}/live/attic/{SEGMENT}").status
        answers.append((before, time.time(), status))
        time.sleep(0.2)
    over = end + tokens.GRACE_SECONDS
    assert {status for _, after, status in answers if after < over} == {200}
    assert {status for before, _, status in answers if before > over + 1} == {410}
