"""A stage in memory: endpoints that do what a plan tells them, and streams that play while they are fed. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from telarchy.core.observation import Attempt, HostEvidence, Observation
from telarchy.core.owner import Holding
from telarchy.core.plan import Decision, Plan
from telarchy.core.service import Service, ServiceSeen, ServiceState
from telarchy.core.world import World
from telarchy.resources.host import Host
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.meta import Ref, Resource
from telarchy.resources.stream import Stream
from telarchy.resources.streamkey import StreamKey
from telarchy.streaming import layout
from telarchy.streaming.actions import (
    KickService,
    Prune,
    PutKeys,
    PutService,
    Retire,
    StopService,
    StreamingAction,
    TakeOver,
)
from telarchy.streaming.evidence import (
    Deployed,
    EndpointSeen,
    InputSeen,
    PlaylistSeen,
    Reach,
    StreamingSeen,
    StreamSeen,
)
from telarchy.streaming.plan import Thought, think
from telarchy.streaming.terms import Place, Terms
from telarchy.streaming.wanted import Renderer, Wanted
from tests.world import NOW, host

INTERVAL = 2.0
TARGET = 2.0


def stream(name: str = "garden", labels: Mapping[str, str] | None = None, **spec: Any) -> Stream:
    spec.setdefault("ingest", {"rtmp": {}})
    return Stream.model_validate(
        {"kind": "Stream", "metadata": {"name": name, "labels": dict(labels or {})}, "spec": spec}
    )


def key(name: str = "garden-obs", of: str = "garden", **spec: Any) -> StreamKey:
    spec.setdefault("verifier", "sha256:" + "0" * 64)
    return StreamKey.model_validate(
        {"kind": "StreamKey", "metadata": {"name": name}, "spec": {"streamRef": of, **spec}}
    )


def origin(name: str = "origin", on: str = "black", **spec: Any) -> MediaEndpoint:
    return endpoint(name, role="Origin", hostRef=on, **spec)


def edge(name: str = "edge", on: str = "vps", *, sources: Any = ("origin",), **spec: Any) -> MediaEndpoint:
    listed = [{"endpointRef": one, "priority": number} for number, one in enumerate(sources, start=1)]
    return endpoint(name, role="Edge", hostRef=on, sources=listed, **spec)


def endpoint(name: str, **spec: Any) -> MediaEndpoint:
    return MediaEndpoint.model_validate({"kind": "MediaEndpoint", "metadata": {"name": name}, "spec": spec})


def ssh_host(name: str, **spec: Any) -> Host:
    return host(name, connection={"ssh": {"endpoints": [f"media@{name}.example"]}}, **spec)


def plain(
    terms: Terms, place: Place, active: Mapping[str, str], choices: Mapping[tuple[str, str], str]
) -> Wanted:
    """Services by name only: what they are made of is others' affair."""
    services: dict[str, Service] = {}
    stream_of, generation_of = {}, {}
    streams = [one for one in terms.streams.values() if place.takes(one)]
    sources = [f"{one.name}={choices.get((place.name, one.name), '')}" for one in streams]
    services["http"] = Service(
        name="http", argv=("nginx",), files={"nginx.conf": " ".join(sources).encode()}, reload="HUP"
    )
    keys = None
    if place.origin:
        services["rtmp"] = Service(name="rtmp", argv=("nginx", str(place.endpoint.spec.listen.rtmp)))
        keys = " ".join(one.name for one in terms.keys.values() if active.get(one.spec.stream_ref)).encode()
    for one in streams:
        if place.origin and active.get(one.name):
            name = layout.ladder_service(one.name)
            services[name] = Service(name=name, argv=("ffmpeg", active[one.name]))
            stream_of[name], generation_of[name] = one.name, active[one.name]
    return Wanted(services, {}, stream_of, generation_of, keys=keys)


class Stage:
    """Hosts with endpoints. `publish` and `part` are the people; `power` is the plug."""

    def __init__(self, *resources: Resource, renderer: Renderer = plain) -> None:
        self.now, self.renderer = NOW, renderer
        self.declared: dict[Ref, Resource] = {one.ref: one for one in resources}
        self.there: dict[str, EndpointSeen] = {}  # by endpoint@host, as it really is
        self.reported: dict[str, EndpointSeen] = {}
        self.publishers: dict[tuple[str, str], str] = {}  # (endpoint, stream) -> key
        self.frozen: set[tuple[str, str]] = set()
        self.off: set[str] = set()
        self.cut: set[tuple[str, str]] = set()  # (edge, source): nothing passes, and the controller sees both
        self.tries = True  # whether the hosts of edges can tell what answers there
        self.incoming: InputSeen | None = None  # of every stream
        self.attempts: dict[str, Attempt] = {}
        self.memory = StreamingSeen(interval=INTERVAL)
        self.complete = True
        self.departing: dict[Ref, Resource] = {}
        self.thought: Thought | None = None
        self.log: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.fails: dict[str, str] = {}  # service -> why it cannot be put
        self.holdings: dict[str, Holding] = {}  # by endpoint@host: whose it is, once somebody has an identity
        self.approved: frozenset[str] = frozenset()

    # --- people ----------------------------------------------------------------------------------------------

    def declare(self, *resources: Resource) -> None:
        for one in resources:
            self.declared[one.ref] = one

    def delete(self, *resources: Resource) -> None:
        for one in resources:
            del self.declared[one.ref]

    def publish(self, name: str = "garden", at: str = "origin", by: str = "garden-obs") -> None:
        self.publishers[at, name] = by

    def part(self, name: str = "garden", at: str = "origin") -> None:
        del self.publishers[at, name]

    # --- time ------------------------------------------------------------------------------------------------

    def run(self, seconds: float, *, step: float = 1.0) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + step)
            self._play()
            self._report()
            self.round()

    def settle(self) -> None:
        """Rounds without time passing, until nothing starts."""
        for _ in range(10):
            self._play()
            self._report()
            if not self.round():
                return

    def round(self) -> int:
        """One round; how many actions were carried out."""
        seen = self.observation()
        again = think(self.world, seen, self.now, self.renderer)
        self.thought = think(self.world, seen, self.now, self.renderer)
        assert again.plan == self.thought.plan, "the same input gives the same plan"
        self.events += [(str(one.ref), one.reason) for one in self.plan.events]
        self.told += [f"{one.ref.name}: {one.message}" for one in self.plan.events]
        self._remember(self.thought)
        done = 0
        for each in self.plan.steps:
            if each.decision is Decision.START:
                done += 1
                self._do(each.action)
        return done

    @property
    def plan(self) -> Plan:
        assert self.thought is not None
        return self.thought.plan

    @property
    def world(self) -> World:
        world = World.from_resources(self.declared.values())
        return replace(world, complete=self.complete, departing=self.departing)

    def observation(self) -> Observation:
        hosts = {
            one.name: HostEvidence(one.name, one.name not in self.off, message="no answer")
            for one in self.declared.values()
            if isinstance(one, Host)
        }
        section = replace(self.memory, endpoints=dict(self.reported))
        return Observation(
            hosts=hosts,
            sections={"streaming": section},
            attempts=dict(self.attempts),
            approved=self.approved,
        )

    def status(self, kind: str, name: str) -> Mapping[str, Any]:
        return self.plan.statuses[Ref(kind, "default", name)]

    def ready(self, kind: str, name: str) -> tuple[str, str]:
        found = next(one for one in self.status(kind, name)["conditions"] if one["type"] == "Ready")
        return found["status"], found["reason"]

    # --- how it really is -------------------------------------------------------------------------------------

    def _hosts(self, name: str) -> str:
        found = self.declared.get(Ref("MediaEndpoint", "default", name))
        return str(found.spec.host_ref) if isinstance(found, MediaEndpoint) else ""

    def _play(self) -> None:
        for at, there in self.there.items():
            name, _, host_name = at.partition("@")
            if host_name in self.off:
                continue
            streams = dict(there.streams)
            services = dict(there.services)
            for service in list(services.values()):
                if not service.name.startswith("ladder-"):
                    continue
                self._encode(at, name, service, services, streams)
            if "ladder-" not in " ".join(services) and "rtmp" not in services:
                self._mirror(name, streams)
            self.there[at] = replace(there, streams=streams, services=services)

    def _encode(
        self,
        at: str,
        name: str,
        service: ServiceSeen,
        services: dict[str, ServiceSeen],
        streams: dict[str, StreamSeen],
    ) -> None:
        title = service.name.removeprefix("ladder-")
        resource = self.declared.get(Ref("Stream", "default", title))
        fed = (name, title) in self.publishers
        test = isinstance(resource, Stream) and resource.spec.ingest.test is not None
        state = ServiceState.RUNNING if fed or test else ServiceState.WAITING
        if state is not service.state:
            starts = service.starts + (state is ServiceState.RUNNING)
            service = services[service.name] = replace(service, state=state, since=self.now, starts=starts)
        before = streams.get(title, StreamSeen(title))
        generation = self._generations[at, service.name]
        generations = tuple(sorted({*before.generations, generation}))
        playlists = dict(before.playlists) if before.generation == generation else {}
        if state is ServiceState.RUNNING and (name, title) not in self.frozen:
            number = int(self.now // TARGET)
            old = playlists.get("720p")
            if old is None or old.last < number:
                playlists = {
                    "720p": PlaylistSeen(
                        "720p", number - 3, number, TARGET, edge=number * TARGET, changed=self.now
                    )
                }
        streams[title] = replace(
            before,
            generation=generation,
            generations=generations,
            playlists=playlists,
            publisher=None if test else self.publishers.get((name, title), ""),
            incoming=self.incoming,
        )

    def _mirror(self, name: str, streams: dict[str, StreamSeen]) -> None:
        """A cache has what its source has."""
        for each, choice in self.memory.choices.items():
            mine, _, title = each.partition("/")
            source = f"{choice.source}@{self._hosts(choice.source)}"
            if mine != name:
                continue
            if (name, choice.source) in self.cut:
                self._by_another(name, title, choice.source, streams)
            elif source in self.there and self._hosts(choice.source) not in self.off:
                other = self.there[source].streams.get(title)
                if other is not None:
                    streams[title] = replace(other, publisher=None, generations=())
            elif title in streams:
                streams[title] = replace(streams[title], failures=4)

    def _by_another(self, name: str, title: str, chosen: str, streams: dict[str, StreamSeen]) -> None:
        """A cache whose source gives nothing asks the next one each time, and its log tells so."""
        for other in self.declared.values():
            there = self.there.get(f"{other.name}@{self._hosts(other.name)}")
            if not isinstance(other, MediaEndpoint) or other.name in (chosen, name) or there is None:
                continue
            edge_of = self.declared[Ref("MediaEndpoint", "default", name)]
            if isinstance(edge_of, MediaEndpoint) and edge_of.spec.mode == "Relay":
                continue  # that one has the one source that it was told
            if (name, other.name) not in self.cut and title in there.streams:
                mirrored = replace(there.streams[title], publisher=None, generations=(), viewers=1)
                streams[title] = replace(mirrored, failures=2, fetched=4, failed=4)

    def _reach(self, one: MediaEndpoint) -> dict[str, Reach]:
        """By source of an edge: whether it answers there, and since when."""
        before = self.reported[one.name].reach if one.name in self.reported else {}
        found = {}
        for source in one.spec.sources if self.tries else ():
            name = source.endpoint_ref
            answers = (one.name, name) not in self.cut and self._hosts(name) not in self.off
            known = before.get(name)
            found[name] = known if known and known.answers is answers else Reach(answers, self.now)
        return found

    def _report(self) -> None:
        for one in self.declared.values():
            if not isinstance(one, MediaEndpoint) or one.spec.host_ref in self.off:
                continue
            if Ref("Host", "default", str(one.spec.host_ref)) not in self.declared:
                continue
            at = f"{one.name}@{one.spec.host_ref}"
            there = self.there.get(at, EndpointSeen(one.name, 0.0, present=False))
            holding = self.holdings.get(at)
            self.reported[one.name] = replace(
                there,
                reported=self.now,
                reach=self._reach(one),
                holding=holding if there.present else None,
            )

    @property
    def _generations(self) -> dict[tuple[str, str], str]:
        if not hasattr(self, "_made"):
            self._made: dict[tuple[str, str], str] = {}
        return self._made

    def _do(self, action: Any) -> None:
        at = f"{action.endpoint}@{action.host}"
        self.log.append(str(action))
        there = self.there.get(at, EndpointSeen(action.endpoint, self.now))
        if action.host in self.off or not self._let(at, action):
            return
        match action:
            case TakeOver():
                pass
            case PutService():
                if action.service in self.fails:
                    count = self.attempts[action.id].count + 1 if action.id in self.attempts else 1
                    self.attempts[action.id] = Attempt(
                        count, "CheckFailed", self.fails[action.service], self.now + 5.0 * 2 ** (count - 1)
                    )
                    return
                self.attempts.pop(action.id, None)
                assert self.thought is not None
                service = self.thought.done.wanted[action.endpoint].services[action.service]
                was = there.services.get(action.service)
                seen = ServiceSeen(
                    action.service,
                    ServiceState.RUNNING,
                    service.digest,
                    service.start_digest,
                    starts=(was.starts if was else 0) + (action.how != "reload"),
                    since=was.since if was and action.how == "reload" else self.now,
                )
                self._generations[at, action.service] = action.generation
                self.there[at] = replace(there, services={**there.services, action.service: seen})
                kept = Deployed(action.endpoint, action.host, action.base)
                self.memory = replace(self.memory, deployed={**self.memory.deployed, kept.key: kept})
            case StopService():
                services = {name: one for name, one in there.services.items() if name != action.service}
                self.there[at] = replace(there, services=services)
            case PutKeys():
                self.there[at] = replace(there, keys_digest=action.digest)
            case Prune():
                streams = dict(there.streams)
                one = streams[action.stream]
                left = tuple(each for each in one.generations if each not in action.generations)
                if left:
                    streams[action.stream] = replace(one, generations=left)
                else:
                    del streams[action.stream]
                self.there[at] = replace(there, streams=streams)
            case Retire():
                self.there.pop(at, None)
                gone = Deployed(action.endpoint, action.host, action.base).key
                self.memory = replace(
                    self.memory,
                    deployed={each: one for each, one in self.memory.deployed.items() if each != gone},
                )
            case KickService():
                services = dict(there.services)
                one_service = services[action.service]
                services[action.service] = replace(one_service, starts=one_service.starts + 1, since=self.now)
                self.there[at] = replace(there, services=services)

    def _let(self, at: str, action: StreamingAction) -> bool:
        """Whether the host lets us: it is ours, nobody's, or given to us."""
        me = self.memory.owner
        if me is None:
            return True
        held = self.holdings.get(at)
        given = isinstance(action, TakeOver) and held is not None and held.id == action.replaces
        if held is not None and held.id not in ("", me.id) and not given:
            self.log.append(f"refused: {action}")
            return False
        policy = (
            action.policy if isinstance(action, TakeOver) else held.policy if held is not None else "Release"
        )
        since = held.since if held is not None and held.id == me.id else self.now
        self.holdings[at] = Holding(me.id, me.name, me.term, since, 0.0, "default", action.endpoint, policy)
        if isinstance(action, Retire):
            del self.holdings[at]
        return True

    def _remember(self, thought: Thought) -> None:
        done = thought.done
        self.memory = replace(
            self.memory,
            generations={n: t.now for n, t in done.turns.items() if t.now is not None},
            past={name: dict(one) for name, one in done.past.items()},
            choices=dict(done.choices),
            told=dict(thought.told.told),
        )

    def shape(self) -> str:
        """For a failing test's reader."""
        return "\n".join([*self.log, *(str(asdict(one)) for one in self.there.values())])
