"""One namespace's fleet: wait for the Lease, run the engine while it is held, let go, again.

Whatever goes wrong in here ends here: another namespace's fleet does not notice.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telarchy.errors import TelarchyError
from telarchy.links.secrets import SecretResolver
from telarchy.resources.meta import Ref
from telarchy.runtime.engine import Engine, Rooms
from telarchy.runtime.journal import write_crash
from telarchy.runtime.kubernetes.approvals import AnnotatedApprovals
from telarchy.runtime.kubernetes.cluster import Cluster
from telarchy.runtime.kubernetes.doors import watched_door
from telarchy.runtime.kubernetes.events import EventPoster
from telarchy.runtime.kubernetes.finalizers import Finalizers
from telarchy.runtime.kubernetes.journal import ClusterJournal
from telarchy.runtime.kubernetes.lease import Lease, LeaseLost, LeaseTimes
from telarchy.runtime.kubernetes.objects import APPROVE, RECONCILE_AT, Objects
from telarchy.runtime.kubernetes.rates import TokenBucket
from telarchy.runtime.kubernetes.secrets import REFRESH_SECONDS, ClusterSecrets
from telarchy.runtime.kubernetes.source import ObjectSource
from telarchy.runtime.kubernetes.statuses import StatusWriter
from telarchy.runtime.lock import StateLock
from telarchy.runtime.revision import Revision
from telarchy.runtime.tenure import Tenure
from telarchy.runtime.web import engine_door
from telarchy.store import Store
from telarchy.web.answers import Answers
from telarchy.web.control import Control
from telarchy.web.fleetview import FleetDoor

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 30.0  # a round at least so often, so that its age tells whether the loop lives
EMPTY_SECONDS = 30.0  # a namespace without any object is let go after this
LISTED_SECONDS = 30.0  # how long lists are waited for before anything is planned without them
FIRST_REST_SECONDS = 2.0
LONGEST_REST_SECONDS = 300.0

Furnish = Callable[[Store], Rooms]


@dataclass(frozen=True)
class FleetOptions:
    """What all fleets of an operator share.

    state:     a folder for the stores, one folder inside it per namespace
    identity:  of this replica, unique among those that run
    rooms:     instead of the real ones, for tests
    """

    state: Path
    identity: str
    lease: LeaseTimes = field(default_factory=LeaseTimes)
    rooms: Furnish | None = None


class ClusterFleet:
    """A namespace. `engine` is there while this replica acts on it."""

    def __init__(self, cluster: Cluster, namespace: str, options: FleetOptions, rate: TokenBucket) -> None:
        self.namespace = namespace
        self.objects = Objects(namespace)
        self.lease = Lease(cluster, namespace, options.identity, options.lease)
        self.engine: Engine | None = None
        self.tenure: Tenure | None = None
        self.statuses = StatusWriter(cluster, rate, self._version_of, self._status_without_object)
        self.events = EventPoster(cluster, options.identity, self._uid_of)
        self.finalizers = Finalizers(cluster, self.objects, rate)
        self.failures = 0
        self.leading_since = 0.0  # seconds since the epoch
        self._journal: ClusterJournal | None = None
        self._cluster, self._options = cluster, options
        self._some = asyncio.Event()
        self._all = asyncio.Event()
        self._source: ObjectSource | None = None
        self._approvals: AnnotatedApprovals | None = None
        self._asked: Mapping[Ref, str] = {}
        self._tended = -1  # rounds
        self._door: FleetDoor | None = None

    # --- what the watch tells ----------------------------------------------------------------------------------

    def take(self, body: Mapping[str, Any]) -> None:
        """An object is there, or is different."""
        if self.objects.take(body):
            self._changed()

    def drop(self, ref: Ref, uid: str) -> None:
        """An object is gone."""
        if self.objects.drop(ref, uid):
            self._changed()

    def listed(self) -> None:
        """Every kind has been listed: from now on things may be removed and stopped."""
        if not self.objects.complete:
            self.objects.complete = True
            self._all.set()
            self._changed()

    def _changed(self) -> None:
        if self.objects:
            self._some.set()
        if self._source is not None:
            self._source.reread()
        self._read_marks()

    def _read_marks(self) -> None:
        """Annotations that steer the loop without being desired state."""
        if self.engine is None or self._approvals is None:
            return
        asked = self.objects.marked(RECONCILE_AT)
        if any(self._asked.get(ref) != value for ref, value in asked.items()):
            self.engine.reconcile()
        self._asked = asked
        self._approvals.read(self.objects.marked(APPROVE), self.engine.clock.now())
        self._grant()

    def _grant(self) -> None:
        if self.engine is None or self._approvals is None:
            return
        if self._approvals.grant(self.engine.reconciler.plan.holds, self.engine.clock.now()):
            self.engine.reconciler.wake()

    def _tend(self) -> None:
        """After each round: finalizers as the round left them."""
        if self.engine is not None and self.engine.reconciler.rounds != self._tended:
            self._tended = self.engine.reconciler.rounds
            self.finalizers.tend(self.engine.reconciler.released)

    def _status_without_object(self, ref: Ref) -> None:
        """A status found no object. The watch will say so, or the next list."""
        log.debug("%s: there is no %s to write a status to", self.namespace, ref)

    def _uid_of(self, ref: Ref) -> str:
        held = self.objects.get(ref)
        return held.uid if held is not None else ""

    def _version_of(self, ref: Ref) -> tuple[str, str]:
        held = self.objects.get(ref)
        return (held.uid, held.version) if held is not None else ("", "")

    def reported(self, ref: Ref) -> Mapping[str, Any] | None:
        """The status that was last reported."""
        return self._journal.status(ref) if self._journal is not None else None

    def door(self) -> FleetDoor:
        """For the web server: of what acts, else of what the watch tells."""
        return self._door or watched_door(self.namespace, self.objects)

    # --- its life ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. Failures are told, and followed by ever longer rests."""
        while True:
            await self._some.wait()
            self._some.clear()
            # planning a half-told world is work for nothing, and takes its time from the telling
            with suppress(TimeoutError):
                async with asyncio.timeout(LISTED_SECONDS):
                    await self._all.wait()
            tenure = await self.lease.acquire(lambda: bool(self.objects))
            if tenure is None:
                continue
            try:
                await self._lead(tenure)
                self.failures = 0
            except LeaseLost as lost:
                log.warning("%s: %s; this replica only watches now", self.namespace, lost)
            except (TelarchyError, OSError) as error:
                self.failures += 1
                log.error("%s: this fleet is not acted on: %s", self.namespace, error)
            except Exception as bug:  # noqa: BLE001 - one fleet's bug must not stop another's; it is told, with its trace
                self.failures += 1
                self._crashed(bug)
            finally:
                self.engine = self.tenure = None
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._options.lease.renew):
                        await self.lease.release()
            if self.objects:
                self._some.set()
            if self.failures:
                await asyncio.sleep(
                    min(FIRST_REST_SECONDS * 2.0 ** (self.failures - 1), LONGEST_REST_SECONDS)
                )

    async def _lead(self, tenure: Tenure) -> None:
        """Act until cancelled, the Lease is lost, or nothing is declared any more."""
        folder = self._options.state / self.namespace
        with StateLock(folder), Store.open(folder) as store:
            secrets = ClusterSecrets(self._cluster, self.namespace)
            engine = self._engine(store, secrets, tenure)
            control = Control(Answers(store, engine, secrets=secrets), folder)
            await control.start()
            engine.reconciler.on_change(control.changed)
            engine.reconciler.on_change(self._grant)
            engine.reconciler.on_change(self._tend)
            self._approvals = AnnotatedApprovals(store)
            self._asked = self.objects.marked(RECONCILE_AT)
            self.engine, self.tenure, self.leading_since = engine, tenure, engine.clock.now()
            self._door = engine_door(engine, store, secrets, self.namespace)
            self._tended = -1
            self._read_marks()
            writing = [
                asyncio.create_task(one, name=f"{self.namespace}: write")
                for one in (self.statuses.run(), self.events.run(), self.finalizers.run())
            ]
            acting = [
                asyncio.create_task(one, name=f"{self.namespace}: act")
                for one in (
                    self.lease.hold(),
                    engine.follow_source(),
                    engine.reconciler.run(),
                    self._keep_secrets(secrets),
                    self._beat(),
                )
            ]
            empty = asyncio.create_task(self._empty())
            try:
                done, _ = await asyncio.wait([*acting, *writing, empty], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._door = None
                # first nothing is done any more, then the last word about it is said
                await _end([*acting, empty])
                if self.lease.held:
                    await self.statuses.flush()
                await _end(writing)
                await control.stop()
                await engine.close()
                self._source = self._approvals = self._journal = None

    def _engine(self, store: Store, secrets: SecretResolver, tenure: Tenure) -> Engine:
        async def prepare(revision: Revision) -> None:
            assert isinstance(secrets, ClusterSecrets)
            await _refresh(secrets, revision)

        self._source = ObjectSource(self.objects, prepare)
        self._journal = ClusterJournal(store, self.objects, self.statuses, self.events)
        return Engine(
            store,
            self._source,
            namespace=self.namespace,
            rooms=self._options.rooms(store) if self._options.rooms is not None else None,
            journal=self._journal,
            secrets=secrets,
            tenure=tenure,
        )

    async def _keep_secrets(self, secrets: ClusterSecrets) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            if self.engine is not None and await _refresh(secrets, self.engine.revision):
                self.engine.reconciler.set_world(self.engine.reconciler.world)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if self.engine is not None:
                self.engine.reconciler.wake()

    async def _empty(self) -> None:
        """Until nothing has been declared here for a while."""
        since: float | None = None
        while True:
            await asyncio.sleep(1.0)
            now = asyncio.get_running_loop().time()
            since = None if self.objects else since or now
            if since is not None and now - since > EMPTY_SECONDS:
                return

    def _crashed(self, bug: Exception) -> None:
        trace = "".join(traceback.format_exception(bug))
        where = "no crash file could be written"
        with suppress(OSError):
            where = f"details in {write_crash(self._options.state / self.namespace, 'fleet', trace)}"
        log.error("%s: a bug stopped this fleet (%s: %s); %s", self.namespace, type(bug).__name__, bug, where)


async def _refresh(secrets: ClusterSecrets, revision: Revision) -> bool:
    named = [*revision.resources, *revision.departing.values()]
    return await secrets.refresh(named, leaving=bool(revision.departing))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
