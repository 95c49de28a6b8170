"""What is in a file, asked of a real ffprobe."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from telarchy.errors import ActionFailed
from telarchy.links.local import LocalLink
from telarchy.streaming.evidence import InputSeen
from telarchy.streaming.probe import Probed, probe
from tests.unit.streaming.running import need


def made(file: Path, *more: str) -> str:
    need("ffmpeg", "ffprobe")
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=720x576:r=25",
        "-t",
        "1",
        *more,
        str(file),
    ]
    subprocess.run(command, check=True)
    return str(file)


async def look(path: str) -> Probed:
    return await probe(LocalLink("black"), path)


async def test_a_film_is_as_wide_as_it_is_shown(tmp_path: Path) -> None:
    path = made(
        tmp_path / "it's: a film.mkv", "-vf", "setsar=16/15", "-c:v", "libx264", "-preset", "ultrafast"
    )
    found = await look(path)
    assert found.seen == InputSeen("h264", 768, 576, 25.0, found.seen.bitrate)
    assert not found.sound and found.seconds == pytest.approx(1, abs=0.2)


async def test_sound_is_heard_of(tmp_path: Path) -> None:
    tone = ["-f", "lavfi", "-i", "sine", "-t", "1", "-c:v", "mpeg4", "-c:a", "aac"]
    assert (await look(made(tmp_path / "a.mp4", *tone))).sound


async def test_what_cannot_be_played_is_said(tmp_path: Path) -> None:
    need("ffprobe")
    with pytest.raises(ActionFailed, match=r"none\.mkv: No such file") as caught:
        await look(str(tmp_path / "none.mkv"))
    assert caught.value.reason == "SourceMissing"
    (tmp_path / "text.mkv").write_text("no film")
    with pytest.raises(ActionFailed) as caught:
        await look(str(tmp_path / "text.mkv"))
    assert caught.value.reason == "SourceNotVideo"


async def test_a_playlist_that_claims_to_be_a_film_opens_nothing_on_the_net(tmp_path: Path) -> None:
    need("ffprobe")
    trick = tmp_path / "film.mkv"
    trick.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/s.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(ActionFailed):
        await look(str(trick))
