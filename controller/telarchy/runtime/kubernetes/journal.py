"""What the loop writes down under Kubernetes: statuses and events to the API server, deeds and crashes to the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from telarchy.core.executor import Outcome
from telarchy.core.plan import Event, Step
from telarchy.resources.meta import Ref
from telarchy.runtime.journal import write_crash
from telarchy.runtime.kubernetes.events import EventPoster
from telarchy.runtime.kubernetes.objects import RECONCILE_AT, Objects
from telarchy.runtime.kubernetes.statuses import StatusWriter, without_nulls
from telarchy.store import Store

Status = dict[str, Any]


class ClusterJournal:
    """`core.loop.Journal` on an API server. What was reported before is what the objects themselves said when they
    were first seen, so that a restarted operator writes nothing that is already there."""

    def __init__(self, store: Store, objects: Objects, statuses: StatusWriter, events: EventPoster) -> None:
        self._store, self._objects, self._writer, self._poster = store, objects, statuses, events
        self._statuses: dict[Ref, tuple[str, Status]] = {}  # with the uid of the object they are of

    def status(self, ref: Ref) -> Status | None:
        held = self._objects.get(ref)
        if held is None:
            return None
        known = self._statuses.get(ref)
        if known is not None and known[0] == held.uid:
            return known[1]
        # {"observedGeneration": -1} is what the CRD puts there; nobody has reported anything
        return dict(held.status) if held.status.get("conditions") else None

    def write_statuses(self, statuses: Mapping[Ref, Mapping[str, Any]], now: float) -> list[Ref]:
        """Hand on those that say something new. Returns their refs."""
        new = []
        for ref, reported in statuses.items():
            held = self._objects.get(ref)
            if held is None:
                continue
            before = self.status(ref)
            status = self._completed(ref, dict(reported))
            if status == before:
                continue
            self._statuses[ref] = (held.uid, status)
            self._writer.put(ref, status)
            new.append(ref)
        return new

    def _completed(self, ref: Ref, status: Status) -> Status:
        """With what only the object tells: the generation that is refused, and the request that was handled."""
        held = self._objects.get(ref)
        assert held is not None
        conditions = status.get("conditions", [])
        if any(one["type"] == "Stalled" and one["status"] == "True" for one in conditions):
            # the verdict is about the present generation, although the last good one may still be followed
            status["observedGeneration"] = held.generation
            status["conditions"] = [one | {"observedGeneration": held.generation} for one in conditions]
        if asked := held.mark(RECONCILE_AT):
            status["lastHandledReconcileAt"] = asked
        clean: Status = without_nulls(status)
        return clean

    def forget(self, refs: Iterable[Ref]) -> None:
        """These left desired state."""
        for ref in refs:
            self._statuses.pop(ref, None)
            self._writer.forget(ref)

    def record_events(self, events: Iterable[Event], now: float) -> None:
        events = list(events)
        if events:
            self._store.events.record(events, now)
            for event in events:
                self._poster.post(event)

    def approved(self, now: float) -> frozenset[str]:
        return self._store.approvals.actions(now)

    def finished(self, step: Step, outcome: Outcome, seconds: float, trace: str = "") -> None:
        word, reason, message = outcome
        self._store.history.record(step.action, word, reason=reason, message=message, seconds=seconds)
        if trace:
            self.crashed(step.action.verb, trace)

    def crashed(self, name: str, trace: str) -> None:
        write_crash(self._store.folder, name, trace)
