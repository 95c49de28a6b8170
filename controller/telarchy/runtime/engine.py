"""The engine put together: rooms, loop, journal and source of one fleet. The only place that knows them all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from telarchy.core.clock import SteadyClock
from telarchy.core.loop import Journal, Reconciler
from telarchy.links.secrets import SecretResolver
from telarchy.resources.meta import DEFAULT_NAMESPACE, Ref
from telarchy.runtime.evidence import EVIDENCE, to_memory
from telarchy.runtime.journal import StoreJournal
from telarchy.runtime.revision import Revision, Source
from telarchy.runtime.rooms import Rooms, furnish
from telarchy.runtime.snapshot import snapshot
from telarchy.runtime.tenure import Tenure
from telarchy.runtime.troubles import in_the_way
from telarchy.store import Store

__all__ = ["Engine", "FleetJournal", "Rooms", "furnish"]


class FleetJournal(Journal, Protocol):
    """A journal that also hears which resources left desired state."""

    def forget(self, refs: Iterable[Ref]) -> None: ...


def _named(revision: Revision) -> set[Ref]:
    """What may be reported on."""
    return {resource.ref for resource in revision.resources} | revision.departing.keys()


class Engine:
    """One fleet's loop with everything around it. Answers `web.answers.Engine`.

    problems:  of the current revision of desired state
    """

    def __init__(
        self,
        store: Store,
        source: Source,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        observe_only: bool = False,
        rooms: Rooms | None = None,
        journal: FleetJournal | None = None,
        secrets: SecretResolver | None = None,
        tenure: Tenure | None = None,
    ) -> None:
        self.store, self.source, self.namespace = store, source, namespace
        self.clock = SteadyClock()
        self.revision = Revision()
        self.declared = asyncio.Event()  # set once desired state was read, and nothing about it is in doubt
        self._rooms = rooms or furnish(store, self.clock, namespace=namespace, secrets=secrets, tenure=tenure)
        self._journal: FleetJournal = journal or StoreJournal(store)
        self.reconciler = Reconciler(
            capabilities=self._rooms.capabilities,
            hosts=self._rooms.hosts,
            journal=self._journal,
            clock=self.clock,
            observe_only=observe_only,
        )
        self._looking: asyncio.Task[None] | None = None

    @property
    def lost(self) -> str:
        """What could not be read of what was remembered, in plain words; "" when nothing."""
        return self._rooms.lost

    def status(self, ref: Ref) -> Mapping[str, Any] | None:
        """What was last reported about a resource."""
        return self._journal.status(ref)

    def follow(self, revision: Revision) -> None:
        """A new revision of desired state."""
        before = _named(self.revision)
        self.revision = revision
        self._journal.forget(before - _named(revision))
        self.reconciler.set_world(revision.world(self.namespace))
        if not revision.leaving:
            self.declared.set()

    async def follow_source(self) -> None:
        """Follow desired state until cancelled."""
        async for revision in self.source.revisions():
            self.follow(revision)

    def think(self) -> None:
        """Make a plan without acting on it, for `telarchy plan`."""
        self.reconciler.plan, _ = self.reconciler.think()
        self.reconciler.last_round = self.clock.now()

    def snapshot(self, *, steps: int | None = 2000) -> dict[str, Any]:
        """The last round, JSON-ready."""
        return snapshot(
            self.reconciler.plan,
            self.reconciler.observation(),
            at=self.reconciler.last_round,
            complete=self.reconciler.world.complete and self.reconciler.last_round > 0,
            revision=self.revision.revision,
            looked=self._rooms.looked(),
            steps=steps,
            world=self.reconciler.world,
        )

    @property
    def as_declared(self) -> bool:
        """Whether the last round saw no host that is there and not in order."""
        return not in_the_way(self.reconciler.plan)

    @property
    def settled(self) -> bool:
        """Whether everything followed is so, and nothing is being looked at anew."""
        looking = self._looking is not None and not self._looking.done()
        return self.reconciler.settled and self.as_declared and not looking

    @property
    def trouble(self) -> str:
        """What is wrong with the controller's own keeping of records, "" when nothing is."""
        return str(getattr(self._journal, "trouble", ""))

    def why(self, topic: str, name: str) -> list[str]:
        """Lines that explain a title, a host, a floor, a stream or an endpoint."""
        now = self.clock.now()
        kept = self.store.memory.get(EVIDENCE)
        if self.reconciler.rounds == 0 and kept is not None:
            # Nobody has looked in this process: explain from what the last controller saw.
            seen = self._rooms.recall(kept, self._journal.approved(now))
        else:
            seen = self.reconciler.observation()
        return self._rooms.why(topic, name, self.reconciler.world, seen, now)

    def keep_evidence(self, *, save: bool = True) -> bool:
        """Keep what was seen, for questions while no controller runs. Not without the catalogue: a volume of which
        nothing is listed there is an empty one, and what lies on it would be told as gone.

        save:  write the catalogue for it. False: keep nothing until it is written; whether it was
        Raises StoreError.
        """
        if self.store.read_only:
            return False
        if self._rooms.behind():
            if not save:
                return False
            self._rooms.save()
        self.store.memory.put(EVIDENCE, to_memory(self.reconciler.observation()))
        return True

    def nudge(self) -> None:
        """Something was applied or approved."""
        self.source.reread()
        self.reconciler.wake()

    def reconcile(self) -> None:
        """Read the source again, look at every host again, and try again what failed. All in the background."""
        self.source.reread()
        self.reconciler.retry_now()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        await self.reconciler.observe()
        self.reconciler.wake()

    async def close(self) -> None:
        """Let go of hosts. Jobs on them go on."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for capability in self._rooms.capabilities:
            await capability.close()
        await self._rooms.close()
