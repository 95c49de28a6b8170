"""Ladders and relays with a real ffmpeg under a real supervisor: what viewers would get when things go wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from telarchy.core.service import Service, ServiceState
from telarchy.errors import ActionFailed
from telarchy.links import services
from telarchy.links.local import LocalLink
from telarchy.streaming import ingest, relay
from telarchy.streaming.evidence import EndpointSeen, StreamSeen
from telarchy.streaming.keys import KeyLine, keys_json, verifier
from telarchy.streaming.ladder import (
    FfmpegBackend,
    File,
    Ladder,
    Pattern,
    Published,
    Pulled,
    Rendition,
    Srt,
)
from telarchy.streaming.playlist import MediaPlaylist, parse_media
from telarchy.streaming.playlistrules import check, compare
from telarchy.streaming.relay import Relay
from telarchy.streaming.report import Reports
from telarchy.streaming.watch import prune_argv, watch_argv
from tests.unit.streaming.running import free_endpoint_port, free_ports, need

PATIENCE = 30.0
RENDITIONS = (
    Rendition(name="270p", height=270, bitrate=500_000),
    Rendition(name="180p", height=180, bitrate=200_000),
)
FOLDERS = ("270p", "180p", "audio")
KEY = "rtmp-key-that-nobody-guesses"
PUBLISHER = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=s=480x270:r=25"]
PUBLISHER += ["-re", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-c:v", "libx264", "-preset", "ultrafast"]
PUBLISHER += ["-g", "25", "-c:a", "aac"]


def ladder(source: object, **changes: object) -> Ladder:
    given = {"stream": "garden", "generation": "g1-0f3a9c21", "renditions": RENDITIONS, "segment": 1.0}
    return Ladder(source=source, preset="ultrafast", **{**given, **changes})  # type: ignore[arg-type]


class Host:
    """An endpoint's folder on this machine."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.link = LocalLink("black")
        self.publishers: list[subprocess.Popen[bytes]] = []

    async def put(self, service: Service, secrets: dict[str, bytes] | None = None) -> None:
        await services.put(self.link, str(self.base), service, secrets or {}, "restart")

    async def encode(self, one: Ladder, secret: str = "") -> None:
        backend = FfmpegBackend()
        service = backend.service(one)
        await self.put(service, backend.contents(one, secret) if service.secret_files else {})

    def publish(self, url: str, form: str = "flv") -> subprocess.Popen[bytes]:
        self.publishers.append(subprocess.Popen([*PUBLISHER, "-f", form, url], stderr=subprocess.DEVNULL))
        return self.publishers[-1]

    def folder(self, generation: str = "g1-0f3a9c21") -> Path:
        return self.base / "spool" / "garden" / generation

    def playlist(self, name: str = "270p") -> MediaPlaylist | None:
        try:
            content = (self.folder() / name / "index.m3u8").read_bytes()
        except FileNotFoundError:
            return None
        return parse_media(content) if content else None

    async def reaches(self, count: int, name: str = "270p") -> MediaPlaylist:
        """Until so many segments were listed, from the first on."""
        begin = self.playlist(name)
        first = begin.first if begin is not None else None

        def there() -> bool:
            nonlocal first
            now = self.playlist(name)
            if now is None:
                return False
            first = now.first if first is None else first
            return now.last - first + 1 >= count

        await until(there, f"{count} segments of {name}")
        found = self.playlist(name)
        assert found is not None
        return found

    def encoder(self) -> int:
        """The process id of the ffmpeg that fills the spool."""
        own = self.base
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes().split(b"\0")
                if words[0] == b"ffmpeg" and (place / "cwd").readlink() == own and b"hls" in words:
                    return int(place.name)
            except OSError:
                continue
        raise AssertionError("no encoder runs")

    async def complaint(self, service: str = "ladder-garden") -> str:
        (seen,) = [one for one in await services.status(self.link, str(self.base)) if one.name == service]
        return seen.complaint

    async def look(self, **told: object) -> EndpointSeen:
        answer = await self.link.run(watch_argv(str(self.base), once=True, **told))  # type: ignore[arg-type]
        (seen,) = Reports("origin").feed(answer.stdout, time.time())
        return seen

    async def stream(self, **told: object) -> StreamSeen:
        return (await self.look(**told)).streams["garden"]

    def all_text(self) -> str:
        found = [one for one in self.base.rglob("*") if one.is_file() and one.suffix not in (".m4s", ".mp4")]
        return "\n".join(one.read_text(errors="replace") for one in found if "files" not in one.parts)


async def until(right: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    start = time.monotonic()
    while not right():
        assert time.monotonic() - start < seconds, f"{what} did not come"
        await asyncio.sleep(0.05)
    return time.monotonic() - start


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    need("ffmpeg")
    made = Host(tmp_path / "telarchy-home-origin")
    yield made
    for publisher in made.publishers:
        publisher.kill()
        publisher.wait()
    if made.base.exists():
        await services.retire(made.link, str(made.base))


async def test_it_plays_and_goes_on_where_it_was_killed(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    before = await host.reaches(4)
    assert check(before) == []
    assert abs(before.first - time.time()) < PATIENCE  # so that two origins are near each other
    lasts = [one.last for one in map(host.playlist, FOLDERS) if one is not None]
    assert max(lasts) - min(lasts) <= 1
    os.kill(host.encoder(), signal.SIGKILL)
    killed = time.monotonic()
    await until(lambda: (host.playlist() or before).last > before.last + 1, "the next segment")
    assert time.monotonic() - killed < PATIENCE
    after = host.playlist()
    assert after is not None
    assert [one for one in check(after) + compare(before, after) if not one.warning] == []
    assert after.discontinuities == 1
    begins = [begin_of(host.folder() / "270p" / one.uri) for one in after.segments]
    steps = [later - earlier for earlier, later in itertools.pairwise(begins)]
    assert all(0.9 < step < 1.3 for step in steps), (
        steps
    )  # which never go backwards, not even across the kill
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", host.folder() / "master.m3u8"],
        capture_output=True,
        check=True,
    )
    streams = json.loads(shown.stdout)["streams"]
    sizes = {(one["width"], one["height"]) for one in streams if one["codec_type"] == "video"}
    assert sizes == {(480, 270), (320, 180)}
    assert {one["codec_name"] for one in streams} == {"h264", "aac"}
    seen = await host.stream()
    assert seen.generation == "g1-0f3a9c21" and set(seen.playlists) == set(FOLDERS)
    assert seen.publisher is None  # a test pattern has nobody who could be away
    assert {one.problems for one in seen.playlists.values()} == {()}


def begin_of(segment: Path) -> float:
    """When the pictures of a segment begin, by its own clock."""
    (init,) = segment.parent.glob("init*.mp4")
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=start_time", "-of", "csv=p=0", "-"],
        input=init.read_bytes() + segment.read_bytes(),
        capture_output=True,
        check=True,
    )
    return float(shown.stdout)


async def test_segments_stay_below_what_the_master_playlist_says(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    await host.reaches(5)
    for one in ladder(Pattern()).renditions:
        for segment in sorted((host.folder() / one.name).glob("s*.m4s"))[:-1]:
            assert segment.stat().st_size * 8 < one.bitrate * 1.1 * 1.1 + 128_000 * 1.1


async def test_keyframes_fall_together_in_all_renditions(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    await host.reaches(4)
    lengths = []
    for name in ("270p", "180p"):
        playlist = host.playlist(name)
        assert playlist is not None
        lengths.append({playlist.first + at: one.duration for at, one in enumerate(playlist.segments)})
    both = set(lengths[0]) & set(lengths[1])
    assert both and all(lengths[0][one] == lengths[1][one] == 1.0 for one in both)


async def test_a_new_generation_begins_beside_the_old_one_and_the_old_one_is_pruned(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    await host.reaches(2)
    await host.encode(ladder(Pattern(), generation="g2-0f3a9c21"))
    await until(lambda: (host.folder("g2-0f3a9c21") / "270p" / "index.m3u8").exists(), "the new generation")
    seen = await host.stream()
    assert (seen.generation, seen.generations) == ("g2-0f3a9c21", ("g1-0f3a9c21", "g2-0f3a9c21"))
    refused = await host.link.run(prune_argv(str(host.base), "garden", ["g2-0f3a9c21"]))
    assert not refused.ok and refused.complaint == "g2-0f3a9c21 of garden plays now"
    assert (await host.link.run(prune_argv(str(host.base), "garden", ["g1-0f3a9c21"]))).ok
    assert not host.folder().exists()
    await services.stop(host.link, str(host.base), "ladder-garden")
    assert (await host.link.run(prune_argv(str(host.base), "garden", ["g2-0f3a9c21"]))).ok
    assert list((host.base / "spool").iterdir()) == []


async def test_prune_removes_nothing_of_others(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "films"
    (other / "spool" / "garden" / "g1").mkdir(parents=True)
    assert (await host.link.run(prune_argv(str(other), "garden", ["g1"]))).code == 3
    (other / services.MARKER).touch()
    for stream, generation in (("../films", "g1"), ("garden", "../garden"), ("garden", ".."), ("garden", "")):
        assert not (await host.link.run(prune_argv(str(other), stream, [generation]))).ok
    (other / "spool" / "garden" / "g2").symlink_to(tmp_path)
    assert (await host.link.run(prune_argv(str(other), "garden", ["g2", "g3"]))).ok
    assert tmp_path.exists() and (other / "spool" / "garden" / "g1").exists()
    assert (await host.link.run(prune_argv(str(tmp_path / "nowhere"), "garden", ["g1"]))).ok


async def test_a_full_spool_is_said_before_anything_is_started(host: Host) -> None:
    vast = dataclasses.replace(RENDITIONS[0], bitrate=10**16)
    await host.encode(ladder(Pattern(), renditions=(vast,)))
    while not (said := await host.complaint()):
        await asyncio.sleep(0.1)
    assert said.startswith("the spool is full: ")
    assert not list(host.folder().glob("*/*.m3u8"))


async def test_a_spool_that_cannot_be_written_to_is_said(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    await host.reaches(1)
    await services.stop(host.link, str(host.base), "ladder-garden")
    (host.base / "spool").rename(host.base / "away")
    (host.base / "spool").write_text("in the way")  # even for root
    await host.encode(ladder(Pattern()))
    while not (said := await host.complaint()):
        await asyncio.sleep(0.1)
    assert "the spool cannot be written to" in said


@pytest.mark.timeout(90)
async def test_an_encoder_that_hangs_is_flagged_and_then_started_again(host: Host) -> None:
    await host.encode(ladder(Pattern(), stale=3.0))
    before = await host.reaches(3)
    first = host.encoder()
    os.kill(first, signal.SIGSTOP)
    flag = host.base / "stale" / "garden"
    assert 2 < await until(flag.exists, "the flag") < 9
    assert await until(lambda: (host.playlist() or before).last > before.last + 1, "new segments", 40) < 40
    assert host.encoder() != first
    await until(lambda: not flag.exists(), "the end of the flag")


async def test_half_written_and_forgotten_files_are_cleared_away(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    await host.reaches(2)
    await services.stop(host.link, str(host.base), "ladder-garden")
    before = host.playlist()
    assert before is not None
    folder = host.folder() / "270p"
    (folder / "s5.m4s").write_bytes(b"of long ago")
    (folder / "index.m3u8.tmp").write_bytes(b"#EXT")
    await host.encode(ladder(Pattern()))
    await until(lambda: (host.playlist() or before).last > before.last, "the next segment")
    assert not (folder / "s5.m4s").exists()
    assert (folder / f"s{before.last}.m4s").exists()


async def test_torn_playlists_are_begun_anew_further_on(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    before = await host.reaches(3)
    await services.stop(host.link, str(host.base), "ladder-garden")
    (host.folder() / "180p" / "index.m3u8").write_bytes(b"")  # as a full disk leaves it
    await host.encode(ladder(Pattern()))
    await until(lambda: (now := host.playlist()) is not None and now.first > before.first, "new playlists")
    lasts = [one.first for one in map(host.playlist, FOLDERS) if one is not None]
    assert min(lasts) > before.last


async def test_what_lists_segments_that_were_lost_with_the_power_is_begun_anew(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    await host.reaches(3)
    await services.stop(host.link, str(host.base), "ladder-garden")
    stood = host.playlist()
    assert stood is not None
    (host.folder() / "270p" / stood.segments[-1].uri).write_bytes(
        b""
    )  # as a journal leaves what was not synced
    await host.encode(ladder(Pattern()))
    await until(lambda: (now := host.playlist()) is not None and now.first > stood.last, "new playlists")
    now = host.playlist()
    assert now is not None and all((host.folder() / "270p" / one.uri).stat().st_size for one in now.segments)


async def test_what_stood_still_for_long_begins_anew_by_the_clock_and_its_times_go_on(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    before = await host.reaches(3)
    await services.stop(host.link, str(host.base), "ladder-garden")
    stood = host.playlist()
    assert stood is not None
    ended = begin_of(host.folder() / "270p" / stood.segments[-1].uri)
    long_ago = time.time() - 600
    for folder in FOLDERS:  # as after ten minutes without power
        os.utime(host.folder() / folder / "index.m3u8", (long_ago, long_ago))
    await host.encode(ladder(Pattern()))
    await until(lambda: (now := host.playlist()) is not None and now.first > stood.last, "new playlists")
    after = host.playlist()
    assert after is not None and after.first > before.last
    assert abs(after.first - time.time()) < PATIENCE  # where another origin is, too
    assert begin_of(host.folder() / "270p" / after.segments[0].uri) > ended


async def test_a_file_of_the_library_is_played_again_and_again(host: Host, tmp_path: Path) -> None:
    film = made_film(tmp_path / "it's: a film.mkv", "3")
    await host.encode(ladder(File(str(film))))
    playlist = await host.reaches(6)
    assert check(playlist) == []


async def test_another_frame_rate_is_written_in_the_same_units(host: Host, tmp_path: Path) -> None:
    """A phone follows a studio: players keep the init.mp4 that they have, and read all further segments by it."""
    units = []
    for rate in ("24", "30"):
        film = made_film(tmp_path / f"{rate}.mkv", "3", more=["-r", rate])
        one = ladder(File(str(film)), generation=f"g{rate}-0f3a9c21")
        await host.encode(one)
        folder = host.folder(one.generation) / "270p"
        await until(partial(written, folder), f"a segment at {rate} pictures a second")
        units.append(units_of(next(folder.glob("init*.mp4"))))
    assert units == [90_000, 90_000]


def written(folder: Path) -> bool:
    return (folder / "index.m3u8").exists() and any(folder.glob("s*.m4s"))


def units_of(init: Path) -> int:
    """Units per second of the times of its only track: `mdhd` of version 0 (ISO/IEC 14496-12, 8.4.2)."""
    content = init.read_bytes()
    at = content.index(b"mdhd") + 4
    assert content[at] == 0
    return int.from_bytes(content[at + 12 : at + 16], "big")


@pytest.mark.parametrize(
    ("film", "said"),
    [("none.mkv", "it is not there"), ("text.mkv", "it is nothing that can be played"),
     ("low.mkv", "it has 180 lines, and a rendition with 270 is asked for"), ("mute.mkv", "there is no sound in it")],
)  # fmt: skip
async def test_a_file_that_cannot_be_played_is_refused_and_nothing_is_started(
    host: Host, tmp_path: Path, film: str, said: str
) -> None:
    file = tmp_path / film
    match film:
        case "text.mkv":
            file.write_text("no film")
        case "low.mkv":
            made_film(file, "1", "320x180")
        case "mute.mkv":
            made_film(file, "1", more=["-an"])
    with pytest.raises(ActionFailed, match=said) as caught:
        await host.encode(ladder(File(str(file))))
    assert caught.value.reason == "CheckFailed"
    assert not (host.base / "spool").exists()


def made_film(file: Path, seconds: str, size: str = "480x270", more: list[str] | None = None) -> Path:
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=s={size}:r=25",
        "-f",
        "lavfi",
        "-i",
        "sine",
    ]
    command += [
        "-t",
        seconds,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-c:a",
        "aac",
        *(more or []),
        str(file),
    ]
    subprocess.run(command, check=True)
    return file


# --- publishers --------------------------------------------------------------------------------------------------


async def ingesting(host: Host) -> int:
    need("nginx")
    port = free_endpoint_port()
    line = KeyLine(name="garden-obs", stream="garden", verifier=verifier(KEY))
    await host.put(ingest.service(ingest.IngestSite(rtmp_port=port, address="127.0.0.1")))
    await services.put_file(host.link, str(host.base), "keys.json", keys_json([line]))
    await host.encode(ladder(Published(ingest.play_url("garden", port))))
    return port


@pytest.mark.timeout(120)
async def test_a_publisher_who_comes_back_goes_on_in_the_same_playlists(host: Host) -> None:
    port = await ingesting(host)
    await until(lambda: (host.base / "services/rtmp/pid").exists(), "the ingest")
    await asyncio.sleep(0.5)
    publisher = host.publish(f"rtmp://127.0.0.1:{port}/ingest/{KEY}")
    before = await host.reaches(3)
    seen = await host.look(stat_port=ingest.IngestSite(rtmp_port=port).control_port)
    stream = seen.streams["garden"]
    assert stream.publisher == "garden-obs" and seen.keys["garden-obs"].used is not None
    assert stream.incoming is not None
    assert (stream.incoming.codec, stream.incoming.width, stream.incoming.height) == ("h264", 480, 270)

    publisher.kill()
    publisher.wait()
    while (await services.status(host.link, str(host.base)))[0].state is not ServiceState.WAITING:
        await asyncio.sleep(0.1)
    assert (await host.stream()).publisher == ""
    assert not (host.base / "stale" / "garden").exists()  # viewers wait for what comes next
    left = host.playlist()
    assert left is not None

    host.publish(f"rtmp://127.0.0.1:{port}/ingest/{KEY}")
    took = await until(lambda: (host.playlist() or left).last > left.last, "the next segment")
    after = host.playlist()
    assert after is not None and took < PATIENCE
    assert [one for one in compare(left, after) if not one.warning] == []
    assert after.first <= before.last + 6
    assert KEY not in host.all_text()


@pytest.mark.timeout(90)
async def test_what_comes_without_sound_is_played_with_silence_until_there_is_one(host: Host) -> None:
    port = await ingesting(host)
    await until(lambda: (host.base / "services/rtmp/pid").exists(), "the ingest")
    await asyncio.sleep(0.5)
    silent = PUBLISHER[: PUBLISHER.index("sine=sample_rate=48000") - 4]
    silent += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-f", "flv"]
    url = f"rtmp://127.0.0.1:{port}/ingest/{KEY}"
    publisher = subprocess.Popen([*silent, url], stderr=subprocess.DEVNULL)
    host.publishers.append(publisher)
    before = await host.reaches(3)
    assert await host.reaches(3, "audio")
    assert loudest(host, host.folder() / "audio") < -80
    assert "silence" in host.all_text()

    publisher.kill()
    publisher.wait()
    await until(lambda: not (host.base / "publishing/garden").exists(), "the end of it")
    host.publish(url)
    left = host.playlist()
    assert left is not None and left.last >= before.last
    await until(lambda: (host.playlist() or left).last > left.last + 1, "the next segments")
    now = host.playlist()
    assert now is not None and [one for one in compare(left, now) if not one.warning] == []
    await until(lambda: loudest(host, host.folder() / "audio") > -40, "the sound")


@pytest.mark.timeout(90)
async def test_a_publisher_whose_clock_jumps_is_played_on_at_its_pace(host: Host) -> None:
    port = await ingesting(host)
    await until(lambda: (host.base / "services/rtmp/pid").exists(), "the ingest")
    await asyncio.sleep(0.5)
    jump = "setpts='PTS+if(gte(T,6),3600,0)/TB'"
    jumping = ["-vf", jump, "-vsync", "passthrough", "-af", f"a{jump}", "-f", "flv"]
    url = f"rtmp://127.0.0.1:{port}/ingest/{KEY}"
    host.publishers.append(subprocess.Popen([*PUBLISHER, *jumping, url], stderr=subprocess.DEVNULL))
    await host.reaches(3)
    began = time.monotonic()
    after = await host.reaches(14)
    assert time.monotonic() - began > 8  # an hour of one picture would take it two seconds
    assert {one.duration for one in after.segments} == {1.0}


def loudest(host: Host, folder: Path) -> float:
    """How loud the newest segment is, in dB; -91 is silence."""
    (init,) = sorted(folder.glob("init*.mp4"))[-1:]
    (newest,) = sorted(folder.glob("s*.m4s"))[-1:]
    heard = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostdin", "-i", "-", "-af", "volumedetect", "-f", "null", "-"],
        input=init.read_bytes() + newest.read_bytes(),
        capture_output=True,
        check=True,
    )
    (found,) = re.findall(r"max_volume: (\S+) dB", heard.stderr.decode())
    return float(found)


@pytest.mark.timeout(90)
async def test_srt_takes_the_right_passphrase_alone_and_tells_it_nowhere(host: Host) -> None:
    (port,) = free_ports()
    right, wrong = "it's a long and odd passphrase", "another passphrase"
    await host.encode(ladder(Srt(port, address="127.0.0.1", passphrase="mark")), right)
    await asyncio.sleep(1.5)
    assert (await host.stream()).publisher == ""
    url = f"srt://127.0.0.1:{port}?pbkeylen=16&passphrase="
    refused = host.publish(url + wrong, "mpegts")
    assert refused.wait(PATIENCE) != 0
    publisher = host.publish(url + right, "mpegts")
    await host.reaches(1)
    while not (await host.stream()).publisher:
        await asyncio.sleep(0.1)
    assert (await host.stream()).publisher == "-"
    assert "odd passphrase" not in host.all_text()
    publisher.kill()
    while (await host.stream()).publisher:
        await asyncio.sleep(0.1)


async def test_an_address_that_is_a_secret_is_in_no_log(host: Host) -> None:
    (port,) = free_ports()
    secret = f"rtmp://ann:hunter2@127.0.0.1:{port}/app/key-that-is-secret"
    await host.encode(ladder(Pulled(mark="m")), secret)
    while not await host.complaint():
        await asyncio.sleep(0.1)
    assert (await host.stream()).publisher == ""
    text = host.all_text() + await host.complaint()
    assert "Impossible to open" in text or "refused" in text
    assert "hunter2" not in text and "key-that-is-secret" not in text
    assert "hunter2" not in Path(f"/proc/{os.getpid()}/cmdline").read_text()


# --- relay ---------------------------------------------------------------------------------------------------------


class _Passing(SimpleHTTPRequestHandler):
    """Gives out a spool as the relay's own server does what a source has."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(re.sub(r"^/source/[a-z]+/", "/spool/", path))

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def web(host: Host) -> Iterator[int]:
    """Serves the spool of `host`."""
    host.base.mkdir()
    (host.base / services.MARKER).touch()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Passing, directory=str(host.base)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.timeout(90)
async def test_a_relay_has_all_renditions_and_goes_on_after_a_change_of_source(
    host: Host, web: int, tmp_path: Path
) -> None:
    one = ladder(Pattern())
    await host.encode(one)
    await host.reaches(4)
    edge = Host(tmp_path / "telarchy-home-edge")
    made = Relay(
        stream="garden",
        generation=one.generation,
        pictures=one.pictures,
        preset="ultrafast",
        segment=1.0,
        source="one",
        mark="a",
        port=web,
    )
    try:
        await edge.put(relay.service(made))
        before = await edge.reaches(4)
        assert check(before) == []
        assert {name: edge.playlist(name) is not None for name in FOLDERS} == dict.fromkeys(FOLDERS, True)
        os.kill(host.encoder(), signal.SIGKILL)  # the copy goes on when its source does
        killed = edge.playlist() or before
        await until(lambda: (edge.playlist() or before).last > killed.last + 3, "what comes after the kill")
        assert (await edge.look()).services["relay-garden"].starts == 1
        before = edge.playlist() or before
        other = dataclasses.replace(made, source="two", mark="b")
        await edge.put(relay.service(other))
        await until(lambda: (edge.playlist() or before).last > before.last + 2, "segments of the new source")
        after = edge.playlist()
        assert after is not None and after.discontinuities >= 1
        assert [one for one in compare(before, after) if not one.warning] == []
        probed = subprocess.run(
            ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,height", "-of", "json"]
            + [str(edge.folder() / "master.m3u8")],
            capture_output=True,
            check=True,
        )
        heights = {one.get("height") for one in json.loads(probed.stdout)["streams"]}
        assert heights == {270, 180, None}
        seen = await edge.look()
        assert seen.streams["garden"].publisher is None
    finally:
        await services.retire(edge.link, str(edge.base))


async def test_a_watch_ends_when_nobody_listens(host: Host) -> None:
    await host.encode(ladder(Pattern()))
    process = await asyncio.create_subprocess_exec(
        *watch_argv(str(host.base)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    reports, found = Reports("origin"), 0
    while found < 3:
        found += len(reports.feed(await process.stdout.read(65536), time.time()))
    process.stdout._transport.close()  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE):
        await process.wait()


async def test_what_is_no_folder_of_ours_is_told_and_what_is_not_there_is_absent(host: Host) -> None:
    seen = await host.look()
    assert not seen.present and not seen.trouble and not seen.streams
    host.base.mkdir()
    (host.base / "film.mkv").touch()
    seen = await host.look()
    assert not seen.present and "no folder of Telarchy's" in seen.trouble
    with pytest.raises(ActionFailed):
        await host.encode(ladder(Pattern()))
    (host.base / "film.mkv").unlink()
    host.base.rmdir()
