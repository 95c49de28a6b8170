"""All fleets of an operator, and kopf around them.

kopf does what is tedious and well understood: it logs in, lists, watches, resumes broken watches, notices bookmarks
and silence. It is told to do nothing else: no scanning, no peering, no posting, no patches, no finalizers.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import kopf

from telarchy.resources.meta import GROUP, VERSION, Ref
from telarchy.resources.registry import KINDS
from telarchy.runtime.kubernetes.cluster import Cluster, ClusterError, Collection
from telarchy.runtime.kubernetes.doors import web_server
from telarchy.runtime.kubernetes.fleet import ClusterFleet, FleetOptions
from telarchy.runtime.kubernetes.health import HealthServer
from telarchy.runtime.kubernetes.listing import RELIST_SECONDS, Listings
from telarchy.runtime.kubernetes.objects import ref_of
from telarchy.runtime.kubernetes.rates import TokenBucket
from telarchy.runtime.kubernetes.statuses import BURST, WRITES_PER_SECOND

log = logging.getLogger(__name__)

STOP_SECONDS = 20.0  # how long fleets have to finish; terminationGracePeriodSeconds must be longer
KINDS_PAUSE_SECONDS = 5.0
KNOCK_SECONDS = 15.0  # then a namespace that may not be read is tried again, and ever more rarely
LONGEST_KNOCK_SECONDS = 300.0
KINDS_ADVICE = "kubectl apply --server-side -f crds/"
UNWIND_SECONDS = 8.0  # five of them are kopf's own, before it cancels what is left of it
INSIST_SECONDS = 2.0
RIGHTS_ADVICE = "nothing may be read with these rights: see its Role, or its ClusterRole for all namespaces"

Login = Callable[[], kopf.ConnectionInfo]
R = TypeVar("R")


@dataclass(frozen=True)
class OperatorOptions:
    """What `telarchy operator` was asked.

    namespaces:  the fleets to act on; () means every namespace
    liveness:    `http://host:port/path` to answer probes at, with `/metrics` beside it; "" for none
    listen:      `host:port` of the web server: pages, playback, reports; "" for none
    trusted:     reverse proxies in front of it, as addresses or networks
    relist:      seconds between the lists that are compared with what the watch told
    knock:       seconds until a namespace that may not be read is tried again for the first time
    """

    fleets: FleetOptions
    namespaces: tuple[str, ...] = ()
    liveness: str = ""
    listen: str = ""
    trusted: tuple[str, ...] = ()
    relist: float = RELIST_SECONDS
    knock: float = KNOCK_SECONDS
    writes_per_second: float = WRITES_PER_SECOND


class Operator:
    """The fleets by namespace, for as long as the watch holds. All methods are called on one event loop.

    waiting:  what is missing before anything can be watched, in plain words
    refused:  named namespaces that may not be read, and why
    again:    the watch is to be begun anew
    """

    def __init__(self, cluster: Cluster, options: OperatorOptions) -> None:
        self.fleets: dict[str, ClusterFleet] = {}
        self.cluster, self.options = cluster, options
        self.failure: BaseException | None = None
        self.stopped = asyncio.Event()
        self.waiting: tuple[str, ...] = ()
        self.refused: dict[str, str] = {}
        self.again = False
        self._rate = TokenBucket(options.writes_per_second, BURST)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.listings = self._listings(options.namespaces)

    def _listings(self, namespaces: Sequence[str]) -> Listings:
        return Listings(
            self.cluster,
            list(KINDS.values()),
            list(namespaces) or None,
            self,
            self._listed,
            every=self.options.relist,
        )

    # --- what the watch and the lists tell ---------------------------------------------------------------------

    def feed(self, event: str | None, body: Mapping[str, Any]) -> None:
        """One event of the watch; `event` is None for what was there when watching began."""
        ref = ref_of(body)
        if event == "DELETED":
            if (fleet := self.fleets.get(ref.namespace)) is not None:
                fleet.drop(ref, str(body["metadata"].get("uid", "")))
            return
        self._fleet(ref.namespace).take(body)

    def known(self, kind: str, namespace: str | None) -> dict[Ref, tuple[str, int]]:
        fleets = self.fleets.values() if namespace is None else filter(None, [self.fleets.get(namespace)])
        return {
            one.ref: (one.uid, one.generation)
            for fleet in fleets
            for one in fleet.objects
            if one.ref.kind == kind
        }

    def told(self, ref: Ref) -> tuple[str, int] | None:
        fleet = self.fleets.get(ref.namespace)
        held = fleet.objects.get(ref) if fleet is not None else None
        return None if held is None else (held.uid, held.generation)

    def missing(self, ref: Ref, uid: str) -> None:
        if (fleet := self.fleets.get(ref.namespace)) is not None:
            fleet.drop(ref, uid)

    def _listed(self, namespace: str | None) -> None:
        for fleet in self.fleets.values():
            if namespace is None or fleet.namespace == namespace:
                fleet.listed()

    def _fleet(self, namespace: str) -> ClusterFleet:
        fleet = self.fleets.get(namespace)
        if fleet is None:
            fleet = self.fleets[namespace] = ClusterFleet(
                self.cluster, namespace, self.options.fleets, self._rate
            )
            if self.listings.complete(namespace):
                fleet.listed()
            self._spawn(f"fleet {namespace}", fleet.run())
        return fleet

    # --- its life ----------------------------------------------------------------------------------------------

    async def reachable(self) -> tuple[str, ...]:
        """Wait until the kinds are there, and some namespace may be read. Returns those of the named that may."""
        named: Sequence[str | None] = self.options.namespaces or [None]
        pause = self.options.knock
        while True:
            missing: set[str] = set()
            refused = {one: why for one in named if (why := await self._refusal(one, missing))}
            if not missing and len(refused) < len(named):
                break
            self._wait_on(missing or set(refused.values()), how=KINDS_ADVICE if missing else RIGHTS_ADVICE)
            await asyncio.sleep(KINDS_PAUSE_SECONDS if missing else pause)
            pause = pause if missing else min(2 * pause, LONGEST_KNOCK_SECONDS)
        self.waiting = ()
        self.refused = {one: why for one, why in refused.items() if one is not None}
        for namespace, why in self.refused.items():
            log.error("%s is left out until it may be read: %s", namespace, why)
        return tuple(one for one in named if one is not None and one not in refused)

    def _wait_on(self, what: set[str], *, how: str) -> None:
        """A restart would mend none of it, so this is told and counts as alive."""
        if self.waiting != tuple(sorted(what)):
            self.waiting = tuple(sorted(what))
            log.warning("waiting for %s (%s)", ", ".join(self.waiting), how)

    async def _refusal(self, namespace: str | None, missing: set[str]) -> str:
        """Why a namespace may not be read, "" when it may. Adds what is not there yet to `missing`."""
        why = ""
        for kind in KINDS.values():
            try:
                await self.cluster.request("GET", Collection.of(kind, namespace).path, params={"limit": "1"})
            except ClusterError as error:
                if error.status == 404:
                    missing.add(f"{kind.plural}.{GROUP}")
                elif error.status == 403:
                    why = why or str(error)
                elif not error.transient:
                    raise
                else:
                    missing.add(str(error))
        return why

    async def _knock(self) -> None:
        """Until a namespace that was refused may be read: then watching begins anew, with it."""
        pause = self.options.knock
        while self.refused:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_KNOCK_SECONDS)
            for namespace in self.refused:
                missing: set[str] = set()
                if not await self._refusal(namespace, missing) and not missing:
                    log.info("%s may be read now", namespace)
                    self.begin_again()
        await asyncio.Event().wait()

    def begin_again(self) -> None:
        """End watching, and every fleet with it, to begin anew at once. Jobs on hosts go on."""
        self.again = True
        self.stopped.set()

    def start(self) -> None:
        """Begin to list. Fleets begin when the watch tells of their first object."""
        self._spawn("lists", self.listings.run())
        self._spawn("knock", self._knock())

    async def stop(self) -> None:
        """Let every fleet finish. Jobs on hosts go on, and are found again."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=STOP_SECONDS)

    def _spawn(self, name: str, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of them ends by itself."""
        if not task.cancelled() and self.failure is None:
            self.failure = task.exception() or RuntimeError(f"{task.get_name()} ended")
            self.stopped.set()


async def run_operator(login: Login, options: OperatorOptions) -> None:
    """Run until SIGTERM or SIGINT. Raises TelarchyError when it cannot, or what went wrong inside.

    A watch that breaks for good (the CRDs are taken away, rights are withdrawn) ends nothing: it is told, and begun
    anew as soon as there is something to watch."""
    ending = asyncio.Event()
    async with Cluster(login) as cluster:
        operator = Operator(cluster, options)
        async with HealthServer(operator, options.liveness) as health, web_server(health, options):
            while True:
                _on_signals(
                    ending.set
                )  # kopf's own take their place while it runs, and mean nothing after it
                namespaces = await _unless(ending, operator.reachable())
                if namespaces is None:
                    return
                operator.listings = operator._listings(namespaces)
                broken = await _watched(operator, login, namespaces, ending)
                if operator.failure is not None:
                    raise operator.failure
                if not (broken or operator.again):
                    return
                operator = health.operator = Operator(cluster, options)
                if broken:
                    _on_signals(ending.set)
                    await _unless(ending, asyncio.sleep(KINDS_PAUSE_SECONDS))


async def _watched(
    operator: Operator, login: Login, namespaces: Sequence[str], ending: asyncio.Event
) -> bool:
    """Watch until told to stop (False), or until the watch itself breaks (True)."""
    try:
        await _watch(operator, login, namespaces, ending)
    except Exception as error:  # noqa: BLE001 - kopf raises what its watchers met; what fleets met is in `failure`
        if operator.failure is None:
            log.error("watching ended, and is begun anew: %s: %s", type(error).__name__, error)
        return True
    return False


async def _unless(ending: asyncio.Event, work: Coroutine[Any, Any, R]) -> R | None:
    """What comes of the work, None when it is time to end before."""
    working, ends = asyncio.create_task(work), asyncio.create_task(ending.wait())
    try:
        await asyncio.wait([working, ends], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() and not ending.is_set() else None
    finally:
        for task in (working, ends):
            task.cancel()
        await asyncio.gather(working, ends, return_exceptions=True)


def _on_signals(callback: Callable[[], None]) -> None:
    with suppress(ValueError, RuntimeError):  # only the main thread can take signals
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, callback)


async def _watch(operator: Operator, login: Login, namespaces: Sequence[str], ending: asyncio.Event) -> None:
    registry = kopf.OperatorRegistry()
    ended, before = asyncio.Event(), asyncio.all_tasks()

    # The engine lives in tasks that begin and end with kopf's own: kopf cancels whatever began after it.
    async def started(**_: Any) -> None:
        operator.start()

    async def stopping(**_: Any) -> None:
        _on_signals(ending.set)  # kopf hears none while it ends, which may take a while
        await operator.stop()
        ended.set()

    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return login()

    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        operator.feed(event["type"], event["object"])

    kopf.on.startup(registry=registry)(started)
    kopf.on.cleanup(registry=registry)(stopping)
    kopf.on.login(registry=registry)(log_in)
    for kind in KINDS.values():
        kopf.on.event(GROUP, VERSION, kind.plural, id=f"seen-{kind.plural}", registry=registry)(seen)
    insisting = asyncio.create_task(_insist(ended, before))  # before kopf begins, or it would cancel this too
    try:
        await kopf.operator(
            registry=registry,
            settings=watch_settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
            stop_flag=operator.stopped,
        )
    finally:
        insisting.cancel()


async def _insist(ended: asyncio.Event, before: set[asyncio.Task[Any]]) -> None:
    """Once all has ended, cancel again what was cancelled and goes on.

    When one watch fails for good, kopf cancels the others once, and waits for them for ever. A watch that was about to
    ask again takes that for a pause, and goes on watching for nobody."""
    await ended.wait()
    await asyncio.sleep(UNWIND_SECONDS)
    while True:
        for task in asyncio.all_tasks() - before:
            if task.cancelling():
                task.cancel()
        await asyncio.sleep(INSIST_SECONDS)


def watch_settings() -> kopf.OperatorSettings:
    """kopf with everything off but the watching."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # no list and watch of CRDs and namespaces: fewer rights are needed
    settings.peering.standalone = True
    settings.posting.enabled = False
    # never ours (`objects.FINALIZER`): kopf takes its own away as soon as no handler of its asks for it
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP, key="last-handled")
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.watching.server_timeout = 600
    settings.queueing.exit_timeout = 1.0
    # kopf would kill the process so many seconds after each end of a watch, and this one may begin anew
    settings.process.ultimate_exiting_timeout = None
    return settings
