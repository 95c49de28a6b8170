"""What the watch tells of whose a folder is, and the sign of life that only its owner leaves; with real processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from telarchy.core.owner import Claim, Holding, Owner, Standing
from telarchy.links import services
from telarchy.links.local import LocalLink
from telarchy.streaming.evidence import EndpointSeen
from telarchy.streaming.ownership import standing_of
from tests.unit.streaming.test_watch_runs import Watch

A = Claim(Owner("aaaa", "home of\tmine", 2), "default", "origin", "Orphan")
B = Claim(Owner("bbbb", "nas-7"), "default", "origin")
HOUR_AGO = time.time() - 3600


@pytest.fixture
async def base(tmp_path: Path) -> Path:
    await services.put_file(LocalLink("black"), str(tmp_path / "origin"), "keys.json", b"", by=A)
    os.utime(tmp_path / "origin" / services.MARKER, (HOUR_AGO, HOUR_AGO))
    return tmp_path / "origin"


async def look(base: Path, by: Claim | None, *, once: bool = False) -> EndpointSeen:
    async with Watch(base, by=by, once=once) as watch:
        return await watch.next()


def alive(base: Path) -> float:
    return (base / services.MARKER).stat().st_mtime


async def test_another_reads_whose_it_is_and_leaves_no_sign(base: Path) -> None:
    seen = await look(base, B)
    assert seen.holding is not None and abs(seen.holding.since - time.time()) < 100
    assert abs(seen.holding.alive - HOUR_AGO) < 2
    assert seen.holding == Holding(
        "aaaa", "home of?mine", 2, seen.holding.since, seen.holding.alive, "default", "origin", "Orphan"
    )
    assert standing_of(seen, B.owner) is Standing.FOREIGN
    assert abs(alive(base) - HOUR_AGO) < 2


async def test_the_owner_leaves_a_sign_of_life_unless_it_only_looks(base: Path) -> None:
    earlier = Claim(Owner("aaaa", term=1), "default", "origin")
    for by, once in ((A, True), (earlier, False), (None, False)):
        await look(base, by, once=once)
        assert abs(alive(base) - HOUR_AGO) < 2, (by, once)
    seen = await look(base, A)
    assert standing_of(seen, A.owner) is Standing.OURS
    assert abs(alive(base) - time.time()) < 100


@pytest.mark.parametrize(
    "text",
    ["", "Made by Telarchy\n", "owner\nowner x\nowner a b\n", "\x00\xff\n" * 50],
)
async def test_a_marker_that_says_nothing_is_nobodys(base: Path, text: str) -> None:
    (base / services.MARKER).write_text(text)
    seen = await look(base, B)
    assert seen.present and seen.holding == Holding()
    assert standing_of(seen, B.owner) is Standing.UNCLAIMED


async def test_numbers_that_are_none_are_zero(base: Path) -> None:
    (base / services.MARKER).write_text(
        "owner $(id) 1x 99999999999999999999 some\tname \x1b[0m\nmade-for a\n"
    )
    seen = await look(base, B)
    assert seen.holding is not None
    assert (seen.holding.id, seen.holding.term, seen.holding.since) == ("$(id)", 0, 0.0)
    assert seen.holding.name == "some name [0m"


def test_what_is_not_there_or_not_to_be_seen() -> None:
    absent = EndpointSeen("origin", 1.0, present=False)
    assert standing_of(absent, A.owner) is Standing.UNCLAIMED
    assert standing_of(None, A.owner) is Standing.UNKNOWN
    assert standing_of(EndpointSeen("origin", 1.0), A.owner) is Standing.UNKNOWN
    assert (
        standing_of(EndpointSeen("origin", 1.0, present=False, trouble="a symlink"), A.owner)
        is Standing.UNKNOWN
    )
