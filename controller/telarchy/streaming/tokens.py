"""Path tokens for private streams, and the file by which a server checks them without asking anybody. Pure.

A token is a prefix of the path, so that every relative address in a playlist inherits it:
`/p/<signature>/<expires>/live/<stream>/…`. The signature is HMAC-SHA256 over the moment and the stream's name, in
base64url without padding. A stream has two secrets while one takes over from the other; either signs. A master
playlist is given to unexpired tokens only; a session that runs already goes on for `GRACE_SECONDS`.

`files/playback.js` holds the same rules for nginx; the tests put both to the same cases.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum

GRACE_SECONDS = 15 * 60
OWN_STEP = 5 * 60
TOKENS_FILE = "tokens.json"
HEADER = "Telarchy-Token"  # `<signature>/<expires>`: for a client that writes down the addresses it fetches
_LATEST = 9_999_999_999  # ten digits


class Verdict(StrEnum):
    """What a server makes of a token."""

    VALID = "Valid"
    GRACE = "Grace"  # expired lately: playlists and segments of a running session, no master
    EXPIRED = "Expired"
    FORGED = "Forged"


def signature(secret: str, stream: str, expires: int) -> str:
    """43 characters out of `A-Za-z0-9_-`."""
    if not 1_000_000_000 <= expires <= _LATEST:
        raise ValueError("a token's end is a moment of ten digits, in seconds since the epoch")
    digest = hmac.new(secret.encode(), f"{expires}\n{stream}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sign(secret: str, stream: str, expires: int) -> str:
    """The path prefix that opens `stream` until `expires`: `/p/<signature>/<expires>`."""
    return f"/p/{signature(secret, stream, expires)}/{expires}"


def own_end(now: float) -> int:
    """Until when a token lasts that an endpoint of ours makes for a request of its own: ten to fifteen minutes, and the
    same for a while, so that what is asked for keeps its address."""
    return (int(now) // OWN_STEP + 3) * OWN_STEP


def verify(secrets: Sequence[str], stream: str, given: str, expires: str, now: float) -> Verdict:
    """What to make of a signature and an end as they stand in a path. Takes as long for a good one as for a bad."""
    if len(expires) != 10 or not (expires.isascii() and expires.isdigit()) or expires[0] == "0":
        return Verdict.FORGED
    genuine = False
    for secret in secrets:
        right = signature(secret, stream, int(expires))
        genuine |= hmac.compare_digest(right.encode(), given.encode())
    if not genuine:
        return Verdict.FORGED
    if now < int(expires):
        return Verdict.VALID
    return Verdict.GRACE if now < int(expires) + GRACE_SECONDS else Verdict.EXPIRED


def tokens_json(secrets: Mapping[str, Sequence[str]]) -> bytes:
    """What a server's `tokens.json` holds: by private stream, its present secret first."""
    table = {stream: [one for one in several if one] for stream, several in sorted(secrets.items())}
    return json.dumps({"streams": table}, indent=1).encode() + b"\n"
