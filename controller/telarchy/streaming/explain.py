"""Why a stream or an endpoint is as it is, and what happens next. Pure.

The same deliberation that makes the plan answers here, so an explanation cannot differ from what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Step
from telarchy.core.words import format_span, listing, plural, quoted, rfc3339
from telarchy.core.world import World
from telarchy.errors import ConfigError
from telarchy.resources.stream import Stream
from telarchy.streaming.deliberation import Deliberation, deliberate
from telarchy.streaming.endpoint_status import endpoint_status, running_on
from telarchy.streaming.findings import stream_on
from telarchy.streaming.health import StreamState
from telarchy.streaming.status import stream_status
from telarchy.streaming.terms import Place
from telarchy.streaming.wanted import Renderer, render

TOPICS = ("stream", "endpoint")
SECTION = "streaming"
MOST_STEPS = 20


def why(
    subject: str, name: str, world: World, seen: Observation, now: float, renderer: Renderer = render
) -> list[str]:
    """Lines that explain a `stream` or an `endpoint`. Raises ConfigError when there is none of that name, or when
    nothing that was seen of streams is at hand."""
    if SECTION not in seen.sections:
        raise ConfigError(
            f"nothing is seen of streams while no controller runs; `telarchy describe {subject}/{name}` shows what "
            "was last known"
        )
    done = deliberate(world, seen, now, renderer)
    if subject == "stream":
        found = done.terms.streams.get(name)
        if found is None:
            raise ConfigError(_unknown("stream", name, done.terms.streams))
        return list(_stream(done, found, now))
    if subject == "endpoint":
        place = done.terms.places.get(name)
        if place is None:
            raise ConfigError(_unknown("endpoint", name, done.terms.places))
        return list(_endpoint(done, place, now))
    raise ConfigError(f"cannot explain {subject!r}: ask about {' or '.join(TOPICS)}")


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    return f"no {what} {quoted(name)} is declared (declared: {listing(sorted(known), 10) or 'none'})"


def _stream(done: Deliberation, stream: Stream, now: float) -> Iterator[str]:
    status = stream_status(done, stream, now)
    yield f"{stream.name}: {status['phase']}, source {str(status['source']).lower()}; {_ready(status)}"
    turn = done.turns[stream.name]
    if turn.waits:
        yield f"  it waits: {turn.waits}"
    if (generation := done.generation(stream.name)) is not None:
        told = f"  generation {generation.id}, begun {_ago(generation.started, now)}"
        if generation.ended is not None:
            told += f", ended {_ago(generation.ended, now)}, kept {stream.spec.retention} after that"
        elif generation.live is not None:
            told += f", playable since {_ago(generation.live, now)}"
        yield told
    if stream.spec.ingest.rtmp is not None:
        yield f"  {plural(int(status['keys']), 'key')} may publish"
    places = done.terms.of(stream)
    if not places:
        yield "  no endpoint selects it"
    for place in places:
        yield f"  {_at(done, place, stream, now)}"
        yield from (f"    {line}" for line in _choice(done, place, stream, now))
    yield from _steps([step for step in done.steps.found if step.ref == stream.ref])


def _at(done: Deliberation, place: Place, stream: Stream, now: float) -> str:
    """How a stream stands on an endpoint."""
    found = done.found.findings[place.name, stream.name]
    said = f"{place.name} ({place.endpoint.spec.role}): {found.state}"
    if found.why:
        said += f": {found.why}"
    seen = None if place.unknown else stream_on(place, stream.name)
    if seen is not None and seen.age is not None:
        said += f"; playlist changed {format_span(max(0.0, now - seen.age))} ago"
    if seen is not None and seen.viewers:
        said += f"; {plural(seen.viewers, 'viewer')}"
    troubled = found.state is not StreamState.HEALTHY
    if troubled and found.changes_at is not None and found.changes_at > now:
        said += f"; judged anew in {format_span(found.changes_at - now)}"
    return said


def _choice(done: Deliberation, place: Place, stream: Stream, now: float) -> Iterator[str]:
    """From where an edge takes it, and why from nowhere better."""
    if place.endpoint.spec.role != "Edge":
        return
    chosen = done.found.chosen.get((place.name, stream.name))
    if chosen is None:
        return
    if chosen.choice is None:
        yield f"takes it from nowhere{f': {chosen.why}' if chosen.why else ''}"
        return
    said = f"takes it from {chosen.choice.source} since {_ago(chosen.choice.since, now)}"
    if chosen.choice.why:
        said += f" ({chosen.choice.why})"
    if chosen.choice.better and chosen.choice.better_since is not None:
        well = format_span(max(0.0, now - chosen.choice.better_since))
        said += f"; {chosen.choice.better} would be better and has been well for {well}"
    if chosen.why:
        said += f"; {chosen.why}"
    if chosen.changes_at is not None and chosen.changes_at > now:
        said += f"; looked at again in {format_span(chosen.changes_at - now)}"
    yield said


def _endpoint(done: Deliberation, place: Place, now: float) -> Iterator[str]:
    status = endpoint_status(done, place, now)
    yield f"{place.name}: {status['state']}; {_ready(status)}"
    if place.url:
        yield f"  viewers reach it at {place.url}"
    if place.unknown:
        yield f"  nothing is known of it now: {place.unknown}"
    elif place.seen is not None:
        yield f"  last heard of {_ago(place.seen.reported, now)}"
    if place.held:
        yield f"  nothing is done there: {place.held}"
    if place.fresh:
        yield f"  {place.fresh}"
    streams = running_on(done, place)
    if not streams:
        yield "  no running stream is selected by it"
    for stream in streams:
        yield f"  {stream.name}: {_at(done, place, stream, now).partition(': ')[2]}"
        yield from (f"    {line}" for line in _choice(done, place, stream, now))
    if place.seen is not None and not place.unknown:
        for name, service in sorted(place.seen.services.items()):
            said = f"  {name}: {service.state}"
            if service.since:
                said += f" since {_ago(service.since, now)}"
            if service.starts > 1:
                said += f", started {plural(service.starts, 'time')}"
            if service.complaint and str(service.state) != "Running":
                said += f"; it said: {service.complaint}"
            yield said
    if not place.external:
        for name, reason in sorted(done.wanted[place.name].blocked.items()):
            yield f"  {name} cannot be put there: {reason}"
    yield from _steps(done.steps.of(place))


def _ready(status: Mapping[str, Any]) -> str:
    """The Ready condition in words."""
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    return str(ready["message"] or ready["reason"])


def _ago(at: float, now: float) -> str:
    return f"{rfc3339(at)} ({format_span(max(0.0, now - at))} ago)"


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps[:MOST_STEPS]:
        if step.decision is Decision.START:
            yield f"  now: {step.action}"
            continue
        when = f" (not before {rfc3339(step.not_before)})" if step.not_before is not None else ""
        yield f"  {str(step.decision).lower()}: {step.action}: {step.reason}{when}"
    if len(steps) > MOST_STEPS:
        yield f"  and {len(steps) - MOST_STEPS} more"
