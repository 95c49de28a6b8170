"""Whatever people publish with, viewers get whole segments of the declared length."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.counterparties import publishers
from tests.unit.cli.test_streams_whole import Evening


def address(evening: Evening, more: str = "") -> str:
    key = (evening.folder / "key-garden").read_text().strip()
    return f"rtmp://127.0.0.1:{evening.rtmp}/ingest/{key}{more}"


def newest(evening: Evening) -> int:
    """The number of the newest segment at the origin; 0 without one."""
    found = [0]
    for one in (evening.folder / "spool").glob("*.origin/spool/garden/*/360p/s*.m4s"):
        found.append(int(one.stem[1:]))
    return max(found)


def plays_on(evening: Evening, count: int = 4) -> None:
    """Wait for so many new segments, which come no faster than they are long."""
    before = newest(evening)
    evening.until(lambda: newest(evening) > before, "the first new segment")
    began, first = time.monotonic(), newest(evening)
    evening.until(lambda: newest(evening) >= first + count, f"{count} more")
    assert time.monotonic() - began > count
    (playlist,) = (evening.folder / "spool").glob("*.origin/spool/garden/*/360p/index.m3u8")
    lengths = [float(one) for one in re.findall(r"#EXTINF:([\d.]+)", playlist.read_text())]
    # before those, what was cut off when the publisher before left
    assert all(1.5 < one < 2.5 for one in lengths[-count:]), lengths


def away(evening: Evening) -> None:
    flag = "*.origin/publishing/garden"
    evening.until(lambda: not list((evening.folder / "spool").glob(flag)), "the publisher is gone")


@pytest.mark.parametrize("habit", publishers.HABITS)
def test_a_habit_of_encoders_is_played(evening: Evening, tmp_path: Path, habit: str) -> None:
    with publishers.ffmpeg(tmp_path / "log", address(evening), publishers.HABITS[habit]):
        plays_on(evening)
    away(evening)


@pytest.mark.parametrize("more", ["?foo=bar", "?foo=bar&token=x"])
def test_a_key_with_a_query_is_the_key(evening: Evening, tmp_path: Path, more: str) -> None:
    with publishers.ffmpeg(tmp_path / "log", address(evening, more)):
        plays_on(evening, 2)
    away(evening)


def test_the_second_of_two_with_one_key_is_refused_and_the_first_goes_on(
    evening: Evening, tmp_path: Path
) -> None:
    with publishers.ffmpeg(tmp_path / "one", address(evening)) as first:
        plays_on(evening, 1)
        with publishers.ffmpeg(tmp_path / "two", address(evening)) as second:
            evening.until(lambda: second.poll() is not None, "the second is refused")
        plays_on(evening, 2)
        assert first.poll() is None
    away(evening)


def test_gstreamer_publishes(evening: Evening, tmp_path: Path) -> None:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("needs gst-launch-1.0")
    with publishers.gstreamer(tmp_path / "log", address(evening)):
        plays_on(evening)
    away(evening)


@pytest.mark.parametrize("x264", ["keyint=30", ""], ids=["a keyframe every second", "as it comes"])
def test_obs_publishes_and_comes_back_by_itself(evening: Evening, tmp_path: Path, x264: str) -> None:
    if missing := [one for one in ("obs", "Xvfb") if shutil.which(one) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    server, _, key = address(evening).rpartition("/")
    with publishers.obs(tmp_path, server, key, x264=x264) as process:
        plays_on(evening)
        (pid,) = (evening.folder / "spool").glob("*.origin/run/rtmp/nginx.pid")
        os.kill(int(pid.read_text()), signal.SIGKILL)
        plays_on(evening)
        assert process.poll() is None
    away(evening)
