"""Looking now and then at all that lies on hosts, declared or not: endpoints' folders, and what they would run with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from telarchy.core.world import World
from telarchy.errors import TelarchyError
from telarchy.resources.host import Host
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.streaming.act import Links
from telarchy.streaming.evidence import BaseSeen, Tools
from telarchy.streaming.survey import read_survey, survey_argv

EVERY_SECONDS = 300.0  # between two looks at a host
RETRY_SECONDS = 15.0  # where it did not answer
AT_ONCE = 16
PAUSE_SECONDS = 5.0
TIMEOUT = 15.0


class Surveys:
    """What was seen of each declared host.

    wake:   called when evidence is not what it was
    tools:  by host, where endpoints are declared
    """

    def __init__(self, links: Links, wake: Callable[[], None]) -> None:
        self._links, self._wake = links, wake
        self._world = World(complete=False)
        self.tools: dict[str, Tools] = {}
        self._bases: dict[str, tuple[BaseSeen, ...]] = {}
        self._asked: dict[str, float] = {}  # by host, on the monotonic clock
        self._doubts = 0  # how often a folder was marked anew, or was about to be
        self._doubted = 0  # how many are about to be now

    def configure(self, world: World) -> None:
        """Take note of what is declared."""
        self._world = world
        for host in {one.spec.host_ref for one in world.of(MediaEndpoint)} - self.tools.keys():
            if host in self._bases:
                self._asked.pop(host, None)  # but not yet for what endpoints would run with

    def bases(self) -> dict[str, tuple[BaseSeen, ...]]:
        """What lay on each declared host at the last look."""
        return dict(self._bases)

    def due(self) -> list[str]:
        """Hosts that were not looked at lately."""
        due = time.monotonic() - EVERY_SECONDS
        names = [host.name for host in self._world.of(Host)]
        for known in (self._bases, self.tools):
            for gone in known.keys() - set(names):
                del known[gone]
        return [name for name in names if self._asked.get(name, due) <= due]

    async def keep(self) -> None:
        """Go on until cancelled."""
        while True:
            waiting = self.due()
            for begin in range(0, len(waiting), AT_ONCE):
                await asyncio.gather(*map(self.survey, waiting[begin : begin + AT_ONCE]))
            await asyncio.sleep(PAUSE_SECONDS)

    async def survey(self, host: str) -> None:
        """Look at a host. One that does not answer leaves what is known."""
        self._asked[host] = begun = time.monotonic()
        doubts = self._doubts
        endpoints = [one for one in self._world.of(MediaEndpoint) if not one.spec.is_external]
        parents = {str(one.spec.spool.path) for one in endpoints if one.spec.spool.path is not None}
        tools = any(one.spec.host_ref == host for one in endpoints)
        try:
            link = await self._links.link(host)
            answer = await link.run(survey_argv(sorted(parents), tools=tools), timeout=TIMEOUT)
        except (TelarchyError, OSError, TimeoutError):
            self._asked[host] = begun - EVERY_SECONDS + RETRY_SECONDS
            return
        if self._doubted or doubts != self._doubts:
            self._asked.pop(host, None)
            return
        found = read_survey(answer.stdout, tools=tools) if answer.ok else None
        if found is None:
            return
        known, had = self._bases.get(host), self.tools.get(host)
        self._bases[host] = found.bases
        if found.tools is not None:
            self.tools[host] = found.tools
        news = known is None or [_lying(one) for one in known] != [_lying(one) for one in found.bases]
        if news or had != self.tools.get(host):
            self._wake()

    @contextmanager
    def doubt(self, name: str) -> Iterator[None]:
        """While the folder of an endpoint is marked anew: by how it was marked before, it would look like another one
        (on this host, or on another that is the same machine). It counts as not seen until it is looked for again, and
        a look that is under way at any time of this counts no more."""
        self._doubts += 1
        self._doubted += 1
        for host, bases in self._bases.items():
            others = tuple(one for one in bases if one.holding.resource != name)
            if others != bases:
                self._bases[host] = others
                self._asked.pop(host, None)
        try:
            yield
        finally:
            self._doubted -= 1
            self._doubts += 1


def _lying(one: BaseSeen) -> BaseSeen:
    """Without its sign of life, which is news to nobody."""
    return replace(one, holding=replace(one.holding, alive=0.0))
