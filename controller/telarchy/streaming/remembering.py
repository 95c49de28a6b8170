"""What streaming remembers between rounds and across restarts, in the controller's store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Protocol, TypeVar

from telarchy.core.owner import Owner
from telarchy.core.world import World
from telarchy.resources.meta import Ref
from telarchy.resources.stream import Stream
from telarchy.streaming.evidence import Choice, Deployed, Generation, StreamingSeen
from telarchy.streaming.plan import Thought

PREFIX = "streaming/"
T = TypeVar("T")


class Memory(Protocol):
    """Small JSON facts by key; `store.memory.Memory` is one."""

    def get(self, key: str, default: Any = None) -> Any: ...
    def put(self, key: str, value: Any, now: float | None = None) -> bool: ...
    def forget(self, key: str) -> None: ...
    def under(self, prefix: str) -> dict[str, Any]: ...


def _read(kind: type[T], kept: Any) -> T | None:
    """A value as it was kept; None where another version wrote something else."""
    if not isinstance(kept, Mapping):
        return None
    try:
        return kind(**{one.name: kept[one.name] for one in fields(kind) if one.name in kept})  # type: ignore[arg-type]
    except TypeError:
        return None


@dataclass
class Remembered:
    """Everything of `StreamingSeen` that is not looked at but known from before."""

    memory: Memory
    generations: dict[str, Generation] = field(default_factory=dict)
    past: dict[str, dict[str, float]] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    deployed: dict[str, Deployed] = field(default_factory=dict)
    orphans: frozenset[str] = frozenset()
    told: dict[str, str] = field(default_factory=dict)
    former: frozenset[str] = frozenset()

    @classmethod
    def recalled(cls, memory: Memory) -> Remembered:
        found = cls(memory)
        for key, kept in memory.under(f"{PREFIX}generations/").items():
            if (generation := _read(Generation, kept)) is not None:
                found.generations[key.rpartition("/")[2]] = generation
        for kept in memory.under(f"{PREFIX}deployed/").values():
            if (deployed := _read(Deployed, kept)) is not None:
                found.deployed[deployed.key] = deployed
        for key, kept in (memory.get(f"{PREFIX}choices") or {}).items():
            if (choice := _read(Choice, kept)) is not None:
                found.choices[key] = choice
        found.past = memory.get(f"{PREFIX}past") or {}
        found.told = memory.get(f"{PREFIX}told") or {}
        found.orphans = frozenset(memory.get(f"{PREFIX}orphans") or ())
        found.former = frozenset(memory.get(f"{PREFIX}owners") or ())
        return found

    def is_owner(self, owner: Owner) -> None:
        """Who we are now. Folders of whoever this memory belonged to before stay ours: a Lease that was made anew has
        another id, and it is the same fleet."""
        known = self.former | {owner.id}
        if known != self.former:
            self.memory.put(f"{PREFIX}owners", sorted(known))
        self.former = known - {owner.id}

    def section(self, **looked: Any) -> StreamingSeen:
        """The evidence, together with what was looked at."""
        return StreamingSeen(
            generations=dict(self.generations),
            past=self.past,
            choices=self.choices,
            deployed=dict(self.deployed),
            orphans=self.orphans,
            told=self.told,
            **looked,
        )

    def keep(self, thought: Thought, now: float) -> None:
        """A plan is being carried out: what it decided counts from now on."""
        done, world = thought.done, thought.done.terms.world
        for name, turn in done.turns.items():
            if turn.now is not None:
                self._keep_generation(turn.now, name)
        if world.complete:
            self._end_undeclared(world, now)
            self._keep_policies(thought)
        self._keep_whole("past", {name: dict(one) for name, one in done.past.items()})
        choices = dict(done.choices)
        if choices != self.choices:
            self.choices = choices
            self.memory.put(f"{PREFIX}choices", {key: asdict(one) for key, one in choices.items()})
        self._keep_whole("told", {key: one for key, one in thought.told.told.items() if one})

    def deploy(self, deployed: Deployed) -> None:
        """Something is about to be put on a host. Written before it is done, so that it is never forgotten."""
        if self.deployed.get(deployed.key) != deployed:
            self.deployed[deployed.key] = deployed
            self.memory.put(f"{PREFIX}deployed/{deployed.key}", asdict(deployed))

    def retired(self, deployed: Deployed) -> None:
        """Nothing of it is left."""
        if self.deployed.pop(deployed.key, None) is not None:
            self.memory.forget(f"{PREFIX}deployed/{deployed.key}")

    def _keep_generation(self, generation: Generation, stream: str) -> None:
        if self.generations.get(stream) != generation:
            self.generations[stream] = generation
            self.memory.put(f"{PREFIX}generations/{stream}", asdict(generation))

    def _end_undeclared(self, world: World, now: float) -> None:
        """A stream that is not declared any more has ended; its number stays known, so that none comes twice."""
        for name, generation in list(self.generations.items()):
            ref = Ref(Stream.__name__, world.namespace, name)
            if generation.ended is None and ref not in world.resources and ref not in world.stalled:
                self._keep_generation(replace(generation, ended=now), name)

    def _keep_policies(self, thought: Thought) -> None:
        """How what is declared now is to be left behind one day: then, nobody will say any more."""
        terms = thought.done.terms
        declared = {name: one.spec.deletion_policy for name, one in terms.streams.items()}
        orphans = (self.orphans - declared.keys()) | {
            name for name, policy in declared.items() if policy == "Orphan"
        }
        if orphans != self.orphans:
            self.orphans = orphans
            self.memory.put(f"{PREFIX}orphans", sorted(orphans))
        for one in list(self.deployed.values()):
            place = terms.places.get(one.endpoint)
            if place is not None and (place.host_name, place.base) == (one.host, one.base):
                self.deploy(replace(one, policy=place.endpoint.spec.deletion_policy))

    def _keep_whole(self, name: str, value: dict[str, Any]) -> None:
        if value != getattr(self, name):
            setattr(self, name, value)
            self.memory.put(f"{PREFIX}{name}", value)
