"""What of a report a plan may care about, coarse: only when this changes is it worth thinking again. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from telarchy.streaming import figures
from telarchy.streaming.evidence import EndpointSeen, StreamSeen
from telarchy.streaming.health import CRASH_LOOP_STARTS, LIVE_EDGE_TARGETS, SLOW_SECONDS, is_cut

Face = tuple[object, ...]


def firm(seen: EndpointSeen, now: float, steps: tuple[float, ...], reserve: int) -> Face:
    """What is thought about at once. `steps`: ages (seconds) of a playlist that matter; `reserve`: bytes."""
    return (
        seen.present,
        seen.trouble,
        seen.blind,
        seen.writable,
        seen.keys_digest,
        None if seen.holding is None else replace(seen.holding, alive=0.0),
        seen.free is not None and seen.free < reserve,
        tuple(
            (name, one.state, one.digest, one.starts, one.complaint if one.state != "Running" else "")
            for name, one in sorted(seen.services.items())
        ),
        tuple(sorted((name, starts >= CRASH_LOOP_STARTS) for name, starts in seen.restarts.items())),
        tuple(_firm_stream(one, now, steps) for _, one in sorted(seen.streams.items())),
        tuple((name, one.used, one.refused) for name, one in sorted(seen.keys.items())),
        tuple((name, one.answers, is_cut(one, seen)) for name, one in sorted(seen.reach.items())),
    )


def _firm_stream(one: StreamSeen, now: float, steps: tuple[float, ...]) -> Face:
    age = one.age
    lasts = [each.last for each in one.playlists.values()]
    edges = [each.edge for each in one.playlists.values() if each.edge is not None]
    target = max((each.target for each in one.playlists.values()), default=0.0)
    incoming = one.incoming
    return (
        one.stream,
        one.generation,
        one.generations,
        one.publisher,
        tuple(sorted((name, each.last >= each.first) for name, each in one.playlists.items())),
        None if age is None else bisect_right(steps, now - age),
        bool(lasts) and max(lasts) - min(lasts) > 1,
        any(each.problems for each in one.playlists.values()),
        bool(edges) and now - min(edges) > (LIVE_EDGE_TARGETS + 1.5) * target,
        (one.speed is None, one.lagging),
        one.slow_since is not None and now - one.slow_since >= SLOW_SECONDS,
        None if incoming is None else (incoming.codec, incoming.width, incoming.height),
        one.failures >= 2,
        one.unfed,
    )


def soft(seen: EndpointSeen) -> Face:
    """What is only shown, and thought about now and then."""
    return (
        figures.space(seen.free, seen.total),
        tuple(
            (
                name,
                one.viewers,
                figures.rate(one.egress),
                figures.rate(one.incoming.bitrate) if one.incoming is not None else 0,
                figures.ratio(one.hits, one.misses),
                figures.speed(one.speed),
            )
            for name, one in sorted(seen.streams.items())
        ),
    )
