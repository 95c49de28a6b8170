"""What the declared world asks of custody, in the planner's words. Pure; the only custody piece that reads kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from telarchy.core.action import stable_id
from telarchy.core.hosts import Brake, HostState, fleet_brake, host_state
from telarchy.core.observation import Observation
from telarchy.core.world import World
from telarchy.custody.titles import TitlePatterns
from telarchy.resources.custodyfloor import CustodyFloor, effective_numbers
from telarchy.resources.fleet import Fleet, FleetSpec, Grace
from telarchy.resources.host import Host
from telarchy.resources.meta import Ref

# Left free on every volume that declares no reserve: the smaller of 1 GiB and 5 % of it.
DEFAULT_RESERVE_BYTES = 1 << 30
DEFAULT_RESERVE_PERCENT = 5


@dataclass(frozen=True)
class HostTerms:
    """A host as custody may use it.

    usable:      may it receive copies or be changed at all (not suspended, not under maintenance, not a Consumer)
    counts:      do copies on it count towards a floor (not while it is being drained)
    changes_at:  when its state changes by itself, seconds since the epoch
    """

    name: str
    state: HostState
    changes_at: float | None
    reason: str
    domain: str
    site: str
    always_on: bool
    consumer: bool
    cordoned: bool
    draining: bool
    suspended: bool
    local: bool
    max_in: int
    max_out: int
    uptime: float
    labels: Mapping[str, str] = field(hash=False, default_factory=dict)

    @property
    def up(self) -> bool:
        return self.state is HostState.UP

    @property
    def receives(self) -> bool:
        return self.up and not (self.consumer or self.cordoned or self.draining or self.suspended)


@dataclass(frozen=True)
class FloorTerms:
    """A floor with every default filled in. `allowed` and `preferred` are host names; times in seconds."""

    ref: Ref
    select: tuple[str, ...]
    exclude: tuple[str, ...]
    copies: int
    always_on: int
    max_copies: int | None
    priority: int
    enforce: bool
    suspended: bool
    allowed: frozenset[str]
    preferred: frozenset[str]
    verify_every: float | None
    volume_grace: float | None = None  # after which a missing volume of a host that is up counts as gone
    host_states: tuple[tuple[str, HostState], ...] = ()
    changes_at: float | None = field(default=None, compare=False)

    @property
    def acts(self) -> bool:
        return self.enforce and not self.suspended

    @property
    def surplus_key(self) -> str:
        """What surplus is told by: another one when it is asked for otherwise."""
        asked = stable_id(self.max_copies, *self.select, "but", *self.exclude)
        return f"{self.ref.name} {asked}"

    @property
    def rests(self) -> str:
        """Why it does not act, "" where it does."""
        if self.suspended:
            return "the floor is suspended"
        return "" if self.enforce else "the floor's mode is Observe"

    def state_of(self, host: str) -> HostState:
        """A host's state under this floor's own grace."""
        return next((state for name, state in self.host_states if name == host), HostState.UNKNOWN)


@dataclass(frozen=True)
class RootTerms:
    """A declared media root; `reserve` in bytes, None where the default applies."""

    host: str
    root: str
    path: str
    reserve: int | None

    def kept_free(self, total: int | None) -> int:
        """Bytes that a plan leaves alone on this volume."""
        if self.reserve is not None:
            return self.reserve
        return min(DEFAULT_RESERVE_BYTES, (total or 0) * DEFAULT_RESERVE_PERCENT // 100)


@dataclass(frozen=True)
class Terms:
    """The whole of it."""

    namespace: str
    fleet: FleetSpec
    fleet_ref: Ref | None
    hosts: Mapping[str, HostTerms]
    roots: Mapping[tuple[str, str], RootTerms]
    floors: tuple[FloorTerms, ...]
    brake: Brake
    complete: bool

    @property
    def suspended(self) -> bool:
        return self.fleet.suspend


def patterns_of(world: World) -> TitlePatterns:
    """What makes titles in this world."""
    floors = world.of(CustodyFloor)
    return TitlePatterns(
        (pattern for floor in floors for pattern in floor.spec.select.paths),
        (pattern for floor in floors for pattern in floor.spec.select.exclude),
    )


def terms_of(world: World, seen: Observation, now: float) -> Terms:
    """Read the world with the evidence about hosts."""
    fleets = world.of(Fleet)
    fleet = fleets[0].spec if fleets else FleetSpec()
    declared = world.of(Host)
    hosts = {host.name: _host(host, fleet, seen, now) for host in declared}
    floors = tuple(_floor(floor, declared, fleet, hosts, seen, now) for floor in world.of(CustodyFloor))
    return Terms(
        namespace=world.namespace,
        fleet=fleet,
        fleet_ref=fleets[0].ref if fleets else None,
        hosts=hosts,
        roots={
            (host.name, root.name): RootTerms(
                host.name, root.name, root.path, None if root.reserve is None else root.reserve.bytes
            )
            for host in declared
            for root in host.spec.media_roots
        },
        floors=floors,
        brake=fleet_brake(
            custodians(hosts.values()), min_up_percent=fleet.brakes.min_up_percent, cut_off=seen.cut_off
        ),
        complete=world.complete,
    )


def custodians(hosts: Iterable[HostTerms]) -> list[tuple[str, HostState]]:
    """The hosts whose absence says something about us: the always-on ones; where there are none, all but Consumers."""
    ones = [host for host in hosts if not host.consumer]
    steady = [host for host in ones if host.always_on]
    return [(host.name, host.state) for host in steady or ones]


def _host(host: Host, fleet: FleetSpec, seen: Observation, now: float) -> HostTerms:
    spec = host.spec
    evidence = seen.hosts.get(host.name)
    state, changes_at = _state(host, fleet.grace, fleet, seen, now)
    return HostTerms(
        name=host.name,
        state=state,
        changes_at=changes_at,
        reason=evidence.message if evidence is not None else "",
        domain=host.failure_domain,
        site=host.metadata.labels.get("site", ""),
        always_on=spec.always_on,
        consumer=spec.host_class == "Consumer",
        cordoned=spec.cordon,
        draining=spec.drain,
        suspended=spec.suspend,
        local=spec.connection.local is not None,
        max_in=fleet.transfers.per_host_in if spec.transfers.max_in is None else spec.transfers.max_in,
        max_out=fleet.transfers.per_host_out if spec.transfers.max_out is None else spec.transfers.max_out,
        uptime=evidence.uptime if evidence is not None else 0.5,
        labels=host.metadata.labels,
    )


def _state(
    host: Host, grace: Grace, fleet: FleetSpec, seen: Observation, now: float
) -> tuple[HostState, float | None]:
    span = grace.for_class(host.spec.host_class) or fleet.grace.for_class(host.spec.host_class)
    return host_state(
        seen.hosts.get(host.name),
        grace=span.seconds if span is not None else 0.0,
        now=now,
        maintenance_until=host.spec.maintenance.until.timestamp() if host.spec.maintenance else None,
        cut_off=seen.cut_off and host.spec.connection.local is None,
    )


def _floor(
    floor: CustodyFloor,
    declared: list[Host],
    fleet: FleetSpec,
    hosts: Mapping[str, HostTerms],
    seen: Observation,
    now: float,
) -> FloorTerms:
    spec = floor.spec
    numbers = effective_numbers(spec, fleet.custody)
    rules = spec.hosts
    candidates = [host for host in declared if not hosts[host.name].consumer]
    states = [(host.name, *_state(host, spec.grace, fleet, seen, now)) for host in declared]
    patience = spec.grace.volume or fleet.grace.volume
    return FloorTerms(
        ref=floor.ref,
        select=tuple(spec.select.paths),
        exclude=tuple(spec.select.exclude),
        copies=numbers.copies,
        always_on=numbers.always_on,
        max_copies=numbers.max_copies,
        priority=spec.priority,
        enforce=spec.mode == "Enforce",
        suspended=spec.suspend or fleet.suspend,
        allowed=frozenset(h.name for h in candidates if rules.allows(h.name, h.metadata.labels)),
        preferred=frozenset(h.name for h in candidates if rules.prefers(h.name, h.metadata.labels)),
        verify_every=spec.verify.every.seconds if spec.verify.every is not None else None,
        volume_grace=patience.seconds if patience is not None else None,
        host_states=tuple((name, state) for name, state, _ in states),
        changes_at=min((at for _, _, at in states if at is not None), default=None),
    )
