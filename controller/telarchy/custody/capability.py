"""Custody as the loop drives it: look, think, do. The room's front door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace

from telarchy.core.action import Action
from telarchy.core.capability import Report, Wake
from telarchy.core.clock import SteadyClock
from telarchy.core.observation import Observation
from telarchy.core.plan import Plan
from telarchy.core.world import World
from telarchy.custody.act import act, sweep
from telarchy.custody.actions import Copy, Trim
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.counted import CountedTime
from telarchy.custody.evidence import CustodySeen
from telarchy.custody.lease import Controller, WriterLease
from telarchy.custody.observe import Observer
from telarchy.custody.plan import CensusMemo, plan_custody
from telarchy.custody.removals import Removals
from telarchy.custody.restless import Restless
from telarchy.custody.roots import Memory
from telarchy.custody.rounds import advance, copied
from telarchy.custody.selected import SelectedLately
from telarchy.custody.status import Round
from telarchy.custody.terms import patterns_of
from telarchy.custody.transfer import Routing
from telarchy.custody.trash import TrashWatch, WatchedTime
from telarchy.custody.workbench import Links, Workbench
from telarchy.custody.working import to_its_end
from telarchy.errors import ActionFailed, HostUnreachable, SafetyRefusal, StoreError
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.fleet import Fleet, FleetSpec
from telarchy.resources.host import Host

SAVE_SECONDS = 5.0  # the catalogue is written at most this often, except after a scan
SWEEP_SECONDS = 3600.0
UNDECLARED_SECONDS = 24 * 3600.0  # what a volume held is remembered this long after it left the manifests
DEFAULT_FLEET = "default"


class Custody:
    """Titles, copies, floors: a `core.capability.Capability`.

    links:     `links.pool.LinkPool`; whoever owns it configures it with the declared hosts
    routing:   `links.routes.Routes`
    save:      store what changed in the catalogue (`store.catalogue.CatalogueFile.save`)
    epoch:     the least fencing epoch to write with
    """

    name = "custody"

    def __init__(
        self,
        links: Links,
        routing: Routing,
        catalogue: Catalogue,
        memory: Memory,
        clock: SteadyClock,
        controller: Controller,
        save: Callable[[], None],
        *,
        epoch: int = 0,
    ) -> None:
        self._memory, self._clock = memory, clock
        self._store = save
        self._unsaved = False
        self._saved_at = 0.0
        self._fleet = DEFAULT_FLEET
        self._census = CensusMemo()
        self._rounds: dict[str, tuple[Round, ...]] = {
            key.rpartition("/")[2]: tuple(Round(**one) for one in value)
            for key, value in memory.under("custody/rounds/").items()
        }
        self._floor_of: dict[str, str] = {}  # action id -> floor that wants it
        self._wanted: frozenset[str] = frozenset()
        self._swept: dict[str, float] = {}
        self._detached = False
        self._restless = Restless()
        self._removals = Removals(memory)
        remembered = memory.get("custody/epoch", 0)
        lease = WriterLease(
            controller, remembered=max(remembered if isinstance(remembered, int) else 0, epoch - 1)
        )
        self._watched = WatchedTime(memory, clock)
        self._trash = TrashWatch(memory, clock, self._watched)
        self._counted = CountedTime(memory, self._watched)
        self._sure = False  # whether all that is declared could be read
        self._selected = SelectedLately(memory, self._watched)
        self.observer = Observer(links, catalogue, memory, clock, lease, self._trash, self._save_now)
        self.bench = Workbench(
            links=links,
            routing=routing,
            catalogue=catalogue,
            clock=clock,
            lease=lease,
            save=self._save_soon,
            rescan=self.observer.rescan,
            touched=self.observer.touched,
            detached=lambda: self._detached,
        )

    # --- look ------------------------------------------------------------------------------------------------

    def configure(self, world: World) -> None:
        """See Capability. Hosts and floors come and go; what is known of their titles stays on the record for a day."""
        hosts = world.of(Host)
        fleets = world.of(Fleet)
        policy = fleets[0].spec if fleets else FleetSpec()
        self._fleet = fleets[0].metadata.name if fleets else DEFAULT_FLEET
        self.bench.hosts = {host.metadata.name: host for host in hosts}
        self.bench.policy = policy
        self._sure = sure = world.complete and not world.stalled
        self.observer.configure(
            ((host.metadata.name, root.name, root.path) for host in hosts for root in host.spec.media_roots),
            self._selected.with_those(patterns_of(world), sure=sure),
            policy.scan.every.seconds if policy.scan.every is not None else None,
        )
        if sure:
            self._drop_undeclared()

    def section(self) -> CustodySeen:
        """See Capability."""
        now = self._clock.now()
        volumes = dict(self.observer.volumes)
        for key, volume in volumes.items():
            removed = max(self._removals.count(key, now), volume.removed)
            toolless = self.bench.rsyncs.toolless_until(volume.host, now)
            if removed > volume.removed or toolless:
                volumes[key] = replace(volume, removed=removed, toolless_until=toolless)
        self.bench.volumes = volumes
        restless = self._restless.until(now)
        counted = self._counted.ages()
        return CustodySeen(self.bench.catalogue, volumes, self.bench.lease.fenced, restless, counted)

    def free_space(self) -> Mapping[str, int]:
        """See Capability."""
        free: dict[str, int] = {}
        for seen in self.observer.volumes.values():
            if seen.free is not None:
                free[seen.host] = free.get(seen.host, 0) + seen.free
        return free

    async def observe(self, *, read_only: bool = False) -> None:
        """See Capability."""
        await self.observer.observe(read_only=read_only)

    async def watch(self, wake: Wake) -> None:
        """See Capability."""
        saving = asyncio.create_task(self._keep_saving())
        try:
            await self.observer.watch(wake)
        finally:
            saving.cancel()

    # --- think -----------------------------------------------------------------------------------------------

    def plan(self, world: World, seen: Observation, now: float) -> Plan:
        """See Capability."""
        return plan_custody(world, seen, now, memo=self._census, rounds=self._rounds)

    def planned(self, plan: Plan) -> bool:
        """See Capability: floors' histories advance here, and nowhere in a plan that nobody carries out."""
        self._wanted = frozenset(step.action.id for step in plan.steps)
        self._floor_of = {step.action.id: step.ref.name for step in plan.steps if step.ref is not None}
        if self._sure and self._census.census is not None:
            self._counted.note(self._census.census.inputs)
        changed = False
        for ref, status in plan.statuses.items():
            if ref.kind == CustodyFloor.__name__ and "lacking" in status:
                before = self._rounds.get(ref.name, ())
                after = advance(before, status, self._clock.now())
                changed = self._keep_rounds(ref.name, before, after) or changed
        return changed

    def _keep_rounds(self, floor: str, before: tuple[Round, ...], after: tuple[Round, ...]) -> bool:
        if after == before:
            return False
        self._rounds[floor] = after
        self._memory.put(f"custody/rounds/{floor}", [asdict(one) for one in after])
        return True

    # --- do --------------------------------------------------------------------------------------------------

    async def act(self, action: Action, report: Report) -> None:
        """See Capability."""
        self.bench.volumes = self.observer.volumes
        floor = self._floor_of.get(action.id)  # once the title is there, the next plan knows of none
        try:
            await act(self.bench, self.observer, self._fleet, action, report)
        except ActionFailed as failure:
            if isinstance(action, Copy) and failure.reason == "SourceChanged":
                self._restless.changed(action.title, self._clock.now())
            raise
        finally:
            self.observer.look_soon(action.host)
        if isinstance(action, Trim):
            self._removals.note(action.volume, self._clock.now())
        if isinstance(action, Copy):
            self._restless.held_still(action.title)
            if floor is not None:
                before = self._rounds.get(floor, ())
                self._keep_rounds(floor, before, copied(before, action.bytes))
        if volume := str(getattr(action, "volume", "")):
            await to_its_end(self._sweep(volume), lambda: self._detached)

    async def _sweep(self, volume: str) -> None:
        now = self._clock.now()
        if now - self._swept.get(volume, 0.0) < SWEEP_SECONDS:
            return
        self._swept[volume] = now
        with suppress(ActionFailed, HostUnreachable, SafetyRefusal):
            await sweep(self.bench, volume, self.observer.staging(volume), self._wanted)

    def detach(self) -> None:
        """See Capability."""
        self._detached = True

    async def close(self) -> None:
        """See Capability. Links belong to whoever made them."""
        if self._unsaved:
            self._save_now()

    # --- the record ------------------------------------------------------------------------------------------

    def _save_now(self) -> bool:
        """Whether it is on the disk now."""
        self._saved_at = self._clock.now()
        try:
            self._store()
        except StoreError:  # the disk may take it later; the journal, which writes to the same one, tells
            self._unsaved = True
        else:
            self._unsaved = False
        return not self._unsaved

    def _save_soon(self) -> None:
        self._unsaved = True
        if self._clock.now() - self._saved_at >= SAVE_SECONDS:
            self._save_now()

    async def _keep_saving(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            if self._unsaved:
                self._save_now()

    def _drop_undeclared(self) -> None:
        """Forget volumes whose root left the manifests a day ago: a slip of the pen costs no digests."""
        now = self._watched.now()  # a clock that jumped is no day
        declared = self.observer.keys()
        for key in list(self.bench.catalogue.holdings):
            # In watched time; what an earlier version noted below `custody/undeclared/` was in that of the clock.
            note = f"custody/unlisted/{key}"
            if key in declared:
                if self._memory.get(note) is not None:
                    self._memory.forget(note)
                continue
            since = self._memory.get(note)
            if not isinstance(since, float | int):
                self._memory.put(note, now)
            elif now - since > UNDECLARED_SECONDS:
                self.bench.catalogue.drop_volume(key)
                self._memory.forget(note)
                self._memory.forget(f"custody/scan/{key}")
                self._trash.forget(key)
                self._unsaved = True
