"""Players of people play from each endpoint, by the address that they keep, and go on when the encoder is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.counterparties import publishers
from tests.counterparties.players import PLAYERS, Player
from tests.unit.cli.test_streams_whole import Evening


@pytest.fixture(scope="module")
def published(evening: Evening) -> Iterator[Evening]:
    with ExitStack() as stack:
        for name in ("garden", "attic"):
            key = (evening.folder / f"key-{name}").read_text().strip()
            url = f"rtmp://127.0.0.1:{evening.rtmp}/ingest/{key}"
            stack.enter_context(publishers.ffmpeg(evening.folder / f"log-{name}", url))
        for name in ("garden", "attic"):
            for endpoint in ("origin", "cache", "relay"):
                evening.until(lambda n=name, e=endpoint: url_of(evening, n, e), f"{name} at {endpoint}")  # type: ignore[misc]
        yield evening


def url_of(evening: Evening, stream: str, endpoint: str) -> str:
    return evening.telarchy("playback-url", stream, "--endpoint", endpoint).stdout.strip()


@pytest.fixture(params=PLAYERS, ids=lambda one: one.name)
def player(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Player]:
    if missing := request.param.missing():
        pytest.skip(f"needs {missing}")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # VLC is nobody here
    with request.param(tmp_path) as made:
        yield made


@pytest.mark.parametrize("stream", ["garden", "attic"])
@pytest.mark.parametrize("endpoint", ["origin", "cache", "relay"])
def test_it_plays(published: Evening, player: Player, stream: str, endpoint: str) -> None:
    player.open(url_of(published, stream, endpoint))
    start = player.started(90)
    player.watch(player.settles)
    seen = player.watch(20)
    print(f"\n{player.name}, {stream} from {endpoint}: start {start:.1f} s, {seen}")
    assert seen.playing and seen.progress > 15


def test_it_goes_on_when_the_encoder_is_killed(published: Evening, player: Player) -> None:
    player.open(url_of(published, "garden", "origin"))
    player.started(90)
    player.watch(player.settles + 4)
    for one in encoders(published):
        os.kill(one, signal.SIGKILL)
    seen = player.watch(25)
    print(f"\n{player.name}, encoder killed: {seen}")
    assert seen.playing and seen.progress > 15


def encoders(evening: Evening) -> list[int]:
    (base,) = (evening.folder / "spool").glob("*.origin")
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words = (one / "cmdline").read_bytes().split(b"\0")
            if words[0] == b"ffmpeg" and (one / "cwd").readlink() == base and b"progress/garden" in words:
                found.append(int(one.name))
        except OSError:
            continue
    return found
