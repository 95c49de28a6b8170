"""How a stream stands on an endpoint, judged by what viewers would get. Pure.

A process that runs says nothing, and neither does its exit status: an encoder on a full disk lives on and ends with
0. What counts is the playlist: how old it is, whether its renditions keep step, whether the encoder keeps up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from telarchy.streaming import layout
from telarchy.streaming.evidence import EndpointSeen, Reach, ServiceSeen, ServiceState, StreamSeen
from telarchy.streaming.pace import LAG_BELOW, SLOW_BELOW

UNKNOWN_AFTER_INTERVALS = 3
LEAST_GRACE_SECONDS = 15.0
GRACE_TARGETS = 5.0  # target durations
SLOW_SECONDS = 30.0
LEAST_SPEED = 0.1  # below which a number says no more
FAILING_FETCHES = 0.01
CUT_SECONDS = 3.0  # a source is tried every two
EGRESS_SHARE = 0.85
LIVE_EDGE_TARGETS = 3.0
CRASH_LOOP_STARTS = 5  # short runs in a row
REMEDY = "fewer or smaller renditions, or a faster preset"


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
        """How long nothing is made of what comes in, from a start on, until that counts."""
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
    begun: float = 0.0,
) -> Finding:
    """The state of one stream on an endpoint that reports.

    maker:       the ladder or relay that writes the playlists; None where there is none (a cache)
    renditions:  those that a viewer must find; empty: whichever are there
    generation:  the one that is to be played; playlists of another do not count
    begun:       when that one began, so that it is not blamed for the one before
    """
    if maker is not None and maker.state is ServiceState.WAITING:
        return Finding(StreamState.NO_SOURCE, "nobody publishes")
    if seen is not None and seen.publisher == "":
        return Finding(StreamState.NO_SOURCE, "nobody publishes")
    mine = seen if seen is not None and generation in ("", seen.generation) else None
    playlists = {} if mine is None else mine.playlists
    missing = sorted(set(renditions) - set(playlists))
    grace_until = _grace_until(mine, maker, limits, begun)
    if mine is None or not playlists or missing or any(one.last < one.first for one in playlists.values()):
        if grace_until is not None and now >= grace_until:
            what = f"no playlist of {', '.join(missing)}" if missing else "no playlist"
            return Finding(StreamState.STALE, _said(what, maker, mine))
        return Finding(StreamState.STARTING, "waits for the first segment", grace_until)
    return _of_playlists(mine, maker, limits, now, grace_until)


def _grace_until(
    seen: StreamSeen | None, maker: ServiceSeen | None, limits: Limits, begun: float
) -> float | None:
    """Counted from the first of the starts that brought nothing forth: else an encoder that is started again and again
    would be starting for ever."""
    if maker is None or not maker.since:
        return None
    awaited = seen.awaited if seen is not None and seen.awaited is not None else maker.since
    return max(begun, min(maker.since, awaited)) + limits.grace


def _of_playlists(
    seen: StreamSeen, maker: ServiceSeen | None, limits: Limits, now: float, grace_until: float | None
) -> Finding:
    changed = seen.age
    assert changed is not None
    age = now - changed
    in_grace = grace_until is not None and now < grace_until
    if age > limits.stale_after and not in_grace:
        what = f"its playlist has not changed for more than {limits.stale_after:g} s"
        return Finding(StreamState.STALE, _said(what, maker, seen))
    if seen.refused:  # by playlists alone it was in order a moment before viewers were let in again
        return Finding(StreamState.STALE, "viewers are let in again once each of its playlists has changed")
    stale_at = changed + limits.stale_after
    if in_grace and grace_until is not None:
        stale_at = max(stale_at, grace_until)
    if over := _overload(seen, maker, limits, now):
        return Finding(StreamState.OVERLOADED, over, stale_at)
    if age > limits.degraded_after:
        what = f"its playlist has not changed for more than {limits.degraded_after:g} s"
        return Finding(StreamState.DEGRADED, _said(what, maker, seen), stale_at)
    soon = changed + limits.degraded_after
    if seen.slow_since is not None:
        soon = min(soon, max(now, seen.slow_since + SLOW_SECONDS))
    if short := _shortcoming(seen, maker, limits, now):
        return Finding(StreamState.DEGRADED, short, soon)
    return Finding(StreamState.HEALTHY, "", soon)


def is_overrun(seen: StreamSeen, now: float) -> bool:
    """Whether an encoder has been much slower than real time for long."""
    return seen.slow_since is not None and now - seen.slow_since >= SLOW_SECONDS


def crawls(seen: StreamSeen) -> bool:
    """Whether an encoder goes on, only too slowly: started anew it would be no faster."""
    return seen.speed is not None and 0 < seen.speed < SLOW_BELOW


def pace_words(seen: StreamSeen, maker: ServiceSeen | None) -> str:
    """How fast what writes the playlists is, and what helps; "" when it keeps up."""
    if not seen.lagging:
        return ""
    copies = maker is not None and maker.name.startswith(layout.RELAY)
    does = "it copies" if copies else "it encodes"
    speed = (
        seen.last_speed if seen.speed is None else seen.speed
    )  # of the start before, while it begins again
    if speed is None:
        said = f"{does} slower than real time"
    elif speed >= LAG_BELOW:
        return f"{does} in real time again, but was slower a moment ago"
    elif speed < LEAST_SPEED:
        said = f"{does} at less than {LEAST_SPEED:g}× of real time"
    else:
        said = f"{does} at {int(speed * 10) / 10:.1f}× of real time"
    return f"{said}: {'see to the line from its source' if copies else REMEDY}"


def _overload(seen: StreamSeen, maker: ServiceSeen | None, limits: Limits, now: float) -> str:
    if is_overrun(seen, now):
        return pace_words(seen, maker)
    if limits.egress is not None and seen.egress > EGRESS_SHARE * limits.egress:
        return f"more than {EGRESS_SHARE:.0%} of maxEgress go out"
    if limits.viewers is not None and seen.viewers >= limits.viewers:
        return "it has maxViewers viewers"
    return ""


def _shortcoming(seen: StreamSeen, maker: ServiceSeen | None, limits: Limits, now: float) -> str:
    """What is not as it should be, though viewers still get something."""
    lasts = {name: one.last for name, one in seen.playlists.items()}
    if max(lasts.values()) - min(lasts.values()) > 1:
        return f"{min(lasts, key=lambda name: lasts[name])} is behind the other renditions"
    broken = ((name, rule) for name, one in sorted(seen.playlists.items()) for rule in one.problems)
    for name, rule in broken:
        return f"the playlist of {name} breaks a rule that players rely on: {rule}"
    edges = [one.edge for one in seen.playlists.values() if one.edge is not None]
    if seen.lagging:
        return pace_words(seen, maker)  # which is why it is behind, too
    if edges and now - min(edges) > LIVE_EDGE_TARGETS * limits.target + limits.degraded_after:
        return f"what it plays lies more than {LIVE_EDGE_TARGETS:g} segments behind"
    fetched = seen.hits + seen.misses
    if seen.failures >= 2 and seen.failures > FAILING_FETCHES * max(1, fetched):
        return "fetches from its source fail"
    return ""


def _said(sentence: str, maker: ServiceSeen | None, seen: StreamSeen | None) -> str:
    """With why: what is known of the encoder's speed, or what it said last when it does not run or was begun anew."""
    if seen is not None and (slow := pace_words(seen, maker)):
        return f"{sentence}; {slow}"
    if maker is None or not maker.complaint:
        return sentence
    anew = seen is not None and seen.awaited is not None and maker.since - seen.awaited > 1
    return f"{sentence}: {maker.complaint}" if anew or maker.state is not ServiceState.RUNNING else sentence


def together(findings: Iterable[Finding]) -> Finding:
    """The state of an endpoint out of those of its streams. Without a stream to play there is nothing wrong."""
    found = list(findings)
    if not found:
        return Finding(StreamState.HEALTHY)
    sourced = [one for one in found if one.state is not StreamState.NO_SOURCE]
    moments = [one.changes_at for one in found if one.changes_at is not None]
    worst = min(sourced, key=lambda one: _WORST_FIRST.index(one.state)) if sourced else found[0]
    return Finding(worst.state, worst.why, min(moments, default=None))
