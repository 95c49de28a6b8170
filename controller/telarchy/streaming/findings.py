"""What every endpoint has of every stream, and from where edges take it. Pure.

First each endpoint is judged by its own report, then edges choose among those judgements: an edge of an edge needs
no order, since what it plays is in its own report too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from telarchy.core.hosts import HostState
from telarchy.core.service import ServiceState
from telarchy.core.words import plural
from telarchy.resources.stream import Stream
from telarchy.streaming import layout
from telarchy.streaming.choice import Chosen, SourceView, choose
from telarchy.streaming.choice import Terms as Patience
from telarchy.streaming.evidence import FETCH_SECONDS, Choice, ServiceSeen, StreamSeen
from telarchy.streaming.health import PLAYABLE, Finding, StreamState, is_cut, judge
from telarchy.streaming.terms import Place, Terms

SETTLING_SECONDS = (
    FETCH_SECONDS + 5.0
)  # after a switch, in which answers of the source before are still counted

NO_PICTURE = (
    "somebody publishes, and no picture comes in that can be shown: send H.264, whatever else is sent (sound alone is "
    "no stream)"
)

At = tuple[str, str]
"""An endpoint and a stream, by name."""


@dataclass(frozen=True)
class Found:
    """What was found of all streams on all endpoints, and the choices of edges."""

    findings: Mapping[At, Finding]
    chosen: Mapping[At, Chosen]

    def choice(self, edge: str, stream: str) -> Choice | None:
        found = self.chosen.get((edge, stream))
        return found.choice if found is not None else None


def find(terms: Terms, active: Mapping[str, str], now: float) -> Found:
    """`active`: the generation to be played of each stream; "" when it does not run."""
    findings: dict[At, Finding] = {}
    chosen: dict[At, Chosen] = {}
    for name, stream in terms.streams.items():
        places = terms.of(stream)
        known = terms.seen.generations.get(name)
        begun = known.started if known is not None and known.id == active.get(name) else now
        for place in places:
            findings[place.name, name] = finding(place, stream, active.get(name, ""), now, begun)
        for place in places:
            if place.endpoint.spec.role == "Edge":
                chosen[place.name, name] = _chosen(terms, place, stream, findings, active.get(name, ""), now)
        for place in places:
            if not place.origin:
                findings[place.name, name] = _of_edge(terms, place, stream, findings, chosen, now)
    return Found(findings, chosen)


def maker_of(place: Place, stream: str) -> ServiceSeen | None:
    """The process that writes a stream's playlists on an endpoint, if one is there."""
    if place.seen is None or place.external:
        return None
    name = layout.ladder_service(stream) if place.origin else layout.relay_service(stream)
    return place.seen.services.get(name)


def stream_on(place: Place, stream: str) -> StreamSeen | None:
    return place.seen.streams.get(stream) if place.seen is not None else None


def playable(place: Place, stream: Stream, generation: str) -> bool:
    """Whether a viewer can begin to play there: every rendition lists a segment."""
    seen = stream_on(place, stream.name)
    if place.unknown or seen is None or not seen.playlists:
        return False
    if place.external:
        return all(one.last >= one.first for one in seen.playlists.values())
    if generation != seen.generation:
        return False
    wanted = {one.name for one in stream.spec.renditions}
    return wanted <= seen.playlists.keys() and all(one.last >= one.first for one in seen.playlists.values())


def finding(place: Place, stream: Stream, generation: str, now: float, begun: float = 0.0) -> Finding:
    """How a stream stands on an endpoint by its own report. `begun`: when the generation did."""
    if place.unknown:
        return Finding(StreamState.UNKNOWN, place.unknown)
    seen = stream_on(place, stream.name)
    limits = place.limits(stream)
    if place.seen is not None:
        now = min(now, place.seen.reported)  # what came after its report is not known to have stopped
    if place.external:
        return judge(seen, None, limits, now)
    maker = maker_of(place, stream.name)
    if place.built_in and place.unserved:
        return Finding(StreamState.STALE, place.unserved)
    if seen is not None and not place.origin:
        seen = replace(seen, publisher=None)  # whoever publishes does so to an origin
    if place.origin and maker is None:
        return Finding(StreamState.STARTING, "its encoder is not there yet")
    if place.seen is not None and place.seen.blind:
        # no playlist was seen, and none was looked for
        return Finding(
            StreamState.UNKNOWN,
            f"{place.host_name} has no {place.seen.blind} to look at what viewers get: install one there",
        )
    found = judge(
        seen,
        maker,
        limits,
        now,
        renditions=[one.name for one in stream.spec.renditions] if place.origin else (),
        generation=generation,
        begun=begun,
    )
    if place.origin and found.state is StreamState.STALE and seen is not None and seen.pictureless:
        return Finding(StreamState.STALE, NO_PICTURE, found.changes_at)
    fetched = stream.spec.ingest.srt is not None or stream.spec.ingest.pull is not None
    if (
        place.origin
        and fetched
        and maker is not None
        and found.state in (StreamState.STALE, StreamState.STARTING)
    ):
        # Whoever sends or is asked has no flag of presence: it is away while the encoder cannot keep going.
        if maker.state is ServiceState.BACK_OFF:
            said = f": {maker.complaint}" if maker.complaint else ""
            return Finding(StreamState.NO_SOURCE, f"its source cannot be read{said}", found.changes_at)
        if stream.spec.ingest.srt is not None and (seen is None or not seen.playlists):
            return Finding(StreamState.NO_SOURCE, "nobody publishes", found.changes_at)
    return found


def _of_edge(
    terms: Terms,
    place: Place,
    stream: Stream,
    findings: Mapping[At, Finding],
    chosen: Mapping[At, Chosen],
    now: float,
) -> Finding:
    """An edge that plays nothing because nothing is there to be played is not to blame."""
    own = findings[place.name, stream.name]
    choice = chosen.get((place.name, stream.name))
    source = choice.choice.source if choice is not None and choice.choice is not None else ""
    given = findings.get((source, stream.name))
    late = _late(place, stream, now)
    if late and given is not None and given.state not in PLAYABLE:
        if given.state is StreamState.NO_SOURCE and own.state is StreamState.DEGRADED:
            return Finding(StreamState.NO_SOURCE, "nobody publishes")
        # A copy that is begun anew again and again gets its time each time, and makes nothing of it.
        if own.state in PLAYABLE and late > place.limits(stream).stale_after:
            own = Finding(StreamState.STALE, _gets_nothing(source, given))
    if own.state not in (StreamState.STALE, StreamState.STARTING):
        return own
    origins = [findings[one.name, stream.name].state for one in terms.origins(stream)]
    known = [state for state in origins if state is not StreamState.UNKNOWN]
    if known and all(state is StreamState.NO_SOURCE for state in known):
        return Finding(StreamState.NO_SOURCE, "nobody publishes")
    if own.state is StreamState.STARTING and choice is not None and choice.choice is not None:
        until = choice.choice.since + place.limits(stream).grace
        if now < until:
            return replace(own, changes_at=until)
        looked = source in terms.places and terms.places[source].seen is not None
        if (
            given is not None
            and looked
            and given.state in (*PLAYABLE, StreamState.STALE, StreamState.UNKNOWN)
        ):
            return Finding(StreamState.STALE, _gets_nothing(source, given))
    return own


def _late(place: Place, stream: Stream, now: float) -> float:
    """Seconds since the playlist of an endpoint changed, where they are more than `degradedAfter`; else 0.0."""
    seen = stream_on(place, stream.name)
    if place.unknown or place.seen is None or seen is None or seen.age is None:
        return 0.0
    age = min(now, place.seen.reported) - seen.age
    return age if age > place.limits(stream).degraded_after else 0.0


def _gets_nothing(source: str, given: Finding) -> str:
    said = f"it gets nothing from {source}"
    return said if given.state in PLAYABLE else f"{said}, which is {given.state}: {given.why}"


def _chosen(
    terms: Terms, place: Place, stream: Stream, findings: Mapping[At, Finding], generation: str, now: float
) -> Chosen:
    before = terms.seen.choices.get(f"{place.name}/{stream.name}")
    views = list(_views(terms, place, stream, findings, generation, before, now))
    told = place.endpoint.spec.thresholds
    patience = Patience(told.clear_after.seconds, told.min_switch_interval.seconds)
    seen = stream_on(place, stream.name)
    watched = seen is not None and seen.viewers > 0
    done = choose(before, views, newest(seen, generation) if watched else None, patience, now)
    if before is not None and seen is not None and seen.unfed and done.changes_at is None:
        settled = before.since + SETTLING_SECONDS
        return replace(done, changes_at=settled if settled > now else None)
    return done


def _views(
    terms: Terms,
    place: Place,
    stream: Stream,
    findings: Mapping[At, Finding],
    generation: str,
    before: Choice | None,
    now: float,
) -> Iterable[SourceView]:
    """The sources of an edge as it may see them."""
    allowed = set(terms.sources.get(place.name, ()))
    for source in place.endpoint.spec.sources:
        other = terms.places.get(source.endpoint_ref)
        if source.endpoint_ref not in allowed or other is None or not other.takes(stream):
            continue
        state = findings[other.name, stream.name].state
        failing = _cut(place, stream, other.name, findings, before)
        if before is not None and before.source == other.name:
            own = findings[place.name, stream.name].state
            failing = failing or _failing(place, stream, before)
            if not failing and state in PLAYABLE and _starves(place, stream, own, before):
                failing = (
                    f"nothing has come from {other.name} for more than {place.limits(stream).stale_after:g} s"
                )
            away = other.state in (HostState.SUSPECT, HostState.DOWN)
            unseen = other.seen is None and not other.external  # by a controller that has just begun to look
            if state is StreamState.UNKNOWN and (own in PLAYABLE or unseen) and not (failing or away):
                state = StreamState.DEGRADED  # we cannot see it, but the edge is served by it
        seen = stream_on(other, stream.name)
        yield SourceView(
            name=other.name,
            priority=source.priority,
            state=state,
            last=newest(seen, "" if other.external else generation),
            lag=_lag(seen, now),
            load=_load(other),
            why=findings[other.name, stream.name].why,
            failing=failing,
        )


def _cut(
    place: Place, stream: Stream, source: str, findings: Mapping[At, Finding], before: Choice | None
) -> str:
    """Why nothing can come from a source over the line: the edge's host tried it. "" where it can, or none can tell."""
    if place.unknown or place.seen is None or not is_cut(place.seen.reach.get(source), place.seen):
        return ""
    if before is not None and before.source == source:
        seen = stream_on(place, stream.name)
        comes = findings[place.name, stream.name].state is StreamState.HEALTHY if place.relay else False
        if comes or (seen is not None and seen.fetched and not seen.failed):
            return ""  # whatever hinders the tries
    return f"no answer of {source} comes to {place.name}"


def _failing(place: Place, stream: Stream, before: Choice) -> str:
    """Why an edge is to leave the source that it fetches from, by its fetches."""
    seen = stream_on(place, stream.name)
    if place.unknown or place.seen is None or seen is None or not seen.unfed:
        return ""
    if place.seen.reported - before.since <= SETTLING_SECONDS:
        return ""
    fetches = f"{seen.failed} of {plural(seen.fetched, 'fetch', 'fetches')} from {before.source}"
    return f"{fetches} failed in the last {FETCH_SECONDS:g} s"


def viewers_of(place: Place, stream: Stream) -> int:
    """Who watches a stream on an endpoint. Endpoints that fetch from it say what they are, and are not counted."""
    seen = stream_on(place, stream.name)
    return 0 if seen is None or place.unknown else seen.viewers


def _starves(place: Place, stream: Stream, own: StreamState, before: Choice) -> bool:
    """A relay that has had its time, and makes nothing of a source that plays.

    One that is started anew again and again is never judged by its playlist's age, so that is looked at here.
    """
    if not place.relay or place.unknown or place.seen is None:
        return False
    reported, grace = place.seen.reported, place.limits(stream).grace
    if reported - before.since <= grace:
        return False
    if own is StreamState.STALE:
        return True
    seen = stream_on(place, stream.name)
    came = max(before.since, (seen.age or 0.0) if seen is not None else 0.0)
    again = place.seen.restarts.get(layout.relay_service(stream.name), 0) >= 2
    return again and reported - came > grace


def newest(seen: StreamSeen | None, generation: str) -> int | None:
    """The newest media sequence number of a generation; None when nothing of it is played."""
    if seen is None or not seen.playlists or (generation and seen.generation not in ("", generation)):
        return None
    return max(one.last for one in seen.playlists.values())


def _lag(seen: StreamSeen | None, now: float) -> float:
    edges = [one.edge for one in seen.playlists.values() if one.edge is not None] if seen is not None else []
    return max(0.0, now - max(edges)) if edges else 0.0


def _load(place: Place) -> float:
    told = place.endpoint.spec.thresholds
    streams = place.seen.streams.values() if place.seen is not None else ()
    shares = [0.0]
    if told.max_viewers:
        shares.append(sum(one.viewers for one in streams) / told.max_viewers)
    if told.max_egress is not None and told.max_egress.bits:
        shares.append(sum(one.egress for one in streams) / told.max_egress.bits)
    return min(1.0, max(shares))
