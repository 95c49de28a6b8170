"""What is said of streams and their keys. Pure. Endpoints are in `endpoint_status`.

Numbers are coarse and nothing counts down, so that an unchanged world writes an unchanged status; viewers are exact,
since evidence about them comes a few seconds apart (`observe`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from telarchy.core.plan import Decision
from telarchy.core.service import ServiceState
from telarchy.core.words import listing, plural, rfc3339
from telarchy.resources.mediaendpoint import address_of
from telarchy.resources.meta import Ref
from telarchy.resources.stream import MAX_LISTED, Stream
from telarchy.resources.streamkey import StreamKey
from telarchy.streaming import figures, layout
from telarchy.streaming.deliberation import Deliberation
from telarchy.streaming.evidence import Generation, KeyUse
from telarchy.streaming.findings import maker_of, stream_on, viewers_of
from telarchy.streaming.health import PLAYABLE, StreamState
from telarchy.streaming.ingest import publish_url
from telarchy.streaming.terms import Place

KEY_USE_STEP = 60.0  # seconds


def condition(kind: str, status: bool | None, reason: str, message: str = "") -> dict[str, Any]:
    """A condition without its times, which the reporter adds."""
    word = "Unknown" if status is None else "True" if status else "False"
    return {"type": kind, "status": word, "reason": reason, "message": message}


def progress(done: Deliberation, ref: Ref) -> tuple[bool, str]:
    """Whether something is being done or waits for a resource, and what forbids or delays it."""
    mine = [step for step in done.steps.found if step.ref == ref]
    stuck = next(
        (
            f"{step.action}: {step.reason}"
            for step in mine
            if step.decision in (Decision.REFUSE, Decision.WAIT, Decision.HOLD)
        ),
        "",
    )
    return any(step.decision is not Decision.REFUSE for step in mine), stuck


# --- streams -----------------------------------------------------------------------------------------------------


def source_of(done: Deliberation, stream: Stream) -> str:
    """Present | Absent | Unknown: whether anything comes in, at any origin."""
    states = []
    for place in done.terms.origins(stream):
        if place.unknown:
            continue
        found = done.found.findings[place.name, stream.name]
        seen = stream_on(place, stream.name)
        maker = maker_of(place, stream.name)
        if place.external:
            states.append(found.state in PLAYABLE)
        elif stream.spec.ingest.rtmp is not None:
            if seen is not None and seen.publisher is not None:
                states.append(bool(seen.publisher))
            elif maker is not None and maker.state is ServiceState.WAITING:
                states.append(False)
        elif found.state in PLAYABLE:
            states.append(True)
        elif found.state is StreamState.NO_SOURCE:
            states.append(False)
        elif maker is not None and stream.spec.ingest.test is not None:
            states.append(maker.state is ServiceState.RUNNING)
    if not states:
        return "Unknown"
    return "Present" if any(states) else "Absent"


def phase_of(done: Deliberation, stream: Stream) -> str:
    if stream.spec.suspend or done.terms.suspended:
        return "Suspended"
    if not stream.spec.running:
        return "Ended"
    turn = done.turns[stream.name]
    generation = turn.active
    if generation is None or not done.terms.origins(stream):
        return "Pending"
    if generation.live is not None:
        return "Live"
    return "Failed" if generation.failed else "Starting"


def stream_status(done: Deliberation, stream: Stream, now: float) -> dict[str, Any]:
    generation = done.generation(stream.name)
    phase, source = phase_of(done, stream), source_of(done, stream)
    served, viewers = [], 0
    for place in done.terms.of(stream):
        one = _served(done, place, stream, now)
        viewers += one["viewers"]
        if stream.spec.running:
            served.append(one)
    status: dict[str, Any] = {
        "phase": phase,
        "source": source,
        "generation": generation.id if generation is not None else "",
        "viewers": viewers,
        "keys": sum(
            _active(key, now) for key in done.terms.keys.values() if key.spec.stream_ref == stream.name
        ),
        "endpoints": served[:MAX_LISTED],
        "conditions": _stream_conditions(done, stream, phase, source),
    }
    if generation is not None:
        status |= _generation(done, generation)
        if generation.ended is None:
            status["playbackPath"] = layout.live_path(stream.name, generation.id, layout.MASTER)
    if incoming := _input(done, stream):
        status["input"] = incoming
    return status


def _active(key: StreamKey, now: float) -> bool:
    return key.state(datetime.fromtimestamp(now, UTC)) == "Active"


def _served(done: Deliberation, place: Place, stream: Stream, now: float) -> dict[str, Any]:
    seen = stream_on(place, stream.name)
    found = done.found.findings[place.name, stream.name]
    shown: dict[str, Any] = {
        "name": place.name,
        "role": place.endpoint.spec.role,
        "state": str(found.state),
        "viewers": viewers_of(place, stream),
    }
    limits = place.limits(stream)
    if seen is not None and seen.age is not None and found.state is not StreamState.UNKNOWN:
        shown["age"] = figures.age(now - seen.age, limits.degraded_after, limits.stale_after)
    return shown


def _generation(done: Deliberation, generation: Generation) -> dict[str, Any]:
    shown: dict[str, Any] = {"startedAt": rfc3339(generation.started)}
    if generation.ended is not None:
        shown["endedAt"] = rfc3339(generation.ended)
    if generation.live is not None:
        shown["liveSince"] = rfc3339(generation.live)
        came = arrival(done.terms.seen.told, generation)
        shown["startSeconds"] = f"{max(0.0, generation.live - max(came, generation.started)):.1f}"
    return shown


def arrival(told: Mapping[str, str], generation: Generation) -> float:
    """When something first came in for a generation, as it was noted; when it began where nothing was."""
    identity, _, moment = told.get(f"input/{generation.stream}", "").partition(" ")
    return float(moment) if identity == generation.id and moment else generation.started


def _input(done: Deliberation, stream: Stream) -> dict[str, Any]:
    for place in done.terms.origins(stream):
        seen = stream_on(place, stream.name)
        if place.unknown or seen is None or seen.incoming is None:
            continue
        there = seen.incoming
        shown: dict[str, Any] = {"bitrate": figures.rate(there.bitrate)}
        if there.codec:
            shown["videoCodec"] = there.codec[:32]
        if there.width and there.height:
            shown |= {"width": there.width, "height": there.height}
        if there.frame_rate:
            shown["frameRate"] = f"{there.frame_rate:.2f}".rstrip("0").rstrip(".")
        return shown
    return {}


def _stream_conditions(done: Deliberation, stream: Stream, phase: str, source: str) -> list[dict[str, Any]]:
    working, stuck = progress(done, stream.ref)
    generation = done.generation(stream.name)
    failed = generation.failed if generation is not None and phase == "Failed" else ""
    stuck = failed or stuck
    found = [
        _stream_ready(done, stream, phase, source, stuck),
        condition("Reconciling", working, "Progressing" if working else "Idle"),
        condition("Stalled", bool(stuck), "Blocked" if stuck else "NotStalled", stuck),
    ]
    if phase == "Suspended":
        found.append(condition("Suspended", True, "Suspended", "spec.suspend is set here or on the Fleet"))
    larger = upscaled(done, stream)
    if larger is not None:
        reason = "RenditionLargerThanSource" if larger else "Fits"
        found.append(condition("Upscaled", bool(larger), reason, larger))
    return found


def upscaled(done: Deliberation, stream: Stream) -> str | None:
    """What is said of renditions larger than what comes in; "" when there are none, None while nobody knows."""
    incoming = _input(done, stream)
    if not (height := incoming.get("height")):
        return None
    larger = [one.name for one in stream.spec.renditions if one.height > height]
    if not larger:
        return ""
    return (
        f"{listing(larger)}: larger than what comes in ({incoming['width']}x{height}), which costs bandwidth and shows "
        "nothing more: publish a larger picture, or declare smaller renditions"
    )


def _stream_ready(done: Deliberation, stream: Stream, phase: str, source: str, stuck: str) -> dict[str, Any]:
    findings = {place.name: done.found.findings[place.name, stream.name] for place in done.terms.of(stream)}
    plays = sorted(name for name, one in findings.items() if one.state in PLAYABLE)
    if phase == "Ended":
        if any(step.ref == stream.ref for step in done.steps.found):
            return condition(
                "Ready", False, "Progressing", "it is being stopped" + (f"; {stuck}" if stuck else "")
            )
        return condition("Ready", True, "Stopped", "it is not running: `running` is false")
    if phase == "Suspended":
        return condition("Ready", bool(plays), "Suspended", "it is left as it is")
    if phase == "Pending":
        waits = done.turns[stream.name].waits
        if waits.startswith("no "):
            return condition("Ready", False, "NoOrigin", f"{waits}: declare one, or widen its streamSelector")
        return condition("Ready", False, "Waiting", waits or "it has not begun yet")
    if phase == "Failed":
        return condition("Ready", False, "StartFailed", stuck)
    if plays:
        where = f"plays from {listing(plays)}"
        troubled = [
            f"{name} is {one.state}: {one.why}"
            for name, one in sorted(findings.items())
            if one.state not in (*PLAYABLE, StreamState.NO_SOURCE) or (one.why and one.state in PLAYABLE)
        ]
        if phase == "Live":
            return condition("Ready", True, "Playing", "; ".join([where, *troubled[:3]]))
    if source == "Absent":
        return condition("Ready", False, "NoSource", _how_to_publish(done, stream))
    unknown = [one for one in findings.values() if one.state is StreamState.UNKNOWN]
    if phase == "Live" and len(unknown) == len(findings):
        return condition("Ready", None, "Unknown", unknown[0].why if unknown else "")
    stale = any(one.state is StreamState.STALE for one in findings.values())
    if phase == "Starting" and (stuck or not stale):
        return condition("Ready", False, "Progressing", stuck or "waits for the first segment")
    worst = next(
        (f"{name} is {one.state}: {one.why}" for name, one in sorted(findings.items()) if one.why), ""
    )
    return condition("Ready", False, "NotPlaying", worst or "nothing is played anywhere")


def _how_to_publish(done: Deliberation, stream: Stream) -> str:
    """What a person does about a source that is not there."""
    ingest = stream.spec.ingest
    origins = [place for place in done.terms.origins(stream) if not place.external]
    addresses = [(address_of(place.host), place) for place in origins]
    if ingest.rtmp is not None:
        servers = [publish_url(host, one.endpoint.spec.listen.rtmp) for host, one in addresses if host]
        return f"nobody publishes: send to {listing(servers)} with one of its stream keys"
    if ingest.srt is not None:
        hosts = [f"srt://{host}:{ingest.srt.port}" for host, _ in addresses if host]
        return f"nobody publishes: send to {listing(hosts)}"
    whys = [done.found.findings[place.name, stream.name].why for place in done.terms.origins(stream)]
    return next((why for why in whys if why), "its source cannot be read")


# --- keys --------------------------------------------------------------------------------------------------------


def key_status(done: Deliberation, key: StreamKey, now: float) -> dict[str, Any]:
    state = key.state(datetime.fromtimestamp(now, UTC))
    status: dict[str, Any] = {"state": state}
    uses = [
        place.seen.keys[key.name]
        for place in done.terms.places.values()
        if place.seen is not None and key.name in place.seen.keys
    ]
    status |= _uses(uses)
    stream = done.terms.streams.get(key.spec.stream_ref)
    if stream is None:
        ready = condition("Ready", False, "NoStream", f"no Stream is named {key.spec.stream_ref}")
    elif state == "Active":
        ready = condition("Ready", True, "Active", f"may publish to {stream.name}")
    else:
        ready = condition("Ready", state == "Revoked", state, f"it is refused: {state.lower()}")
    status["conditions"] = [ready]
    return status


def _uses(uses: list[KeyUse]) -> dict[str, Any]:
    shown = {}
    used = max((one.used for one in uses if one.used is not None), default=None)
    if used is not None:
        shown["lastUsed"] = rfc3339(used // KEY_USE_STEP * KEY_USE_STEP)
    refused = max(
        (one for one in uses if one.refused is not None), key=lambda one: one.refused or 0.0, default=None
    )
    if refused is not None and refused.refused is not None:
        shown["lastRefused"] = rfc3339(refused.refused // KEY_USE_STEP * KEY_USE_STEP)
        shown["refusedBecause"] = refused.reason[:128]
    return shown


def fleet_words(done: Deliberation) -> str:
    """`3 streams, 2 live` for plans printed to a person."""
    live = sum(phase_of(done, one) == "Live" for one in done.terms.streams.values())
    return f"{plural(len(done.terms.streams), 'stream')}, {live} live"
