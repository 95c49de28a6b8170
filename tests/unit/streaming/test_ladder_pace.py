"""Encoders that do not keep up, under the real script: one that is slow is told of and let be, and what brings nothing
forth is counted from its first start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from telarchy.core.service import ServiceState
from telarchy.streaming.evidence import EndpointSeen, StreamSeen
from telarchy.streaming.health import Limits, StreamState, judge
from telarchy.streaming.ladder import FfmpegBackend, Ladder, Pattern, Published
from tests.unit.streaming.test_ladder_runs import Host, ladder, until
from tests.unit.streaming.test_ladder_runs import host as host  # a fixture
from tests.unit.streaming.test_watch_runs import Watch

PATIENCE = 60.0
NAME = "ladder-garden"


def program(folder: Path, does: str) -> str:
    """A program in place of ffmpeg."""
    path = folder / "encoder"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o700)
    return str(path)


def slowly(rate: float) -> str:
    """The real ffmpeg, which reads its sources at a part of real time."""
    return f"""for one; do shift; [ "$one" != -re ] || {{ set -- "$@" -readrate {rate}; continue; }}
    set -- "$@" "$one"; done; exec ffmpeg "$@" """


async def encode(host: Host, one: Ladder, program: str) -> None:
    await host.put(FfmpegBackend(program).service(one))


async def seen_when(watch: Watch, right: Callable[[EndpointSeen, StreamSeen], object]) -> EndpointSeen:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        seen = await watch.next()
        if "garden" in seen.streams and NAME in seen.services and right(seen, seen.streams["garden"]):
            return seen
    pytest.fail(f"did not come: {seen}")


async def test_an_encoder_that_is_only_slow_is_told_and_not_begun_anew(host: Host, tmp_path: Path) -> None:
    # A segment of one second takes 25, and without a new one for 15 an encoder is ended.
    await encode(host, ladder(Pattern()), program(tmp_path, slowly(0.04)))
    async with Watch(host.base, target=1.0) as watch:
        seen = await seen_when(watch, lambda _, stream: stream.slow_since is not None)
        stream = seen.streams["garden"]
        assert stream.lagging and stream.speed is not None and stream.speed < 0.2
        assert stream.awaited is not None
        late = await seen_when(watch, lambda seen, _: seen.reported - (stream.awaited or 0) > 15)
        found = judge(late.streams["garden"], late.services[NAME], Limits(1.0), late.reported)
        assert found.state is StreamState.STALE and "it encodes at less than 0.1× of real time" in found.why
        plays = await seen_when(watch, lambda _, stream: len(stream.playlists) == 3)
        assert plays.services[NAME].starts == 1
        await seen_when(watch, lambda _, stream: stream.awaited is None)


async def test_what_crashes_again_and_again_is_awaited_from_its_first_start(
    host: Host, tmp_path: Path
) -> None:
    broken = program(tmp_path, "sleep 0.2; echo it cannot be done >&2; exit 1")
    await encode(host, ladder(Pattern()), broken)
    async with Watch(host.base, target=1.0) as watch:
        first = await seen_when(watch, lambda _, stream: stream.awaited is not None)
        begun = first.streams["garden"].awaited
        later = await seen_when(watch, lambda seen, _: seen.services[NAME].starts >= 4)
        assert later.streams["garden"].awaited == begun
        await encode(host, ladder(Pattern(), generation="g2-0f3a9c21"), broken)
        edited = await seen_when(watch, lambda _, stream: stream.generation == "g2-0f3a9c21")
        assert (edited.streams["garden"].awaited or 0) > (begun or 0), "another generation has its own time"


async def test_whoever_publishes_anew_has_his_own_time(host: Host, tmp_path: Path) -> None:
    broken = program(tmp_path, "sleep 0.2; exit 1")
    flag = host.base / "publishing" / "garden"
    await encode(host, ladder(Published("rtmp://127.0.0.1:1/live/garden")), broken)
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.write_text("garden-obs\n")
    awaited = host.folder() / ".awaited"
    await until(awaited.exists, "the first start")
    begun = awaited.stat().st_mtime_ns
    flag.unlink()
    async with Watch(host.base, target=1.0) as watch:
        await seen_when(watch, lambda seen, _: seen.services[NAME].state is ServiceState.WAITING)
    await asyncio.sleep(0.1)
    flag.write_text("garden-obs\n")
    await until(lambda: awaited.exists() and awaited.stat().st_mtime_ns > begun, "the start for another")


async def test_a_ladder_that_plays_awaits_nothing(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    await host.reaches(2)
    awaited = host.folder() / ".awaited"
    await until(lambda: not awaited.exists(), "a whole round")
