"""What external endpoints say of themselves: signed, checked, and kept until the next one.

An endpoint that is not ours sends a JSON document with two headers:

    Telarchy-Timestamp: 1795228800                 seconds since the epoch, within five minutes of our clock
    Telarchy-Signature: sha256=<64 hex digits>     HMAC-SHA256(secret, timestamp + "\\n" + body)

The document names its endpoint, so that a signature serves for no other, and a sequence number that only grows, so
that none is taken twice. What was taken outlives the process: a restart lets nothing old in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import Field, ValidationError

from telarchy.errors import TelarchyError
from telarchy.resources.meta import DEFAULT_NAMESPACE, Model, Name, PartName
from telarchy.streaming.evidence import Carried, EndpointSeen, PlaylistSeen, StreamSeen

SNAPSHOT_BYTES = 64 * 1024
WINDOW_SECONDS = 300.0
TIMESTAMP_HEADER = "Telarchy-Timestamp"
SIGNATURE_HEADER = "Telarchy-Signature"
MEMORY_PREFIX = "streaming/snapshots/"
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})", re.ASCII)
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
_MOST_NUMBER = 2**53

Amount = Annotated[int, Field(ge=0, le=_MOST_NUMBER, strict=True)]
Seconds = Annotated[float, Field(ge=0.0, le=86400.0, allow_inf_nan=False)]
GenerationId = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]


class SnapshotForged(TelarchyError):
    """Nothing proves who sent it, or when."""


class SnapshotReplayed(TelarchyError):
    """It was taken already, or a younger one was."""


class SnapshotMalformed(TelarchyError):
    """It is not what a snapshot looks like. Says where, and repeats nothing of it."""


class SnapshotPlaylist(Model):
    """A media playlist as viewers of the external endpoint get it."""

    rendition: PartName
    first: Amount
    last: Amount
    target: Annotated[float, Field(gt=0.0, le=3600.0, allow_inf_nan=False)]
    age: Seconds = Field(description="Since its last change.")
    discontinuities: Amount = 0
    ended: bool = False


class SnapshotStream(Model):
    """A stream there. Rates in bits per second; counts since the snapshot before."""

    name: Name
    generation: GenerationId = ""
    viewers: Amount = 0
    egress: Amount = 0
    hits: Amount = 0
    misses: Amount = 0
    failures: Amount = 0
    playlists: Annotated[tuple[SnapshotPlaylist, ...], Field(max_length=16)] = ()


class Snapshot(Model):
    """How an external endpoint stands, by its own word."""

    endpoint: Name
    sequence: Amount
    streams: Annotated[tuple[SnapshotStream, ...], Field(max_length=256)] = ()


class Memory(Protocol):
    """What the book needs of the store."""

    def get(self, key: str, default: Any = None) -> Any: ...

    def put(self, key: str, value: Any, now: float | None = None) -> bool: ...


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """The value of the signature header."""
    return "sha256=" + hmac.new(secret, b"%d\n" % timestamp + body, hashlib.sha256).hexdigest()


def verify(secret: bytes, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raises SnapshotForged unless `body` was signed with `secret` within five minutes of `now`."""
    stamp, signed = headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
    if _TIMESTAMP.fullmatch(stamp) is None or _SIGNATURE.fullmatch(signed) is None or not secret:
        raise SnapshotForged(f"a snapshot carries {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}: sha256=…")
    if not hmac.compare_digest(signature(secret, int(stamp), body), signed):
        raise SnapshotForged("the signature is not that of this endpoint's secret")
    if abs(now - int(stamp)) > WINDOW_SECONDS:
        raise SnapshotForged("the timestamp is more than five minutes from this clock")


def read(body: bytes) -> Snapshot:
    """Raises SnapshotMalformed."""
    if len(body) > SNAPSHOT_BYTES:
        raise SnapshotMalformed(f"a snapshot has at most {SNAPSHOT_BYTES} bytes")
    try:
        return Snapshot.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:80]
        raise SnapshotMalformed(f"{place or 'the document'}: {first['msg']}"[:200]) from None


class SnapshotBook:
    """The last snapshot of each external endpoint of a fleet, kept in the store."""

    def __init__(self, memory: Memory, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._memory, self._namespace = memory, namespace

    def take(
        self, endpoint: str, secret: bytes, headers: Mapping[str, str], body: bytes, now: float
    ) -> EndpointSeen:
        """Check and keep one. Raises SnapshotForged, SnapshotMalformed, SnapshotReplayed."""
        if len(body) > SNAPSHOT_BYTES:
            raise SnapshotMalformed(f"a snapshot has at most {SNAPSHOT_BYTES} bytes")
        verify(secret, headers, body, now)
        said = read(body)
        if said.endpoint != endpoint:
            raise SnapshotForged("it was signed for another endpoint")
        known = self._memory.get(self._key(endpoint))
        if known is not None and said.sequence <= known["sequence"]:
            raise SnapshotReplayed(f"its sequence number must be above {known['sequence']}")
        before = _carried(known)
        carried = {
            one.name: before.get(one.name, Carried()).more(one.hits, one.misses, one.failures, 0)
            for one in said.streams
        }
        self._memory.put(
            self._key(endpoint),
            {
                "sequence": said.sequence,
                "taken": now,
                "said": said.model_dump(mode="json", by_alias=True),
                "carried": {name: [one.hits, one.misses, one.failures] for name, one in carried.items()},
            },
            now,
        )
        return _seen(said, now, carried)

    def latest(self, endpoint: str) -> EndpointSeen | None:
        """The last one; None when there never was one. Its age is in `reported`."""
        known = self._memory.get(self._key(endpoint))
        if known is None:
            return None
        try:
            return _seen(Snapshot.model_validate(known["said"]), float(known["taken"]), _carried(known))
        except (ValidationError, KeyError, TypeError, ValueError):
            return None  # of another version: the next one replaces it

    def _key(self, endpoint: str) -> str:
        return f"{MEMORY_PREFIX}{self._namespace}/{endpoint}"


def _carried(known: Any) -> dict[str, Carried]:
    """Totals as they are kept beside a snapshot; none of another version's."""
    try:
        return {name: Carried(*map(int, one)) for name, one in known["carried"].items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _seen(said: Snapshot, taken: float, carried: Mapping[str, Carried]) -> EndpointSeen:
    streams = {}
    for one in said.streams:
        playlists = {
            each.rendition: PlaylistSeen(
                rendition=each.rendition,
                first=each.first,
                last=each.last,
                target=each.target,
                edge=None,
                changed=taken - each.age,
                discontinuities=each.discontinuities,
                ended=each.ended,
            )
            for each in one.playlists
        }
        streams[one.name] = StreamSeen(
            stream=one.name,
            generation=one.generation,
            playlists=playlists,
            viewers=one.viewers,
            egress=one.egress,
            hits=one.hits,
            misses=one.misses,
            failures=one.failures,
            carried=carried.get(one.name, Carried()),
        )
    return EndpointSeen(endpoint=said.endpoint, reported=taken, streams=streams)
