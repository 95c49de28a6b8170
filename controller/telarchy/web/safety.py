"""What every answer to the outside has: headers that keep browsers strict, and no traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from telarchy.errors import TelarchyError
from telarchy.store.memory import to_json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# hls.js makes blobs of what it plays and runs its worker from one; endpoints are on hosts of their own.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self' http: https:",
        "media-src 'self' http: https: blob:",
        "worker-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
HEADERS = {
    hdrs.SERVER: "telarchy",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # a token may stand in the address of a page
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
}


def secured(refusal: Callable[[TelarchyError], web.Response]) -> Middleware:
    """Middleware that adds the headers and makes sentences of errors."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except TelarchyError as error:
            response = refusal(error)
        except web.HTTPException as error:
            response = plain(error)
        except Exception as bug:  # noqa: BLE001 - kept in the crash file; the server goes on
            asyncio.get_running_loop().call_exception_handler({"message": str(bug), "exception": bug})
            response = _sentence(500, "this server has a bug; its owner finds more in the crash file")
        if not response.prepared:
            harden(response)
        return response

    return middleware


def harden(response: web.StreamResponse) -> None:
    """Add the headers. An answer that begins to be sent inside its handler calls this itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def plain(error: web.HTTPException) -> web.StreamResponse:
    """The same refusal without aiohttp's own words; a redirection as it is."""
    if error.status < 400:
        response: web.StreamResponse = web.Response(status=error.status)
        response.headers[hdrs.LOCATION] = error.headers.get(hdrs.LOCATION, "/")
        return response
    response = _sentence(error.status, _SENTENCES.get(error.status, error.reason))
    for name in (hdrs.RETRY_AFTER, hdrs.ALLOW):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


_SENTENCES = {
    400: "the question was not understood",
    404: "there is nothing here",
    405: "this is not done here",
    408: "it took too long to say",
    413: "that is too much at once",
    429: "too many questions; wait a little",
    503: "not at the moment",
}


def _sentence(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=to_json({"error": text}), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
