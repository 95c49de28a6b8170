"""The server of a Relay edge, a real nginx: what it asks of a source for the encoder beside it, and for nobody else."""

from __future__ import annotations

import http.server
import re
import threading
import time
from collections.abc import Iterator

import pytest

from telarchy.errors import ConfigError
from telarchy.streaming import relaysite, serving, tokens
from telarchy.streaming.relaysite import RelaySite
from telarchy.streaming.serving import OriginSite, SiteStream
from telarchy.streaming.tokens import Verdict
from tests.unit.streaming.conftest import Run
from tests.unit.streaming.running import Running, free_endpoint_port, get, listening, texts, wait
from tests.unit.streaming.test_serving import GENERATION, PLAYLIST, SEGMENT, fill

SECRET = "s3cret-ünïcode"
SECRETS = {tokens.TOKENS_FILE: tokens.tokens_json({"attic": (SECRET,)})}
STREAMS = (SiteStream(name="attic"), SiteStream(name="garden", private=False))
TOKEN = re.compile(r"/p/([A-Za-z0-9_-]{43})/([0-9]{10})(/live/attic/.*)")


class Source(http.server.ThreadingHTTPServer):
    """A source that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Answering)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Source)
        self.server.asked.append((self.path, self.headers.get("Via", "")))
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"new")

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def source() -> Iterator[Source]:
    one = Source()
    yield one
    one.shutdown()
    one.server_close()


def relay(run: Run, name: str = "relay", **upstreams: str) -> tuple[Running, RelaySite]:
    site = RelaySite(
        http_port=free_endpoint_port(),
        address="127.0.0.1",
        streams=STREAMS,
        secrets="mark",
        upstreams=tuple(upstreams.items()),
    )
    running = run(relaysite.service(site), SECRETS, base=name)
    wait(lambda: listening(site.http_port) and listening(site.health_port), what=name)
    return running, site


def test_each_request_to_a_source_has_a_token_of_its_own_that_ends_soon(run: Run, source: Source) -> None:
    running, site = relay(run, first=source.url)
    local = f"http://127.0.0.1:{site.health_port}/source/first"
    assert get(f"{local}/attic/{SEGMENT}").body == b"new"
    assert get(f"{local}/garden/{SEGMENT}").body == b"new"
    (private, via), (public, _) = source.asked
    assert (public, via) == (f"/live/garden/{SEGMENT}", "1.1 telarchy")  # by which it is no viewer there
    found = TOKEN.fullmatch(private)
    assert found is not None and found[3] == f"/live/attic/{SEGMENT}"
    now = time.time()
    assert tokens.verify([SECRET], "attic", found[1], found[2], now) is Verdict.VALID
    assert int(found[2]) in (tokens.own_end(now), tokens.own_end(now - 5))
    assert 9 * 60 < int(found[2]) - now <= 15 * 60
    time.sleep(1.2)  # until logs are written
    assert found[1] not in texts(running.base) and "/source/" not in texts(running.base / "log")


def test_only_the_host_itself_and_only_declared_sources_are_passed_on(run: Run, source: Source) -> None:
    running, site = relay(run, first=source.url)
    fill(running.base, "attic")
    local = f"http://127.0.0.1:{site.health_port}"
    for address in (
        f"http://127.0.0.1:{site.http_port}/source/first/attic/{SEGMENT}",
        f"{local}/source/second/attic/{SEGMENT}",
        f"{local}/source/first/other/{SEGMENT}",
        f"{local}/source/first/attic/{GENERATION}/../../x",
        f"{local}/source/first/attic/{SEGMENT}/../s1.m4s",
        f"{local}/source//attic/{SEGMENT}",
        f"{local}/source/first/live/attic/{SEGMENT}",
    ):
        assert get(address).status == 404, address
    assert not source.asked
    assert get(f"{local}/health/attic/{PLAYLIST}").body.startswith(b"#EXTM3U")  # its own spool, as before
    prefix = tokens.sign(SECRET, "attic", int(time.time()) + 60)
    assert get(f"http://127.0.0.1:{site.http_port}{prefix}/live/attic/{PLAYLIST}").status == 200


def test_it_opens_a_private_stream_of_a_real_origin_and_says_what_that_says(run: Run) -> None:
    origin = OriginSite(http_port=free_endpoint_port(), address="127.0.0.1", streams=STREAMS, secrets="mark")
    far = run(serving.service(origin), SECRETS, base="origin")
    fill(far.base, "attic")
    wait(lambda: listening(origin.http_port), what="origin")
    running, site = relay(run, first=f"http://127.0.0.1:{origin.http_port}")
    local = f"http://127.0.0.1:{site.health_port}/source/first"
    assert get(f"{local}/attic/{SEGMENT}").body == bytes(range(256)) * 40
    assert get(f"{local}/attic/{PLAYLIST}").body.startswith(b"#EXTM3U")
    assert get(f"{local}/attic/{GENERATION}/720p/s999.m4s").status == 404
    (far.base / "stale" / "attic").touch()
    assert get(f"{local}/attic/{PLAYLIST}").status == 503
    time.sleep(1.2)
    viewers = {line.split("\t")[9] for line in (far.base / "log" / "access.log").read_text().splitlines()}
    assert viewers == {"-"}
    far.kill()
    assert get(f"{local}/attic/{PLAYLIST}").status == 502
    # Secrets that change come by a reload, and the encoder's requests never see it.
    far.restart()
    (far.base / "stale" / "attic").unlink()
    wait(lambda: listening(origin.http_port), what="origin again")
    rotated = {tokens.TOKENS_FILE: tokens.tokens_json({"attic": ("the next one", SECRET)})}
    far.reload(serving.service(origin), rotated)
    running.reload(relaysite.service(site), rotated)
    statuses = {get(f"{local}/attic/{PLAYLIST}").status for _ in range(50)}
    assert statuses == {200}


def test_what_is_no_source_is_refused() -> None:
    for name, url in (("a/b", "http://x"), ("a", "ftp://x"), ("a", "http://x/y")):
        with pytest.raises(ConfigError):
            relaysite.configuration(RelaySite(upstreams=((name, url),)))
