"""Looking: at every root of every host, each host in tasks of its own, so that a slow or dead one delays no other.

A look is one exec per host: sentinels, space, jobs, trash, the lease. A scan is one exec per root and comes when
it is due, or when something suggests a change. Evidence only grows old here and is never made up: a host that
does not answer leaves its volumes Unknown, with the ids and titles that were last seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from telarchy.core.clock import SteadyClock
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.evidence import VolumeSeen
from telarchy.custody.lease import LEASE_SECONDS, RENEW_SECONDS, WriterLease
from telarchy.custody.looking import RootLook
from telarchy.custody.roots import SCANNABLE, Memory, RootState, ask, face_of, jobs_on, shape_of
from telarchy.custody.scan import ScanMemo, look_again, next_scan_after, scan
from telarchy.custody.survey import Place
from telarchy.custody.titles import TitlePatterns
from telarchy.custody.trash import TrashWatch
from telarchy.custody.volumes import borrowed, settle
from telarchy.custody.workbench import Links
from telarchy.errors import ActionFailed, HostUnreachable, SafetyRefusal

LOOK_TIMEOUT = 30.0
FIRST_ROUND_SECONDS = 3.0  # how long to wait for slow hosts before deciding about the lease
MISSING_SECONDS = 3.0  # between looks at a host one of whose volumes is not there
AGAIN_SECONDS = 15.0  # after a scan that failed
MOST_LATE = 200  # titles asked for one by one after a scan; what is left of them is put right by the next one


Declared = tuple[str, str, str]  # host, root, path


class Observer:
    """All declared roots, looked at again and again.

    volumes:  the evidence, by key
    """

    def __init__(
        self,
        links: Links,
        catalogue: Catalogue,
        memory: Memory,
        clock: SteadyClock,
        lease: WriterLease,
        trash: TrashWatch,
        save: Callable[[], bool],
    ) -> None:
        self._links, self._catalogue, self._memory = links, catalogue, memory
        self._clock, self._lease, self._trash, self._save = clock, lease, trash, save
        self._roots: dict[tuple[str, str], RootState] = {}
        self._patterns = TitlePatterns(())
        self._scan_every: float | None = None
        self._read_only = False
        self._separately: set[str] = set()  # hosts with a root that hung
        self._unheard: set[str] = set()  # hosts that have not answered or failed yet
        self._begun: float | None = None
        self._changed: Callable[[], None] = lambda: None
        self._look_soon: dict[str, asyncio.Event] = {}
        self._scan_soon: dict[str, asyncio.Event] = {}
        self._hosts_changed = asyncio.Event()
        self._of_host: dict[str, list[RootState]] = {}
        self._faces: dict[tuple[str, str], tuple[object, ...]] = {}  # as last weighed together
        self._scanner: dict[str, tuple[str, str]] = {}  # by key: the root where a volume was scanned last
        self._news, self._told_fenced = True, False
        self.volumes: dict[str, VolumeSeen] = {}

    # --- what to look at -----------------------------------------------------------------------------------

    def configure(
        self, places: Iterable[Declared], patterns: TitlePatterns, scan_every: float | None
    ) -> None:
        """Take note of what is declared. Roots that stay keep what is known about them. No I/O on hosts."""
        wanted = {(host, root): path for host, root, path in places}
        for key in list(self._roots):
            if self._roots[key].path != wanted.get(key):
                del self._roots[key]
        for (host, root), path in wanted.items():
            if (host, root) not in self._roots:
                state = RootState(host, root, path)
                state.recall(self._memory)
                self._roots[host, root] = state
                self._poke(self._look_soon, host)
        if patterns != self._patterns:
            self._patterns = patterns
            self._catalogue.set_patterns(patterns)
            for state in self._roots.values():
                state.due = 0.0
                self._poke(self._scan_soon, state.host)
        self._scan_every = scan_every
        self._of_host = {}
        for state in self._roots.values():
            self._of_host.setdefault(state.host, []).append(state)
        self._hosts_changed.set()
        self._settle()

    @property
    def hosts(self) -> list[str]:
        return sorted({host for host, _ in self._roots})

    def rescan(self, key: str) -> None:
        """Scan a volume soon."""
        for state in self._roots.values():
            if key in (state.standing.id, state.provisional):
                state.due = 0.0
                self._poke(self._look_soon, state.host)
                self._poke(self._scan_soon, state.host)

    def touched(self, key: str, title: str) -> None:
        """The catalogue was told about a title by an action. What a scan compares with does not know of it."""
        for state in self._roots.values():
            if key in (state.standing.id, state.provisional):
                state.touched.add(title)

    def look_soon(self, host: str | None = None) -> None:
        """Look at a host (or at all) soon."""
        for name in self.hosts if host is None else [host]:
            self._poke(self._look_soon, name)

    def looked(self) -> dict[str, float]:
        """When each host last answered a look, seconds since the epoch."""
        passed = {
            state.host: time.monotonic() - state.looked_at
            for state in self._roots.values()
            if state.looked_at
        }
        return {host: self._clock.now() - ago for host, ago in passed.items()}

    def keys(self) -> set[str]:
        """Keys under which the catalogue knows declared roots."""
        return {state.known or state.provisional for state in self._roots.values()}

    def staging(self, key: str) -> dict[str, float]:
        """Staging folders of a volume by action id, with their age in seconds."""
        for state in self._roots.values():
            if state.known == key and state.look is not None:
                return dict(state.look.staging)
        return {}

    def adopted(self, host: str, root: str, volume_id: str) -> None:
        """A root got this sentinel: from now on it is the one that belongs there."""
        state = self._roots.get((host, root))
        if state is None:
            return
        if state.look is not None:
            state.look.id = volume_id  # what the last look saw is from before
        self._know(state, volume_id)
        self._settle()
        self.rescan(volume_id)

    # --- once ----------------------------------------------------------------------------------------------

    async def observe(self, *, read_only: bool = False) -> None:
        """Look at every host and scan every root now."""
        self._read_only = read_only
        await asyncio.gather(*(self._look(host) for host in self.hosts))
        await self._take_lease(wait=False)
        for state in self._roots.values():
            state.due = 0.0
        await asyncio.gather(*(self._scan_host(host) for host in self.hosts))
        self._settle()

    # --- again and again -------------------------------------------------------------------------------------

    async def watch(self, changed: Callable[[], None]) -> None:
        """Go on until cancelled; `changed` is called when evidence is not what it was."""
        self._changed, self._read_only = changed, False
        self._begun = time.monotonic()
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._decide_late())
                while True:
                    self._hosts_changed.clear()
                    for host in tasks.keys() - set(self.hosts):
                        tasks.pop(host).cancel()
                    for host in set(self.hosts) - tasks.keys():
                        self._unheard.add(host)
                        tasks[host] = group.create_task(self._watch_host(host))
                    await self._hosts_changed.wait()
        finally:
            self._changed = lambda: None

    async def _watch_host(self, host: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_scanning(host))
            while True:
                self._event(self._look_soon, host).clear()
                await self._look(host)
                if not self._lease_unquestioned(host):
                    await self._take_lease(wait=True)
                self._tell()
                self._poke(self._scan_soon, host)
                await _sleep_or(self._event(self._look_soon, host), self._pause(host))

    def _pause(self, host: str) -> float:
        """Until the next look. A person who mounts a disk again is watching the screen."""
        whole = all(state.standing.state in SCANNABLE for state in self._states_on(host))
        return RENEW_SECONDS if whole else MISSING_SECONDS

    async def _keep_scanning(self, host: str) -> None:
        while True:
            event = self._event(self._scan_soon, host)
            event.clear()
            if await self._scan_host(host):
                self._changed()
            due = [state.due for state in self._states_on(host) if state.standing.state in SCANNABLE]
            await _sleep_or(event, max(0.05, min(due, default=3600.0) - time.monotonic()))

    async def _decide_late(self) -> None:
        await asyncio.sleep(FIRST_ROUND_SECONDS)
        await self._take_lease(wait=True)
        self._tell()

    # --- one look ------------------------------------------------------------------------------------------

    async def _look(self, host: str) -> None:
        """Ask a host about its roots; whatever comes of it is in their state afterwards."""
        states = self._states_on(host)
        groups = [[state] for state in states] if host in self._separately else [states]
        await asyncio.gather(*(self._look_at(host, group) for group in groups if group))
        self._unheard.discard(host)
        self._settle(host)

    async def _look_at(self, host: str, states: Sequence[RootState]) -> None:
        looks: Mapping[str, RootLook] = {}
        trouble = ""
        try:
            link = await self._links.link(host)
            writer = None if self._read_only else self._lease.writer
            answer = await ask(link, states, writer, lease=LEASE_SECONDS, within=LOOK_TIMEOUT)
            looks = {one.path: one for one in answer}
            for state in states:
                look = looks.get(state.path)
                if look is not None:
                    state.jobs = await jobs_on(link, state, look)
        except HostUnreachable as failure:
            trouble = str(failure)
        except (ActionFailed, ValueError) as failure:
            trouble = str(failure)
            if len(states) > 1 and isinstance(failure, ActionFailed) and failure.reason == "Timeout":
                # One hanging disk must not hide the others: from now on each is asked by itself.
                self._separately.add(host)
        for state in states:
            look = looks.get(state.path)
            back = look is not None and (state.look is None or _points(state.look) != _points(look))
            state.look, state.trouble = looks.get(state.path), trouble
            state.trash = ()
            if state.look is not None and state.look.id:
                state.trash = self._trash.aged(state.look, remember=not self._read_only)
            if back:
                state.due = 0.0

    def _lease_unquestioned(self, host: str) -> bool:
        """Whether we may write, and nothing that this host showed at the last look says otherwise."""
        looks = (state.look for state in self._states_on(host))
        return self._lease.unquestioned(look.lease for look in looks if look is not None)

    async def _take_lease(self, *, wait: bool) -> None:
        """Weigh the leases seen; when the right to write is new, write it on every volume at once."""
        early = self._begun is not None and time.monotonic() - self._begun < FIRST_ROUND_SECONDS
        if wait and self._unheard and early:
            return
        before = self._lease.epoch
        leases = [
            state.look.lease
            for state in self._roots.values()
            if state.look is not None and state.look.lease is not None and state.look.id == state.known
        ]
        if self._read_only:
            self._lease.peek(leases)
            return
        self._lease.consider(leases)
        if self._lease.epoch and self._lease.epoch != before:
            self._memory.put("custody/epoch", self._lease.epoch)
            if wait:
                for host in self.hosts:
                    self._poke(self._look_soon, host)
            else:
                await asyncio.gather(*(self._look(host) for host in self.hosts))

    # --- one scan --------------------------------------------------------------------------------------------

    async def _scan_host(self, host: str) -> bool:
        """Scan what is due on a host, one root after the other. True when titles changed."""
        changed = False
        for state in self._states_on(host):
            if state.standing.state in SCANNABLE and state.due <= time.monotonic():
                changed = await self._scan(state) or changed
        return changed

    async def _scan(self, state: RootState) -> bool:
        async with state.scanning:
            began = time.monotonic()
            state.due = began + AGAIN_SECONDS
            standing = state.standing
            key = standing.id or state.provisional
            touched, state.touched = state.touched, set()
            again = self._scanner.get(key, state.key) == state.key
            trace = not self._read_only and self._lease.epoch > 0 and state.look is not None
            try:
                link = await self._links.link(state.host)
                done = await scan(
                    link,
                    state.path,
                    standing.id,
                    key,
                    self._catalogue,
                    self._patterns,
                    state.comparable(touched, again=again),
                    self._clock.now(),
                    leave_trace=trace and state.look is not None and state.look.writable,
                )
                # Of what an action did while the host was listing, the listing may be from before or after.
                late = sorted(state.touched)[:MOST_LATE]
                place = Place(link, state.path, standing.id)
                titles = late if done.full else touched.union(late)
                await look_again(place, key, titles, self._catalogue, self._clock.now(), blind=done.blind)
            except HostUnreachable:
                state.touched |= touched
                return False
            except (ActionFailed, SafetyRefusal) as failure:
                state.touched |= touched
                state.remark = f"the last scan failed: {failure}"
                self._poke(self._look_soon, state.host)
                return False
            if key != (state.standing.id or state.provisional):
                # It got a sentinel meanwhile, or another disk came: what was listed goes by a name that nobody has.
                if key == state.provisional:
                    self._catalogue.drop_volume(key)
                return False
            self._scanner[key] = state.key
            first = not state.scanned_now
            state.memo, state.remark = done.memo, done.message
            state.hidden = done.hidden
            state.scanned, state.scanned_now = self._clock.now(), True
            if not self._read_only and self._save():
                state.remember_scan(self._memory)
            took = time.monotonic() - began
            if state.due == began + AGAIN_SECONDS:  # nobody asked for another one meanwhile
                state.due = time.monotonic() + next_scan_after(took, self._scan_every, roots=len(self._roots))
            self._settle(state.host)
            return done.changed or first

    # --- evidence ----------------------------------------------------------------------------------------------

    def _states_on(self, host: str) -> list[RootState]:
        return list(self._of_host.get(host, ()))

    def _settle(self, host: str | None = None) -> None:
        """Weigh all roots together and make the evidence anew. `host`: only what was seen there is new."""
        if host is not None and all(
            self._faces.get(one.key) == face_of(one) for one in self._states_on(host)
        ):
            self._renew(host)
            return
        known = {key: state.known for key, state in self._roots.items()}
        looks = {key: state.look for key, state in self._roots.items()}
        standings, doubtful = settle(known, looks), borrowed(looks)
        self._faces = {key: face_of(state) for key, state in self._roots.items()}
        for key, standing in standings.items():
            state = self._roots[key]
            came = standing.state in SCANNABLE and state.standing.state not in SCANNABLE
            if state.standing.state in SCANNABLE and standing.state not in SCANNABLE and state.host != host:
                # Only another host's look says so: what this one showed may be from before its disk was moved.
                self._poke(self._look_soon, state.host)
            state.standing = standing
            if state.look is not None:
                state.borrowed = doubtful[key]
            state.count_missing(time.monotonic())
            if state.count_returns() and not self._read_only:
                state.remember_returns(self._memory)
            if came:
                state.due = 0.0
                self._poke(self._scan_soon, state.host)
            if standing.id and not state.known and standing.state in SCANNABLE:
                # It came with the disk: what was seen here before lay in the folder under it.
                self._catalogue.drop_volume(state.provisional)
                self._know(state, standing.id)
                state.scanned_now, state.due = False, 0.0
                self._poke(self._scan_soon, state.host)
        before, self.volumes = self.volumes, {}
        for key in sorted(self._roots):
            seen = self._roots[key].seen()
            self.volumes[seen.key] = seen
        told, now = ([shape_of(seen) for seen in volumes.values()] for volumes in (before, self.volumes))
        self._news = self._news or told != now

    def _renew(self, host: str) -> None:
        """Make the evidence of one host anew, where every root stands as it did."""
        for state in self._states_on(host):
            state.count_missing(time.monotonic())
            seen = state.seen()
            before = self.volumes.get(seen.key)
            if seen != before:
                self._news = self._news or before is None or shape_of(seen) != shape_of(before)
                self.volumes = {**self.volumes, seen.key: seen}

    def _know(self, state: RootState, volume_id: str) -> None:
        if state.known != volume_id:
            self._catalogue.rename_volume(state.provisional, volume_id)
            state.known = volume_id
            state.recall_scan(self._memory)
            state.memo = ScanMemo(
                mounts=state.memo.mounts
            )  # which is about another record than this one, perhaps
            if not self._read_only:
                state.remember_id(self._memory)

    def _tell(self) -> None:
        fenced = bool(self._lease.fenced)
        if self._news or fenced != self._told_fenced:
            self._news, self._told_fenced = False, fenced
            self._changed()

    def _event(self, events: dict[str, asyncio.Event], host: str) -> asyncio.Event:
        return events.setdefault(host, asyncio.Event())

    def _poke(self, events: dict[str, asyncio.Event], host: str) -> None:
        self._event(events, host).set()


async def _sleep_or(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _points(look: RootLook) -> list[str]:
    """Where something is mounted below a root. What it is may change with every use: an automount."""
    return [one.path for one in look.mounts]
