"""The page's files: ours out of the package, and hls.js from where it was put.

hls.js is not ours and not kept here: `make assets` fetches it by name and version. Without it the page plays with
what the browser itself can do, and says so where that is nothing.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from aiohttp import hdrs, web

ASSETS_VARIABLE = "TELARCHY_ASSETS"
HLS = "hls.min.js"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_OURS = ("watch.html", "watch.css", "watch.js", "player.js")


def asset_folders(state: Path | None = None) -> list[Path]:
    """Where files that are not ours may lie, the first that has one wins."""
    named = os.environ.get(ASSETS_VARIABLE)
    below = [state / "assets"] if state is not None else []
    return [*([Path(named)] if named else []), *below, Path(sys.prefix) / "share" / "telarchy" / "assets"]


class PageFiles:
    """Answers for pages and their files."""

    def __init__(self, folders: Iterable[Path] | None = None) -> None:
        self._folders = list(asset_folders() if folders is None else folders)
        room = resources.files("telarchy.web") / "pages"
        self._ours = {name: (room / name).read_bytes() for name in _OURS}

    async def home(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/watch")

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The same for every stream: it asks for what it needs."""
        response = _file(request, "watch.html", self._ours["watch.html"])
        response.headers[hdrs.CACHE_CONTROL] = "no-cache"
        return response

    async def asset(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == HLS:
            return self._hls()
        if name not in self._ours or name.endswith(".html"):
            raise web.HTTPNotFound()
        return _file(request, name, self._ours[name])

    def _hls(self) -> web.StreamResponse:
        for folder in self._folders:
            file = folder / HLS
            if file.is_file():
                headers = {
                    hdrs.CACHE_CONTROL: "no-cache",
                    hdrs.CONTENT_TYPE: "text/javascript; charset=utf-8",
                }
                return web.FileResponse(file, headers=headers)
        raise web.HTTPNotFound()

    @property
    def has_hls(self) -> bool:
        return any((folder / HLS).is_file() for folder in self._folders)


def _file(request: web.Request, name: str, content: bytes) -> web.Response:
    mark = hashlib.sha256(content).hexdigest()[:16]
    response = web.Response(content_type=_KINDS[Path(name).suffix], charset="utf-8")
    response.headers[hdrs.CACHE_CONTROL] = "no-cache"
    response.headers[hdrs.ETAG] = f'"{mark}"'
    if request.headers.get(hdrs.IF_NONE_MATCH) == f'"{mark}"':
        response.set_status(304)
    else:
        response.body = content
    return response
