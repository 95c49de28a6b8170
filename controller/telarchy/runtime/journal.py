"""What the loop writes down when it runs alone: statuses, events, deeds and crashes, into the embedded store."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from telarchy.core.executor import Outcome
from telarchy.core.plan import Event, Step
from telarchy.resources.meta import Ref
from telarchy.store import Store

CRASH_FILES_KEPT = 20


class StoreJournal:
    """`core.loop.Journal` on a Store. Statuses are kept in memory too: every round compares all of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._statuses = store.statuses.all()

    def status(self, ref: Ref) -> dict[str, Any] | None:
        return self._statuses.get(ref)

    def write_statuses(self, statuses: Mapping[Ref, Mapping[str, Any]], now: float) -> list[Ref]:
        """Keep those that say something new, and return their refs."""
        new = {ref: dict(status) for ref, status in statuses.items() if self._statuses.get(ref) != status}
        self._statuses |= new
        return self._store.statuses.write(new, now) if new else []

    def forget(self, refs: Iterable[Ref]) -> None:
        """These left desired state; the store has dropped their statuses already."""
        for ref in refs:
            self._statuses.pop(ref, None)

    def record_events(self, events: Iterable[Event], now: float) -> None:
        events = list(events)
        if events:
            self._store.events.record(events, now)

    def approved(self, now: float) -> frozenset[str]:
        return self._store.approvals.actions(now)

    def finished(self, step: Step, outcome: Outcome, seconds: float, trace: str = "") -> None:
        word, reason, message = outcome
        self._store.history.record(step.action, word, reason=reason, message=message, seconds=seconds)
        if trace:
            self.crashed(step.action.verb, trace)

    def crashed(self, name: str, trace: str) -> None:
        if not self._store.read_only:
            write_crash(self._store.folder, name, trace)


def write_crash(folder: Path, name: str, trace: str) -> Path:
    """Keep a traceback where a person can send it from, and drop the oldest ones. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = folder / f"crash-{stamp}.log"
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{name}\n{trace}\n")
    for old in sorted(folder.glob("crash-*.log"))[:-CRASH_FILES_KEPT]:
        old.unlink(missing_ok=True)
    return path
