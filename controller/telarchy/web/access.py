"""Who may watch: the token of a Private stream, in the path or in the query.

/p/<sig>/<expires>/watch/garden          as a signed page
/watch/garden?token=<sig>.<expires>      the same
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aiohttp import web

from telarchy.errors import TelarchyError
from telarchy.links.secrets import Secret
from telarchy.streaming import tokens
from telarchy.streaming.tokens import Verdict
from telarchy.web.playback import Token

_SIG = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_EXPIRES = re.compile(r"[1-9][0-9]{9}", re.ASCII)


class AccessDenied(TelarchyError):
    """A token is missing, wrong or too old. `reason` is the word for it."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def token_of(request: web.Request) -> Token | None:
    """The token that a request shows; None when it shows none. Raises AccessDenied when it is no token at all."""
    sig, expires = request.match_info.get("sig", ""), request.match_info.get("expires", "")
    if not sig:
        said = request.query.get("token", "")
        if not said:
            return None
        sig, _, expires = said.partition(".")
    if _SIG.fullmatch(sig) is None or _EXPIRES.fullmatch(expires) is None:
        raise AccessDenied("TokenInvalid", "the link is not complete")
    return Token(sig, int(expires))


def check(secrets: Iterable[Secret], stream: str, token: Token | None, now: float) -> Token:
    """The token, if it opens the stream at this moment. Raises AccessDenied."""
    if token is None:
        raise AccessDenied("TokenMissing", "this stream is private: it needs a link with a token")
    known = [one.reveal().decode("utf-8", "surrogateescape") for one in secrets]
    verdict = tokens.verify(known, stream, token.sig, str(token.expires), now)
    if verdict is Verdict.FORGED:
        raise AccessDenied("TokenInvalid", "the link is not valid for this stream")
    if verdict is not Verdict.VALID:
        raise AccessDenied("TokenExpired", "the link has expired: ask for a new one")
    return token
