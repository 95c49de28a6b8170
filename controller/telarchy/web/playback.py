"""What a player is told of a stream: whether it can be played now, from where, and if not, why not. Pure.

A Private stream is told of only to whoever shows a token, and its URLs carry the same token: nobody gets more time
by asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from telarchy.resources.mediaendpoint import EndpointStream, MediaEndpoint, served_at
from telarchy.resources.meta import DEFAULT_NAMESPACE, format_time, get_condition
from telarchy.resources.stream import Stream
from telarchy.streaming.layout import MASTER, entry_path, live_path
from telarchy.web.fleetview import FleetView

# The best first; one that cannot be judged is better than one that is known to be bad.
ORDER = ("Healthy", "Degraded", "Unknown", "Overloaded", "Starting", "NoSource", "Stale")
PLAYS = frozenset(ORDER[:4])
RETRY_SECONDS: Mapping[str, int] = {"Ended": 15, "Failed": 15, "Suspended": 30, "Starting": 2}
RETRY_DEFAULT_SECONDS = 4

SENTENCES = {
    "Pending": "It has not been started yet.",
    "Starting": "It is about to start.",
    "NoSource": "Nothing is being sent to it at the moment.",
    "Ended": "It has ended.",
    "Failed": "It could not be started.",
    "Suspended": "It is suspended.",
    "NoEndpoint": "No server has it at the moment.",
    "EndpointAway": "The servers that have it do not answer as they should at the moment.",
}


class Token(NamedTuple):
    """What stands in a signed URL: `/p/<sig>/<expires>/…`."""

    sig: str
    expires: int

    @property
    def prefix(self) -> str:
        return f"/p/{self.sig}/{self.expires}"


def playback(view: FleetView, stream: Stream, token: Token | None, here: str) -> dict[str, Any]:
    """Everything a player needs, JSON-ready. `here`: the URL of this server, without a path; "" where
    that is not known.

    The caller has checked the token, if the stream needs one."""
    status = stream.status
    endpoints = _endpoints(view, stream, token if stream.spec.visibility == "Private" else None, here)
    reason = _reason(stream, endpoints)
    told: dict[str, Any] = {
        "stream": stream.metadata.name,
        "namespace": stream.metadata.namespace or DEFAULT_NAMESPACE,
        "visibility": stream.spec.visibility,
        "phase": status.phase,
        "source": status.source,
        "generation": status.generation,
        "live": reason == "Live",
        "reason": reason,
        "message": SENTENCES.get(reason, ""),
        "detail": _detail(stream) if reason == "Pending" else "",
        "viewers": status.viewers,
        "segmentSeconds": stream.spec.segment.duration.seconds,
        "endpoints": endpoints,
        "retryAfter": RETRY_SECONDS.get(reason, RETRY_DEFAULT_SECONDS),
    }
    for key, moment in (("startedAt", status.started_at), ("liveSince", status.live_since)):
        if moment is not None:
            told[key] = format_time(moment)
    if token is not None:
        told["expires"] = token.expires
    return told


def listed(view: FleetView) -> list[dict[str, Any]]:
    """The streams that everybody may know of."""
    return [
        {
            "stream": one.metadata.name,
            "phase": one.status.phase,
            "live": one.status.phase == "Live",
            "viewers": one.status.viewers,
        }
        for _, one in sorted(view.streams.items())
        if one.spec.visibility == "Public"
    ]


def _reason(stream: Stream, endpoints: list[dict[str, Any]]) -> str:
    phase = stream.status.phase
    if stream.spec.suspend:
        return "Suspended"
    if phase in ("Ended", "Failed", "Suspended"):
        return phase
    if not stream.spec.running:
        return "Ended"
    if phase != "Live":
        return "NoSource" if stream.status.source == "Absent" else phase
    if any(one["state"] in PLAYS for one in endpoints):
        return "Live"
    if stream.status.source == "Absent":
        return "NoSource"
    return "EndpointAway" if endpoints else "NoEndpoint"


def _detail(stream: Stream) -> str:
    ready = get_condition(stream.status.conditions, "Ready")
    # What went wrong names hosts, paths and secrets, which strangers need not know; what is waited for names no more
    # than endpoints.
    return ready.message[:300] if ready is not None and stream.spec.visibility == "Public" else ""


def _endpoints(view: FleetView, stream: Stream, token: Token | None, here: str) -> list[dict[str, Any]]:
    status = stream.status
    if not status.generation or status.phase != "Live":
        return []
    found = []
    for one in status.endpoints:
        endpoint = view.endpoints.get(one.name)
        if endpoint is None or endpoint.spec.suspend:
            continue
        has = _has(endpoint, stream.metadata.name)
        url, entry = _urls(view, endpoint, stream, token, here)
        if url is None or (has is not None and has.generation not in ("", status.generation)):
            continue
        state = one.state or (has.state if has is not None else "") or "Unknown"
        found.append(
            {
                "name": one.name,
                "role": endpoint.spec.role,
                "state": _worse(state, endpoint.status.state),
                "age": one.age,
                "viewers": one.viewers,
                "url": url,
                "entry": entry,
            }
        )
    # of equals an edge, since the origin has work of its own; then the emptier one
    return sorted(
        found,
        key=lambda one: (_rank(one["state"]), "Origin" in one["role"], one["viewers"], one["name"]),
    )


def _has(endpoint: MediaEndpoint, stream: str) -> EndpointStream | None:
    return next((one for one in endpoint.status.streams if one.name == stream), None)


def _worse(state: str, whole: str) -> str:
    """A full endpoint is full for every stream; other troubles of it need not be this stream's."""
    return whole if whole == "Overloaded" and _rank(state) < _rank(whole) else state


def _rank(state: str) -> int:
    return ORDER.index(state) if state in ORDER else len(ORDER)


def built_in(view: FleetView, endpoint: MediaEndpoint) -> bool:
    """Whether this process serves the endpoint."""
    host = view.host_of(endpoint)
    if endpoint.spec.is_external or host is None or host.spec.connection.local is None:
        return False
    return endpoint.spec.server in (None, "BuiltIn")


def _urls(
    view: FleetView, endpoint: MediaEndpoint, stream: Stream, token: Token | None, here: str
) -> tuple[str | None, str | None]:
    """Where the present generation plays, and the address that stays when another follows it."""
    spec, name = endpoint.spec, stream.metadata.name
    if spec.external is not None and spec.external.playlist_url is not None:
        if stream.spec.visibility == "Private":
            return None, None  # one with paths of its own does not know our tokens
        first = stream.spec.renditions[0].name
        own = spec.external.playlist_url.replace("{stream}", name).replace("{rendition}", first)
        return own, own
    served = served_at(spec, view.host_of(endpoint))
    if here and spec.public_url is None and built_in(view, endpoint):
        served = here
    if served is None:
        return None, None
    below = served + (token.prefix if token is not None else "")
    return below + live_path(name, stream.status.generation, MASTER), below + entry_path(name)
