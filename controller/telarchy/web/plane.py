"""The built-in media plane: what endpoints on `local` hosts have in their spools, served by this process.

The same rules as the rendered nginx: only names that a ladder makes lead anywhere; a stale stream is a 503, what is
not there yet is a 404 that nobody keeps, segments may be kept, playlists for a second. Each request becomes a line of
the endpoint's access log, in the same shape, so that viewers and bytes are counted in one way only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets as randomness
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aiohttp import hdrs, web

from telarchy.errors import TelarchyError
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.stream import Stream
from telarchy.streaming import layout, tokens
from telarchy.streaming.serving import DISCONTINUITY, FOR_EVER, GENERATION, NAME, RENDITION
from telarchy.streaming.tokens import Verdict
from telarchy.web.accesslog import AccessLogs, Entry
from telarchy.web.fleetview import FleetView, Views
from telarchy.web.forwarded import Networks, asker, networks
from telarchy.web.passing import Passing
from telarchy.web.playback import built_in
from telarchy.web.safety import harden

_MEDIA = r"(?P<playlist>index\.m3u8)|(?P<init>init[0-9a-z_-]{0,32}\.mp4)|(?P<segment>s[0-9]{1,20}\.m4s)"
_PATH = re.compile(
    rf"(?:(?:/p/(?P<sig>[A-Za-z0-9_-]{{43}})/(?P<expires>[1-9][0-9]{{9}}))?/live|/(?P<health>health))"
    rf"/(?P<stream>{NAME})/(?P<generation>{GENERATION})"
    rf"/(?:(?P<master>master\.m3u8)|(?P<rendition>{RENDITION})/(?:{_MEDIA}))(?:\?.*)?",
    re.ASCII,
)
_ENTRY = re.compile(
    rf"(?:/p/(?P<sig>[A-Za-z0-9_-]{{43}})/(?P<expires>[1-9][0-9]{{9}}))?/live/(?P<stream>{NAME})/master\.m3u8(?:\?.*)?",
    re.ASCII,
)
_GENERATION = re.compile(GENERATION, re.ASCII)
_SHOWN = re.compile(r"([A-Za-z0-9_-]{43})/([1-9][0-9]{9})", re.ASCII)
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
TYPES = {
    "master": PLAYLIST_TYPE,
    "playlist": PLAYLIST_TYPE,
    "init": "video/mp4",
    "segment": "video/iso.segment",
}
PLAYLISTS = ("master", "playlist")
NOT_KEPT = "no-store"
_LOGGED = web.RequestKey("logged", tuple[object, ...])


class Asked(NamedTuple):
    """What a path means. `token`: signature and expiry as they stand there. An `entry` is the address that stays: it
    names no generation and leads to the one that plays now."""

    kind: str
    stream: str
    generation: str
    rendition: str
    file: str
    token: tuple[str, str] | None
    health: bool

    @property
    def path(self) -> str:
        """Below the endpoint's base."""
        folder = layout.generation_folder(self.stream, self.generation)
        return "/".join(part for part in (folder, self.rendition, self.file) if part)


def meaning(raw_path: str) -> Asked | None:
    """None for every path that no ladder of ours makes; nothing is decoded, since nothing needs to be."""
    found = _PATH.fullmatch(raw_path)
    if found is None:
        entry = _ENTRY.fullmatch(raw_path)
        if entry is None:
            return None
        shown = (entry["sig"], entry["expires"]) if entry["sig"] else None
        return Asked("entry", entry["stream"], "", "", layout.MASTER, shown, False)
    kind = next(one for one in ("master", "playlist", "init", "segment") if found[one])
    sig = found["sig"]
    return Asked(
        kind=kind,
        stream=found["stream"],
        generation=found["generation"],
        rendition=found["rendition"] or "",
        file=found[kind],
        token=(sig, found["expires"]) if sig else None,
        health=bool(found["health"]),
    )


def base_of(endpoint: MediaEndpoint, namespace: str) -> Path:
    """Where a built-in endpoint's things lie on this machine."""
    given = endpoint.spec.spool.path
    return Path(
        layout.base(endpoint.metadata.name, namespace, str(given) if given is not None else None)
    ).expanduser()


def _present(base: Path, stream: str) -> str:
    """The generation that plays now; "" without one."""
    try:
        told = (base / layout.current_file(stream)).read_text().strip()
    except (OSError, ValueError):
        return ""
    return told if _GENERATION.fullmatch(told) else ""


class MediaPlane:
    """Answers for all built-in endpoints, or for one of them (`only`)."""

    def __init__(
        self,
        views: Views,
        logs: AccessLogs | None = None,
        *,
        clock: Callable[[], float] = time.time,
        trusted: Networks = (),
    ) -> None:
        """`trusted`: proxies in front of what is served for all endpoints; one endpoint's own are in its manifest."""
        self._views, self._clock = views, clock
        self.logs = logs or AccessLogs()
        self._passing = Passing(clock=clock)
        self._salt = randomness.token_bytes(32)
        self._trusted = trusted

    async def close(self) -> None:
        await self._passing.close()
        await self.logs.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """For whatever endpoint has it."""
        return await self.answer(request, None)

    async def answer(
        self, request: web.Request, only: str | None, *, health: bool = False
    ) -> web.StreamResponse:
        """For the endpoint `only`, as `namespace/name`. `health`: the host's own listener, where no token is asked."""
        path = request.rel_url.raw_path
        if health and only is not None and path.startswith("/source/"):
            return await self._pass_on(request, only)
        asked = meaning(path)
        if asked is None or asked.health != health:
            return _refused(404)
        found = self._find(asked, only)
        if found is None:
            return _refused(404)
        view, endpoint, base, stream = found
        response = self._decide(request, asked, view, stream, base)
        _allow(response, request, endpoint)
        harden(response)
        if not health and request.method != hdrs.METH_OPTIONS and asked.kind != "entry":
            trusted = self._trusted if only is None else networks(endpoint.spec.listen.trusted_proxies)
            request[_LOGGED] = (asked, base, asker(request, trusted))
        return response

    async def _pass_on(self, request: web.Request, only: str) -> web.StreamResponse:
        namespace, _, name = only.partition("/")
        view = self._views.get(namespace)
        endpoint = view.endpoints.get(name) if view is not None else None
        if view is None or endpoint is None:
            return _refused(404)
        return await self._passing.answer(request, view, endpoint)

    async def sent(self, request: web.Request, response: web.StreamResponse) -> None:
        """To be called when an answer's headers are known (`Application.on_response_prepare`): makes its line."""
        if _LOGGED in request:
            asked, base, who = request[_LOGGED]
            assert isinstance(asked, Asked) and isinstance(base, Path) and isinstance(who, str)
            self._log(request, asked, base, who, response)

    def _find(self, asked: Asked, only: str | None) -> tuple[FleetView, MediaEndpoint, Path, Stream] | None:
        """The endpoint that has the generation, a fresh one if there is a choice."""
        found = None
        for view in self._views.all():
            stream = view.streams.get(asked.stream)
            if stream is None:
                continue
            for name, endpoint in sorted(view.endpoints.items()):
                if only not in (None, f"{view.door.namespace}/{name}") or not built_in(view, endpoint):
                    continue
                base = base_of(endpoint, view.door.namespace)
                generation = asked.generation or _present(base, asked.stream)
                if not generation or not (base / layout.generation_folder(asked.stream, generation)).is_dir():
                    continue
                found = (view, endpoint, base, stream)
                if not (base / layout.stale_flag(asked.stream)).exists():
                    return found
        return found

    def _decide(
        self, request: web.Request, asked: Asked, view: FleetView, stream: Stream, base: Path
    ) -> web.StreamResponse:
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204)
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            return _refused(405)
        if stream.spec.visibility == "Private" and not asked.health:
            status = self._judge(request, asked, view, stream)
            if status:
                return _refused(status)
        if not asked.health and (base / layout.stale_flag(asked.stream)).exists():
            return _refused(503)
        if asked.kind == "entry":
            # relative, so that a token stays in front of it
            there = f"{_present(base, asked.stream)}/{layout.MASTER}"
            return web.Response(status=302, headers={hdrs.LOCATION: there, hdrs.CACHE_CONTROL: NOT_KEPT})
        file = base / asked.path
        try:
            size = file.stat().st_size
        except OSError:
            return _refused(404)
        if not size:
            return _refused(503 if asked.kind in PLAYLISTS else 404)  # a full disk leaves such
        response: web.StreamResponse
        if asked.kind == "playlist":
            try:
                response = web.Response(body=file.read_bytes().replace(DISCONTINUITY, b""))
            except OSError:
                return _refused(404)
        else:
            response = web.FileResponse(file)
        response.content_type = TYPES[asked.kind]
        half = max(1, int(stream.spec.segment.duration.seconds // 2))
        kept = f"max-age={half}" if asked.kind in PLAYLISTS else f"max-age={FOR_EVER}, immutable"
        response.headers[hdrs.CACHE_CONTROL] = kept
        return response

    def _judge(self, request: web.Request, asked: Asked, view: FleetView, stream: Stream) -> int:
        """0, or the status of a refusal."""
        token = asked.token
        if token is None:
            shown = _SHOWN.fullmatch(request.headers.get(tokens.HEADER, ""))
            if shown is None:
                return 403
            token = (shown[1], shown[2])
        try:
            secrets = view.door.playback(stream)
        except TelarchyError:
            return 403  # which secret is missing stands in the stream's status
        known = [one.reveal().decode("utf-8", "surrogateescape") for one in secrets]
        verdict = tokens.verify(known, asked.stream, *token, self._clock())
        if verdict is Verdict.VALID or (verdict is Verdict.GRACE and asked.kind not in ("master", "entry")):
            return 0
        return 403 if verdict is Verdict.FORGED else 410

    def _log(
        self, request: web.Request, asked: Asked, base: Path, who: str, response: web.StreamResponse
    ) -> None:
        sent = 0 if request.method == hdrs.METH_HEAD else (response.content_length or 0)
        viewer = "-"
        # as in nginx: whoever fetches playlists watches, unless it is another endpoint of ours
        if asked.kind in PLAYLISTS and "telarchy" not in request.headers.get(hdrs.VIA, ""):
            sig = asked.token[0] if asked.token is not None else ""
            parts = (who, request.headers.get(hdrs.USER_AGENT, ""), sig)
            mark = hmac.new(self._salt, "\n".join(parts).encode("utf-8", "replace"), hashlib.sha256)
            viewer = mark.hexdigest()[:16]
        self.logs.add(
            base / layout.ACCESS_LOG,
            Entry(
                at=self._clock(),
                kind=asked.kind,
                stream=asked.stream,
                generation=asked.generation,
                rendition=asked.rendition,
                status=response.status,
                sent=sent,
                viewer=viewer,
            ),
        )


def _refused(status: int) -> web.Response:
    response = web.Response(status=status, headers={hdrs.CACHE_CONTROL: NOT_KEPT})
    if status == 503:
        response.headers[hdrs.RETRY_AFTER] = "1"
    return response


def _allow(response: web.StreamResponse, request: web.Request, endpoint: MediaEndpoint) -> None:
    """Which pages of others may play from here."""
    origins = endpoint.spec.cors
    asking = request.headers.get(hdrs.ORIGIN, "")
    if "*" in origins:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
    else:
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        if asking in origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = asking
    if request.method == hdrs.METH_OPTIONS:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, HEAD, OPTIONS"
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Range, Cache-Control"
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "86400"
    else:
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "Content-Length, Content-Range, Date"
