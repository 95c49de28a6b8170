"""From what is wanted and what is there to actions: put, stop, kick, prune, retire; and why some of them wait. Pure.

Nothing is stopped or removed for want of evidence: an endpoint without a report is left as it is, and so is all of it
while not every manifest has been read.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from telarchy.core.action import Action
from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Hold, Step
from telarchy.core.service import Service, ServiceState
from telarchy.core.words import format_bytes, plural, rfc3339
from telarchy.resources.meta import Ref
from telarchy.resources.stream import Stream
from telarchy.streaming import layout
from telarchy.streaming.actions import (
    KickService,
    Prune,
    PutKeys,
    PutService,
    Retire,
    StopService,
    StreamingAction,
)
from telarchy.streaming.evidence import Deployed, EndpointSeen, ServiceSeen
from telarchy.streaming.findings import Found, maker_of, stream_on
from telarchy.streaming.health import Limits, StreamState, crawls
from telarchy.streaming.keys import keys_digest
from telarchy.streaming.leftovers import rediscovered
from telarchy.streaming.lifecycle import expired, sequence_of
from telarchy.streaming.terms import Place, Terms
from telarchy.streaming.wanted import Wanted

KICK_GRACES = 3.0  # the host's own watchdog comes first


@dataclass
class Steps:
    """Steps of all endpoints, what waits for a person, and when time alone changes one of them."""

    found: list[Step] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)

    def of(self, place: Place) -> list[Step]:
        return [
            step
            for step in self.found
            if isinstance(step.action, StreamingAction) and step.action.endpoint == place.name
        ]


def decide(action: Action, seen: Observation, now: float, ref: Ref, why_wait: str = "") -> Step:
    """An action that is wanted, with what becomes of it now."""
    if action.id in seen.running:
        return Step(action, ref=ref)
    if why_wait:
        return Step(action, Decision.WAIT, why_wait, ref=ref)
    attempt = seen.attempts.get(action.id)
    if attempt is None or (attempt.not_before is not None and now >= attempt.not_before):
        return Step(action, ref=ref)
    if attempt.not_before is None:
        return Step(action, Decision.REFUSE, attempt.message, ref=ref)
    again = rfc3339(attempt.not_before)  # the moment and not the time left: a status does not count down
    reason = f"{attempt.message} (tried {plural(attempt.count, 'time')}, again at {again})"
    return Step(action, Decision.WAIT, reason, attempt.not_before, ref)


def plan_steps(
    terms: Terms,
    wanted: Mapping[str, Wanted],
    found: Found,
    active: Mapping[str, str],
    past: Mapping[str, Mapping[str, float]],
    seen: Observation,
    now: float,
) -> Steps:
    """Everything that is to be done on hosts. `active`: the generation of each running stream."""
    steps = Steps()
    if not terms.world.complete:
        return steps
    old = {(one.endpoint, one.host): one for one in to_retire(terms)}
    here = {(one.endpoint, one.host) for one in terms.seen.deployed.values()}
    for name, place in terms.places.items():
        if place.external or place.held:
            continue
        if place.unknown or place.seen is None:
            steps.found += _under_way(place, seen)
            continue
        new_here = _nothing_new(place, place.seen, old, here)
        steps.found += _puts(terms, place, place.seen, wanted[name], new_here, seen, now)
        steps.found += _stops(terms, place, place.seen, wanted[name], seen, now)
        steps.found += _kicks(terms, place, found, seen, now)
        _prunes(steps, terms, place, place.seen, active, past, seen, now)
    if not terms.suspended:
        steps.found += _retirements(terms, seen, now)
    steps.moments += [step.not_before for step in steps.found if step.not_before is not None]
    return steps


def _under_way(place: Place, seen: Observation) -> Iterator[Step]:
    """What was begun while the endpoint could be seen goes on: restarting something may be why it cannot be."""
    for running in seen.running.values():
        action = running.action
        if isinstance(action, StreamingAction) and (action.endpoint, action.base) == (place.name, place.base):
            yield Step(action, ref=place.ref)


# --- put ---------------------------------------------------------------------------------------------------------


def how_to_put(service: Service, there: ServiceSeen | None) -> str:
    """start | restart | reload; "" when it is as it should be."""
    if there is None or there.state is ServiceState.STOPPED or not there.digest:
        return "start"
    if there.digest == service.digest:
        return ""
    return "reload" if there.start_digest == service.start_digest else "restart"


def _nothing_new(
    place: Place,
    there: EndpointSeen,
    old: Mapping[tuple[str, str], Deployed],
    here: Container[tuple[str, str]],
) -> str:
    """Why nothing may be put on the host now; "" when it may."""
    at = (place.name, place.host_name)
    if at in old:
        return f"what it has in {old[at].base} is removed first"
    return place.fresh if not there.services and at not in here else ""


def _puts(
    terms: Terms,
    place: Place,
    there: EndpointSeen,
    wanted: Wanted,
    new_here: str,
    seen: Observation,
    now: float,
) -> Iterator[Step]:
    if wanted.keys is not None and keys_digest(wanted.keys) != there.keys_digest:
        action = PutKeys(
            host=place.host_name,
            endpoint=place.name,
            base=place.base,
            digest=keys_digest(wanted.keys),
            count=wanted.key_count,
        )
        yield decide(action, seen, now, place.ref, new_here)
    for name, service in wanted.services.items():
        stream = terms.streams.get(wanted.stream_of.get(name, ""))
        current = there.services.get(name)
        how = how_to_put(service, current)
        if not how or (stream is not None and stream.spec.suspend):
            continue
        put = PutService(
            host=place.host_name,
            endpoint=place.name,
            base=place.base,
            service=name,
            digest=service.digest,
            how=how,
            stream=stream.name if stream is not None else "",
            generation=wanted.generation_of.get(name, ""),
        )
        why_wait = new_here or _not_yet(place, there, wanted, name, how, stream)
        yield decide(put, seen, now, stream.ref if stream is not None else place.ref, why_wait)


def _ingest_waits(there: EndpointSeen, wanted: Wanted) -> str:
    """Why the ingest is not restarted now; "" when it may be, or need not."""
    service = wanted.services.get(layout.RTMP)
    if service is None or how_to_put(service, there.services.get(layout.RTMP)) != "restart":
        return ""
    publishing = sorted(one.stream for one in there.streams.values() if one.publisher)
    if not publishing:
        return ""
    return f"it takes a restart of the ingest, which waits until nobody publishes ({', '.join(publishing)})"


def _not_yet(
    place: Place, there: EndpointSeen, wanted: Wanted, name: str, how: str, stream: Stream | None
) -> str:
    """Why a service is not put now."""
    # A ladder reads from the ingest: with another port it waits for it.
    fed = name == layout.RTMP or (stream is not None and stream.spec.ingest.rtmp is not None)
    if fed and how == "restart" and (waits := _ingest_waits(there, wanted)):
        return waits
    if stream is not None and how != "reload":
        if there.writable is False:
            return (
                f"the spool on {place.host_name} cannot be written to: mount it again, or see to its rights"
            )
        if short := out_of_space(place):
            return short
    return ""


def out_of_space(place: Place) -> str:
    """A sentence when less is free on the spool than its reserve."""
    there, reserve = place.seen, place.endpoint.spec.spool.reserve.bytes
    if place.unknown or there is None or there.free is None or there.free >= reserve:
        return ""
    return (
        f"the spool on {place.host_name} has less free than its reserve of {format_bytes(reserve)}: "
        "make room there, or shorten retention"
    )


# --- stop, kick, prune -------------------------------------------------------------------------------------------


def stream_of_service(name: str) -> str:
    """The stream that a ladder or relay is for, as its name tells; "" for the others."""
    for kind in (layout.LADDER, layout.RELAY):
        if name.startswith(f"{kind}-"):
            return name.removeprefix(f"{kind}-")
    return ""


def _left_alone(terms: Terms, stream: str) -> bool:
    """Whether what is there of a stream stays as it is: suspended, or deleted with `deletionPolicy: Orphan`."""
    declared = terms.streams.get(stream)
    return declared.spec.suspend if declared is not None else stream in terms.seen.orphans


def _ref_of_stream(terms: Terms, stream: str) -> Ref:
    return Ref(Stream.__name__, terms.world.namespace, stream)


def _stops(
    terms: Terms, place: Place, there: EndpointSeen, wanted: Wanted, seen: Observation, now: float
) -> Iterator[Step]:
    for name in sorted(there.services.keys() - wanted.services.keys() - wanted.blocked.keys()):
        stream = stream_of_service(name)
        if stream and _left_alone(terms, stream):
            continue
        server = wanted.services.get(layout.HTTP)
        if (
            name == layout.CACHE
            and server is not None
            and how_to_put(server, there.services.get(layout.HTTP))
        ):
            continue  # first what asks it is led elsewhere
        ref = _ref_of_stream(terms, stream) if stream else place.ref
        action = StopService(host=place.host_name, endpoint=place.name, base=place.base, service=name)
        yield decide(action, seen, now, ref)


def _kicks(terms: Terms, place: Place, found: Found, seen: Observation, now: float) -> Iterator[Step]:
    """A process that lives, has something to read and brings nothing forth, when its host did not see to it."""
    server = place.seen.services.get(layout.HTTP) if place.seen is not None else None
    served = (place.built_in and not place.unserved) or (
        server is not None and server.state is ServiceState.RUNNING
    )
    for stream in place.streams:
        name = stream.name
        finding = found.findings.get((place.name, name))
        maker = maker_of(place, name)
        if finding is None or maker is None or stream.spec.suspend:
            continue
        if finding.state is not StreamState.STALE or maker.state is not ServiceState.RUNNING:
            continue
        limits: Limits = place.limits(stream)
        there = stream_on(place, name)
        changed = there.age if there is not None else None
        if changed is None and not served:
            continue  # nobody could look, which says nothing about the encoder
        if there is not None and crawls(there):
            continue
        since = max(maker.since, changed or 0.0)
        if not maker.since or now - since < KICK_GRACES * limits.grace:
            continue
        action = KickService(
            host=place.host_name,
            endpoint=place.name,
            base=place.base,
            service=maker.name,
            starts=maker.starts,
        )
        yield decide(action, seen, now, stream.ref)


def _prunes(
    steps: Steps,
    terms: Terms,
    place: Place,
    there: EndpointSeen,
    active: Mapping[str, str],
    past: Mapping[str, Mapping[str, float]],
    seen: Observation,
    now: float,
) -> None:
    for name, stream_seen in sorted(there.streams.items()):
        stream = terms.streams.get(name)
        taken = stream is not None and place.takes(stream) and (place.origin or place.relay)
        lying = set(stream_seen.generations) - ({active.get(name, "")} if taken else set())
        if not lying or _left_alone(terms, name):
            continue
        if stream is not None and taken:
            due, later = expired(
                {one: at for one, at in past.get(name, {}).items() if one in lying},
                stream.spec.retention.seconds,
                now,
            )
            if later is not None:
                steps.moments.append(later)
        else:
            due = tuple(sorted(lying, key=lambda one: (sequence_of(one), one)))
        makers = (layout.ladder_service(name), layout.relay_service(name))
        if not due or (not taken and any(one in there.services for one in makers)):
            continue  # first what writes there is stopped
        action = Prune(
            host=place.host_name, endpoint=place.name, base=place.base, stream=name, generations=due
        )
        steps.found.append(decide(action, seen, now, _ref_of_stream(terms, name)))


# --- retire ------------------------------------------------------------------------------------------------------


def undeclared(terms: Terms) -> Iterator[Deployed]:
    """What was put on hosts for endpoints that are not declared any more, or elsewhere now."""
    for one in sorted((*terms.seen.deployed.values(), *rediscovered(terms)), key=lambda each: each.key):
        place = terms.places.get(one.endpoint)
        ref = Ref("MediaEndpoint", terms.world.namespace, one.endpoint)
        if place is None and ref in terms.world.stalled:
            continue
        if place is None or place.external or (place.host_name, place.base) != (one.host, one.base):
            yield one


def to_retire(terms: Terms) -> Iterable[Deployed]:
    """Those of them that are to be removed."""
    for one in undeclared(terms):
        place = terms.places.get(one.endpoint)
        if place is not None and place.endpoint.spec.suspend:
            continue
        if one.policy == "Release" or place is not None:
            yield one


def _retirements(terms: Terms, seen: Observation, now: float) -> Iterator[Step]:
    for one in to_retire(terms):
        host = terms.hosts.get(one.host)
        if host is None or host.spec.suspend:
            continue  # nobody can go there; it is done when the host is declared again
        ref = Ref("MediaEndpoint", terms.world.namespace, one.endpoint)
        evidence = seen.hosts.get(one.host)
        away = (
            f"{one.host} is not reached: {one.base} is removed when it returns"
            if evidence is None or not evidence.reached
            else ""
        )
        yield decide(Retire(host=one.host, endpoint=one.endpoint, base=one.base), seen, now, ref, away)
