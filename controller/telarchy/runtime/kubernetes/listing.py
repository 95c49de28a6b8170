"""Has every kind been listed, and does the watch still live?

kopf tells of objects one by one and never says that a list is over; after a break that outlived the API server's
memory (410 Gone) it lists again, and says nothing of what was deleted meanwhile. So this makes lists of its own, of
metadata only: at the start until the watch has told of everything on them, then every two minutes. What a list does
not have although it was known before the list began is gone. What a list has and the watch does not tell of for long
is the sign of a dead watch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from telarchy.resources.meta import Kind, Ref
from telarchy.runtime.kubernetes.cluster import Cluster, ClusterError, Collection

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 0.1  # how often it is looked whether the watch has told of what a list has
ASK_AGAIN_SECONDS = 5.0  # then the list is made anew: what the watch does not tell of may be gone
RELIST_SECONDS = 120.0
STALE_SECONDS = 60.0  # how long the watch may not know what a list has


class Known(Protocol):
    """What the watch has told so far."""

    def known(self, kind: str, namespace: str | None) -> Mapping[Ref, tuple[str, int]]:
        """(uid, generation) of every object of a kind in a namespace, or in all."""
        ...

    def told(self, ref: Ref) -> tuple[str, int] | None:
        """The same of one object, None when it is not known."""
        ...

    def missing(self, ref: Ref, uid: str) -> None:
        """A list did not have this object any more."""
        ...


@dataclass
class _Scope:
    """One kind in one namespace, or in all of them."""

    kind: Kind
    namespace: str | None
    agreed: bool = False  # ever
    agreed_at: float = 0.0  # loop time of the last list that said nothing new
    behind_since: float | None = None
    untold: dict[Ref, tuple[str, int]] = field(default_factory=dict)
    failing: str = ""


class Listings:
    """All kinds in all scopes. `on_complete` is called with a scope whenever all its kinds agree."""

    def __init__(
        self,
        cluster: Cluster,
        kinds: Sequence[Kind],
        namespaces: Sequence[str] | None,
        known: Known,
        on_complete: Callable[[str | None], None],
        *,
        every: float = RELIST_SECONDS,
    ) -> None:
        scopes: Sequence[str | None] = [None] if namespaces is None else namespaces
        self._scopes = {where: [_Scope(kind, where) for kind in kinds] for where in scopes}
        self._cluster, self._known, self._on_complete, self._every = cluster, known, on_complete, every

    def complete(self, namespace: str | None) -> bool:
        """Whether every kind has been listed there."""
        found = self._scopes.get(namespace) or self._scopes.get(None) or []
        return bool(found) and all(one.agreed for one in found)

    @property
    def behind(self) -> float:
        """For how many seconds the watch has not told of something that a list has; 0 when it keeps up."""
        now = asyncio.get_running_loop().time()
        since = [one.behind_since for one in self._all() if one.behind_since is not None]
        return max((now - one for one in since), default=0.0)

    @property
    def age(self) -> float | None:
        """Seconds since watch and list last agreed about everything; None before they ever did."""
        now = asyncio.get_running_loop().time()
        if not all(one.agreed for one in self._all()):
            return None
        return max((now - one.agreed_at for one in self._all()), default=0.0)

    @property
    def failing(self) -> tuple[str, ...]:
        """What cannot be listed now, as sentences."""
        return tuple(one.failing for one in self._all() if one.failing)

    async def run(self) -> None:
        """Until cancelled. Each namespace by itself, so that one that may not be read holds nothing up."""
        async with asyncio.TaskGroup() as group:
            for where, scopes in self._scopes.items():
                group.create_task(self._follow(where, scopes), name=f"lists of {where or 'all namespaces'}")

    async def _follow(self, where: str | None, scopes: Sequence[_Scope]) -> None:
        while True:
            while not await self._agreed(scopes):
                pass
            self._on_complete(where)
            await asyncio.sleep(self._every)

    async def _agreed(self, scopes: Sequence[_Scope]) -> bool:
        """List, and give the watch some time to catch up. False when it did not."""
        for one in scopes:
            await self._list(one)
        until = asyncio.get_running_loop().time() + ASK_AGAIN_SECONDS
        while not all(self._caught_up(one) for one in scopes):
            if asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(CATCH_UP_SECONDS)
        return True

    def _all(self) -> list[_Scope]:
        return [one for scopes in self._scopes.values() for one in scopes]

    async def _list(self, scope: _Scope) -> None:
        """One list: what it lacks is gone, and what it has is to be told."""
        name = scope.kind.name
        before = dict(self._known.known(name, scope.namespace))
        listed: dict[Ref, tuple[str, int]] = {}
        try:
            async for metadata in self._cluster.list_metadata(Collection.of(scope.kind, scope.namespace)):
                ref = Ref(name, str(metadata.get("namespace", "")), str(metadata.get("name", "")))
                listed[ref] = (str(metadata.get("uid", "")), int(metadata.get("generation") or 0))
        except ClusterError as error:
            if str(error) != scope.failing:
                log.warning("%s cannot be listed: %s", scope.kind.plural, error)
            scope.failing = str(error)
            return
        scope.failing = ""
        for ref, (uid, _) in before.items():
            if ref not in listed or listed[ref][0] != uid:
                self._known.missing(ref, uid)
        scope.untold = listed

    def _caught_up(self, scope: _Scope) -> bool:
        """Whether the watch has told of all that the last list has."""
        if scope.failing:
            return False
        now = asyncio.get_running_loop().time()
        told = self._known.told
        scope.untold = {
            ref: (uid, count) for ref, (uid, count) in scope.untold.items() if _older(told(ref), uid, count)
        }
        if scope.untold:
            scope.behind_since = scope.behind_since or now
            return False
        scope.behind_since, scope.agreed, scope.agreed_at = None, True, now
        return True


def _older(told: tuple[str, int] | None, uid: str, generation: int) -> bool:
    return told is None or told[0] != uid or told[1] < generation
