"""Our finalizer: on objects whose deletion is to undo something on hosts, and only until it is undone.

It is set on what says `deletionPolicy: Release`, and taken away when no room has anything of the object on a host any
more, or when the policy becomes Orphan. That it comes a moment late loses nothing: rooms undo what nobody declares
by looking at hosts, and the finalizer only keeps the object, with its status, until that is done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Mapping

from telarchy.resources.meta import Ref
from telarchy.resources.registry import KINDS
from telarchy.runtime.kubernetes.cluster import Cluster, ClusterError, Collection, backoff
from telarchy.runtime.kubernetes.objects import FINALIZER, Objects
from telarchy.runtime.kubernetes.rates import TokenBucket

log = logging.getLogger(__name__)


class Finalizers:
    """Brings the objects of a namespace in line, at the rate at which statuses are written."""

    def __init__(self, cluster: Cluster, objects: Objects, rate: TokenBucket) -> None:
        self._cluster, self._objects, self._rate = cluster, objects, rate
        self._wanted: Mapping[Ref, tuple[str, bool]] = {}  # uid, and whether it is to be there
        self._some = asyncio.Event()
        self._told: set[str] = set()

    def tend(self, released: Container[Ref]) -> None:
        """Compare with what the watch told, after a round."""
        self._wanted = {ref: (uid, present) for ref, uid, present in self._objects.finalizers(released)}
        if self._wanted:
            self._some.set()

    async def run(self) -> None:
        """Until cancelled. What fails is tried again, for as long as it is wanted."""
        failures = 0
        while True:
            await self._some.wait()
            self._some.clear()
            failed = False
            for ref, wish in list(self._wanted.items()):
                if self._wanted.get(ref) != wish:
                    continue
                try:
                    await self._rate.take()
                    await self._set(ref, *wish)
                except ClusterError as error:
                    failed = True
                    self._complain(ref, error)
            failures = failures + 1 if failed else 0
            if failed:
                await asyncio.sleep(backoff(failures, None))
                self._some.set()

    async def _set(self, ref: Ref, uid: str, present: bool) -> None:
        """Nothing but the list of finalizers, and only if the object is still the same version. Raises ClusterError."""
        path = Collection.of(KINDS[ref.kind], ref.namespace).item(ref.name)
        try:
            metadata = (await self._cluster.get(path))["metadata"]
            before = metadata.get("finalizers") or []
            wanted = [one for one in before if one != FINALIZER] + ([FINALIZER] if present else [])
            gone = present and metadata.get("deletionTimestamp")  # the API server takes no new ones then
            if metadata.get("uid") != uid or sorted(wanted) == sorted(before) or gone:
                return
            kept = {name: metadata[name] for name in ("uid", "resourceVersion")}
            await self._cluster.merge(path, {"metadata": kept | {"finalizers": wanted}})
        except ClusterError as error:
            if error.status != 404:
                raise

    def _complain(self, ref: Ref, error: ClusterError) -> None:
        if (what := f"{ref.kind} {error.status}") not in self._told and error.status != 409:
            self._told.add(what)
            log.error("the finalizer of %s cannot be written: %s", ref, error)
