"""The reconcile loop: look, plan, act, report; again when something changed, or when time alone would change it.

Two parameters debounce it: it waits until nothing has changed for `idle` seconds, but never longer than `most`.
An edit in the middle of a burst of events is acted on within `most`.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from telarchy.core.capability import Capability
from telarchy.core.clock import SteadyClock
from telarchy.core.executor import Executor, Log, Outcome, retry_delay
from telarchy.core.observation import HostEvidence, Observation
from telarchy.core.plan import Decision, Event, Hold, Plan, Step, merge
from telarchy.core.report import Record, finish
from telarchy.core.tally import Tally
from telarchy.core.world import World
from telarchy.errors import ConfigError
from telarchy.resources.meta import Ref

IDLE_SECONDS = 0.05
MOST_SECONDS = 0.5
LONGEST_SLEEP_SECONDS = 600.0  # time is cheap to check, and a wake-up that was forgotten is a bug that heals


class HostsSeen(Protocol):
    """Evidence about hosts, as `hosts.observe.HostWatch` gathers it."""

    cut_off: bool

    def evidence(self) -> Mapping[str, HostEvidence]: ...


class Journal(Record, Log, Protocol):
    """Everything the loop writes down."""

    def crashed(self, name: str, trace: str) -> None:
        """A bug, for the crash file."""


@dataclass
class Debounce:
    """Seconds. `idle`: quiet time before a round; `most`: the longest a round is put off."""

    idle: float = IDLE_SECONDS
    most: float = MOST_SECONDS


class Reconciler:
    """One fleet's loop. All methods are called on one event loop."""

    def __init__(
        self,
        *,
        capabilities: Sequence[Capability],
        hosts: HostsSeen,
        journal: Journal,
        clock: SteadyClock | None = None,
        debounce: Debounce | None = None,
        observe_only: bool = False,
    ) -> None:
        self.capabilities = {one.name: one for one in capabilities}
        self.clock = clock or SteadyClock()
        self.world = World(complete=False)
        self.plan = Plan()
        self.released: frozenset[Ref] = frozenset()  # deleted, and nothing of them is left on hosts
        self.rounds = 0
        self.tally = Tally()
        self.last_round = 0.0  # seconds since the epoch
        self.observe_only = observe_only
        self._hosts = hosts
        self._journal = journal
        self._debounce = debounce or Debounce()
        self._dirty = asyncio.Event()
        self._news = False  # something changed since the last round; `_dirty` is clear while it is debounced
        self._observers: list[Callable[[], None]] = []
        self._broken: dict[str, str] = {}  # rooms that cannot think, and why
        self.executor = Executor(self.capabilities, self.clock, _Told(self, journal), self.wake)
        self.executor.on_progress = self._notify

    # --- what others say to it ---------------------------------------------------------------------------------

    def set_world(self, world: World) -> None:
        """A new revision of what is declared. Failures are forgiven: the person may have mended their cause."""
        if world.revision != self.world.revision:
            self.executor.forgive()
        self.world = world
        for capability in self.capabilities.values():
            capability.configure(world)
        self.wake()

    def wake(self) -> None:
        """Something changed; plan again soon."""
        self._news = True
        self._dirty.set()

    def retry_now(self) -> None:
        """Try again at once what failed or was refused."""
        self.executor.forgive()
        self.wake()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back after each round and on progress (for live views)."""
        self._observers.append(callback)

    def held(self, prefix: str) -> Hold:
        """The held change whose hash begins so. Raises ConfigError when there is none, or more than one."""
        hits = [hold for hold in self.plan.holds if hold.hash.startswith(prefix)]
        if len(hits) != 1:
            known = ", ".join(hold.hash for hold in self.plan.holds) or "none"
            what = "no held change has" if not hits else "more than one held change has"
            raise ConfigError(f"{what} a hash that begins with {prefix!r} (held now: {known})")
        return hits[0]

    # --- its own life ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. Jobs on hosts outlive it."""
        watchers = [
            asyncio.create_task(self._watch(one), name=f"watch {one.name}")
            for one in self.capabilities.values()
        ]
        try:
            self.wake()
            while True:
                await self._wait()
                self.round()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            await self.executor.stop()

    async def _watch(self, capability: Capability) -> None:
        """Keep one room looking. Its fault is told, and leaves the other rooms and the loop alone."""
        failures = 0
        while True:
            try:
                await capability.watch(self.wake)
                return
            except Exception as bug:  # noqa: BLE001 - isolated and told; it looks again after a pause
                failures += 1
                self._crashed(capability.name, bug, "look")
                await asyncio.sleep(retry_delay(failures))

    async def observe(self, *, read_only: bool = False) -> None:
        """Let every room look once, in order (hosts before what lies on them)."""
        for capability in self.capabilities.values():
            await capability.observe(read_only=read_only)

    async def run_until_settled(self, timeout: float, *, also: Callable[[], bool] = lambda: True) -> bool:
        """Run until everything declared is so. False when `timeout` seconds pass before.

        also:  what must hold besides; asked while all is settled
        """
        looked = asyncio.create_task(self.observe())
        running = asyncio.create_task(self.run())
        deadline = time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                await asyncio.sleep(0.02)
                if running.done():
                    await running
                if looked.done():
                    await looked
                    if self.settled and also():
                        return True
            return False
        finally:
            for task in (looked, running):
                task.cancel()
            await asyncio.gather(looked, running, return_exceptions=True)

    @property
    def settled(self) -> bool:
        """Nothing is to be done, nothing runs, nothing changed since the last plan."""
        quiet = not self.executor.running and not self._news
        return quiet and self.rounds > 0 and self.world.complete and not self._broken and self.plan.settled

    def observation(self) -> Observation:
        """The evidence of this moment. A room that cannot say what it saw is left out of it, and told about."""
        free: dict[str, int] = {}
        sections: dict[str, Any] = {}
        for name, one in self.capabilities.items():
            try:
                free.update(one.free_space())
                sections[name] = one.section()
            except Exception as bug:  # noqa: BLE001 - isolated and told
                self._at_fault(name, bug)
        return Observation(
            hosts=self._hosts.evidence(),
            free=free,
            cut_off=self._hosts.cut_off,
            sections=sections,
            running=dict(self.executor.running),
            attempts=dict(self.executor.attempts),
            approved=self._journal.approved(self.clock.now()),
        )

    def think(self) -> tuple[Plan, frozenset[str]]:
        """One plan of all rooms, and the names of those that could think. One room's fault stops no other."""
        seen, now = self.observation(), self.clock.now()
        plans, thought = [], set()
        for name, capability in self.capabilities.items():
            if name not in seen.sections:
                continue
            try:
                plans.append(capability.plan(self.world, seen, now))
                thought.add(name)
                self._broken.pop(name, None)
            except Exception as bug:  # noqa: BLE001 - isolated and told; the room keeps its running actions
                self._at_fault(name, bug)
        made = merge(plans)
        # Of what such a room has in its care nothing is known to be as declared.
        faults = tuple(self._broken[name] for name in self.capabilities if name in self._broken)
        return replace(made, unsettled=(*made.unsettled, *faults)), frozenset(thought)

    def _at_fault(self, name: str, bug: Exception) -> None:
        """Told once, until the room thinks again."""
        if name not in self._broken:
            self._broken[name] = f"{name} cannot plan ({type(bug).__name__}: {bug})"
            self._crashed(name, bug, "plan")

    def round(self) -> None:
        """Think, act on it, say it."""
        self._news = False
        self._dirty.clear()
        began = time.perf_counter()
        self.plan, thought = self.think()
        self.rounds += 1
        self.last_round = now = self.clock.now()
        if not self.observe_only:
            self.executor.apply(self.plan, only_of=thought)
        self.released = self._released(thought)
        statuses, events = finish(self.plan, self.world, self._journal, now)
        self._journal.write_statuses(statuses, now)
        self._journal.record_events(events, now)
        for name, capability in self.capabilities.items():
            try:
                if name in thought and capability.planned(self.plan):
                    self.wake()
                self._broken.pop(f"{name}'s memory", None)
            except Exception as bug:  # noqa: BLE001 - isolated and told
                self._at_fault(f"{name}'s memory", bug)
        self.tally.round_took(time.perf_counter() - began)
        self._notify()

    def _released(self, thought: frozenset[str]) -> frozenset[Ref]:
        """What may be let go of: every room could think about it, and none names it."""
        if self.observe_only or not self.world.complete or thought != self.capabilities.keys():
            return frozenset()
        return frozenset(self.world.departing) - self.plan.lingering.keys()

    async def _wait(self) -> None:
        wake_at = self.plan.wake_at
        sleep = (
            LONGEST_SLEEP_SECONDS
            if wake_at is None
            else min(max(0.0, wake_at - self.clock.now()) + 0.01, 600.0)
        )
        try:
            async with asyncio.timeout(sleep):
                await self._dirty.wait()
        except TimeoutError:
            return
        latest = time.monotonic() + self._debounce.most
        while time.monotonic() < latest:
            self._dirty.clear()
            try:
                async with asyncio.timeout(self._debounce.idle):
                    await self._dirty.wait()
            except TimeoutError:
                return

    def _notify(self) -> None:
        for callback in self._observers:
            callback()

    def _crashed(self, name: str, bug: Exception, what: str) -> None:
        trace = "".join(traceback.format_exception(bug))
        for ref in self.world.resources:
            message = f"{name} cannot {what} ({type(bug).__name__}: {bug}); what runs goes on, nothing new is started"
            self._journal.record_events([Event(ref, "InternalError", message, "Warning")], self.clock.now())
            break
        self._journal.crashed(name, trace)


class _Told:
    """Passes a finished action on, and makes an event of what a person should know."""

    def __init__(self, loop: Reconciler, journal: Journal) -> None:
        self._loop, self._journal = loop, journal

    def finished(self, step: Step, outcome: Outcome, seconds: float, trace: str = "") -> None:
        self._journal.finished(step, outcome, seconds, trace)
        word, reason, message = outcome
        self._loop.tally.ended(step.action.verb, word)
        if step.ref is None or step.decision is not Decision.START:
            return
        if word == "Done":
            self._journal.record_events(
                [Event(step.ref, f"{step.action.verb}Done", str(step.action))], self._now()
            )
        elif word in ("Failed", "Refused"):
            text = f"{step.action}: {message}"
            self._journal.record_events([Event(step.ref, reason, text, "Warning")], self._now())

    def _now(self) -> float:
        return self._loop.clock.now()
