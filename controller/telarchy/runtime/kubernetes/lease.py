"""One writer per fleet: a Lease in the fleet's own namespace, taken and renewed by whoever acts on it.

It lies with what it guards, so two operators with overlapping namespaces cannot both act on one fleet. Nobody's
clock is compared with anybody else's: a candidate takes over when it has watched the Lease unrenewed for its whole
duration by its own monotonic clock, and a holder stops by its own clock before that moment can have come.

`leaseTransitions` counts tenures (a restart of the same holder too), and is the fencing epoch that hosts get to see.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from telarchy.errors import TelarchyError
from telarchy.runtime.kubernetes.cluster import Cluster, ClusterError, Collection
from telarchy.runtime.tenure import Tenure

log = logging.getLogger(__name__)

LEASE_NAME = "telarchy"
DURATION_SECONDS = 15
RENEW_SECONDS = 4.0
RETRY_SECONDS = 2.0
NAMESPACE_TERMINATING = "NamespaceTerminating"  # the API server's word
STOP_BEFORE_SECONDS = 4.0  # a holder that could not renew ends so long before others may take over


class LeaseLost(TelarchyError):
    """Somebody else acts on the fleet now, or may within seconds: stop at once."""


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds. `duration` is what others wait; a holder stops `margin` earlier."""

    duration: int = DURATION_SECONDS
    renew: float = RENEW_SECONDS
    retry: float = RETRY_SECONDS
    margin: float = STOP_BEFORE_SECONDS


class Lease:
    """The Lease of one fleet as this candidate sees it. `holder` is who has it, "" when nobody does."""

    def __init__(
        self, cluster: Cluster, namespace: str, identity: str, times: LeaseTimes | None = None
    ) -> None:
        self._cluster, self._namespace, self._identity = cluster, namespace, identity
        self._times = times or LeaseTimes()
        self._collection = Collection.leases(namespace)
        self._path = self._collection.item(LEASE_NAME)
        self._seen: tuple[Any, ...] = ()
        self._seen_at = 0.0
        self._object: dict[str, Any] | None = None
        self.holder = ""
        self.held = False

    async def acquire(self, wanted: Callable[[], bool] = lambda: True) -> Tenure | None:
        """Wait until it is ours, or not wanted any more. Failures of the API server are waited out, and logged
        once each."""
        complaint = ""
        while wanted():
            try:
                if (tenure := await self._try()) is not None:
                    log.info("%s: acting on this fleet (epoch %d)", self._namespace, tenure.epoch)
                    return tenure
                complaint = ""
            except ClusterError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.warning("%s: the Lease cannot be taken: %s", self._namespace, error)
            await asyncio.sleep(self._times.retry)
        return None

    async def hold(self) -> None:
        """Renew until it is lost. Always ends by LeaseLost or by being cancelled."""
        now = asyncio.get_running_loop().time
        good_until = now() + self._times.duration - self._times.margin
        pause = self._times.renew
        while True:
            await asyncio.sleep(min(pause, max(0.0, good_until - now())))
            began = now()
            if began >= good_until:
                self.held = False
                raise LeaseLost(f"the Lease in {self._namespace} could not be renewed in time")
            try:
                async with asyncio.timeout(good_until - began):
                    renewed = await self._renew()
            except (ClusterError, TimeoutError) as error:
                log.warning("%s: the Lease was not renewed yet: %s", self._namespace, error or "no answer")
                pause = self._times.retry
                continue
            if not renewed:
                self.held = False
                raise LeaseLost(f"{self.holder or 'nobody'} holds the Lease in {self._namespace} now")
            good_until = began + self._times.duration - self._times.margin
            pause = self._times.renew

    async def release(self) -> None:
        """Let the next one begin at once. Best effort: without it, the next one waits for the duration."""
        if not self.held or self._object is None:
            return
        self.held = False
        # without a holder rather than with an empty one, which newer API servers may refuse
        spec = self._object["spec"] | {"leaseDurationSeconds": 1, "renewTime": micro_time()}
        del spec["holderIdentity"]
        try:
            await self._cluster.replace(self._path, self._object | {"spec": spec}, attempts=1)
        except ClusterError as error:
            log.info("%s: the Lease was not released: %s", self._namespace, error)

    async def _try(self) -> Tenure | None:
        """One look; ours if it is free, expired, or of an earlier life of this same identity."""
        try:
            found = await self._cluster.get(self._path)
        except ClusterError as error:
            if error.status != 404:
                raise
            return await self._create()
        self._note(found)
        spec = found.get("spec") or {}
        duration = float(spec.get("leaseDurationSeconds") or self._times.duration)
        waited = asyncio.get_running_loop().time() - self._seen_at
        if self.holder not in ("", self._identity) and waited < duration:
            return None
        stamp = micro_time()
        spec = spec | {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._times.duration,
            "acquireTime": stamp,
            "renewTime": stamp,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1,
        }
        return await self._take(found | {"spec": spec})

    def _new(self) -> dict[str, Any]:
        stamp = micro_time()
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE_NAME, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._times.duration,
                "acquireTime": stamp,
                "renewTime": stamp,
                "leaseTransitions": 0,
            },
        }

    async def _create(self) -> Tenure | None:
        try:
            return self._taken(await self._cluster.create(self._collection, self._new(), attempts=1))
        except ClusterError as error:
            if error.status == 409:
                return None  # somebody was quicker
            raise

    async def _take(self, body: dict[str, Any]) -> Tenure | None:
        try:
            return self._taken(await self._cluster.replace(self._path, body, attempts=1))
        except ClusterError as error:
            if error.status in (404, 409):
                return None
            raise

    def _taken(self, answer: dict[str, Any]) -> Tenure:
        self._note(answer)
        self.held = True
        return Tenure(
            id=str(answer["metadata"].get("uid") or f"{self._namespace}/{LEASE_NAME}"),
            name=self._identity,
            epoch=int(answer["spec"].get("leaseTransitions") or 0) + 1,
        )

    async def _renew(self) -> bool:
        """True while it is ours."""
        assert self._object is not None
        for _ in range(3):
            spec = self._object["spec"] | {"renewTime": micro_time()}
            try:
                self._note(await self._cluster.replace(self._path, self._object | {"spec": spec}, attempts=1))
                return True
            except ClusterError as error:
                if error.status not in (404, 409):
                    raise
            # somebody wrote it: a person's annotation is no takeover, another holder is
            mine = self._object["spec"].get("leaseTransitions")
            try:
                self._note(await self._cluster.get(self._path))
            except ClusterError as error:
                if error.status != 404:
                    raise
                if await self._went_with_its_namespace():
                    return True
                self.holder = ""
                return False
            found = self._object.get("spec") or {}
            if self.holder != self._identity or found.get("leaseTransitions") != mine:
                return False
        raise ClusterError(
            409, "Conflict", f"the Lease in {self._namespace} is written by others again and again"
        )

    async def _went_with_its_namespace(self) -> bool:
        """Whether the Lease is gone because its namespace is being deleted. Then nobody can take it any more, and what
        is deleted with it is still to be undone by the one who held it last."""
        try:
            await self._cluster.may_create(self._collection, self._new())
        except ClusterError as error:
            if NAMESPACE_TERMINATING in error.causes:
                return True
            if error.transient:
                raise
        return False

    def _note(self, found: dict[str, Any]) -> None:
        spec = found.get("spec") or {}
        self._object = found
        self.holder = str(spec.get("holderIdentity") or "")
        record = (self.holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen:
            self._seen, self._seen_at = record, asyncio.get_running_loop().time()


def micro_time() -> str:
    """metav1.MicroTime: six digits behind the second, always."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
