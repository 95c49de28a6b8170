"""Asking every host whether it is there, and noticing when it is the controller that is not.

Each host has a task of its own, so a slow one delays nobody. A probe is one round trip on the open connection;
after a miss the next ones follow quickly, and only several in a row make a host count as not reached. When
no host at all answers, a canary is asked before anybody is blamed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from telarchy.core.action import Action
from telarchy.core.capability import Capability, Report, Wake
from telarchy.core.observation import HostEvidence, Observation
from telarchy.core.plan import Plan
from telarchy.core.world import World
from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.hosts import canary
from telarchy.hosts.plan import plan_hosts
from telarchy.hosts.pulse import SILENT, UNASKED, Pulse, Rhythm
from telarchy.links.link import Completed
from telarchy.links.scripts import script
from telarchy.resources.fleet import Fleet, FleetSpec
from telarchy.resources.host import Host

JITTER = 0.1  # of the pause between probes, to either side
FIRST_PROBES_PER_SECOND = 50.0  # a controller that starts does not open a thousand connections at once
MAX_PROBES = 64  # under way at once
KEEP_EVERY = 10.0  # seconds between looks at what is worth keeping
KEEP_AT_ONCE = 50  # hosts whose memory is written at one look
VERSIONS_TIMEOUT = 30.0
VERSION_NAMES = ("os", "ssh", "rsync", "systemd", "sha256sum", "b3sum")
DROP_AFTER = 2  # misses in a row, then the connection is not believed any more
MEMORY_PREFIX = "hosts/"


class Memory(Protocol):
    """Facts that outlive the process; `store.memory.Memory` is one."""

    def get(self, key: str) -> Any: ...
    def put(self, key: str, value: Any) -> Any: ...


class ProbedLink(Protocol):
    """What is asked of a link here: `links.ssh.SshLink` and `links.local.LocalLink` are such."""

    endpoint: str
    connections: int

    async def probe(self) -> None: ...
    def drop(self) -> None: ...
    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = 60.0
    ) -> Completed: ...


class ProbedLinks(Protocol):
    """Where links come from: `links.pool.LinkPool`, or a simulated fleet."""

    def configure(self, hosts: Sequence[Host]) -> None: ...
    def get(self, name: str) -> ProbedLink: ...


class HostWatch(Capability):
    """The hosts room: gathers `HostEvidence`. Acts on nothing.

    cut_off: no ssh host answers, and no canary does either
    """

    name = "hosts"

    def __init__(self, links: ProbedLinks, memory: Memory, *, seed: int | None = None) -> None:
        self.cut_off = False
        self._links = links
        self._memory = memory
        self._random = random.Random(seed)
        self._rhythm = Rhythm()
        self._canaries: tuple[str, ...] = ()
        self._hosts: dict[str, Host] = {}
        self._pulses: dict[str, Pulse] = {}
        self._learned: dict[str, tuple[ProbedLink, int]] = {}  # link and connection that versions came over
        self._probing = asyncio.Semaphore(MAX_PROBES)
        self._judging = asyncio.Lock()
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._wake: Wake = lambda: None

    # -- what the loop asks --------------------------------------------------------------------------

    def configure(self, world: World) -> None:
        """See Capability. Also tells the links which hosts there are."""
        hosts = world.of(Host)
        fleets = world.of(Fleet)
        probes = (fleets[0].spec if fleets else FleetSpec()).probes
        self._rhythm = Rhythm(probes.every.seconds, probes.timeout.seconds, probes.misses)
        self._canaries = tuple(probes.canaries)
        self._links.configure(hosts)
        before, self._hosts = self._hosts, {host.metadata.name: host for host in hosts}
        for name in [name for name in self._pulses if name not in self._hosts]:
            del self._pulses[name]
            self._learned.pop(name, None)
        for name, host in self._hosts.items():
            if name not in self._pulses:
                self._pulses[name] = Pulse.recalled(name, self._memory.get(MEMORY_PREFIX + name))
            elif name in before and before[name].spec.connection != host.spec.connection:
                self._stop(name)  # ask the new way at once
        self._changed.set()

    def evidence(self) -> Mapping[str, HostEvidence]:
        """What is known of every declared host now."""
        longest = 2 * (self._rhythm.every + self._rhythm.patience)
        return {name: pulse.evidence(longest) for name, pulse in self._pulses.items()}

    def section(self) -> None:
        """Evidence about hosts is handed to the loop by `evidence`, for every room."""

    def plan(self, world: World, seen: Observation, now: float) -> Plan:
        return plan_hosts(world, seen, now)

    async def observe(self, *, read_only: bool = False) -> None:
        """See Capability. Probing leaves no trace."""
        await self.observe_once()

    async def observe_once(self) -> None:
        """Probe every host, those that miss again and again for as long as one probe may take."""
        await asyncio.gather(*(self._insist(name) for name in list(self._pulses)))

    async def watch(self, wake: Wake) -> None:
        """See Capability. `wake` is called when a host came, went, or says otherwise why it is gone."""
        self._wake = wake
        keeping = asyncio.create_task(self._keep_now_and_then())
        try:
            while True:
                self._changed.clear()
                self._start_missing()
                await self._changed.wait()
        finally:
            tasks = [keeping, *self._watching.values()]
            self._watching.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.keep()

    async def act(self, action: Action, report: Report) -> None:
        raise ActionFailed(f"{action}: hosts have no actions", reason="NoSuchAction", transient=False)

    async def close(self) -> None:
        """Write down what is to be remembered. The links belong to whoever made them."""
        self.keep()

    def keep(self, at_most: int | None = None) -> None:
        """Write down what changed of at most so many hosts."""
        dirty = [pulse for pulse in self._pulses.values() if pulse.dirty][:at_most]
        for pulse in dirty:
            pulse.dirty = False
            self._memory.put(MEMORY_PREFIX + pulse.name, pulse.to_json())

    # -- probing -------------------------------------------------------------------------------------

    def _start_missing(self) -> None:
        for name in [name for name in self._watching if name not in self._pulses]:
            self._stop(name)
        fresh = [name for name in self._pulses if name not in self._watching]
        spread = min(self._rhythm.every, len(fresh) / FIRST_PROBES_PER_SECOND)
        for name in fresh:
            delay = self._random.uniform(0, spread) if len(fresh) > 1 else 0.0
            self._watching[name] = asyncio.create_task(self._follow(name, delay))

    def _stop(self, name: str) -> None:
        if (task := self._watching.pop(name, None)) is not None:
            task.cancel()

    async def _follow(self, name: str, delay: float) -> None:
        """Probe one host for as long as it is declared."""
        await asyncio.sleep(delay)
        while True:
            if await self._probe(name):
                self._wake()
            pause = self._rhythm.pause(self._pulses[name])
            await asyncio.sleep(pause * self._random.uniform(1 - JITTER, 1 + JITTER))

    async def _insist(self, name: str) -> None:
        until = time.monotonic() + self._rhythm.patience
        while True:
            if await self._probe(name):
                self._wake()
            pulse = self._pulses.get(name)
            if pulse is None or pulse.misses == 0 or pulse.reached is False:
                return
            pause = min(self._rhythm.again, 0.3)
            if time.monotonic() + pause > until:
                return
            await asyncio.sleep(pause)

    async def _probe(self, name: str) -> bool:
        """One probe. True when it brought news."""
        pulse = self._pulses[name]
        link: ProbedLink | None = None
        try:
            link = self._links.get(name)
            if self._is_local(name):
                news = pulse.answered("")
                pulse.dirty = pulse.uptime.count(True, time.time()) or pulse.dirty
            else:
                async with self._probing, asyncio.timeout(self._rhythm.patience):
                    await link.probe()
                news = self._answered(pulse, link)
        except HostUnreachable as failure:
            return await self._missed(pulse, link, failure)
        except (TimeoutError, ActionFailed) as problem:
            said = "it does not answer" if isinstance(problem, TimeoutError) else str(problem)
            return await self._missed(pulse, link, HostUnreachable(name, "TimedOut", said))
        return await self._learn(pulse, link) or news

    def _answered(self, pulse: Pulse, link: ProbedLink) -> bool:
        news = pulse.answered(link.endpoint) or self.cut_off
        self.cut_off = False
        if pulse.uptime.count(True, time.time()):
            pulse.dirty = True
        return news

    async def _missed(self, pulse: Pulse, link: ProbedLink | None, failure: HostUnreachable) -> bool:
        pulse.silent, pulse.asked = failure.reason in SILENT, failure.reason not in UNASKED
        was_cut_off = self.cut_off
        await self._judge()
        if pulse.name not in self._pulses:
            return False
        counts = not self.cut_off
        if counts and pulse.asked and not self._in_maintenance(pulse.name):
            pulse.uptime.count(False, time.time())
        news = pulse.missed(failure, self._rhythm.misses, counts=counts)
        if link is not None and pulse.silent and pulse.misses == DROP_AFTER:
            link.drop()  # the host may be back long before the old connection's retransmissions are
        return news or was_cut_off != self.cut_off

    async def _judge(self) -> None:
        """Is it the controller that is cut off? Asked when a host just missed a probe."""
        async with self._judging:
            asked = [
                pulse for name, pulse in self._pulses.items() if pulse.asked and not self._is_local(name)
            ]
            silent = [pulse for pulse in asked if pulse.silent]
            if not silent or len(silent) < len(asked):
                self.cut_off = False
                return
            alive = await canary.any_alive(self._canaries)
            if any(not pulse.silent for pulse in asked):
                alive = True  # a host answered meanwhile
            # Without a canary, one silent host is that host's affair; several at once are ours.
            self.cut_off = len(silent) > 1 if alive is None else not alive
            if self.cut_off:
                for pulse in self._pulses.values():
                    pulse.pause_counting()

    async def _learn(self, pulse: Pulse, link: ProbedLink) -> bool:
        """Ask for versions once per connection. True when they are news."""
        if self._learned.get(pulse.name) == (link, link.connections):
            return False
        try:
            answer = await link.run(script("versions"), timeout=VERSIONS_TIMEOUT)
        except (HostUnreachable, ActionFailed, TimeoutError):
            return False  # the next probe will tell; versions can wait
        self._learned[pulse.name] = (link, link.connections)
        versions = parse_versions(answer.stdout)
        news = versions != pulse.versions
        pulse.versions = versions
        return news

    def _is_local(self, name: str) -> bool:
        host = self._hosts.get(name)
        return host is not None and host.spec.connection.local is not None

    def _in_maintenance(self, name: str) -> bool:
        host = self._hosts.get(name)
        announced = host.spec.maintenance if host is not None else None
        return announced is not None and announced.until.timestamp() > time.time()

    async def _keep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY)
            self.keep(KEEP_AT_ONCE)


def parse_versions(stdout: bytes) -> dict[str, str]:
    """`{tool: version}` out of what versions.sh prints; only the names that a status has."""
    words: Iterable[tuple[str, str, str]] = (
        line.partition(" ") for line in stdout.decode("utf-8", "replace").splitlines()
    )
    return {name: version.strip()[:128] for name, _, version in words if name in VERSION_NAMES}
