"""What the declared world asks of streaming, with the evidence about it laid beside. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from telarchy.core.hosts import HostState, host_state
from telarchy.core.observation import Observation
from telarchy.core.world import World
from telarchy.resources.fleet import Fleet, FleetSpec
from telarchy.resources.host import Host
from telarchy.resources.mediaendpoint import MediaEndpoint, served_at
from telarchy.resources.meta import Ref, Resource
from telarchy.resources.stream import Stream
from telarchy.resources.streamkey import StreamKey
from telarchy.streaming import layout
from telarchy.streaming.choice import without_loops
from telarchy.streaming.evidence import EndpointSeen, StreamingSeen
from telarchy.streaming.health import UNKNOWN_AFTER_INTERVALS, Limits, is_unknown
from telarchy.streaming.ownership import others

DEGRADED_TARGETS, STALE_TARGETS = 1.5, 3.0  # target durations; a longer segment is no older for it


@dataclass(frozen=True)
class Place:
    """An endpoint, where it is, and what is known of it now.

    seen:     its last report, None when there never was one
    unknown:  why nothing is known of it now; "" when the report can be believed
    held:     why nothing may be done there; "" when it may
    others:   whose its folder was at the last report, when it was another controller's; nothing may be done there then
    suspended: whether a person asked to leave it as it is, or nobody can go there
    fresh:    whether anything of it may be put there that is not there yet, or why not
    base:     its folder on the host; "" for an external one
    streams:  those that it is to have, by name
    """

    endpoint: MediaEndpoint
    host: Host | None
    state: HostState
    changes_at: float | None
    seen: EndpointSeen | None
    unknown: str
    unserved: str
    held: str
    others: str
    suspended: bool
    fresh: str
    base: str
    url: str
    streams: tuple[Stream, ...] = ()
    taken: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.endpoint.metadata.name

    @property
    def ref(self) -> Ref:
        return self.endpoint.ref

    @property
    def external(self) -> bool:
        return self.endpoint.spec.is_external

    @property
    def origin(self) -> bool:
        return self.endpoint.spec.is_origin

    @property
    def relay(self) -> bool:
        return self.endpoint.spec.role == "Edge" and self.endpoint.spec.mode == "Relay"

    @property
    def host_name(self) -> str:
        return self.endpoint.spec.host_ref or ""

    @property
    def built_in(self) -> bool:
        """Whether the controller's own server serves it."""
        spec = self.endpoint.spec
        local = self.host is not None and self.host.spec.connection.local is not None
        return not self.external and (spec.server == "BuiltIn" or (spec.server is None and local))

    def takes(self, stream: Stream) -> bool:
        return stream.name in self.taken

    def limits(self, stream: Stream) -> Limits:
        """The thresholds, for segments of this length."""
        told = self.endpoint.spec.thresholds
        target = stream.spec.segment.duration.seconds
        return Limits(
            target=target,
            degraded_after=max(told.degraded_after.seconds, DEGRADED_TARGETS * target),
            stale_after=max(told.stale_after.seconds, STALE_TARGETS * target),
            viewers=told.max_viewers,
            egress=told.max_egress.bits if told.max_egress is not None else None,
        )


@dataclass(frozen=True)
class Terms:
    """The whole of it, by name. `sources`: of each edge, without loops and what is not declared; `having`: the
    endpoints of each stream, origins first; `away`: hosts that are not reached."""

    world: World
    seen: StreamingSeen
    suspended: bool
    streams: Mapping[str, Stream] = field(default_factory=dict)
    keys: Mapping[str, StreamKey] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    away: frozenset[str] = frozenset()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    having: Mapping[str, list[Place]] = field(default_factory=dict)

    def of(self, stream: Stream) -> list[Place]:
        """The endpoints that have a stream, origins first."""
        return self.having.get(stream.name, [])

    def origins(self, stream: Stream) -> list[Place]:
        return [place for place in self.of(stream) if place.origin]


def terms_of(world: World, seen: Observation, now: float) -> Terms:
    """Read the world with the evidence."""
    streaming: StreamingSeen = seen.sections["streaming"]
    fleets = world.of(Fleet)
    fleet = fleets[0].spec if fleets else FleetSpec()
    hosts = {host.name: host for host in world.of(Host)}
    endpoints = world.of(MediaEndpoint)
    declared = {one.name for one in endpoints}
    taken = _taken(world.resources)
    places = {
        one.name: _place(one, hosts, fleet, seen, streaming, taken.get(one.name, ()), now)
        for one in endpoints
    }
    having: dict[str, list[Place]] = {}
    for place in sorted(places.values(), key=lambda each: (not each.origin, each.name)):
        for stream in place.streams:
            having.setdefault(stream.name, []).append(place)
    return Terms(
        world=world,
        seen=streaming,
        suspended=fleet.suspend,
        streams={one.name: one for one in world.of(Stream)},
        keys={one.name: one for one in world.of(StreamKey)},
        places=places,
        hosts=hosts,
        away=frozenset(name for name in hosts if (at := seen.hosts.get(name)) is None or not at.reached),
        sources=without_loops(
            {
                one.name: [s.endpoint_ref for s in one.spec.sources if s.endpoint_ref in declared]
                for one in endpoints
            }
        ),
        having=having,
    )


_Taken = dict[str, tuple[Stream, ...]]
_last_taken: list[
    tuple[Mapping[Ref, Resource], _Taken]
] = []  # of the world before, which most rounds still have


def _taken(resources: Mapping[Ref, Resource]) -> _Taken:
    """The streams of each endpoint. Only the declaration decides, so the answer of the round before is kept."""
    for known, answer in _last_taken:
        if known is resources:
            return answer
    streams = sorted((one for one in resources.values() if isinstance(one, Stream)), key=lambda one: one.name)
    found = {
        one.name: tuple(each for each in streams if one.spec.stream_selector.matches(each.metadata.labels))
        for one in resources.values()
        if isinstance(one, MediaEndpoint)
    }
    _last_taken[:] = [(resources, found)]
    return found


def _place(
    endpoint: MediaEndpoint,
    hosts: Mapping[str, Host],
    fleet: FleetSpec,
    seen: Observation,
    streaming: StreamingSeen,
    streams: tuple[Stream, ...],
    now: float,
) -> Place:
    spec = endpoint.spec
    host = hosts.get(spec.host_ref) if spec.host_ref is not None else None
    state, changes_at = (HostState.UNKNOWN, None) if host is None else _host_state(host, fleet, seen, now)
    report = streaming.endpoints.get(endpoint.name)
    interval = streaming.interval
    if spec.is_external:
        interval = spec.external.poll.seconds if spec.external is not None else 5.0
    unknown = is_unknown(report, interval, now)
    if report is not None and state in (HostState.SUSPECT, HostState.DOWN):
        # Two witnesses: the host misses its probes, and the endpoint its report.
        unknown = is_unknown(report, interval / UNKNOWN_AFTER_INTERVALS, now)
    held = fresh = foreign = ""
    if not spec.is_external:
        if host is None:
            unknown = held = f"its host {spec.host_ref} is not declared"
        elif unknown and state is not HostState.UP:
            unknown = _away(host, state, seen)
        held = held or _held(endpoint, host, fleet)
        foreign = others(report, streaming.owner, spec.host_ref or "", now)
        if host is not None and (host.spec.cordon or host.spec.drain):
            fresh = f"its host {host.name} is {'drained' if host.spec.drain else 'cordoned'}: nothing new is put there"
    return Place(
        endpoint=endpoint,
        host=host,
        state=state,
        changes_at=changes_at,
        seen=report,
        unknown=unknown,
        unserved=streaming.unserved.get(endpoint.name, ""),
        held=held or foreign,
        others=foreign,
        suspended=bool(held),
        fresh=fresh,
        base=""
        if spec.is_external
        else layout.base(
            endpoint.name, endpoint.namespace, str(spec.spool.path) if spec.spool.path else None
        ),
        url=served_at(spec, host) or "",
        streams=streams,
        taken=frozenset(one.name for one in streams),
    )


def _held(endpoint: MediaEndpoint, host: Host | None, fleet: FleetSpec) -> str:
    if fleet.suspend:
        return "the fleet is suspended"
    if endpoint.spec.suspend:
        return "it is suspended"
    return f"its host {host.name} is suspended" if host is not None and host.spec.suspend else ""


def _host_state(
    host: Host, fleet: FleetSpec, seen: Observation, now: float
) -> tuple[HostState, float | None]:
    span = fleet.grace.for_class(host.spec.host_class)
    evidence = seen.hosts.get(host.name)
    # What is live stays so for as long as its host answers, announced to go or not.
    announced = None if evidence is not None and evidence.reached else host.spec.maintenance
    return host_state(
        evidence,
        grace=span.seconds if span is not None else 0.0,
        now=now,
        maintenance_until=announced.until.timestamp() if announced is not None else None,
        cut_off=seen.cut_off and host.spec.connection.local is None,
    )


def _away(host: Host, state: HostState, seen: Observation) -> str:
    if state is HostState.MAINTENANCE:
        return f"its host {host.name} is away for maintenance"
    evidence = seen.hosts.get(host.name)
    if evidence is None or evidence.reached is None:
        return f"its host {host.name} has not answered yet"
    said = f": {evidence.message}" if evidence.message else ""
    return f"its host {host.name} is not reached{said}"
