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

from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.stream import Stream
from telarchy.streaming import layout, tokens
from telarchy.streaming.tokens import Verdict
from telarchy.web.accesslog import AccessLogs, Entry
from telarchy.web.fleetview import FleetView, Views
from telarchy.web.playback import built_in
from telarchy.web.safety import harden

_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_GENERATION = r"[A-Za-z0-9][A-Za-z0-9-]{0,63}"
_PATH = re.compile(
    rf"(?:/p/(?P<sig>[A-Za-z0-9_-]{{43}})/(?P<expires>[1-9][0-9]{{9}}))?/(?P<door>live|health)"
    rf"/(?P<stream>{_NAME})/(?P<generation>{_GENERATION})"
    rf"/(?:(?P<master>master\.m3u8)|(?P<rendition>{_NAME})/"
    rf"(?:(?P<playlist>index\.m3u8)|(?P<init>init[A-Za-z0-9_]{{0,32}}\.mp4)|(?P<segment>s[0-9]{{1,19}}\.m4s)))",
    re.ASCII,
)
PLAYLIST_TYPE, SEGMENT_TYPE = "application/vnd.apple.mpegurl", "video/mp4"
KEPT = {  # Cache-Control by kind
    "master": "public, max-age=1",
    "playlist": "public, max-age=1",
    "init": "public, max-age=60",  # written anew by each start of a ladder
    "segment": "public, max-age=3600, immutable",
}
NOT_KEPT = "no-store"


class Asked(NamedTuple):
    """What a path means. `token`: signature and expiry as they stand there."""

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
        return None
    kind = next(one for one in ("master", "playlist", "init", "segment") if found[one])
    sig = found["sig"]
    return Asked(
        kind=kind,
        stream=found["stream"],
        generation=found["generation"],
        rendition=found["rendition"] or "",
        file=found[kind],
        token=(sig, found["expires"]) if sig else None,
        health=found["door"] == "health",
    )


def base_of(endpoint: MediaEndpoint, namespace: str) -> Path:
    """Where a built-in endpoint's things lie on this machine."""
    given = endpoint.spec.spool.path
    return Path(
        layout.base(endpoint.metadata.name, namespace, str(given) if given is not None else None)
    ).expanduser()


class MediaPlane:
    """Answers for all built-in endpoints, or for one of them (`only`)."""

    def __init__(
        self, views: Views, logs: AccessLogs | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._views, self._clock = views, clock
        self.logs = logs or AccessLogs()
        self._salt = randomness.token_bytes(32)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """For whatever endpoint has it."""
        return await self.answer(request, None)

    async def answer(
        self, request: web.Request, only: str | None, *, health: bool = False
    ) -> web.StreamResponse:
        """For the endpoint `only`, as `namespace/name`. `health`: the host's own listener, where no token is asked."""
        asked = meaning(request.rel_url.raw_path)
        if asked is None or asked.health != health:
            return _refused(404)
        found = self._find(asked, only)
        if found is None:
            return _refused(404)
        view, endpoint, base, stream = found
        response = self._decide(request, asked, view, stream, base)
        _allow(response, request, endpoint)
        harden(response)
        await response.prepare(request)
        if not health and request.method != hdrs.METH_OPTIONS:
            self._log(request, asked, base, response)
        return response

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
                if not (base / layout.generation_folder(asked.stream, asked.generation)).is_dir():
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
            status = self._judge(asked, view, stream)
            if status:
                return _refused(status)
        # a segment that is there may still be fetched: it plays out what was promised
        if asked.kind in ("master", "playlist") and (base / layout.stale_flag(asked.stream)).exists():
            return _refused(503)
        file = base / asked.path
        try:
            size = file.stat().st_size
        except OSError:
            return _refused(404)
        if not size:
            return _refused(503 if asked.kind in ("master", "playlist") else 404)  # a full disk leaves such
        response = web.FileResponse(file)
        response.content_type = PLAYLIST_TYPE if asked.kind in ("master", "playlist") else SEGMENT_TYPE
        response.headers[hdrs.CACHE_CONTROL] = KEPT[asked.kind]
        return response

    def _judge(self, asked: Asked, view: FleetView, stream: Stream) -> int:
        """0, or the status of a refusal."""
        if asked.token is None:
            return 403
        known = [one.reveal().decode("utf-8", "surrogateescape") for one in view.door.playback(stream)]
        verdict = tokens.verify(known, asked.stream, *asked.token, self._clock())
        if verdict is Verdict.VALID or (verdict is Verdict.GRACE and asked.kind != "master"):
            return 0
        return 403 if verdict is Verdict.FORGED else 410

    def _log(self, request: web.Request, asked: Asked, base: Path, response: web.StreamResponse) -> None:
        sent = 0 if request.method == hdrs.METH_HEAD else (response.content_length or 0)
        parts = (request.remote or "", request.headers.get(hdrs.USER_AGENT, ""), (asked.token or ("",))[0])
        viewer = hmac.new(self._salt, "\n".join(parts).encode("utf-8", "replace"), hashlib.sha256)
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
                viewer=viewer.hexdigest()[:16],
            ),
        )


def _refused(status: int) -> web.Response:
    response = web.Response(status=status, headers={hdrs.CACHE_CONTROL: NOT_KEPT})
    if status == 503:
        response.headers[hdrs.RETRY_AFTER] = "2"
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
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = hdrs.RANGE
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "86400"
    else:
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "Content-Length, Content-Range"
