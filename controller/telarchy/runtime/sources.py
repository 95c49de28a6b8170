"""Where desired state comes from: a watched folder, a polled repository, or what was applied to the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

from telarchy.errors import ConfigError, Problem
from telarchy.resources.meta import DEFAULT_NAMESPACE, Ref
from telarchy.runtime.desired import REMOVAL_SECONDS, Desired
from telarchy.runtime.directory import Directory
from telarchy.runtime.repository import POLL_SECONDS, PREFIX, Repository
from telarchy.runtime.revision import Place, Revision, Source
from telarchy.store import Store
from telarchy.store.objects import APPLIED
from telarchy.store.store import SOURCE_STATE

EMBEDDED_NAME = "the store"


class PlaceSource:
    """A place that is looked at again whenever it may have changed."""

    def __init__(self, place: Place, desired: Desired) -> None:
        self.name = place.name
        self._place, self._desired = place, desired
        self._again = asyncio.Event()

    def reread(self) -> None:
        self._again.set()

    async def read(self) -> Revision:
        began = time.time()
        return self._desired.take(await self._place.look(), began)

    async def revisions(self) -> AsyncIterator[Revision]:
        changed = asyncio.Event()
        watching = asyncio.create_task(self._watch(changed))
        await asyncio.sleep(0)  # the watch begins before the first look, so that no save falls between them
        last: Revision | None = None
        try:
            while True:
                changed.clear()
                revision = await self.read()
                if revision != last:
                    last = revision
                    yield revision
                await self._until_worth_it(changed, watching)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, changed: asyncio.Event) -> None:
        async with aclosing(self._place.changes()) as changes:  # type: ignore[type-var]
            async for _ in changes:
                changed.set()

    async def _until_worth_it(self, changed: asyncio.Event, watching: asyncio.Task[None]) -> None:
        """Until the place may have changed, someone asks, or a removal has waited long enough."""
        patience = REMOVAL_SECONDS if self._desired.waits else None
        waits = [asyncio.create_task(changed.wait()), asyncio.create_task(self._again.wait())]
        try:
            await asyncio.wait([*waits, watching], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._again.clear()
        if watching.done():
            watching.result()  # a watch ends only by an error


class EmbeddedSource:
    """What was applied to the store, with `telarchy apply` and `delete`."""

    name = EMBEDDED_NAME

    def __init__(self, store: Store) -> None:
        self._store = store
        self._again = asyncio.Event()

    def reread(self) -> None:
        self._again.set()

    async def read(self) -> Revision:
        began = time.time()
        resources = tuple(self._store.objects.all(APPLIED))
        count = len(resources)
        message = f"{count} applied resource{'' if count == 1 else 's'}"
        revision = Revision(resources, revision="applied", message=message, applied=True)
        state = {
            "name": "",
            "at": began,
            "revision": "applied",
            "healthy": True,
            "sound": True,
            "message": message,
            "problems": [],
            "stalled": {},
        }
        self._store.memory.put(SOURCE_STATE, state)
        return revision

    async def revisions(self) -> AsyncIterator[Revision]:
        last: Revision | None = None
        while True:
            self._again.clear()
            revision = await self.read()
            if revision != last:
                last = revision
                yield revision
            await self._again.wait()


def remembered(store: Store) -> Revision:
    """Desired state as the store last knew it, for when nothing is to be read anew."""
    source = store.memory.get(SOURCE_STATE) or {}
    stalled = {
        Ref(*key.split("/", 2)): tuple(Problem(text) for text in found)
        for key, found in source.get("stalled", {}).items()
    }
    return Revision(
        resources=tuple(store.declared()),
        stalled=stalled,
        revision=source.get("revision", ""),
        message=source.get("message", ""),
        healthy=source.get("healthy", True),
    )


def open_source(
    text: str,
    store: Store,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    allowed_signers: Path | None = None,
    poll_seconds: float = POLL_SECONDS,
    patient: bool = True,
) -> Source:
    """The source that `--source` names; "" means the store.

    Raises ConfigError for an address that is none, and for `allowed_signers` of what nobody signs.
    """
    if allowed_signers is not None and not text.startswith(PREFIX):
        raise ConfigError(
            "only commits are signed: signatures are verified of a source like "
            "git+https://example.org/fleet.git#main"
        )
    if not text:
        return EmbeddedSource(store)
    place: Place
    if text.startswith(PREFIX):
        mirrors = None if store.read_only else store.folder / "mirrors"
        place = Repository(text, mirrors, allowed_signers=allowed_signers, poll_seconds=poll_seconds)
    else:
        place = Directory(text)
    return PlaceSource(place, Desired(store, place.name, namespace=namespace, patient=patient))
