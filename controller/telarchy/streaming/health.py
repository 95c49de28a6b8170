"""How a stream stands on an endpoint, judged by what viewers would get. Pure.

A process that runs says nothing, and neither does its exit status: an encoder on a full disk lives on and ends with
0. What counts is the playlist: how old it is, whether its renditions keep step, whether the encoder keeps up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from telarchy.streaming.evidence import EndpointSeen, Reach, ServiceSeen, ServiceState, StreamSeen

UNKNOWN_AFTER_INTERVALS = 3
LEAST_GRACE_SECONDS = 15.0
GRACE_TARGETS = 5.0  # target durations
SLOW_SECONDS = 30.0
HEALTHY_SPEED, DEGRADED_SPEED = 0.98, 0.9
FAILING_FETCHES = 0.01
CUT_SECONDS = 3.0  # a source is tried every two
EGRESS_SHARE = 0.85
LIVE_EDGE_TARGETS = 3.0
CRASH_LOOP_STARTS = 5  # short runs in a row


class StreamState(StrEnum):
    """What a viewer of this endpoint would find."""

    STARTING = "Starting"
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    STALE = "Stale"
    OVERLOADED = "Overloaded"
    NO_SOURCE = "NoSource"
    UNKNOWN = "Unknown"


PLAYABLE = frozenset({StreamState.HEALTHY, StreamState.DEGRADED, StreamState.OVERLOADED})
_WORST_FIRST = (
    StreamState.UNKNOWN,
    StreamState.STALE,
    StreamState.OVERLOADED,
    StreamState.DEGRADED,
    StreamState.STARTING,
    StreamState.HEALTHY,
)


@dataclass(frozen=True)
class Limits:
    """When a stream stops being in order. Seconds; `egress` in bits per second; `target`: segment duration."""

    target: float = 2.0
    degraded_after: float = 3.0
    stale_after: float = 6.0
    viewers: int | None = None
    egress: int | None = None

    @property
    def grace(self) -> float:
        """How long a process that was just started is not judged by its playlist's age."""
        return max(LEAST_GRACE_SECONDS, GRACE_TARGETS * self.target)


@dataclass(frozen=True)
class Finding:
    """A state, why, and the moment at which time alone makes it another (None if only evidence can)."""

    state: StreamState
    why: str = ""
    changes_at: float | None = None


def is_unknown(seen: EndpointSeen | None, interval: float, now: float) -> str:
    """Why nothing is known of an endpoint now; "" when its report can be believed. `interval` in seconds."""
    if seen is None:
        return "it has not been looked at yet"
    if seen.trouble:
        return seen.trouble
    if now - seen.reported > UNKNOWN_AFTER_INTERVALS * interval:
        return "it has not reported for three intervals"
    return ""


def is_cut(reach: Reach | None, seen: EndpointSeen) -> bool:
    """Whether nothing of a source reaches an edge. One answer that does not come in time tells nothing."""
    return reach is not None and not reach.answers and seen.reported - reach.since >= CUT_SECONDS


def judge(
    seen: StreamSeen | None,
    maker: ServiceSeen | None,
    limits: Limits,
    now: float,
    *,
    renditions: Iterable[str] = (),
    generation: str = "",
) -> Finding:
    """The state of one stream on an endpoint that reports.

    maker:       the ladder or relay that writes the playlists; None where there is none (a cache)
    renditions:  those that a viewer must find; empty: whichever are there
    generation:  the one that is to be played; playlists of another do not count
    """
    if maker is not None and maker.state is ServiceState.WAITING:
        return Finding(StreamState.NO_SOURCE, "nobody publishes")
    if seen is not None and seen.publisher == "":
        return Finding(StreamState.NO_SOURCE, "nobody publishes")
    playlists = {} if seen is None or generation not in ("", seen.generation) else seen.playlists
    missing = sorted(set(renditions) - set(playlists))
    grace_until = maker.since + limits.grace if maker is not None and maker.since else None
    if not playlists or missing or any(one.last < one.first for one in playlists.values()):
        if grace_until is not None and now >= grace_until:
            what = f"no playlist of {', '.join(missing)}" if missing else "no playlist"
            return Finding(StreamState.STALE, _said(what, maker))
        return Finding(StreamState.STARTING, "waits for the first segment", grace_until)
    assert seen is not None
    return _of_playlists(seen, maker, limits, now, grace_until)


def _of_playlists(
    seen: StreamSeen, maker: ServiceSeen | None, limits: Limits, now: float, grace_until: float | None
) -> Finding:
    changed = seen.age
    assert changed is not None
    age = now - changed
    in_grace = grace_until is not None and now < grace_until
    if age > limits.stale_after and not in_grace:
        since = "its playlist has not changed"
        return Finding(StreamState.STALE, _said(f"{since} for more than {limits.stale_after:g} s", maker))
    stale_at = changed + limits.stale_after
    if in_grace and grace_until is not None:
        stale_at = max(stale_at, grace_until)
    if over := _overload(seen, limits, now):
        return Finding(StreamState.OVERLOADED, over, stale_at)
    if age > limits.degraded_after:
        return Finding(
            StreamState.DEGRADED,
            f"its playlist has not changed for more than {limits.degraded_after:g} s",
            stale_at,
        )
    soon = changed + limits.degraded_after
    if seen.slow_since is not None:
        soon = min(soon, max(now, seen.slow_since + SLOW_SECONDS))
    if short := _shortcoming(seen, limits, now):
        return Finding(StreamState.DEGRADED, short, soon)
    return Finding(StreamState.HEALTHY, "", soon)


def _overload(seen: StreamSeen, limits: Limits, now: float) -> str:
    if seen.slow_since is not None and now - seen.slow_since >= SLOW_SECONDS:
        return f"the encoder has been slower than real time for {SLOW_SECONDS:.0f} s: fewer or smaller renditions help"
    if limits.egress is not None and seen.egress > EGRESS_SHARE * limits.egress:
        return f"more than {EGRESS_SHARE:.0%} of maxEgress go out"
    if limits.viewers is not None and seen.viewers >= limits.viewers:
        return "it has maxViewers viewers"
    return ""


def _shortcoming(seen: StreamSeen, limits: Limits, now: float) -> str:
    """What is not as it should be, though viewers still get something."""
    lasts = {name: one.last for name, one in seen.playlists.items()}
    if max(lasts.values()) - min(lasts.values()) > 1:
        return f"{min(lasts, key=lambda name: lasts[name])} is behind the other renditions"
    broken = ((name, rule) for name, one in sorted(seen.playlists.items()) for rule in one.problems)
    for name, rule in broken:
        return f"the playlist of {name} breaks a rule that players rely on: {rule}"
    edges = [one.edge for one in seen.playlists.values() if one.edge is not None]
    if edges and now - min(edges) > LIVE_EDGE_TARGETS * limits.target + limits.degraded_after:
        return f"what it plays lies more than {LIVE_EDGE_TARGETS:g} segments behind"
    if seen.speed is not None and seen.speed < HEALTHY_SPEED:
        return "the encoder is slower than real time"
    fetched = seen.hits + seen.misses
    if seen.failures >= 2 and seen.failures > FAILING_FETCHES * max(1, fetched):
        return "fetches from its source fail"
    return ""


def _said(sentence: str, maker: ServiceSeen | None) -> str:
    """With what the process said last, when it does not run."""
    if maker is not None and maker.state is not ServiceState.RUNNING and maker.complaint:
        return f"{sentence}: {maker.complaint}"
    return sentence


def together(findings: Iterable[Finding]) -> Finding:
    """The state of an endpoint out of those of its streams. Without a stream to play there is nothing wrong."""
    found = list(findings)
    if not found:
        return Finding(StreamState.HEALTHY)
    sourced = [one for one in found if one.state is not StreamState.NO_SOURCE]
    moments = [one.changes_at for one in found if one.changes_at is not None]
    worst = min(sourced, key=lambda one: _WORST_FIRST.index(one.state)) if sourced else found[0]
    return Finding(worst.state, worst.why, min(moments, default=None))
