"""A built-in Relay edge: what its encoder asks on 127.0.0.1 reaches the source with a token made for that request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from telarchy.resources.mediaendpoint import health_port
from telarchy.streaming import tokens
from telarchy.streaming.tokens import Verdict
from telarchy.web.fleetview import Views
from telarchy.web.plane import MediaPlane
from telarchy.web.sites import PlaneSites
from tests.unit.web.doors import GENERATION, SECRET, door, live
from tests.unit.web.test_plane import SEGMENT, free_port, manifests

EDGE = """
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {{name: far}}
spec: {{role: ExternalOrigin, publicURL: "http://127.0.0.1:{source}"}}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {{name: near}}
spec:
  hostRef: desk
  role: Edge
  mode: Relay
  sources: [{{endpointRef: far}}]
  spool: {{path: "{spool}"}}
  listen: {{http: {port}, rtmp: 1936, address: 127.0.0.1}}
"""


class Far:
    """The source, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.BaseRequest] = []
        self.status, self.cut = 200, False
        self.public = 0  # where viewers ask the edge

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": "http://169.254.0.1/"})
        if self.cut:
            response = web.StreamResponse()
            response.content_length = len(SEGMENT)
            await response.prepare(request)
            await response.write(SEGMENT[:1000])
            assert request.transport is not None
            request.transport.abort()
            return response
        return web.Response(body=SEGMENT, content_type="video/iso.segment")


@asynccontextmanager
async def relay(tmp_path: Path) -> AsyncIterator[tuple[Far, aiohttp.ClientSession, str]]:
    """The source, a client, and where the edge passes on what `far` has."""
    far, port = Far(), free_port()
    far.public = port
    runner = web.ServerRunner(web.Server(far.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    text = manifests(tmp_path / "spool", free_port())
    text += EDGE.format(source=runner.addresses[0][1], port=port, spool=tmp_path / "spool")
    fleet = door({"garden": live("near")}, manifests=text)
    views = Views(lambda: [fleet])
    plane = MediaPlane(views)
    sites = PlaneSites(views, plane, lambda ref, why, needed: pytest.fail(why))
    running = asyncio.create_task(sites.run())
    try:
        await sites.look()
        async with aiohttp.ClientSession() as client:
            yield far, client, f"http://127.0.0.1:{health_port(port)}/source/far"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await plane.close()
        await runner.cleanup()


async def test_it_is_asked_with_a_token_that_ends_soon(tmp_path: Path) -> None:
    async with relay(tmp_path) as (far, client, below):
        for stream in ("nursery", "garden"):
            async with client.get(f"{below}/{stream}/{GENERATION}/720p/s17.m4s") as answer:
                assert (answer.status, await answer.read()) == (200, SEGMENT)
        private, public = far.asked
        assert public.path == f"/live/garden/{GENERATION}/720p/s17.m4s"
        assert private.headers["Via"] == "1.1 telarchy"  # by which it is no viewer there
        _, p, sig, expires, *rest = private.path.split("/")
        assert (p, "/".join(rest)) == ("p", f"live/nursery/{GENERATION}/720p/s17.m4s")
        assert tokens.verify([SECRET], "nursery", sig, expires, time.time()) is Verdict.VALID
        assert 9 * 60 < int(expires) - time.time() <= 15 * 60


async def test_nothing_else_is_passed_on(tmp_path: Path) -> None:
    async with relay(tmp_path) as (far, client, below):
        origin = below.replace("/source/far", "/source/desk-origin")
        for address in (
            f"{origin}/garden/{GENERATION}/720p/s17.m4s",  # declared, and no source of it
            f"{below}/other/{GENERATION}/720p/s17.m4s",
            f"{below}/garden/{GENERATION}/720p/s17.m4s.tmp",
            f"{below}/garden/{GENERATION}/720p/%2e%2e/x",
        ):
            async with client.get(address) as answer:
                assert answer.status == 404, address
        async with client.get(
            f"http://127.0.0.1:{far.public}/source/far/garden/{GENERATION}/master.m3u8"
        ) as no:
            assert no.status == 404
        assert not far.asked


async def test_what_the_source_does_not_give_is_not_made_up(tmp_path: Path) -> None:
    async with relay(tmp_path) as (far, client, below):
        address = f"{below}/garden/{GENERATION}/720p/s17.m4s"
        for said, passed in ((404, 404), (503, 503), (302, 502)):  # a redirection leads nowhere
            far.status = said
            async with client.get(address) as answer:
                assert answer.status == passed
        far.status, far.cut = 200, True
        with pytest.raises(aiohttp.ClientPayloadError):
            async with client.get(address) as answer:
                await answer.read()
        assert len(far.asked) == 4
