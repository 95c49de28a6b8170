"""Writing statuses: only what changed, the newest only, at a bounded rate, until it is there.

By server-side apply: conditions are merged by their type and other writers' conditions stay; a field that we no
longer report is taken out, which a merge patch could only do by naming it; and no write can undo a person's edit, since
it touches `/status` alone.

Each write names the object that it is about, and the version that is known of it: a status that waited while its object
was deleted and made anew must not be put on the new one. The uid alone does not do that (of a write to `/status` the
API server may pass over all metadata but the version), so where the version is an old one, the object is read again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from telarchy.resources.crd import structural_schema
from telarchy.resources.meta import API_VERSION, Ref
from telarchy.resources.registry import KINDS
from telarchy.runtime.kubernetes.cluster import Cluster, ClusterError, Collection, backoff
from telarchy.runtime.kubernetes.rates import TokenBucket

log = logging.getLogger(__name__)

WRITES_PER_SECOND = 20.0
BURST = 100
IN_FLIGHT = 4
FLUSH_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 60.0

Status = Mapping[str, Any]
Told = tuple[str, Status]  # the uid of the object that it is about


class StatusWriter:
    """A queue of statuses, at most one per object.

    known:     the uid and the version of an object as the watch told them last; ("", "") of one that it does not know
    gone:      called with an object that is not there any more, or is another one of the same name
    written:   how many writes succeeded; refused: how many the API server will never take
    """

    def __init__(
        self,
        cluster: Cluster,
        rate: TokenBucket,
        known: Callable[[Ref], tuple[str, str]],
        gone: Callable[[Ref], None],
    ) -> None:
        self._cluster, self._rate, self._known, self._gone = cluster, rate, known, gone
        self._waiting: dict[Ref, Told] = {}
        self._newer: dict[
            Ref, tuple[str, str]
        ] = {}  # what the watch had told, and a version that came after it
        self._due: list[tuple[float, int, Ref]] = []  # loop time at which to try
        self._count = 0
        self._tries: dict[Ref, int] = {}
        self._after: dict[Ref, float | None] = {}
        self._busy: set[Ref] = set()
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.written = self.refused = self.retried = 0

    @property
    def depth(self) -> int:
        """How many objects have a status that is not written yet."""
        return len(self._waiting.keys() | self._busy)

    def put(self, ref: Ref, uid: str, status: Status) -> None:
        """Write this about the object of that uid, instead of whatever waited for one of the same name."""
        known = ref in self._waiting
        self._waiting[ref] = (uid, status)
        self._idle.clear()
        if not known and ref not in self._busy:
            self._tries.pop(ref, None)
            self._schedule(ref, 0.0)

    def forget(self, ref: Ref) -> None:
        self._waiting.pop(ref, None)
        self._newer.pop(ref, None)
        self._rest()

    def _rest(self) -> None:
        if not self.depth:
            self._idle.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(IN_FLIGHT):
                group.create_task(self._work(), name=f"status writer {number}")

    async def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Give what waits a last chance."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    def _schedule(self, ref: Ref, delay: float) -> None:
        self._count += 1
        heapq.heappush(self._due, (asyncio.get_running_loop().time() + delay, self._count, ref))
        self._some.set()

    async def _work(self) -> None:
        while True:
            ref = await self._next()
            told = self._waiting.pop(ref, None)
            if told is None:
                continue
            self._busy.add(ref)
            try:
                await self._rate.take()
                # a newer one may have come while we waited for our turn
                await self._write(ref, *self._waiting.pop(ref, told))
            finally:
                self._busy.discard(ref)
                if ref in self._waiting:
                    self._schedule(ref, self._delay(ref) if ref in self._tries else 0.0)
                self._rest()

    async def _next(self) -> Ref:
        while True:
            now = asyncio.get_running_loop().time()
            if self._due and self._due[0][0] <= now:
                return heapq.heappop(self._due)[2]
            self._some.clear()
            try:
                async with asyncio.timeout(self._due[0][0] - now if self._due else None):
                    await self._some.wait()
            except TimeoutError:
                pass

    async def _write(self, ref: Ref, uid: str, status: Status) -> None:
        told, version = self._known(ref)
        if told != uid:
            self._lost(ref)
            return
        if (newer := self._newer.get(ref)) is not None and newer[0] == version:
            version = newer[1]
        metadata = {"name": ref.name, "namespace": ref.namespace, "uid": uid, "resourceVersion": version}
        body = {
            "apiVersion": API_VERSION,
            "kind": ref.kind,
            "metadata": {name: value for name, value in metadata.items() if value},
            "status": stated(status),
        }
        path = Collection.of(KINDS[ref.kind], ref.namespace)
        try:
            answer = await self._cluster.apply(path.item(ref.name, "status"), body, attempts=1)
        except ClusterError as error:
            if error.status == 409 and not await self._is_still(ref, uid, path.item(ref.name)):
                self._lost(ref)
            else:
                self._failed(ref, (uid, status), error)
        else:
            self._note(ref, answer)
            self.written += 1
            self._tries.pop(ref, None)

    async def _is_still(self, ref: Ref, uid: str, path: str) -> bool:
        """Whether the object is the one that is meant; its version is noted. True where that cannot be asked now."""
        try:
            found = await self._cluster.get(path)
        except ClusterError as error:
            return error.status != 404
        self._note(ref, found)
        return bool(found["metadata"].get("uid") == uid)

    def _note(self, ref: Ref, found: Mapping[str, Any]) -> None:
        version = str((found.get("metadata") or {}).get("resourceVersion", ""))
        self._newer[ref] = (self._known(ref)[1], version)

    def _lost(self, ref: Ref) -> None:
        self._tries.pop(ref, None)
        self._newer.pop(ref, None)
        self._gone(ref)

    def _failed(self, ref: Ref, told: Told, error: ClusterError) -> None:
        if error.status == 404:
            self._lost(ref)
            return
        if not error.transient and error.status != 403:  # rights may be granted later
            self.refused += 1
            self._tries.pop(ref, None)
            log.error("the status of %s cannot be written: %s", ref, error)
            return
        self.retried += 1
        if error.status == 429:
            self._rate.penalise(error.retry_after or 1.0)
        tries = self._tries[ref] = self._tries.get(ref, 0) + 1
        if tries in (5, 50):
            log.warning("the status of %s is not written after %d tries: %s", ref, tries, error)
        self._after[ref] = error.retry_after
        self._waiting.setdefault(ref, told)

    def _delay(self, ref: Ref) -> float:
        return min(
            backoff(max(1, self._tries.get(ref, 1)), self._after.pop(ref, None)), LONGEST_BACKOFF_SECONDS
        )


def stated(value: Any) -> Any:
    """Without what says nothing: `None`, which the API server refuses, and objects without fields, of which it refuses
    those that had one before (server-side apply makes null of them)."""
    if isinstance(value, Mapping):
        kept = {key: stated(inner) for key, inner in value.items() if inner is not None}
        return {key: inner for key, inner in kept.items() if inner != {}}
    if isinstance(value, (list, tuple)):
        return [stated(inner) for inner in value]
    return value


@cache
def status_schema(kind: str) -> Mapping[str, Any]:
    """The structural schema of a kind's status, as its CRD has it."""
    schema: Mapping[str, Any] = structural_schema(KINDS[kind])["properties"]["status"]
    return schema


def described(kind: str, status: Any) -> Any:
    """Only what the CRD describes: one field that it does not know, and the API server refuses the whole apply."""
    unknown: list[str] = []
    kept = _described(status, status_schema(kind), "status", unknown)
    for field in unknown:
        _tell_once(kind, field)
    return kept


def _described(value: Any, schema: Mapping[str, Any], place: str, unknown: list[str]) -> Any:
    if isinstance(value, dict):
        fields, values = schema.get("properties"), schema.get("additionalProperties")
        if values is not None:
            return {key: _described(inner, values, f"{place}.*", unknown) for key, inner in value.items()}
        known = fields or {}
        unknown += [f"{place}.{key}" for key in value if key not in known]
        return {
            key: _described(inner, known[key], f"{place}.{key}", unknown)
            for key, inner in value.items()
            if key in known
        }
    if isinstance(value, list):
        return [_described(inner, schema.get("items", {}), f"{place}[]", unknown) for inner in value]
    return value


@cache
def _tell_once(kind: str, field: str) -> None:
    log.error("%s: %s is not in the CRD and is left out; this is a bug in Telarchy", kind, field)
