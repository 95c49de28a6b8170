"""Looking: one long look at each endpoint, over which its host reports every few seconds; external ones are polled.

Reports are evidence of their moment. One that does not come leaves the one before it to grow old; the plan takes an
old one for unknown. Whoever thinks is woken only when something changed that a plan may care about: a hundred streams
that play are no reason to think.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import cast

from telarchy.core.clock import SteadyClock
from telarchy.core.owner import Claim, Owner
from telarchy.core.world import World
from telarchy.errors import ActionFailed, HostUnreachable, TelarchyError
from telarchy.links.link import Link
from telarchy.resources.host import Host
from telarchy.resources.mediaendpoint import MediaEndpoint, served_at
from telarchy.resources.stream import Stream
from telarchy.streaming import faces, layout
from telarchy.streaming.act import Links
from telarchy.streaming.evidence import Carried, EndpointSeen
from telarchy.streaming.external import combined
from telarchy.streaming.health import UNKNOWN_AFTER_INTERVALS
from telarchy.streaming.report import Reports
from telarchy.streaming.shortruns import ShortRuns
from telarchy.streaming.snapshots import SnapshotBook
from telarchy.streaming.surveying import Surveys
from telarchy.streaming.watch import PERIOD_SECONDS, Elsewhere, watch_argv

SOFT_SECONDS = 5.0  # numbers are news at most this often
TICK_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 6.0  # how long an action waits until what it did is seen
FIRST_LOOK_SECONDS = 15.0
BACK_OFF = (0.5, 1.0, 2.0, 5.0, 10.0)
STEPS = (1.5, 3.0)  # target durations after which a playlist's age is another matter
REPORT_SECONDS = 1.0  # that making and sending a report may take besides

Poll = Callable[[MediaEndpoint, Mapping[str, Stream], float], Awaitable[EndpointSeen]]


@dataclass(frozen=True)
class Watched:
    """What a host is asked to look at; see `watch.watch_argv`."""

    base: str
    web_port: int
    stat_port: int | None
    target: float
    elsewhere: tuple[Elsewhere, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    def argv(self, by: Claim | None = None, *, once: bool = False) -> list[str]:
        return watch_argv(
            self.base,
            web_port=self.web_port,
            stat_port=self.stat_port,
            elsewhere=self.elsewhere,
            sources=self.sources,
            target=self.target,
            once=once,
            by=by,
        )


@dataclass
class Watching:
    """One endpoint that is watched.

    watched:  what its host is asked to look at; another one begins the look anew
    seen:     the last report
    firm, soft: faces as the loop was last told
    carried:  what was counted of each stream, over all connections
    said:     when an external endpoint last sent word of itself, and its face then
    """

    endpoint: MediaEndpoint
    host: str
    watched: Watched | None
    steps: tuple[float, ...] = ()
    seen: EndpointSeen | None = None
    firm: faces.Face = ()
    soft: faces.Face = ()
    unknown: bool = True
    said: float = 0.0
    said_face: faces.Face = ()
    runs: ShortRuns = field(default_factory=ShortRuns)
    carried: dict[str, Carried] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    restart: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Observer:
    """All declared endpoints.

    interval:  seconds between two reports, at most
    """

    interval = PERIOD_SECONDS + REPORT_SECONDS

    def __init__(
        self,
        links: Links,
        clock: SteadyClock,
        snapshots: SnapshotBook,
        poll: Poll | None = None,
        *,
        owner: Owner | None = None,
    ) -> None:
        self._links, self._clock, self._snapshots, self._poll = links, clock, snapshots, poll
        self._owner = owner
        self._world = World(complete=False)
        self._active: Mapping[str, str] = {}
        self._watching: dict[str, Watching] = {}
        self._wake: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()
        self.surveys = Surveys(links, lambda: self._wake())
        self._soft_told = 0.0
        self._soft_news = False

    # --- what to look at -------------------------------------------------------------------------------------

    def configure(self, world: World) -> None:
        """Take note of what is declared. What is known of an endpoint on another host now is forgotten."""
        self._world = world
        self.surveys.configure(world)
        hosts = {host.name: host for host in world.of(Host)}
        streams = world.of(Stream)
        declared = {one.name: one for one in world.of(MediaEndpoint)}
        for name in self._watching.keys() - declared.keys():
            self._drop(name)
        for name, endpoint in declared.items():
            host = endpoint.spec.host_ref or ""
            known = self._watching.get(name)
            if known is not None and (known.host, _base(known.endpoint)) != (host, _base(endpoint)):
                self._drop(name)
                known = None
            taken = [one for one in streams if endpoint.spec.stream_selector.matches(one.metadata.labels)]
            watched = None
            if not endpoint.spec.is_external and host in hosts:
                watched = watched_of(endpoint, taken, self._active, _sources(endpoint, declared, hosts))
            if known is None:
                known = self._watching[name] = Watching(endpoint, host, watched)
            elif known.watched != watched:
                known.watched = watched
                known.restart.set()
            known.endpoint, known.steps = endpoint, _steps(endpoint, taken)
        self._changed.set()

    def seen(self) -> dict[str, EndpointSeen]:
        """The last report of each endpoint."""
        found = {}
        for name, one in self._watching.items():
            seen = one.seen
            if one.endpoint.spec.is_external:
                seen = combined(seen, self._snapshots.latest(name))
            if seen is not None:
                found[name] = seen
        return found

    def expect(self, active: Mapping[str, str]) -> None:
        """The generation of each running stream, by the last plan: what caches are asked for."""
        if active != self._active:
            self._active = dict(active)
            self.configure(self._world)

    def _drop(self, name: str) -> None:
        one = self._watching.pop(name)
        if one.task is not None:
            one.task.cancel()

    # --- again and again -------------------------------------------------------------------------------------

    async def watch(self, wake: Callable[[], None]) -> None:
        """Go on until cancelled; `wake` is called when evidence is not what it was."""
        self._wake = wake
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick())
                group.create_task(self.surveys.keep())
                while True:
                    self._changed.clear()
                    for one in self._watching.values():
                        if one.task is None:
                            one.task = group.create_task(self._follow(one))
                    await self._changed.wait()
        finally:
            self._wake = lambda: None
            for one in self._watching.values():
                one.task = None

    async def close(self) -> None:
        """Stop looking."""
        tasks = [one.task for one in self._watching.values() if one.task is not None]
        for one in self._watching.values():
            one.task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def observe(self) -> None:
        """Wait for one report of each endpoint, as long as a first one may take."""
        missing = [one for one in self._watching.values() if one.seen is None and one.task is None]
        looks = [asyncio.create_task(self._once(one)) for one in missing if one.watched is not None]
        looks += [
            asyncio.create_task(self._poll_once(one)) for one in missing if one.endpoint.spec.is_external
        ]
        looks += [asyncio.create_task(self.surveys.survey(host)) for host in self.surveys.due()]
        if looks:
            await asyncio.wait(looks, timeout=FIRST_LOOK_SECONDS)
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    async def look_again(self, name: str) -> None:
        """Return when an endpoint has reported after this moment, or after a few seconds without."""
        one = self._watching.get(name)
        if one is None or one.watched is None:
            return
        since = self._clock.now()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                while one.seen is None or one.seen.reported <= since + 0.05:
                    one.news.clear()
                    await one.news.wait()

    async def _follow(self, one: Watching) -> None:
        """Watch one endpoint for as long as it is declared so."""
        failures = 0
        while True:
            if one.endpoint.spec.is_external:
                await self._poll_once(one)
                told = one.endpoint.spec.external
                await asyncio.sleep(told.poll.seconds if told is not None else 5.0)
                continue
            one.restart.clear()
            if one.watched is None:
                await one.restart.wait()
                continue
            begun = time.monotonic()
            await self._until_restart(one)
            failures = 0 if time.monotonic() - begun > 30.0 or one.restart.is_set() else failures + 1
            if not one.restart.is_set():
                pause = BACK_OFF[min(failures, len(BACK_OFF) - 1)]
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await one.restart.wait()

    async def _until_restart(self, one: Watching) -> None:
        looking = asyncio.create_task(self._look(one))
        asked = asyncio.create_task(one.restart.wait())
        try:
            await asyncio.wait((looking, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (looking, asked):
                task.cancel()
            await asyncio.gather(looking, asked, return_exceptions=True)

    async def _look(self, one: Watching, *, once: bool = False) -> None:
        assert one.watched is not None
        name = one.endpoint.name
        try:
            link = await self._links.link(one.host)
            reports = Reports(name, one.carried)
            by = Claim(self._owner, one.endpoint.namespace, name) if self._owner is not None else None
            async with aclosing(_stream(link, one.watched.argv(by, once=once))) as chunks:
                async for chunk in chunks:
                    for seen in reports.feed(chunk, self._clock.now()):
                        self._take(one, seen)
                        if once:
                            return
        except HostUnreachable:
            return  # the hosts' room tells about it; the report grows old
        except (ActionFailed, OSError, TimeoutError) as problem:
            self._take(
                one, EndpointSeen(name, self._clock.now(), trouble=str(problem) or type(problem).__name__)
            )

    async def _once(self, one: Watching) -> None:
        await self._look(one, once=True)

    async def _poll_once(self, one: Watching) -> None:
        if self._poll is None:
            return
        taken = {
            stream.name: stream
            for stream in self._world.of(Stream)
            if one.endpoint.spec.stream_selector.matches(stream.metadata.labels)
        }
        with suppress(TelarchyError, OSError, TimeoutError):
            self._take(one, await self._poll(one.endpoint, taken, self._clock.now()))

    # --- what came of it ---------------------------------------------------------------------------------------

    def _take(self, one: Watching, seen: EndpointSeen) -> None:
        now = self._clock.now()
        one.seen = seen = replace(seen, restarts=one.runs.note(seen.services, now))
        one.news.set()
        firm = faces.firm(seen, now, one.steps, one.endpoint.spec.spool.reserve.bytes)
        soft = faces.soft(seen)
        if firm != one.firm or one.unknown:
            one.firm, one.soft, one.unknown = firm, soft, False
            self._wake()
        elif soft != one.soft:
            one.soft = soft
            self._soft_news = True

    async def _tick(self) -> None:
        """Notice what does not come, and tell now and then of numbers that changed."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now, news = self._clock.now(), False
            for one in self._watching.values():
                news = self._said(one, now) or news
                if one.unknown or one.seen is None:
                    continue
                external = one.endpoint.spec.external
                interval = self.interval if external is None else external.poll.seconds
                if now - one.seen.reported > UNKNOWN_AFTER_INTERVALS * interval:
                    one.unknown = news = True
            if self._soft_news and now - self._soft_told >= SOFT_SECONDS:
                news = True
            if news:
                self._soft_told, self._soft_news = now, False
                self._wake()

    def _said(self, one: Watching, now: float) -> bool:
        """Whether an external endpoint sent word of itself since the last look, that a plan may care about."""
        if not one.endpoint.spec.is_external:
            return False
        told = self._snapshots.latest(one.endpoint.name)
        if told is None or told.reported == one.said:
            return False
        face = (faces.firm(told, now, one.steps, 0), faces.soft(told))
        one.said, before, one.said_face = told.reported, one.said_face, face
        return before != face


def _base(endpoint: MediaEndpoint) -> str:
    path = endpoint.spec.spool.path
    return layout.base(endpoint.name, endpoint.namespace, str(path) if path is not None else None)


def _sources(
    endpoint: MediaEndpoint, declared: Mapping[str, MediaEndpoint], hosts: Mapping[str, Host]
) -> tuple[tuple[str, str], ...]:
    """Name and base URL of the endpoints from which an edge may fetch."""
    others = [declared[one.endpoint_ref] for one in endpoint.spec.sources if one.endpoint_ref in declared]
    told = ((one.name, served_at(one.spec, hosts.get(one.spec.host_ref or ""))) for one in others)
    return tuple((name, url) for name, url in told if url)


def watched_of(
    endpoint: MediaEndpoint,
    streams: list[Stream],
    active: Mapping[str, str],
    sources: tuple[tuple[str, str], ...] = (),
) -> Watched:
    """What the host of an endpoint is asked to look at. `active`: the generation of each running stream; `sources`:
    name and base URL of each from which it may fetch."""
    spec = endpoint.spec
    keyed = spec.role == "Origin" and any(one.spec.ingest.rtmp is not None for one in streams)
    elsewhere = []
    for stream in streams:
        if spec.role == "Edge" and spec.mode == "Cache" and (generation := active.get(stream.name)):
            names = [one.name for one in stream.spec.renditions]
            if stream.spec.audio.enabled:
                names.append(layout.AUDIO)
            elsewhere.append(Elsewhere(stream.name, generation, tuple(names)))
    return Watched(
        base=_base(endpoint),
        web_port=layout.health_port(spec.listen.http),
        stat_port=layout.health_port(spec.listen.rtmp) if keyed else None,
        target=max((one.spec.segment.duration.seconds for one in streams), default=2.0),
        elsewhere=tuple(elsewhere),
        sources=sources,
    )


def _stream(link: Link, argv: list[str]) -> AsyncGenerator[bytes, None]:
    """The link's stream, as something that can be closed."""
    return cast("AsyncGenerator[bytes, None]", link.stream(argv))


def _steps(endpoint: MediaEndpoint, streams: list[Stream]) -> tuple[float, ...]:
    """Ages of playlists that may change a state, in seconds."""
    told = endpoint.spec.thresholds
    found = set()
    for target in {one.spec.segment.duration.seconds for one in streams} or {2.0}:
        found |= {
            max(told.degraded_after.seconds, STEPS[0] * target),
            max(told.stale_after.seconds, STEPS[1] * target),
            max(15.0, 5 * target),
            3 * max(15.0, 5 * target),
        }
    return (*sorted(found), 60.0, 300.0, 3600.0)
