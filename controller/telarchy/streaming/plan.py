"""Streaming's plan: what runs where so that every stream plays, what is taken away, and why the rest waits. Pure.

The order of thought, once a round:

1. read the terms: endpoints with their hosts and last reports, streams, keys
2. give every stream its generation (`lifecycle`), and note which ended when
3. judge every stream on every endpoint by what a viewer would get, and let edges choose (`findings`)
4. render what each endpoint is to have (`wanted`) and compare: put, stop, kick, prune, retire (`steps`)
5. say it: statuses, events, what lingers, the next moment at which time alone changes something
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from telarchy.core.observation import Observation
from telarchy.core.plan import Hold, Plan
from telarchy.core.world import World
from telarchy.resources.fleet import Fleet
from telarchy.resources.meta import Ref
from telarchy.resources.stream import Stream
from telarchy.streaming.deliberation import Deliberation, deliberate
from telarchy.streaming.endpoint_status import endpoint_status
from telarchy.streaming.events import Told, tell
from telarchy.streaming.health import PLAYABLE
from telarchy.streaming.ownership import falls_silent
from telarchy.streaming.status import condition, key_status, stream_status
from telarchy.streaming.steps import stream_of_service, to_retire
from telarchy.streaming.terms import Place
from telarchy.streaming.wanted import Renderer, render

MOST_HELD = 10
MOST_LEFT = 5
CALM = frozenset({"NoSource", "Suspended", "Maintenance"})
"""Reasons of a Ready that is not True and that nothing is to be waited for."""


@dataclass(frozen=True)
class Thought:
    """A plan, and what is to be remembered of it."""

    plan: Plan
    done: Deliberation
    told: Told


def plan_streaming(world: World, seen: Observation, now: float) -> Plan:
    """The plan of this round."""
    return think(world, seen, now).plan


def think(world: World, seen: Observation, now: float, renderer: Renderer = render) -> Thought:
    """The plan with everything that it stands on."""
    done = deliberate(world, seen, now, renderer)
    terms = done.terms
    statuses: dict[Ref, dict[str, Any]] = {}
    for stream in terms.streams.values():
        statuses[stream.ref] = stream_status(done, stream, now)
    for key in terms.keys.values():
        statuses[key.ref] = key_status(done, key, now)
    for place in terms.places.values():
        statuses[place.ref] = endpoint_status(done, place, now)
    told = tell(done, now)
    for fleet in terms.world.of(Fleet):
        if said := _fleet_status(done, told):
            statuses[fleet.ref] = said
    lingering = dict(_lingering(done))
    plan = Plan(
        steps=tuple(done.steps.found),
        statuses=statuses,
        events=tuple(told.events),
        holds=tuple(done.steps.holds),
        unsettled=tuple(_unsettled(statuses)),
        wake_at=min((at for at in _moments(done, now) if at > now), default=None),
        lingering=lingering,
    )
    return Thought(plan, done, told)


def _fleet_status(done: Deliberation, told: Told) -> dict[str, Any]:
    """What waits for a person, and what stays on hosts for now. {} where nothing is to be said."""
    said: dict[str, Any] = {}
    if done.steps.holds:
        said["held"] = [_held(hold) for hold in done.steps.holds[:MOST_HELD]]
    if told.left:
        words = "; ".join(one.words for one in told.left[:MOST_LEFT])
        if len(told.left) > MOST_LEFT:
            words += f"; and {len(told.left) - MOST_LEFT} more"
        said["conditions"] = [condition("LeftBehind", True, "NotDeclared", words)]
    return said


def _may_have(place: Place, stream: Stream) -> bool:
    """Whether nobody has looked yet if there is anything of a stream on an endpoint, and somebody will."""
    if place.external or place.suspended or place.seen is not None:
        return False
    return place.endpoint.spec.stream_selector.matches(stream.metadata.labels)


def _held(hold: Hold) -> dict[str, Any]:
    summary = f"{hold.summary}: telarchy approve {hold.hash}"
    return {"hash": hold.hash, "reason": hold.reason, "summary": summary, "actions": len(hold.action_ids)}


def _unsettled(statuses: dict[Ref, dict[str, Any]]) -> Iterator[str]:
    for ref, status in statuses.items():
        if ref.kind == "Fleet":
            continue
        ready = next(one for one in status["conditions"] if one["type"] == "Ready")
        if ready["status"] != "True" and ready["reason"] not in CALM and ref.kind != "StreamKey":
            yield str(ref)


def _moments(done: Deliberation, now: float) -> Iterator[float]:
    """When time alone changes something. Not of what plays: each report moves its moment on, and who looks
    (`observe`) wakes the loop when a playlist's age or the report itself gets too old."""
    yield from done.steps.moments
    for finding in done.found.findings.values():
        if finding.changes_at is not None and finding.state not in PLAYABLE:
            # A report from before that moment says no more of it: the next one does.
            at = finding.changes_at + 0.05
            yield at if at > now else now + done.terms.seen.interval
    for chosen in done.found.chosen.values():
        if chosen.changes_at is not None:
            yield chosen.changes_at
    for place in done.terms.places.values():
        if place.changes_at is not None:
            yield place.changes_at
        if place.others and (silent := falls_silent(place.seen, now)) is not None:
            yield silent + 0.05
    for key in done.terms.keys.values():
        if key.spec.expires_at is not None:
            yield key.spec.expires_at.timestamp()


def _lingering(done: Deliberation) -> Iterator[tuple[Ref, str]]:
    """What resources that are not declared any more still have on hosts, or may have."""
    terms = done.terms
    for one in to_retire(terms):
        if one.host in terms.hosts and one.endpoint not in terms.places:
            ref = Ref("MediaEndpoint", terms.world.namespace, one.endpoint)
            yield ref, f"{one.base} on {one.host} is still to be removed"
    for ref, resource in terms.world.departing.items():
        if isinstance(resource, Stream) and resource.spec.deletion_policy == "Release":
            unseen = [place.name for place in terms.places.values() if _may_have(place, resource)]
            if unseen:
                yield ref, f"{', '.join(sorted(unseen))} may have it, and could not be looked at yet"
    found: dict[str, list[str]] = {}
    for place in terms.places.values():
        if place.seen is None or place.external:
            continue
        streams = {stream_of_service(name) for name in place.seen.services}
        streams |= {name for name, one in place.seen.streams.items() if one.generations}
        for name in streams - {""} - terms.streams.keys() - terms.seen.orphans:
            found.setdefault(name, []).append(place.name)
    for name, places in sorted(found.items()):
        ref = Ref(Stream.__name__, terms.world.namespace, name)
        if ref not in terms.world.stalled:
            yield ref, f"it still runs, or has segments, on {', '.join(sorted(places))}"
