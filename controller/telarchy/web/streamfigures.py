"""Figures of streams for Prometheus: what endpoints were last seen to do, and what players told.

Exact, unlike statuses, which are rounded so that they do not change every second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from telarchy.resources.meta import Ref
from telarchy.streaming.evidence import EndpointSeen, StreamingSeen, StreamSeen
from telarchy.web.reports import STARTUP_BOUNDS, ReportBook

_STREAM = ("namespace", "endpoint", "stream")


@dataclass(frozen=True)
class StreamingFigures:
    """A fleet's streams at this moment. `phases`: by stream; `states`: by endpoint."""

    namespace: str
    seen: StreamingSeen
    now: float
    phases: Mapping[str, str]
    states: Mapping[str, str]


def figures_of(
    namespace: str, section: object, now: float, statuses: Iterable[tuple[Ref, Mapping[str, Any]]]
) -> StreamingFigures | None:
    """Of what the room of streaming saw; None where there is no such room."""
    if not isinstance(section, StreamingSeen):
        return None
    known = list(statuses)
    return StreamingFigures(
        namespace=namespace,
        seen=section,
        now=now,
        phases={ref.name: str(one.get("phase", "Pending")) for ref, one in known if ref.kind == "Stream"},
        states={
            ref.name: str(one.get("state", "Unknown")) for ref, one in known if ref.kind == "MediaEndpoint"
        },
    )


def streaming(fleets: Iterable[StreamingFigures]) -> Iterator[Metric]:
    """Every family, of all fleets."""
    several = list(fleets)
    yield from _streams(several)
    yield from _endpoints(several)
    yield from _carried(several)


def _streams(fleets: list[StreamingFigures]) -> Iterator[Metric]:
    phase = _gauge("stream_phase", "The phase in which a stream is.", "namespace", "stream", "phase")
    start = _gauge(
        "stream_start_seconds", "From the start of a run to its first playlist.", "namespace", "stream"
    )
    run = _gauge("stream_generation", "Which run of the stream it is.", "namespace", "stream")
    for one in fleets:
        for name, word in sorted(one.phases.items()):
            phase.add_metric([one.namespace, name, word], 1.0)
        for name, generation in sorted(one.seen.generations.items()):
            run.add_metric([one.namespace, name], generation.sequence)
            if generation.live is not None:
                start.add_metric([one.namespace, name], max(0.0, generation.live - generation.started))
    yield from (phase, start, run)


def _endpoints(fleets: list[StreamingFigures]) -> Iterator[Metric]:
    place = ("namespace", "endpoint")
    state = _gauge("endpoint_state", "The state in which an endpoint is.", *place, "state")
    age = _gauge("endpoint_report_age_seconds", "Seconds since an endpoint was last looked at.", *place)
    free = _gauge("endpoint_spool_free_bytes", "Free bytes where segments lie.", *place)
    total = _gauge("endpoint_spool_bytes", "All bytes where segments lie.", *place)
    starts = CounterMetricFamily(
        "telarchy_service_starts",
        "Starts of a process since it was put on its host.",
        labels=(*place, "service"),
    )
    source = _gauge("edge_source", "The source that an edge takes now.", *place, "source")
    since = _gauge("edge_source_since_seconds", "When an edge last changed its source.", *place)
    for one in fleets:
        for name, word in sorted(one.states.items()):
            state.add_metric([one.namespace, name, word], 1.0)
        for name, seen in sorted(one.seen.endpoints.items()):
            labels = [one.namespace, name]
            age.add_metric(labels, max(0.0, one.now - seen.reported))
            for gauge, value in ((free, seen.free), (total, seen.total)):
                if value is not None:
                    gauge.add_metric(labels, value)
            for service in seen.services.values():
                starts.add_metric([*labels, service.name], service.starts)
        for name, choice in sorted(one.seen.choices.items()):
            source.add_metric([one.namespace, name, choice.source], 1.0)
            since.add_metric([one.namespace, name], choice.since)
    yield from (state, age, free, total, starts, source, since)


def _carried(fleets: list[StreamingFigures]) -> Iterator[Metric]:
    """What each endpoint does for each stream."""
    viewers = _gauge("stream_viewers", "Viewers of a stream at an endpoint.", *_STREAM)
    egress = _gauge("stream_egress_bits_per_second", "To viewers.", *_STREAM)
    ingress = _gauge("stream_ingress_bits_per_second", "From the publisher or source.", *_STREAM)
    age = _gauge("stream_playlist_age_seconds", "Since a playlist last changed.", *_STREAM, "rendition")
    last = _gauge("stream_last_segment", "Sequence number of the last segment.", *_STREAM, "rendition")
    broken = _gauge("stream_playlist_problems", "Rules that a playlist breaks.", *_STREAM, "rendition")
    speed = _gauge("stream_encoder_speed", "Of the encoder; 1 is real time.", *_STREAM)
    asked = _counter("stream_cache_requests", "Requests, by what the cache had.", *_STREAM, "result")
    failures = _counter("stream_source_failures", "Failed fetches.", *_STREAM)
    sent = _counter("stream_sent_bytes", "To viewers.", *_STREAM)
    size = _gauge("stream_spool_bytes", "Bytes of a stream's segments on an endpoint.", *_STREAM)
    for one, endpoint, stream in _each(fleets):
        labels = [one.namespace, endpoint.endpoint, stream.stream]
        viewers.add_metric(labels, stream.viewers)
        egress.add_metric(labels, stream.egress)
        if stream.incoming is not None:
            ingress.add_metric(labels, stream.incoming.bitrate)
        if stream.speed is not None:
            speed.add_metric(labels, stream.speed)
        for result, count in (("hit", stream.carried.hits), ("miss", stream.carried.misses)):
            asked.add_metric([*labels, result], count)
        failures.add_metric(labels, stream.carried.failures)
        sent.add_metric(labels, stream.carried.sent)
        size.add_metric(labels, stream.size)
        for playlist in stream.playlists.values():
            age.add_metric([*labels, playlist.rendition], max(0.0, one.now - playlist.changed))
            last.add_metric([*labels, playlist.rendition], playlist.last)
            broken.add_metric([*labels, playlist.rendition], len(playlist.problems))
    yield from (viewers, egress, ingress, age, last, broken, speed, asked, failures, sent, size)


def _each(fleets: list[StreamingFigures]) -> Iterator[tuple[StreamingFigures, EndpointSeen, StreamSeen]]:
    for one in fleets:
        for _, endpoint in sorted(one.seen.endpoints.items()):
            for _, stream in sorted(endpoint.streams.items()):
                yield one, endpoint, stream


def players(book: ReportBook) -> Iterator[Metric]:
    """What players told since this process began."""
    of = ("namespace", "stream")
    reports = _counter("player_reports", "Reports of players.", *of)
    watched = _counter("player_watched_seconds", "Seconds watched.", *of)
    stalls = _counter("player_stalls", "Times that a picture stood still.", *of)
    stalled = _counter("player_stalled_seconds", "Seconds that pictures stood still.", *of)
    moves = _counter("player_moves", "Changes of a player to another endpoint.", *of)
    errors = _counter("player_errors", "Errors of players.", *of, "endpoint", "kind", "fatal")
    latency = _gauge("player_latency_seconds", "Behind what is encoded, as the last player said.", *of)
    startup = HistogramMetricFamily(
        "telarchy_player_startup_seconds", "From opening the page to the first picture.", labels=of
    )
    for key, one in sorted(book.streams.items()):
        labels = list(key)
        reports.add_metric(labels, one.reports)
        watched.add_metric(labels, one.watched)
        stalls.add_metric(labels, one.stalls)
        stalled.add_metric(labels, one.stalled)
        moves.add_metric(labels, one.moves)
        if one.latency is not None:
            latency.add_metric(labels, one.latency)
        bounds = [*(str(bound) for bound in STARTUP_BOUNDS), "+Inf"]
        counts = [*one.startup_buckets, one.startups]
        startup.add_metric(labels, list(zip(bounds, counts, strict=True)), one.startup_seconds)
        for (endpoint, kind, fatal), count in sorted(one.errors.items()):
            errors.add_metric([*labels, endpoint, kind, str(fatal).lower()], count)
    yield from (reports, watched, stalls, stalled, moves, errors, latency, startup)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"telarchy_{name}", text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"telarchy_{name}", text, labels=labels)
