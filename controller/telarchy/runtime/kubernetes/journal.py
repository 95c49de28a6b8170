"""What the loop writes down under Kubernetes: statuses and events to the API server, deeds and crashes to the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from telarchy.core.executor import Outcome
from telarchy.core.plan import Event, Step
from telarchy.resources.meta import Ref
from telarchy.runtime.journal import write_crash
from telarchy.runtime.kubernetes.events import EventPoster
from telarchy.runtime.kubernetes.objects import RECONCILE_AT, Held, Objects
from telarchy.runtime.kubernetes.statuses import StatusWriter, described, stated
from telarchy.store import Store

FIRST_LOOK_SECONDS = 60.0
_NOT_YET = ("Waiting", "Observing")

Status = dict[str, Any]


class ClusterJournal:
    """`core.loop.Journal` on an API server. What was reported before is what the objects themselves said when they
    were first seen, so that a restarted operator writes nothing that is already there."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        statuses: StatusWriter,
        events: EventPoster,
        *,
        first_look: float = FIRST_LOOK_SECONDS,
    ) -> None:
        self._store, self._objects, self._writer, self._poster = store, objects, statuses, events
        self._statuses: dict[Ref, tuple[str, Status]] = {}  # with the uid of the object they are of
        self._patience = first_look
        self._since: float | None = None
        self._kept_back: set[Ref] = set()
        self._raw: dict[Ref, tuple[str, str, Mapping[str, Any]]] = {}  # as the loop reported them last

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
        self._since = now if self._since is None else self._since
        self._kept_back.clear()
        for ref, reported in statuses.items():
            held = self._objects.get(ref)
            if held is None:
                continue
            raw = (held.uid, held.mark(RECONCILE_AT), reported)
            if self._raw.get(ref) == raw:
                continue
            if self._says_only_that_it_begins(ref, held, reported, now):
                self._kept_back.add(ref)
                continue
            self._raw[ref] = raw
            status = self._completed(held, dict(reported))
            if status == self.status(ref):
                continue
            self._statuses[ref] = (held.uid, status)
            self._writer.put(ref, held.uid, status)
            new.append(ref)
        return new

    def _says_only_that_it_begins(
        self, ref: Ref, held: Held, reported: Mapping[str, Any], now: float
    ) -> bool:
        """Whether this would put "nothing was looked at yet" in the place of what the last operator knew.

        After a restart the first look takes a moment. Thousands of objects need not be told of it, twice."""
        if self._since is None or now - self._since > self._patience:
            return False
        before = self.status(ref)
        known = before is not None and before.get("observedGeneration") == held.generation
        return known and any(
            one["type"] == "Ready" and one["reason"] in _NOT_YET for one in reported.get("conditions", [])
        )

    def _completed(self, held: Held, status: Status) -> Status:
        """With what only the object tells: the generation that is refused, and the request that was handled.
        Without what the API server would refuse."""
        conditions = status.get("conditions", [])
        if any(one["type"] == "Stalled" and one["status"] == "True" for one in conditions):
            # the verdict is about the present generation, although the last good one may still be followed
            status["observedGeneration"] = held.generation
            status["conditions"] = [one | {"observedGeneration": held.generation} for one in conditions]
        if asked := held.mark(RECONCILE_AT):
            status["lastHandledReconcileAt"] = asked
        clean: Status = described(held.ref.kind, stated(status))
        return clean

    def forget(self, refs: Iterable[Ref]) -> None:
        """These left desired state."""
        for ref in refs:
            self._statuses.pop(ref, None)
            self._raw.pop(ref, None)
            self._writer.forget(ref)

    def record_events(self, events: Iterable[Event], now: float) -> None:
        events = [one for one in events if not (one.ref in self._kept_back and one.reason in _NOT_YET)]
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
