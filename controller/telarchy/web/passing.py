"""What a built-in Relay edge's encoder asks of a source, passed on by this process: as the rendered nginx of other
Relay edges does (`streaming.relaysite`), for the same reasons.

The token with which a private stream is asked for is made anew for each request and lasts minutes; it stands in no
file and in no argument. The source sees an endpoint of ours, and no viewer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import aiohttp
from aiohttp import hdrs, web

from telarchy.errors import TelarchyError
from telarchy.resources.mediaendpoint import MediaEndpoint, served_at
from telarchy.resources.stream import Stream
from telarchy.streaming import tokens
from telarchy.streaming.layout import live_path
from telarchy.streaming.serving import GENERATION, NAME, RENDITION
from telarchy.web.fleetview import FleetView

_MEDIA = r"(?:index\.m3u8|init[0-9a-z_-]{0,32}\.mp4|s[0-9]{1,20}\.m4s)"
_PATH = re.compile(
    rf"/source/(?P<source>{RENDITION})/(?P<stream>{NAME})/(?P<generation>{GENERATION})"
    rf"/(?P<rest>master\.m3u8|{RENDITION}/{_MEDIA})",
    re.ASCII,
)
CONNECT_SECONDS, READ_SECONDS = 1.0, 3.0
CHUNK = 64 * 1024


class Passing:
    """Asks the sources of this machine's Relay edges. `close` when it is not needed any more."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def answer(
        self, request: web.Request, view: FleetView, endpoint: MediaEndpoint
    ) -> web.StreamResponse:
        """404 for what is no source of `endpoint`; 502 where the source gives nothing; else what it says."""
        asked = _PATH.fullmatch(request.rel_url.raw_path)
        stream = view.streams.get(asked["stream"]) if asked is not None else None
        base = _base(view, endpoint, asked["source"]) if asked is not None else None
        if asked is None or stream is None or base is None or request.method != hdrs.METH_GET:
            return web.Response(status=404)
        try:
            prefix = self._prefix(view, stream)
        except TelarchyError:
            return web.Response(status=403)  # which secret is missing stands in the stream's status
        path = live_path(stream.metadata.name, asked["generation"], asked["rest"])
        response: web.StreamResponse | None = None
        try:
            async with self._client().get(base + prefix + path, allow_redirects=False) as answer:
                if answer.status != 200:
                    return web.Response(status=answer.status if answer.status >= 400 else 502)
                response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: answer.content_type})
                response.content_length = answer.content_length
                await response.prepare(request)
                async for chunk in answer.content.iter_chunked(CHUNK):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (aiohttp.ClientError, TimeoutError):
            if response is None:
                return web.Response(status=502)
            if request.transport is not None:
                request.transport.abort()  # its head is out; nobody is to take what came for the whole
            return response

    def _prefix(self, view: FleetView, stream: Stream) -> str:
        if stream.spec.visibility != "Private":
            return ""
        secret = view.door.playback(stream)[0].reveal().decode("utf-8", "surrogateescape")
        return tokens.sign(secret, stream.metadata.name, tokens.own_end(self._clock()))

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
                headers={hdrs.VIA: "1.1 telarchy"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=[hdrs.ACCEPT_ENCODING],
            )
        return self._session


def _base(view: FleetView, endpoint: MediaEndpoint, source: str) -> str | None:
    """The URL of a source that the endpoint may use."""
    spec = endpoint.spec
    if spec.role != "Edge" or spec.mode != "Relay" or all(one.endpoint_ref != source for one in spec.sources):
        return None
    other = view.endpoints.get(source)
    return served_at(other.spec, view.host_of(other)) if other is not None else None
