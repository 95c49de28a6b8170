"""Edges with real nginx and Varnish before real origins: one fetch per object, and the next source when one fails."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from telarchy.errors import ConfigError
from telarchy.streaming import edge, serving, tokens, varnish
from telarchy.streaming.edge import EdgeSite
from telarchy.streaming.serving import OriginSite, SiteStream
from tests.unit.streaming.conftest import Run
from tests.unit.streaming.running import (
    Answer,
    Running,
    free_endpoint_port,
    get,
    listening,
    need,
    texts,
    wait,
)
from tests.unit.streaming.test_serving import GENERATION, PLAYLIST, SEGMENT, fill

SECRET = "s3cret-ünïcode"
SECRETS = {tokens.TOKENS_FILE: tokens.tokens_json({"attic": (SECRET,)})}
PRIVATE = SiteStream(name="attic")
OPEN = SiteStream(name="garden", private=False)


class Far:
    """A source as it is from far away: what is sent to it arrives later."""

    def __init__(self, port: int, delay: float) -> None:
        self.target, self.delay = port, delay
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._pass, args=(near, far, self.delay), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, 0.0), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, delay: float) -> None:
        try:
            while data := one.recv(65536):
                time.sleep(delay)
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self.listener.close()


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Server:
    """An origin or an edge on loopback."""

    def __init__(self, run: Run, name: str, site: OriginSite, *, program: str = "varnishd") -> None:
        self.site, self.port = site, site.http_port
        if isinstance(site, EdgeSite):
            if site.varnish:
                self.cache: Running = run(varnish.service(site, program), base=name)
                wait(lambda: answers(self.cache.base / edge.CACHE_SOCKET), what="varnish")
            service = edge.service(site)
        else:
            service = serving.service(site)
        self.running: Running = run(service, SECRETS if site.has_private else {}, base=name)
        self.base: Path = self.running.base
        wait(lambda: listening(self.port), what=name)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> Answer:
        return get(self.url + path, **headers)

    def requests(self) -> Counter[str]:
        """How often each kind was asked for."""
        time.sleep(1.2)
        file = self.base / "log" / "access.log"
        return Counter(line.split("\t")[1] for line in file.read_text().splitlines())

    def log(self) -> list[list[str]]:
        time.sleep(1.2)
        return [one.split("\t") for one in (self.base / "log" / "access.log").read_text().splitlines()]


def origin(run: Run, name: str) -> Server:
    site = OriginSite(
        http_port=free_endpoint_port(), address="127.0.0.1", streams=(OPEN, PRIVATE), secrets="mark"
    )
    server = Server(run, name, site)
    fill(server.base, "garden")
    fill(server.base, "attic")
    return server


def edge_of(run: Run, *sources: str, kind: str = "nginx", name: str = "edge") -> Server:
    streams = (replace(OPEN, sources=sources), replace(PRIVATE, sources=sources))
    site = EdgeSite(
        http_port=free_endpoint_port(),
        address="127.0.0.1",
        streams=streams,
        secrets="mark",
        varnish=kind == "varnish",
        size=64 << 20,
        memory=64 << 20,
    )
    return Server(run, name, site)


@pytest.fixture(params=["nginx", "varnish"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "varnish":
        need("varnishd", "cc")
    return str(request.param)


@pytest.fixture
def far() -> Iterator[list[Far]]:
    made: list[Far] = []
    yield made
    for one in made:
        one.close()


def together(count: int, url: str) -> Counter[int]:
    """What so many viewers are answered who ask in the same moment."""
    gate, statuses = threading.Barrier(count), []

    def ask() -> None:
        gate.wait()
        statuses.append(get(url).status)

    viewers = [threading.Thread(target=ask) for _ in range(count)]
    for one in viewers:
        one.start()
    for one in viewers:
        one.join()
    return Counter(statuses)


def test_of_fifty_viewers_one_reaches_the_origin(run: Run, kind: str, far: list[Far]) -> None:
    source = origin(run, "origin")
    far.append(Far(source.port, 0.15))
    near = edge_of(run, f"http://127.0.0.1:{far[0].port}", kind=kind)
    prefix = tokens.sign(SECRET, "attic", int(time.time()) + 60)
    assert together(50, f"{near.url}/live/garden/{SEGMENT}") == {200: 50}
    assert together(50, f"{near.url}{prefix}/live/attic/{SEGMENT}") == {200: 50}
    assert together(50, f"{near.url}/live/garden/{PLAYLIST}") == {200: 50}
    seen = source.requests()
    assert seen["segment"] == 2
    assert seen["playlist"] <= 2  # the answer lasts a second
    caches = Counter(line[7] for line in near.log())
    assert caches["HIT"] >= 140
    prints = {(answer.body, answer.headers["x-cache"]) for answer in [near.get(f"/live/garden/{SEGMENT}")]}
    assert prints == {(bytes(range(256)) * 40, "HIT")}


def test_tokens_are_checked_at_the_edge_and_are_in_no_file(run: Run, kind: str) -> None:
    source = origin(run, "origin")
    near = edge_of(run, source.url, kind=kind)
    good = tokens.sign(SECRET, "attic", int(time.time()) + 60)
    other = tokens.sign(SECRET, "attic", int(time.time()) + 90)
    bad = tokens.sign("another", "attic", int(time.time()) + 60)
    assert near.get(f"{good}/live/attic/{SEGMENT}").headers["x-cache"] == "MISS"
    assert near.get(f"{other}/live/attic/{SEGMENT}").headers["x-cache"] == "HIT"
    assert near.get(f"{bad}/live/attic/{SEGMENT}").status == 403
    assert near.get(f"/live/attic/{SEGMENT}").status == 403
    assert near.get(f"/live/garden/{SEGMENT}", Authorization="Basic x").status == 200
    assert near.get(f"{good}/live/attic/{SEGMENT}", Range="bytes=1-2").body == b"\x01\x02"
    lines = source.log()
    assert {line[9] for line in lines} == {"-"}  # an edge is no viewer
    source.running.kill()
    assert near.get(f"{good}/live/attic/{GENERATION}/720p/init_0.mp4").status in (502, 503, 504)
    for server in (source, near):
        everything = texts(server.base)
        for token in (good, other, bad):
            assert token.split("/")[2] not in everything
        assert "/p/" not in (server.base / "log" / "access.log").read_text()


def test_the_address_that_stays_leads_on_through_edges(run: Run, kind: str) -> None:
    source = origin(run, "origin")
    near = edge_of(run, source.url, kind=kind)
    further = edge_of(run, near.url, name="further")
    assert further.get("/live/garden/master.m3u8").status == 404
    for stream in ("garden", "attic"):
        (source.base / f"spool/{stream}/current").write_text(f"{GENERATION}\n")
    good = tokens.sign(SECRET, "attic", int(time.time()) + 60)
    for server in (near, further):
        assert server.get("/live/attic/master.m3u8").status == 403
        for path in ("/live/garden", f"{good}/live/attic"):
            answer = server.get(f"{path}/master.m3u8")
            assert (answer.status, answer.headers["location"]) == (302, f"{GENERATION}/master.m3u8")
            assert answer.headers["cache-control"] == "no-store"
            assert server.get(f"{path}/{answer.headers['location']}").status == 200
    (source.base / "spool/garden/current").write_text("g2-00c0ffee\n")
    wait(
        lambda: further.get("/live/garden/master.m3u8").headers["location"].startswith("g2-"),
        what="the next generation",
    )
    assert together(50, f"{further.url}/live/garden/master.m3u8") == {302: 50}


def test_what_went_wrong_is_asked_for_again(run: Run, kind: str) -> None:
    source = origin(run, "origin")
    near = edge_of(run, source.url, kind=kind)
    late = f"{GENERATION}/720p/s13.m4s"
    answer = near.get(f"/live/garden/{late}")
    assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
    (source.base / "spool" / "garden" / GENERATION / "720p" / "s13.m4s").write_bytes(b"new")
    answer = near.get(f"/live/garden/{late}")
    assert (answer.status, answer.body) == (200, b"new")
    assert answer.headers["cache-control"] == "max-age=31536000, immutable"
    assert answer.headers["access-control-allow-origin"] == "*"
    (source.base / "stale" / "garden").touch()
    stale = near.get(f"/live/garden/{GENERATION}/master.m3u8")
    assert (stale.status, stale.headers["retry-after"]) == (503, "1")
    (source.base / "stale" / "garden").unlink()
    assert near.get(f"/live/garden/{GENERATION}/master.m3u8").status == 200


def test_the_next_source_is_asked_when_one_is_stale_or_gone(run: Run, kind: str) -> None:
    first, second, third = (origin(run, name) for name in ("first", "second", "third"))
    for name, server in (("first", first), ("second", second), ("third", third)):
        for number in range(20, 30):
            segment = server.base / "spool" / "garden" / GENERATION / "720p" / f"s{number}.m4s"
            segment.write_text(name)
    near = edge_of(run, second.url, first.url, third.url, kind=kind)  # not the order of their names

    def served(number: int) -> str:
        answer = near.get(f"/live/garden/{GENERATION}/720p/s{number}.m4s")
        assert answer.status == 200
        return answer.body.decode()

    assert [served(number) for number in (20, 21, 22)] == ["second"] * 3
    (second.base / "stale" / "garden").touch()
    assert [served(number) for number in (23, 24)] == ["first"] * 2
    assert (
        near.get(f"{tokens.sign(SECRET, 'attic', int(time.time()) + 60)}/live/attic/{PLAYLIST}").status == 200
    )
    first.running.kill()
    assert [served(number) for number in (25, 26)] == ["third"] * 2
    (second.base / "stale" / "garden").unlink()
    assert served(27) == "second"
    second.running.kill()
    assert served(28) == "third"
    if kind == "nginx":
        assert any("503, 200" in line[8] for line in near.log())  # what failed is on the record


def test_a_source_that_hangs_costs_a_moment_and_not_the_viewers(run: Run, kind: str) -> None:
    first, second = origin(run, "first"), origin(run, "second")
    near = edge_of(run, first.url, second.url, kind=kind)
    assert near.get(f"/live/garden/{PLAYLIST}").status == 200
    group = os.getpgid(first.running.process.pid)
    os.killpg(group, signal.SIGSTOP)
    try:
        start = time.monotonic()
        assert together(20, f"{near.url}/live/garden/{SEGMENT}") == {200: 20}
        assert time.monotonic() - start < 6
    finally:
        os.killpg(group, signal.SIGCONT)
    assert second.requests()["segment"] == 1


def test_a_change_of_order_is_a_reload_and_loses_nothing(run: Run) -> None:
    first, second = origin(run, "first"), origin(run, "second")
    (second.base / "spool" / "garden" / GENERATION / "720p" / "s12.m4s").write_text("second")
    near = edge_of(run, first.url, second.url)
    assert near.get(f"/live/garden/{SEGMENT}").body != b"second"
    assert isinstance(near.site, EdgeSite)
    streams = tuple(replace(one, sources=(second.url, first.url)) for one in near.site.streams)
    changed = replace(near.site, streams=streams)
    assert edge.service(changed).start_digest == edge.service(near.site).start_digest
    assert varnish.service(changed).digest == varnish.service(near.site).digest
    near.running.reload(edge.service(changed), SECRETS)
    statuses = Counter(near.get(f"/live/garden/{PLAYLIST}").status for _ in range(100))
    assert statuses == {200: 100}
    assert near.get(f"/live/garden/{SEGMENT}").headers["x-cache"] == "HIT"  # the cache is kept


def test_a_chain_of_two_edges_plays_and_fetches_once(run: Run) -> None:
    source = origin(run, "origin")
    middle = edge_of(run, source.url, name="middle")
    last = edge_of(run, middle.url, name="last")
    prefix = tokens.sign(SECRET, "attic", int(time.time()) + 60)
    assert together(20, f"{last.url}{prefix}/live/attic/{SEGMENT}") == {200: 20}
    health = f"http://127.0.0.1:{last.site.health_port}/health/attic/{PLAYLIST}"
    assert get(health).body.startswith(b"#EXTM3U")
    assert source.requests()["segment"] == 1 and middle.requests()["segment"] == 1
    (source.base / "stale" / "attic").touch()
    time.sleep(1.2)
    assert get(f"{last.url}{prefix}/live/attic/{GENERATION}/master.m3u8").status == 503


def test_a_playlist_is_not_given_out_for_long_when_its_source_is_gone(run: Run) -> None:
    source = origin(run, "origin")
    stream = replace(OPEN, segment=1.0, sources=(source.url,))
    site = EdgeSite(http_port=free_endpoint_port(), address="127.0.0.1", streams=(stream,))
    near = Server(run, "edge", site)
    assert near.get(f"/live/garden/{PLAYLIST}").status == 200
    source.running.kill()
    start, gone = time.monotonic(), 0.0
    while not gone and time.monotonic() - start < 10:
        status = near.get(f"/live/garden/{PLAYLIST}").status
        gone = 0.0 if status == 200 else time.monotonic() - start
        time.sleep(0.1)
    assert 3 < gone < 6  # a second of its own, and three segments


def test_a_stream_without_a_source_waits_for_one(run: Run) -> None:
    site = EdgeSite(http_port=free_endpoint_port(), address="127.0.0.1", streams=(OPEN,))
    answer = Server(run, "edge", site).get(f"/live/garden/{PLAYLIST}")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_a_source_with_a_name_is_looked_up_when_it_is_needed(run: Run) -> None:
    text = edge.configuration(
        EdgeSite(streams=(replace(OPEN, sources=("https://live.example", "https://192.0.2.1:8443")),))
    )
    assert "set $t_place live.example:443;" in text and "proxy_ssl_name live.example;" in text
    assert "server 192.0.2.1:8443 max_fails=0;" in text and "proxy_set_header Host live.example;" in text
    site = EdgeSite(
        http_port=free_endpoint_port(),
        address="127.0.0.1",
        streams=(replace(OPEN, sources=("http://nowhere.invalid",)),),
    )
    assert Server(run, "edge", site).get(f"/live/garden/{PLAYLIST}").status in (502, 503, 504)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "http://",
        "http://x/y",
        "http://a@b",
        "http://x;y",
        "http://x:99999",
        "http://[::1",
        "http://x?y",
        "x",
    ],
)
def test_what_is_no_source_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        edge.configuration(EdgeSite(streams=(replace(OPEN, sources=(url,)),)))


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(ConfigError):
        varnish.service(EdgeSite(), "varnishd; x")
    assert varnish.service(EdgeSite(), "vinyld").argv[3] == "vinyld"


class _Sly(http.server.BaseHTTPRequestHandler):
    """A source that would have the edge answer with something else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Accel-Redirect", "/ping")
        self.send_header("Set-Cookie", "a=b")
        self.send_header("Cache-Control", "max-age=99999")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"sly")

    def log_message(self, *_: object) -> None:
        pass


def test_a_source_decides_nothing_but_what_it_is_asked(run: Run) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        near = edge_of(run, f"http://127.0.0.1:{server.server_address[1]}")
        answer = near.get(f"/live/garden/{PLAYLIST}")
    finally:
        server.shutdown()
        server.server_close()
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, b"sly", "max-age=1")
    assert "set-cookie" not in answer.headers and "x-accel-redirect" not in answer.headers
