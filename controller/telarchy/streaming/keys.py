"""Stream keys on an ingest host: who may publish, as the local authority reads it, and what it wrote down. Pure.

A key is 256 random bits in text, so its plain SHA-256 is a verifier that tells nothing about it. The host holds
verifiers only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass

from telarchy.streaming.evidence import KeyUse


@dataclass(frozen=True, kw_only=True)
class KeyLine:
    """A key that the authority of an endpoint knows. `expires` in seconds since the epoch; None is never."""

    name: str
    stream: str
    verifier: str  # sha256:<64 hex digits>
    expires: float | None = None
    revoked: bool = False


def verifier(key: str) -> str:
    """What stands in a manifest for a key."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def fits(key: str, known: str) -> bool:
    """Whether `key` is the one that a verifier stands for."""
    return hmac.compare_digest(verifier(key).encode(), known.lower().encode())


def keys_json(keys: Iterable[KeyLine]) -> bytes:
    """The text of keys.json. Expired and revoked ones stay in it, so that the host can say why it refuses."""
    lines = [
        {
            "name": one.name,
            "stream": one.stream,
            "verifier": one.verifier.lower(),
            "expires": None if one.expires is None else int(one.expires),
            "revoked": one.revoked,
        }
        for one in sorted(keys, key=lambda line: line.name)
    ]
    return json.dumps({"keys": lines}, indent=1).encode() + b"\n"


def keys_digest(content: bytes) -> str:
    """16 hex digits, as a host reports them of the file it has."""
    return hashlib.sha256(content).hexdigest()[:16]


def parse_key_use(text: str) -> KeyUse:
    """What the authority wrote of a key: lines of `<epoch> used` and `<epoch> refused:<reason>`; others are skipped."""
    used: float | None = None
    refused: float | None = None
    reason = ""
    for line in text.splitlines():
        moment, _, what = line.strip().partition(" ")
        if not (moment.isascii() and moment.isdigit()) or len(moment) > 12:
            continue
        if what == "used":
            used = max(used or 0.0, float(moment))
        elif what.startswith("refused:") and float(moment) >= (refused or 0.0):
            refused, reason = float(moment), what.removeprefix("refused:")[:64]
    return KeyUse(used=used, refused=refused, reason=reason)
