"""External endpoints are looked at by their playlists, whatever their servers answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from telarchy.resources.loader import load_text
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.stream import Stream
from telarchy.streaming import external
from telarchy.streaming.evidence import EndpointSeen, StreamSeen
from telarchy.streaming.external import ExternalWatch, addresses, combined

GENERATION = "g1-00000000"
NOW = 1_795_228_800.0


def media(first: int = 10, count: int = 4, *, uri: str = "s{}.m4s") -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += ['#EXT-X-MAP:URI="init.mp4"']
    for number in range(first, first + count):
        lines += ["#EXTINF:2.0,", uri.format(number)]
    return "\n".join(lines) + "\n"


MASTER = (
    '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="audio/index.m3u8"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=2500000,AUDIO="a"\n720p/index.m3u8\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=600000,AUDIO="a"\nhttp://elsewhere.example/360p/index.m3u8\n'
)


def resources(template: str) -> tuple[MediaEndpoint, Stream]:
    loaded = load_text(
        f"""
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {{name: cdn}}
spec: {{role: ExternalEdge, external: {{playlistURL: "{template}"}}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {{name: garden}}
spec: {{visibility: Public, ingest: {{test: {{}}}}}}
""",
        "fleet.yaml",
    )
    assert not loaded.errors, loaded.errors
    endpoint, stream = (one.resource for one in loaded.resources)
    assert isinstance(endpoint, MediaEndpoint) and isinstance(stream, Stream)
    return endpoint, stream


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Far:
    """A server that is not ours. `answers`: by path."""

    def __init__(self) -> None:
        self.answers: dict[str, str | web.Response | Handler] = {}
        self.asked: list[str] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        answer = self.answers.get(request.path)
        if answer is None:
            return web.Response(status=404)
        if isinstance(answer, str):
            return web.Response(text=answer)
        return await answer(request) if callable(answer) else answer


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    one = Far()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.port = runner.addresses[0][1]
    yield one
    await runner.cleanup()


@pytest.fixture
async def watch() -> AsyncIterator[ExternalWatch]:
    one = ExternalWatch()
    yield one
    await one.close()


async def look(watch: ExternalWatch, far: Far, path: str, now: float = NOW) -> EndpointSeen:
    endpoint, stream = resources(f"http://127.0.0.1:{far.port}{path}")
    watch.expect({"garden": GENERATION})
    return await watch.poll(endpoint, {"garden": stream}, now)


async def test_a_master_leads_to_what_is_on_its_own_host(watch: ExternalWatch, far: Far) -> None:
    far.answers |= {
        "/garden/master.m3u8": MASTER,
        "/garden/720p/index.m3u8": media(),
        "/garden/audio/index.m3u8": media(),
    }
    seen = await look(watch, far, "/{stream}/master.m3u8")
    assert seen.trouble == "" and seen.reported == NOW
    assert set(seen.streams["garden"].playlists) == {"720p", "audio"}
    assert seen.streams["garden"].generation == GENERATION
    assert (
        seen.streams["garden"].playlists["720p"].first,
        seen.streams["garden"].playlists["720p"].last,
    ) == (10, 13)


async def test_it_ages_until_it_changes(watch: ExternalWatch, far: Far) -> None:
    far.answers["/garden.m3u8"] = media(uri="https://cdn.example/x/s{}.m4s")
    for now, first, changed in ((NOW, 10, NOW), (NOW + 2, 10, NOW), (NOW + 4, 11, NOW + 4)):
        far.answers["/garden.m3u8"] = media(first, uri="https://cdn.example/x/s{}.m4s")
        seen = (await look(watch, far, "/{stream}.m3u8", now)).streams["garden"].playlists[""]
        assert (seen.changed, seen.problems) == (changed, ())
    far.answers["/garden.m3u8"] = media(3)
    seen = (await look(watch, far, "/{stream}.m3u8", NOW + 6)).streams["garden"].playlists[""]
    assert "sequence-backwards" in seen.problems


async def test_each_rendition_has_an_address_of_its_own(watch: ExternalWatch, far: Far) -> None:
    far.answers["/garden/720p.m3u8"] = media()
    seen = await look(watch, far, "/{stream}/{rendition}.m3u8")
    assert set(seen.streams["garden"].playlists) == {"720p"}


def to(location: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    return answer


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"#" * 65536)


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (web.Response(status=500), "answers 500"),
        ("<html>", "no playlist"),
        ("", "empty"),
        ("#EXTM3U\n" + "#\n" * 200_000, "more than"),
        (endless, "more than"),
        (to("http://169.254.169.254/latest"), "another host"),
        (to("file:///etc/passwd"), "another host"),
        (to("//user:pw@127.0.0.1/x"), "another host"),
        (to("/garden.m3u8"), "too often"),
        (web.Response(body=b"\xff\xfe\x00"), "UTF-8"),
    ],
)
async def test_whatever_it_answers_is_a_short_sentence(
    watch: ExternalWatch, far: Far, answer: Any, trouble: str
) -> None:
    far.answers["/garden.m3u8"] = answer
    seen = await look(watch, far, "/{stream}.m3u8")
    assert trouble in seen.trouble and len(seen.trouble) < 300
    assert seen.streams == {"garden": StreamSeen(stream="garden")}


async def test_a_redirection_on_its_own_host_is_followed(watch: ExternalWatch, far: Far) -> None:
    far.answers |= {"/garden.m3u8": to("/hidden/x.m3u8"), "/hidden/x.m3u8": media()}
    assert (await look(watch, far, "/{stream}.m3u8")).streams["garden"].playlists


async def test_one_that_does_not_answer_holds_nothing_up(
    watch: ExternalWatch, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "FETCH_SECONDS", 0.3)
    far.answers["/garden.m3u8"] = slow
    began = time.monotonic()
    assert "in time" in (await look(watch, far, "/{stream}.m3u8")).trouble
    assert time.monotonic() - began < 3


async def test_one_that_is_not_there_is_told_without_its_path(watch: ExternalWatch) -> None:
    endpoint, stream = resources("http://127.0.0.1:9/key-of-somebody/{stream}.m3u8")
    watch.expect({"garden": GENERATION})
    seen = await watch.poll(endpoint, {"garden": stream}, NOW)
    assert "cannot be reached" in seen.trouble and "key-of-somebody" not in seen.trouble


async def test_a_stream_that_does_not_run_is_not_asked_for(watch: ExternalWatch, far: Far) -> None:
    endpoint, stream = resources(f"http://127.0.0.1:{far.port}/{{stream}}.m3u8")
    seen = await watch.poll(endpoint, {"garden": stream}, NOW)
    assert far.asked == [] and seen.trouble == "" and seen.streams["garden"].generation == ""


async def test_a_private_stream_is_asked_for_with_our_own_token(far: Far) -> None:
    endpoint, stream = resources("http://cdn.example/{stream}.m3u8")
    spec = endpoint.spec.model_copy(update={"public_url": f"http://127.0.0.1:{far.port}", "external": None})
    watch = ExternalWatch(lambda stream, now: "/p/sig/1795228800")
    watch.expect({"garden": GENERATION})
    await watch.poll(endpoint.model_copy(update={"spec": spec}), {"garden": stream}, NOW)
    await watch.close()
    assert far.asked == [f"/p/sig/1795228800/live/garden/{GENERATION}/master.m3u8"]


def test_without_a_template_it_serves_what_ours_would() -> None:
    endpoint, stream = resources("http://cdn.example/{stream}.m3u8")
    spec = endpoint.spec.model_copy(update={"public_url": "https://cdn.example", "external": None})
    found = addresses(endpoint.model_copy(update={"spec": spec}), stream, GENERATION)
    assert found == [("", f"https://cdn.example/live/garden/{GENERATION}/master.m3u8")]


def test_its_own_word_counts_for_viewers_and_where_nobody_could_look() -> None:
    said = EndpointSeen("cdn", NOW + 1, streams={"garden": StreamSeen("garden", viewers=9, egress=5)})
    seen = EndpointSeen("cdn", NOW, streams={"garden": StreamSeen("garden", generation=GENERATION)})
    both = combined(seen, said)
    assert both is not None and both.streams["garden"].viewers == 9
    assert both.streams["garden"].generation == GENERATION
    assert combined(EndpointSeen("cdn", NOW, trouble="away"), said) is said
    late = EndpointSeen("cdn", NOW + 100, streams={"garden": StreamSeen("garden")})
    assert combined(late, said) is late
    assert combined(None, said) is said and combined(seen, None) is seen
