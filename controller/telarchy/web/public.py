"""The HTTP server that people and players may reach: pages, what there is to play, reports.

    GET  /watch/<stream>                              the page; /watch lists what is public
    GET  /api/v1/streams                              Public streams
    GET  /api/v1/streams/<stream>/playback            where it plays, or why not
    POST /api/v1/streams/<stream>/reports             what a player tells (see `web.reports`)
    POST /api/v1/endpoints/<name>/snapshots           what an external endpoint tells (see `streaming.snapshots`)
    GET  /live/<stream>/master.m3u8                   leads to where it plays best at the moment (302)
    GET  /healthz

Watching, playing and reports may stand below `/p/<sig>/<expires>`, the token of a Private stream. With several
fleets, `?namespace=` names one. A refusal is `{"error": sentence, "reason": word}`. Nothing here changes what is
declared: that is asked on the control socket; and
figures for Prometheus, which name hosts and paths, are not for everybody: they have a listener of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import hdrs, web

from telarchy.errors import ConfigError, TelarchyError
from telarchy.links.secrets import SecretMissing
from telarchy.resources.meta import DEFAULT_NAMESPACE
from telarchy.resources.stream import Stream
from telarchy.store.memory import to_json
from telarchy.streaming.snapshots import (
    SNAPSHOT_BYTES,
    SnapshotForged,
    SnapshotMalformed,
    SnapshotReplayed,
)
from telarchy.web import access, reports
from telarchy.web.access import AccessDenied
from telarchy.web.answers import NotFound
from telarchy.web.fleetview import FleetView, Views
from telarchy.web.forwarded import Networks, asker, origin
from telarchy.web.listener import Listener
from telarchy.web.pagefiles import PageFiles
from telarchy.web.plane import MediaPlane
from telarchy.web.playback import Token, listed, playback
from telarchy.web.ratelimit import RateLimit
from telarchy.web.reports import ReportBook, ReportMalformed
from telarchy.web.safety import secured

BODY_SECONDS = 10.0  # for a body of a few KiB to arrive
SIGNED = "/p/{sig}/{expires}"
STREAM = "{stream:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?}"
_STATUS: tuple[tuple[type[TelarchyError], int, str], ...] = (
    (NotFound, 404, "NotFound"),
    (SnapshotForged, 401, "SnapshotForged"),
    (SnapshotReplayed, 409, "SnapshotReplayed"),
    (SnapshotMalformed, 400, "SnapshotMalformed"),
    (ReportMalformed, 400, "ReportMalformed"),
)


class PublicServer:
    """Serves `listen` (host and port) while started. What it shows it asks `views` for.

    plane:    serves what built-in endpoints have, below /live and /p; None: nothing
    trusted:  reverse proxies in front of it, whose word is taken for who asks
    """

    def __init__(
        self,
        views: Views,
        listen: tuple[str, int],
        *,
        health: Callable[[], Mapping[str, Any]] = dict,
        plane: MediaPlane | None = None,
        page_files: PageFiles | None = None,
        trusted: Networks = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.views, self.book = views, ReportBook()
        self._listen, self._health, self._clock = listen, health, clock
        self._plane, self._trusted = plane, trusted
        self.page_files = page_files or PageFiles()
        self._asking = RateLimit(per_second=5.0, burst=60)
        self._reporting = RateLimit(per_second=0.5, burst=30)
        self._telling = RateLimit(per_second=2.0, burst=30)
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address cannot be had."""
        self._listener = Listener(self.application(), self._listen, "--listen")
        await self._listener.start()

    @property
    def port(self) -> int:
        return self._listener.port if self._listener is not None else self._listen[1]

    @property
    def address(self) -> str:
        """Where it is found, as a URL without a path; "" while it is not started."""
        return self._listener.address if self._listener is not None else ""

    @property
    def everywhere(self) -> bool:
        """Whether it listens on all addresses, so that nobody can be told just one."""
        return self._listener is not None and self._listener.everywhere

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[secured(_refusal)], client_max_size=SNAPSHOT_BYTES)
        add = app.router.add_route
        for prefix in ("", SIGNED):
            add("GET", f"{prefix}/watch/{STREAM}", self.page_files.page)
            add("GET", f"{prefix}/api/v1/streams/{STREAM}/playback", self._playback)
            add("POST", f"{prefix}/api/v1/streams/{STREAM}/reports", self._report)
            for method in ("GET", "HEAD"):
                add(method, f"{prefix}/live/{STREAM}/master.m3u8", self._enter)
        add("GET", "/", self.page_files.home)
        add("GET", "/watch", self.page_files.page)
        add("GET", "/assets/{name}", self.page_files.asset)
        add("GET", "/api/v1/streams", self._streams)
        add("POST", "/api/v1/endpoints/{endpoint}/snapshots", self._snapshot)
        add("GET", "/healthz", self._healthz)
        if self._plane is not None:
            for path in ("/live/{rest:.*}", f"{SIGNED}/live/{{rest:.*}}"):
                add("*", path, self._plane.serve)
            app.on_response_prepare.append(self._plane.sent)
        return app

    # --- what can be asked -------------------------------------------------------------------------------------

    async def _streams(self, request: web.Request) -> web.StreamResponse:
        self._within(self._asking, request)
        return _json({"streams": listed(self._view(request))}, cors=True)

    async def _playback(self, request: web.Request) -> web.StreamResponse:
        self._within(self._asking, request)
        view = self._view(request)
        stream = self._stream(view, request)
        token = self._allowed(view, stream, request)
        return _json(playback(view, stream, token, origin(request, self._trusted)), cors=True)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """For players that keep an address: they come here again, and go to whatever plays by then."""
        self._within(self._asking, request)
        view = self._view(request)
        stream = self._stream(view, request)
        token = self._allowed(view, stream, request)
        told = playback(view, stream, token, origin(request, self._trusted))
        headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*"}
        if not told["live"]:
            return web.Response(status=503, headers=headers | {hdrs.RETRY_AFTER: str(told["retryAfter"])})
        return web.Response(status=302, headers=headers | {hdrs.LOCATION: told["endpoints"][0]["url"]})

    async def _report(self, request: web.Request) -> web.StreamResponse:
        self._within(self._reporting, request)
        view = self._view(request)
        stream = self._stream(view, request)
        try:
            self._allowed(view, stream, request)
        except AccessDenied as denied:
            if denied.reason != "TokenExpired":  # whoever was let in may tell how it ended
                raise
        report = reports.read(await _body(request, reports.REPORT_BYTES))
        self.book.take(view.door.namespace, stream.metadata.name, report, frozenset(view.endpoints))
        return web.Response(status=204)

    async def _snapshot(self, request: web.Request) -> web.StreamResponse:
        self._within(self._telling, request)
        view = self._view(request)
        name = request.match_info["endpoint"]
        endpoint = view.endpoints.get(name)
        external = endpoint.spec.external if endpoint is not None else None
        if external is None or external.report is None:
            raise NotFound("no endpoint of this name reports here")
        if view.door.snapshots is None:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        ref = external.report.secret_ref
        try:
            secret = view.door.secrets.resolve(ref.name, ref.key)
        except SecretMissing:
            # which one is missing is told where the endpoint's status is read, not to a stranger
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "30"}) from None
        body = await _body(request, SNAPSHOT_BYTES)
        view.door.snapshots.take(name, secret.reveal(), request.headers, body, self._clock())
        return web.Response(status=204)

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        return _json(dict(self._health()))

    # --- what they share ---------------------------------------------------------------------------------------

    def _view(self, request: web.Request) -> FleetView:
        wanted = request.query.get("namespace", "")
        if not wanted:
            views = self.views.all()
            if len(views) == 1:
                return views[0]
        view = self.views.get(wanted or DEFAULT_NAMESPACE)
        if view is None:
            raise NotFound("there is no such fleet here")
        return view

    def _stream(self, view: FleetView, request: web.Request) -> Stream:
        stream = view.streams.get(request.match_info["stream"])
        if stream is None:
            raise NotFound("there is no stream of this name here")
        return stream

    def _allowed(self, view: FleetView, stream: Stream, request: web.Request) -> Token | None:
        token = access.token_of(request)
        if stream.spec.visibility != "Private":
            return token
        secrets = view.door.playback(stream) if token is not None else ()
        return access.check(secrets, stream.metadata.name, token, self._clock())

    def _within(self, limit: RateLimit, request: web.Request) -> None:
        wait = limit.wait(asker(request, self._trusted))
        if wait:
            self.book.refused["rate"] += 1
            raise web.HTTPTooManyRequests(headers={"Retry-After": str(int(wait) + 1)})


async def _body(request: web.Request, most: int) -> bytes:
    """The whole body. Answers 413 beyond `most` bytes without reading them, 408 when it does not come."""
    if (request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, request.content_length or 0)
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                read += chunk
                if len(read) > most:
                    raise web.HTTPRequestEntityTooLarge(most, len(read))
    except TimeoutError:
        raise web.HTTPRequestTimeout() from None
    return bytes(read)


def _json(value: Any, status: int = 200, *, cors: bool = False) -> web.Response:
    response = web.Response(text=to_json(value), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if cors:
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _refusal(error: TelarchyError) -> web.Response:
    if isinstance(error, AccessDenied):
        status = 410 if error.reason == "TokenExpired" else 403
        return _json({"error": str(error), "reason": error.reason}, status, cors=True)
    for kind, status, reason in _STATUS:
        if isinstance(error, kind):
            return _json({"error": str(error), "reason": reason}, status, cors=status == 404)
    # sentences of other rooms name hosts, paths and secrets
    return _json({"error": "this cannot be answered at the moment", "reason": "Unavailable"}, 503)


def parse_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:8090`, `[::1]:8090` → host and port. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not bare or not port.isascii() or not port.isdigit() or not int(port) < 65536:
        raise ConfigError(f"{text!r} is no address to listen on; write 127.0.0.1:8090 or [::1]:8090")
    if ":" in bare and not host.startswith("["):
        raise ConfigError(f"{text!r}: an IPv6 address stands in brackets: [{host}]:{port}")
    return bare, int(port)
