"""Streaming as the loop drives it: look, think, do. The room's front door."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from telarchy.core.action import Action
from telarchy.core.capability import Capability, Report, Wake
from telarchy.core.clock import SteadyClock
from telarchy.core.observation import Observation
from telarchy.core.owner import Owner
from telarchy.core.plan import Plan
from telarchy.core.world import World
from telarchy.errors import ActionFailed
from telarchy.links.secrets import SecretResolver
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.meta import Ref
from telarchy.resources.stream import Stream
from telarchy.streaming import tokens
from telarchy.streaming.act import Bench, Links, act
from telarchy.streaming.actions import Retire, StreamingAction, TakeOver
from telarchy.streaming.evidence import StreamingSeen
from telarchy.streaming.external import ExternalWatch
from telarchy.streaming.marks import SecretMarks
from telarchy.streaming.observe import Observer
from telarchy.streaming.plan import Thought, think
from telarchy.streaming.playbacksecrets import KEPT, PlaybackSecrets
from telarchy.streaming.remembering import Memory, Remembered
from telarchy.streaming.snapshots import SnapshotBook
from telarchy.streaming.unserved import UnservedBook

TOKEN_SECONDS = 300  # of those with which we look at external endpoints
SECRETS_SECONDS = 10.0  # between two looks at the secrets


class Streaming(Capability):
    """Streams, keys, endpoints: a `core.capability.Capability`.

    links:  `links.pool.LinkPool`; whoever owns it configures it with the declared hosts
    owner:  as whom hosts see us: they let nobody else change what we made there
    """

    name = "streaming"

    def __init__(
        self,
        links: Links,
        secrets: SecretResolver,
        memory: Memory,
        clock: SteadyClock,
        *,
        namespace: str,
        owner: Owner | None = None,
        read_only: bool = False,
    ) -> None:
        self._clock = clock
        self._world = World(complete=False)
        self._thought: Thought | None = None
        self._memory = memory
        self._tidied: object = None  # the declaration after which nothing was left to forget
        self._playback = PlaybackSecrets(secrets, memory, read_only=read_only)
        self._marks = SecretMarks(secrets, self._playback, memory)
        self._remembered = Remembered.recalled(memory)
        if owner is not None and not read_only:
            self._remembered.is_owner(owner)
        self._bench = Bench(links, secrets, self._playback, self._remembered, owner, namespace)
        self._external = ExternalWatch(lambda stream, now: _prefix(self._playback, stream, now))
        book = SnapshotBook(memory, namespace)
        self._unserved = UnservedBook(memory, namespace)
        self.observer = Observer(links, clock, book, self._external.poll, owner=owner)

    # --- look ------------------------------------------------------------------------------------------------

    def configure(self, world: World) -> None:
        """See Capability."""
        gone = {one.name for one in self._world.of(MediaEndpoint)} - {
            one.name for one in world.of(MediaEndpoint)
        }
        self._external.forget(gone)
        self._world = world
        self._marks.refresh(world)
        self.observer.configure(world)

    def section(self) -> StreamingSeen:
        """See Capability."""
        return self._remembered.section(
            endpoints=self.observer.seen(),
            marks=dict(self._marks.by_name),
            bases=self.observer.surveys.bases(),
            tools=dict(self.observer.surveys.tools),
            unserved=self._unserved.all(),
            owner=self._bench.owner,
            former=self._remembered.former,
            interval=self.observer.interval,
        )

    async def observe(self, *, read_only: bool = False) -> None:
        """See Capability. Looking leaves no trace."""
        self._marks.refresh(self._world)
        await self.observer.observe()

    async def watch(self, wake: Wake) -> None:
        """See Capability."""
        reading = asyncio.create_task(self._keep_reading(wake))
        try:
            await self.observer.watch(wake)
        finally:
            reading.cancel()

    async def _keep_reading(self, wake: Wake) -> None:
        known = self._unserved.all()
        while True:
            await asyncio.sleep(SECRETS_SECONDS)
            before, known = known, self._unserved.all()
            if self._marks.refresh(self._world) or known != before:
                wake()

    # --- think -----------------------------------------------------------------------------------------------

    def plan(self, world: World, seen: Observation, now: float) -> Plan:
        """See Capability."""
        self._thought = think(world, seen, now)
        return self._thought.plan

    def planned(self, plan: Plan) -> bool:
        """See Capability: generations, choices and what was told count from here on."""
        if self._thought is None:
            return False
        self._remembered.keep(self._thought, self._clock.now())
        done = self._thought.done
        self._bench.wanted, self._bench.streams = done.wanted, done.terms.streams
        self._bench.policies = {
            name: place.endpoint.spec.deletion_policy for name, place in done.terms.places.items()
        }
        active = {name: done.active(name) for name in done.terms.streams}
        self.observer.expect(active)
        self._external.expect(active)
        self._forget_secrets(done.terms.world, plan)
        return False

    def _forget_secrets(self, world: World, plan: Plan) -> None:
        """Of a stream that was deleted, and of which nothing is left: what it signed ends with it."""
        if not world.complete or plan.lingering or self._tidied is world.resources:
            return
        self._tidied = world.resources
        prefix = f"{KEPT}/{world.namespace}/"
        for key in self._memory.under(prefix):
            name = key.removeprefix(prefix)
            ref = Ref(Stream.__name__, world.namespace, name)
            kept = ref in world.resources or ref in world.stalled or name in self._remembered.orphans
            if not kept:
                self._playback.forget(world.namespace, name)

    # --- do --------------------------------------------------------------------------------------------------

    async def act(self, action: Action, report: Report) -> None:
        """See Capability. Returns when what was done can be seen, so that it is not done twice."""
        if not isinstance(action, StreamingAction):
            raise ActionFailed(f"{action} is no action of streams", reason="UnknownAction", transient=False)
        marks = isinstance(action, TakeOver)
        with self.observer.surveys.doubt(action.endpoint) if marks else nullcontext():
            await act(self._bench, action)
        if isinstance(action, Retire):
            await self.observer.surveys.survey(action.host)
        await self.observer.look_again(action.endpoint)

    async def close(self) -> None:
        """See Capability. What runs on hosts goes on, and links belong to whoever made them."""
        await self.observer.close()
        await self._external.close()


def _prefix(playback: PlaybackSecrets, stream: Stream, now: float) -> str:
    """The token with which we ask for a stream ourselves. Raises TelarchyError without its secret."""
    if stream.spec.visibility != "Private":
        return ""
    secret = playback.of(stream)[0].reveal().decode("utf-8", "surrogateescape")
    return tokens.sign(secret, stream.name, int(now) + TOKEN_SECONDS)
