"""The built-in media plane: it serves what a ladder laid down, by the rules that the rendered nginx has."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from telarchy.resources.meta import Ref
from telarchy.streaming import tokens
from telarchy.web.accesslog import AccessLogs
from telarchy.web.fleetview import Views
from telarchy.web.plane import MediaPlane, meaning
from telarchy.web.sites import PlaneSites
from tests.unit.web.doors import GENERATION, SECRET, door, live

SEGMENT = bytes(range(256)) * 300
SOON, PAST, LONG_PAST = (
    3600,
    -60,
    -3600,
)  # seconds from when a test runs, which may be long after it was collected


def token(secret: str, stream: str, lasts: int) -> str:
    return tokens.sign(secret, stream, int(time.time()) + lasts)


def manifests(spool: Path, port: int, **more: Any) -> str:
    return f"""
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {{name: desk}}
spec: {{class: Consumer, connection: {{local: {{}}}}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {{name: desk-origin}}
spec:
  hostRef: desk
  role: Origin
  spool: {{path: "{spool}"}}
  listen: {{http: {port}, address: 127.0.0.1}}
  cors: {more.get("cors", '["*"]')}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {{name: garden}}
spec: {{visibility: Public, ingest: {{test: {{}}}}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {{name: nursery}}
spec: {{visibility: Private, ingest: {{test: {{}}}}}}
"""


def lay(base: Path, stream: str) -> None:
    folder = base / "spool" / stream / GENERATION
    (folder / "720p").mkdir(parents=True)
    (folder / "master.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p/index.m3u8\n")
    (folder / "720p" / "index.m3u8").write_text("#EXTM3U\n#EXT-X-DISCONTINUITY\n")
    (folder / "720p" / "init_0.mp4").write_bytes(b"init")
    (folder / "720p" / "s17.m4s").write_bytes(SEGMENT)
    (folder / "720p" / "s18.m4s").write_bytes(b"")
    (folder / "720p" / "s19.m4s.tmp").write_bytes(b"half")
    (base / "keys.json").write_text("never served")


def free_port() -> int:
    """One that is free, and its health port too."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                other.bind(("127.0.0.1", port + 10000 if port <= 55535 else port - 10000))
            except OSError:
                continue
            return port


class Plane:
    def __init__(self, base: Path, port: int, client: aiohttp.ClientSession, logs: AccessLogs) -> None:
        self.base, self.port, self.client, self.logs = base, port, client, logs
        self.health = port + 10000 if port <= 55535 else port - 10000

    async def get(self, path: str, **more: Any) -> aiohttp.ClientResponse:
        async with self.client.get(f"http://127.0.0.1:{self.port}{path}", **more) as answer:
            self.body = await answer.read()
            return answer


@asynccontextmanager
async def plane(tmp_path: Path, **more: Any) -> AsyncIterator[Plane]:
    port = free_port()
    base = tmp_path / "spool" / "telarchy-default.desk-origin"
    for stream in ("garden", "nursery"):
        lay(base, stream)
    fleet = door({"garden": live("desk-origin")}, manifests=manifests(tmp_path / "spool", port, **more))
    views = Views(lambda: [fleet])
    logs = AccessLogs()
    sites = PlaneSites(views, MediaPlane(views, logs), lambda ref, why, needed: pytest.fail(why))
    running = asyncio.create_task(sites.run())
    try:
        await sites.look()
        async with aiohttp.ClientSession() as client:
            yield Plane(base, port, client, logs)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await logs.close()


LIVE = f"/live/garden/{GENERATION}"


async def test_it_serves_each_kind_with_its_own_headers(tmp_path: Path) -> None:
    async with plane(tmp_path) as one:
        for path, kind, kept in (
            (f"{LIVE}/master.m3u8", "application/vnd.apple.mpegurl", "max-age=1"),
            (f"{LIVE}/720p/index.m3u8", "application/vnd.apple.mpegurl", "max-age=1"),
            (f"{LIVE}/720p/init_0.mp4", "video/mp4", "immutable"),
            (f"{LIVE}/720p/s17.m4s", "video/iso.segment", "immutable"),
        ):
            answer = await one.get(path)
            assert (answer.status, answer.content_type) == (200, kind)
            assert kept in answer.headers["Cache-Control"]
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert one.body == SEGMENT


async def test_the_address_that_stays_leads_to_the_generation_that_plays_now(tmp_path: Path) -> None:
    async with plane(tmp_path) as served:
        path = "/live/garden/master.m3u8"
        assert (await served.get(path)).status == 404
        for stream in ("garden", "nursery"):
            (served.base / f"spool/{stream}/current").write_text(f"{GENERATION}\n")
        answer = await served.get(path, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, f"{GENERATION}/master.m3u8")
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await served.get(path)).status == 200 and b"720p/index.m3u8" in served.body
        assert (await served.get(f"{LIVE}/720p/index.m3u8")).status == 200
        assert served.body == b"#EXTM3U\n"  # a new start of the encoder is none of the players' business
        signed = token(SECRET, "nursery", SOON) + "/live/nursery/master.m3u8"
        assert (await served.get("/live/nursery/master.m3u8")).status == 403
        assert (await served.get(token(SECRET, "nursery", PAST) + "/live/nursery/master.m3u8")).status == 410
        answer = await served.get(signed)
        assert answer.status == 200 and str(answer.url).endswith(f"/live/nursery/{GENERATION}/master.m3u8")
        (served.base / "spool/garden/current").write_text("../../keys.json")
        assert (await served.get(path)).status == 404
        assert (await served.get("/health/garden/master.m3u8")).status == 404


async def test_ranges_are_answered(tmp_path: Path) -> None:
    async with plane(tmp_path) as one:
        answer = await one.get(f"{LIVE}/720p/s17.m4s", headers={"Range": "bytes=10-19"})
        assert (answer.status, one.body) == (206, SEGMENT[10:20])
        assert answer.headers["Content-Range"] == f"bytes 10-19/{len(SEGMENT)}"
        answer = await one.get(f"{LIVE}/720p/s17.m4s", headers={"Range": "bytes=999999-"})
        assert answer.status == 416


async def test_what_is_not_there_is_kept_by_nobody(tmp_path: Path) -> None:
    async with plane(tmp_path) as one:
        for path in (
            f"{LIVE}/720p/s99.m4s",
            f"{LIVE}/720p/s18.m4s",  # empty
            f"{LIVE}/480p/index.m3u8",
            "/live/garden/g9-00000000/master.m3u8",
            "/live/unheard/g1-00000000/master.m3u8",
        ):
            answer = await one.get(path)
            assert (answer.status, answer.headers["Cache-Control"]) == (404, "no-store"), path


@pytest.mark.parametrize(
    "path",
    [
        "/keys.json",
        "/live/keys.json",
        f"{LIVE}/720p/../../../../keys.json",
        f"{LIVE}/720p/..%2f..%2f..%2f..%2fkeys.json",
        f"{LIVE}/%2e%2e/{GENERATION}/master.m3u8",
        "/live/../live/garden/x/master.m3u8",
        f"{LIVE}/720p/s19.m4s.tmp",
        f"{LIVE}/720p/",
        f"{LIVE}//720p/index.m3u8",
        f"{LIVE}/720p/index.m3u8/",
        f"{LIVE}/720p/INDEX.m3u8",
        "/live/garden/current/master.m3u8",
        f"{LIVE}/720p/s٣.m4s",
        f"{LIVE}/720p/s17.m4s%00",
        f"{LIVE}\\720p\\index.m3u8",
        f"/health/garden/{GENERATION}/720p/index.m3u8",  # only on the other listener
        "/p/" + "A" * 43 + "/12345/live/garden/x/master.m3u8",
    ],
)
async def test_tricks_with_paths_lead_nowhere(tmp_path: Path, path: str) -> None:
    async with plane(tmp_path) as one:
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    assert answer.split(b" ", 2)[1] in (b"404", b"400"), answer
    assert b"never served" not in answer


async def test_a_stale_stream_sends_viewers_elsewhere(tmp_path: Path) -> None:
    async with plane(tmp_path) as one:
        (one.base / "stale").mkdir()
        (one.base / "stale" / "garden").touch()
        for path in ("master.m3u8", "720p/index.m3u8", "720p/s17.m4s"):
            answer = await one.get(f"{LIVE}/{path}")
            assert (answer.status, answer.headers["Cache-Control"]) == (503, "no-store")
        health = f"http://127.0.0.1:{one.health}/health/garden/{GENERATION}/720p/index.m3u8"
        async with one.client.get(health) as answer:
            assert answer.status == 200  # the host itself goes on looking
        (one.base / "stale" / "garden").unlink()
        assert (await one.get(f"{LIVE}/master.m3u8")).status == 200


async def test_an_empty_playlist_is_not_given_out(tmp_path: Path) -> None:
    async with plane(tmp_path) as one:
        (one.base / "spool" / "garden" / GENERATION / "720p" / "index.m3u8").write_bytes(b"")
        assert (await one.get(f"{LIVE}/720p/index.m3u8")).status == 503


@pytest.mark.parametrize(
    ("signed", "master", "playlist"),
    [
        (None, 403, 403),
        ((SECRET, "nursery", SOON), 200, 200),
        ((SECRET, "garden", SOON), 403, 403),
        (("guessed", "nursery", SOON), 403, 403),
        ((SECRET, "nursery", PAST), 410, 200),  # what runs goes on for a while
        ((SECRET, "nursery", LONG_PAST), 410, 410),
    ],
)
async def test_a_private_stream_needs_a_token(
    tmp_path: Path, signed: tuple[str, str, int] | None, master: int, playlist: int
) -> None:
    prefix = token(*signed) if signed is not None else ""
    path = f"{prefix}/live/nursery/{GENERATION}"
    async with plane(tmp_path) as one:
        assert (await one.get(f"{path}/master.m3u8")).status == master
        assert (await one.get(f"{path}/720p/index.m3u8")).status == playlist
        assert (await one.get(f"{path}/720p/s17.m4s")).status == playlist
        if prefix:  # edges of the fleet show it in a header, so that no log has it
            shown = {tokens.HEADER: prefix.removeprefix("/p/")}
            answer = await one.get(f"/live/nursery/{GENERATION}/720p/index.m3u8", headers=shown)
            assert answer.status == playlist


async def test_the_host_itself_looks_without_a_token(tmp_path: Path) -> None:
    async with plane(tmp_path) as one:
        health = f"http://127.0.0.1:{one.health}"
        for stream in ("garden", "nursery"):
            async with one.client.get(f"{health}/health/{stream}/{GENERATION}/720p/index.m3u8") as answer:
                assert answer.status == 200
        async with one.client.get(f"{health}{LIVE}/master.m3u8") as answer:
            assert answer.status == 404
        await one.logs.close()
        assert not (one.base / "log" / "access.log").exists()


async def test_requests_become_lines_without_tokens_and_addresses(tmp_path: Path) -> None:
    signed = token(SECRET, "nursery", SOON)
    async with plane(tmp_path) as one:
        for path in (f"{LIVE}/720p/index.m3u8", f"{LIVE}/720p/s17.m4s", f"{LIVE}/720p/s99.m4s"):
            await one.get(path)
        await one.get(f"{signed}/live/nursery/{GENERATION}/master.m3u8")
        await one.get(f"{LIVE}/720p/index.m3u8", headers={"User-Agent": "another\tplayer\n"[:14]})
        await one.logs.close()
        text = (one.base / "log" / "access.log").read_text()
    lines = [line.split("\t") for line in text.splitlines()]
    assert [(line[1], line[2], line[5]) for line in lines] == [
        ("playlist", "garden", "200"),
        ("segment", "garden", "200"),
        ("segment", "garden", "404"),
        ("master", "nursery", "200"),
        ("playlist", "garden", "200"),
    ]
    assert lines[1][6] == str(len(SEGMENT))
    assert all(len(line) == 10 for line in lines)
    assert [len(line[9]) for line in lines] == [16, 1, 1, 16, 16]
    assert len({lines[0][9], lines[3][9], lines[4][9]}) == 3
    assert "127.0.0.1" not in text and signed.split("/")[2] not in text


async def test_only_named_pages_may_play_where_it_says_so(tmp_path: Path) -> None:
    async with plane(tmp_path, cors='["https://tv.example"]') as one:
        mine = await one.get(f"{LIVE}/master.m3u8", headers={"Origin": "https://tv.example"})
        other = await one.get(f"{LIVE}/master.m3u8", headers={"Origin": "https://evil.example"})
        assert mine.headers["Access-Control-Allow-Origin"] == "https://tv.example"
        assert "Access-Control-Allow-Origin" not in other.headers
        assert mine.headers["Vary"] == other.headers["Vary"] == "Origin"
        async with one.client.options(f"http://127.0.0.1:{one.port}{LIVE}/master.m3u8") as answer:
            assert answer.status == 204 and "Range" in answer.headers["Access-Control-Allow-Headers"]
        async with one.client.post(f"http://127.0.0.1:{one.port}{LIVE}/master.m3u8") as answer:
            assert answer.status == 405


async def test_a_port_that_is_taken_is_told_once_and_tried_again(tmp_path: Path) -> None:
    port, told = free_port(), list[tuple[Ref, str]]()
    fleet = door({}, manifests=manifests(tmp_path / "spool", port))
    views = Views(lambda: [fleet])
    sites = PlaneSites(views, MediaPlane(views), lambda ref, why, needed: told.append((ref, why)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        await sites.look()
        await sites.look()
    assert [ref.name for ref, _ in told] == ["desk-origin"]
    assert f"127.0.0.1:{port} cannot be listened on" in told[0][1]
    for site in sites._sites.values():
        site.again = 0.0
    await sites.look()
    assert all(site.runner is not None for site in sites._sites.values())
    assert [why for _, why in told[1:]] == [""], "that it is served now"
    running = asyncio.create_task(sites.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not sites._sites


@pytest.mark.parametrize(("pages", "needed"), [((), True), ((8090,), False)], ids=["alone", "with pages"])
async def test_a_port_that_is_taken_matters_where_nothing_else_serves(
    tmp_path: Path, pages: tuple[int, ...], needed: bool
) -> None:
    port, told = free_port(), list[bool]()
    fleet = door({}, manifests=manifests(tmp_path / "spool", port))
    views = Views(lambda: [fleet])
    plane = MediaPlane(views)
    sites = PlaneSites(views, plane, lambda ref, why, needed: told.append(needed), taken=frozenset(pages))
    with socket.create_server(("127.0.0.1", port)):
        running = asyncio.create_task(sites.run())
        while not told:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert told == [needed]


def test_a_path_means_one_thing() -> None:
    asked = meaning(f"/p/{'a' * 43}/1795228800/live/garden/g1-0000000a/720p/s5.m4s")
    assert asked is not None
    assert (asked.kind, asked.path) == ("segment", "spool/garden/g1-0000000a/720p/s5.m4s")
    assert asked.token == ("a" * 43, "1795228800")
