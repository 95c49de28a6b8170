"""Kubernetes events about our objects: what `kubectl describe` shows at its end.

core/v1 with its counter, since that is what kubectl prints best (`x3 over 10m`): an event that is repeated within an
hour is counted up instead of posted again. Events may get lost; statuses never do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from telarchy.core.action import stable_id
from telarchy.core.plan import Event
from telarchy.core.words import rfc3339
from telarchy.resources.meta import API_VERSION, Ref
from telarchy.runtime.kubernetes.cluster import Cluster, ClusterError, Collection
from telarchy.runtime.kubernetes.rates import TokenBucket

log = logging.getLogger(__name__)

COMPONENT = "telarchy"
EVENTS_PER_SECOND = 5.0
BURST = 25
QUEUE = 500
REPEAT_SECONDS = 3600.0  # the API server forgets events after this time anyway
REMEMBERED = 2000
MESSAGE_BYTES = 1024
SENT_MESSAGE_TAIL = "…"


@dataclass
class _Posted:
    name: str
    first: str
    count: int
    at: float


class EventPoster:
    """A bounded queue of events about objects. `uid_of` gives an object's uid, "" when it is not known."""

    def __init__(
        self,
        cluster: Cluster,
        instance: str,
        uid_of: Callable[[Ref], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster, self._instance, self._uid_of, self._clock = cluster, instance[:128], uid_of, clock
        self._queue: asyncio.Queue[tuple[Event, str]] = asyncio.Queue(QUEUE)
        self._rate = TokenBucket(EVENTS_PER_SECOND, BURST)
        self._posted: OrderedDict[tuple[str, str, str, str], _Posted] = OrderedDict()
        self.posted = self.dropped = 0

    @property
    def depth(self) -> int:
        return self._queue.qsize()

    def post(self, event: Event) -> None:
        """Later, if there is room. Events about what is no object in the cluster are passed over."""
        uid = self._uid_of(event.ref)
        if not uid:
            return
        try:
            self._queue.put_nowait((event, uid))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            event, uid = await self._queue.get()
            await self._rate.take()
            try:
                await self._send(event, uid)
                self.posted += 1
            except ClusterError as error:
                self.dropped += 1
                if error.status == 429:
                    self._rate.penalise(error.retry_after or 1.0)
                log.debug("an event about %s is lost: %s", event.ref, error)

    async def _send(self, event: Event, uid: str) -> None:
        now, stamp = self._clock(), rfc3339(self._clock())
        message = short(event.message)
        key = (uid, event.type, event.reason, message)
        known = self._posted.get(key)
        collection = Collection.events(event.ref.namespace)
        if known is not None and now - known.at < REPEAT_SECONDS:
            patch = {"count": known.count + 1, "lastTimestamp": stamp}
            try:
                await self._cluster.merge(collection.item(known.name), patch)
            except ClusterError as error:
                if error.status != 404:
                    raise
            else:
                known.count, known.at = known.count + 1, now
                return
        name = f"{event.ref.name}.{stable_id(*key, now)}"
        await self._cluster.create(collection, self._body(event, uid, name, message, stamp))
        self._posted[key] = _Posted(name, stamp, 1, now)
        self._posted.move_to_end(key)
        while len(self._posted) > REMEMBERED:
            self._posted.popitem(last=False)

    def _body(self, event: Event, uid: str, name: str, message: str, stamp: str) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": event.ref.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": event.ref.kind,
                "name": event.ref.name,
                "namespace": event.ref.namespace,
                "uid": uid,
            },
            "type": event.type,
            "reason": event.reason,
            "message": message,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }


def short(message: str) -> str:
    """At most 1,024 bytes, printable: names on disks may hold bytes that are no UTF-8."""
    raw = message.encode("utf-8", "backslashreplace")
    if len(raw) <= MESSAGE_BYTES:
        return raw.decode()
    kept = raw[: MESSAGE_BYTES - len(SENT_MESSAGE_TAIL.encode())]
    return kept.decode("utf-8", "ignore") + SENT_MESSAGE_TAIL
