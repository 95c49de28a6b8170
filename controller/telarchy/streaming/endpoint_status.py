"""What is said of endpoints. Pure."""

from __future__ import annotations

from typing import Any

from telarchy.core.hosts import HostState
from telarchy.core.plan import Decision
from telarchy.core.service import ServiceState
from telarchy.core.words import listing, rfc3339
from telarchy.resources.mediaendpoint import MAX_STREAMS
from telarchy.resources.stream import Stream
from telarchy.streaming import figures
from telarchy.streaming.actions import PutService
from telarchy.streaming.claiming import hold_of
from telarchy.streaming.deliberation import Deliberation
from telarchy.streaming.evidence import Choice, StreamSeen
from telarchy.streaming.findings import maker_of, newest, stream_on, viewers_of
from telarchy.streaming.health import CRASH_LOOP_STARTS, Finding, StreamState, together
from telarchy.streaming.status import condition, progress
from telarchy.streaming.steps import out_of_space, stream_of_service
from telarchy.streaming.terms import Place


def running_on(done: Deliberation, place: Place) -> list[Stream]:
    """The running streams that an endpoint is to have."""
    return [one for one in place.streams if one.spec.running and (done.active(one.name) or place.external)]


def server_trouble(place: Place) -> str:
    """Why viewers get nothing from an endpoint whatever its streams do; "" when its server runs."""
    if place.unknown or place.seen is None:
        return ""
    if place.built_in and place.unserved:
        return place.unserved
    for name, service in sorted(place.seen.services.items()):
        if stream_of_service(name) or service.state in (ServiceState.RUNNING, ServiceState.WAITING):
            continue
        said = f": {service.complaint}" if service.complaint else ""
        return f"{name} does not run{said}"
    return ""


def state_of(done: Deliberation, place: Place) -> Finding:
    """The endpoint as a whole."""
    if place.unknown:
        return Finding(StreamState.UNKNOWN, place.unknown)
    if trouble := server_trouble(place):
        return Finding(StreamState.STALE, trouble)
    if (
        not place.external
        and place.seen is not None
        and not place.seen.services
        and done.wanted[place.name].services
    ):
        return Finding(StreamState.STARTING, "nothing of it runs yet")
    return together(done.found.findings[place.name, one.name] for one in running_on(done, place))


def crash_loops(place: Place) -> list[str]:
    """Services whose process ended again and again within minutes."""
    if place.unknown or place.seen is None:
        return []
    return sorted(
        name
        for name, starts in place.seen.restarts.items()
        if starts >= CRASH_LOOP_STARTS
        and name in place.seen.services
        and place.seen.services[name].state is not ServiceState.WAITING
    )


def endpoint_status(done: Deliberation, place: Place, now: float) -> dict[str, Any]:
    whole = state_of(done, place)
    seen = None if place.unknown else place.seen
    streams = list(seen.streams.values()) if seen is not None else []
    status: dict[str, Any] = {
        "state": str(whole.state),
        "viewers": sum(viewers_of(place, one) for one in place.streams),
        "egress": figures.rate(sum(one.egress for one in streams)),
        "ingress": figures.rate(sum(one.incoming.bitrate for one in streams if one.incoming is not None)),
        "cacheHitRatio": figures.ratio(sum(one.hits for one in streams), sum(one.misses for one in streams)),
        "streams": [_stream(done, place, one, now) for one in running_on(done, place)[:MAX_STREAMS]],
        "services": [
            {"name": name, "state": str(one.state), "restarts": max(0, one.starts - 1)}
            for name, one in sorted(seen.services.items())
        ]
        if seen is not None
        else [],
        "conditions": _conditions(done, place, whole),
    }
    if (tools := done.terms.seen.tools.get(place.host_name)) is not None and not place.external:
        status["versions"] = {
            "nginx": tools.nginx,
            "ffmpeg": tools.ffmpeg,
            "varnish": tools.varnish,
            "modules": listing([one.removeprefix("ngx_").removesuffix("_module") for one in tools.modules]),
        }
    if seen is not None and seen.free is not None:
        status["spool"] = {"free": figures.space(seen.free, seen.total), "total": seen.total}
    if choice := main_choice(done, place):
        status |= {"source": choice.source, "sourceSince": rfc3339(choice.since)}
    return status


def main_choice(done: Deliberation, place: Place) -> Choice | None:
    """The choice of an edge for most of its running streams; of those where equal, for the first by name."""
    names = [one.name for one in running_on(done, place) or place.streams]
    choices = [one for name in names if (one := done.found.choice(place.name, name)) is not None]
    if not choices:
        return None
    sources = [one.source for one in choices]
    most = max(dict.fromkeys(sources), key=sources.count)
    return min((one for one in choices if one.source == most), key=lambda one: one.since)


def _stream(done: Deliberation, place: Place, stream: Stream, now: float) -> dict[str, Any]:
    found = done.found.findings[place.name, stream.name]
    seen = None if place.unknown else stream_on(place, stream.name)
    maker = maker_of(place, stream.name)
    shown: dict[str, Any] = {
        "name": stream.name,
        "generation": seen.generation if seen is not None else "",
        "state": str(found.state),
        "restarts": max(0, maker.starts - 1) if maker is not None else 0,
        "viewers": viewers_of(place, stream),
    }
    if seen is None:
        return shown
    limits = place.limits(stream)
    if seen.age is not None:
        shown["age"] = figures.age(now - seen.age, limits.degraded_after, limits.stale_after)
    if (behind := _behind(done, stream, seen)) is not None:
        shown["lag"] = behind
    if told := figures.speed(seen.speed):
        shown["speed"] = told
    return shown


def _behind(done: Deliberation, stream: Stream, seen: StreamSeen) -> int | None:
    generation = done.active(stream.name)
    mine = newest(seen, generation)
    others = [
        last
        for place in done.terms.of(stream)
        if not place.unknown and (last := newest(stream_on(place, stream.name), generation)) is not None
    ]
    return figures.lag(max(others) - mine) if mine is not None and others else None


def _conditions(done: Deliberation, place: Place, whole: Finding) -> list[dict[str, Any]]:
    working, stuck = progress(done, place.ref)
    blocked = done.wanted[place.name].blocked if place.name in done.wanted else {}
    stuck = stuck or next((f"{name}: {why}" for name, why in sorted(blocked.items())), "")
    loops = crash_loops(place)
    looping = ""
    if loops and place.seen is not None:
        said = place.seen.services[loops[0]].complaint
        looping = f"{', '.join(loops)}: the process ends again and again" + (f": {said}" if said else "")
    found = [
        _ready(done, place, whole, stuck),
        condition("Reconciling", working, "Progressing" if working else "Idle"),
        condition("Stalled", bool(stuck), "Blocked" if stuck else "NotStalled", stuck),
    ]
    if not place.external:
        found.append(condition("CrashLoop", bool(loops), "CrashLoop" if loops else "Steady", looping))
    if place.others and not place.unknown:
        found.append(condition("Owned", False, *_foreign(done, place)))
    if place.endpoint.spec.suspend or done.terms.suspended:
        found.append(condition("Suspended", True, "Suspended", "spec.suspend is set here or on the Fleet"))
    return found


def _ready(done: Deliberation, place: Place, whole: Finding, stuck: str) -> dict[str, Any]:
    if place.unknown:
        reason = "Maintenance" if place.state is HostState.MAINTENANCE else "Unknown"
        if place.host is None and not place.external:
            reason = "NoHost"
        return condition("Ready", None, reason, place.unknown)
    if place.others:
        return condition("Ready", False, *_foreign(done, place))
    if short := out_of_space(place):
        return condition("Ready", False, "OutOfSpace", short)
    if place.seen is not None and place.seen.writable is False:
        return condition(
            "Ready", False, "NotWritable", f"its spool on {place.host_name} cannot be written to"
        )
    if place.held:
        return condition(
            "Ready", whole.state is StreamState.HEALTHY, "Suspended", f"left as it is: {place.held}"
        )
    if stuck:
        return condition("Ready", False, "Waiting", stuck)
    mine = [
        step for step in done.steps.of(place) if step.ref == place.ref and step.decision is Decision.START
    ]
    putting = [
        step for step in mine if not (isinstance(step.action, PutService) and step.action.how == "reload")
    ]
    if putting:
        return condition("Ready", False, "Progressing", str(putting[0].action))
    count = len(running_on(done, place))
    if whole.state in (StreamState.HEALTHY, StreamState.NO_SOURCE):
        reason = "Serving" if whole.state is StreamState.HEALTHY else "NoSource"
        words = whole.why or ("no stream runs now" if not count else f"{count} of {count} in order")
        if waits := _why_no_better_source(done, place):
            words += f"; {waits}"
        return condition("Ready", True, reason, words)
    reason = "Progressing" if whole.state is StreamState.STARTING else str(whole.state)
    return condition("Ready", whole.state is StreamState.DEGRADED, reason, whole.why)


def _foreign(done: Deliberation, place: Place) -> tuple[str, str]:
    """Reason and message for an endpoint that is another controller's."""
    held = hold_of(done.steps, place)
    if not held:
        return "ForeignOwner", place.others
    return "ForeignOwner", (
        f"{place.others}: declare it in one of the two only; when that one is gone for good, "
        f"`telarchy approve {held}` takes it over"
    )


def _why_no_better_source(done: Deliberation, place: Place) -> str:
    """What keeps an edge from the source that it would rather have."""
    for stream in running_on(done, place):
        chosen = done.found.chosen.get((place.name, stream.name))
        if chosen is not None and chosen.why:
            return chosen.why
    return ""
