"""What a ladder and a relay are rendered to: pinned, word by word. `golden/*.txt` hold an
argument per line, and are written anew with WRITE_GOLDEN=1 in the environment."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from telarchy.core.service import Service
from telarchy.errors import ConfigError
from telarchy.streaming import relay
from telarchy.streaming.evidence import InputSeen
from telarchy.streaming.ladder import (
    Backend,
    FfmpegBackend,
    File,
    Ladder,
    Pattern,
    Published,
    Pulled,
    Rendition,
    Source,
    Srt,
)
from telarchy.streaming.master import Picture, master_playlist
from telarchy.streaming.playlist import parse_master
from telarchy.streaming.relay import Relay

GOLDEN = Path(__file__).parent / "golden"
TALL = Rendition(name="720p", height=720, bitrate=2_500_000)
LOW = Rendition(name="360p", height=360, bitrate=600_000)
SECRET = "correct horse 'battery' staple"


def ladder(source: Source, **changes: object) -> Ladder:
    given = {"stream": "garden", "generation": "g1-0f3a9c21", "renditions": (TALL, LOW), **changes}
    return Ladder(source=source, **given)  # type: ignore[arg-type]


CASES = {
    "published": ladder(Published("rtmp://127.0.0.1:1935/ingest/garden")),
    "srt": ladder(Srt(9000, passphrase="4f1e"), segment=1.5, window=8),
    "srt-open": ladder(Srt(9000)),
    "pulled": ladder(Pulled("https://camera.example/live.m3u8"), audio=None),
    "pulled-secret": ladder(Pulled(mark="77aa"), stale=9.0),
    "file": ladder(File("/srv/media/A film: part 1.mkv", seen=InputSeen("h264", 1920, 800, 23.976, 0))),
    "file-once": ladder(File("/srv/media/film.mkv", loop=False)),
    "pattern": ladder(
        Pattern(), renditions=(TALL, dataclasses.replace(LOW, frame_rate=15)), preset="ultrafast"
    ),
}


def of(one: Ladder) -> Service:
    backend: Backend = FfmpegBackend()
    return backend.service(one)


def pinned(name: str, argv: tuple[str, ...]) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text("\n".join(argv) + "\n")
    assert list(argv) == file.read_text().splitlines()


@pytest.mark.parametrize("name", CASES)
def test_the_argv_of_each_input_is_pinned(name: str) -> None:
    pinned(name, of(CASES[name]).argv)


def copied() -> Relay:
    one = CASES["published"]
    return Relay(
        stream="garden",
        generation=one.generation,
        pictures=one.pictures,
        source="black-origin",
        mark="9b",
        port=18080,
    )


def test_the_argv_of_a_relay_is_pinned() -> None:
    pinned("relay", relay.service(copied()).argv)


def test_the_master_playlist_is_pinned_and_says_all_that_players_choose_by() -> None:
    text = of(CASES["pattern"]).files["master.m3u8"]
    pinned("master", tuple(text.decode().splitlines()))
    best, low = parse_master(text).variants
    assert (best.resolution, best.frame_rate, best.codecs) == ((1280, 720), 30.0, "avc1.42c01f,mp4a.40.2")
    assert (low.resolution, low.frame_rate) == ((640, 360), 15.0)
    assert best.average is not None and 2_628_000 <= best.average < best.bandwidth


def test_a_stream_without_sound_has_none_anywhere() -> None:
    service = of(CASES["pulled"])
    assert b"AUDIO" not in service.files["master.m3u8"] and b"mp4a" not in service.files["master.m3u8"]
    assert not [one for one in service.argv if "audio" in one or "agroup" in one or one == "0:a:0"]


def test_a_file_is_looked_into_before_anything_is_started() -> None:
    checks = {name: of(one).check for name, one in CASES.items() if of(one).check}
    assert checks == {
        "file": ("sh", "{files}/source.sh", "/srv/media/A film: part 1.mkv", "720", "yes"),
        "file-once": ("sh", "{files}/source.sh", "/srv/media/film.mkv", "720", "yes"),
    }


def test_only_one_who_publishes_by_key_is_waited_for() -> None:
    waits = {name: of(one).wait_for for name, one in CASES.items()}
    assert waits.pop("published") == "publishing/garden"
    assert set(waits.values()) == {""}
    assert {of(one).progress for one in CASES.values()} == {"progress/garden"}


def test_the_same_ladder_is_the_same_service_and_another_one_is_not() -> None:
    assert of(CASES["srt"]).digest == of(dataclasses.replace(CASES["srt"])).digest
    for changes in ({"generation": "g2-0f3a9c21"}, {"segment": 2.0}, {"preset": "fast"}, {"audio": 96_000}):
        assert of(dataclasses.replace(CASES["srt"], **changes)).start_digest != of(CASES["srt"]).start_digest
    other = dataclasses.replace(CASES["srt"], source=Srt(9000, passphrase="other"))
    assert of(other).start_digest != of(CASES["srt"]).start_digest


def test_secrets_are_in_secret_files_alone() -> None:
    backend = FfmpegBackend()
    for name, secret in (("srt", SECRET), ("pulled-secret", "rtmps://ann:hunter2@host/app/key-9")):
        service = backend.service(CASES[name])
        (held,) = backend.contents(CASES[name], secret).items()
        assert set(service.secret_files) == {held[0]}
        assert not set(service.files) & set(service.secret_files)
        shown = repr(service)
        assert not [word for word in ("horse", "hunter2", "key-9") if word in shown]
        assert [word for word in (b"horse", b"hunter2") if word in held[1]]


def test_a_relay_asks_its_own_server_and_knows_no_token() -> None:
    service = relay.service(copied())
    assert not service.secret_files
    listed = parse_master(service.files["source.m3u8"])
    address = "http://127.0.0.1:18080/source/black-origin/garden/g1-0f3a9c21"
    assert [one.uri for one in listed.variants] == [
        f"{address}/{name}/index.m3u8" for name in ("720p", "360p")
    ]


@pytest.mark.parametrize("changed", [{"source": "other"}, {"mark": "9c"}])
def test_another_source_is_another_start_of_a_relay(changed: dict[str, Any]) -> None:
    other = dataclasses.replace(copied(), **changed)
    assert relay.service(other).argv == relay.service(copied()).argv
    assert relay.service(other).start_digest != relay.service(copied()).start_digest


@pytest.mark.parametrize("source", ["a/b", "..", 'a"', "A", ""])
def test_what_is_no_name_of_a_source_is_refused(source: str) -> None:
    with pytest.raises(ConfigError):
        dataclasses.replace(copied(), source=source)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ladder(Pattern(), stream="../etc"),
        lambda: ladder(Pattern(), stream="a b"),
        lambda: ladder(Pattern(), generation="g1/.."),
        lambda: ladder(Pattern(), renditions=()),
        lambda: ladder(Pattern(), renditions=(TALL, TALL)),
        lambda: ladder(Pattern(), renditions=(dataclasses.replace(TALL, name="audio"),)),
        lambda: ladder(Pattern(), renditions=(dataclasses.replace(TALL, name="a,agroup:b"),)),
        lambda: ladder(File("film.mkv")),
        lambda: ladder(File("/srv/a\nb")),
    ],
)
def test_names_that_would_be_more_than_names_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]


def test_a_rendition_larger_than_its_source_is_refused() -> None:
    with pytest.raises(ConfigError, match="720p is 720 lines high, and its source has 576"):
        ladder(File("/srv/film.mkv", seen=InputSeen("h264", 720, 576, 25.0, 0)))


@pytest.mark.parametrize(
    ("width", "height", "rate", "bitrate", "level"),
    [(640, 360, 30, 600_000, 30), (1280, 720, 30, 2_500_000, 31), (1280, 720, 60, 4_000_000, 32),
     (1920, 1080, 30, 6_000_000, 40), (1920, 1080, 0, 6_000_000, 42), (3840, 2160, 60, 20_000_000, 52),
     (640, 360, 30, 12_000_000, 31), (7680, 4320, 60, 60_000_000, 62)],
)  # fmt: skip
def test_levels_are_the_lowest_that_fit(width: int, height: int, rate: int, bitrate: int, level: int) -> None:
    picture = Picture(name="x", width=width, height=height, bitrate=bitrate, frame_rate=rate)
    assert picture.level == level
    assert f"avc1.4d40{level:02x}".encode() in master_playlist([picture], preset="veryfast", audio=None)
