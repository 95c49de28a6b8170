"""The objects of a namespace as a `runtime.revision.Source`, for the engine that both runtimes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from telarchy.runtime.kubernetes.objects import Objects, compose
from telarchy.runtime.revision import Revision

IDLE_SECONDS = 0.1  # quiet time before changes are read: `kubectl apply -f fleet/` is one change
MOST_SECONDS = 1.0  # the longest that a burst puts this off


class ObjectSource:
    """Yields a revision whenever something declared changed.

    prepare:  awaited with each revision before it is handed on, for what must be there by then (secrets)
    """

    def __init__(self, objects: Objects, prepare: Callable[[Revision], Awaitable[None]]) -> None:
        self.name = f"namespace {objects.namespace}"
        self._objects, self._prepare = objects, prepare
        self._changed = asyncio.Event()

    def reread(self) -> None:
        self._changed.set()

    async def read(self) -> Revision:
        return self._objects.revision()

    async def revisions(self) -> AsyncIterator[Revision]:
        last: Revision | None = None
        while True:
            self._changed.clear()
            # with thousands of objects this takes a second, in which the Lease is to be renewed
            revision = await asyncio.to_thread(compose, tuple(self._objects), complete=self._objects.complete)
            if revision != last:
                last = revision
                await self._prepare(revision)
                yield revision
            await self._settle()

    async def _settle(self) -> None:
        await self._changed.wait()
        latest = asyncio.get_running_loop().time() + MOST_SECONDS
        while asyncio.get_running_loop().time() < latest:
            self._changed.clear()
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                return
