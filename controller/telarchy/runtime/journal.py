"""What the loop writes down when it runs alone: statuses, events, deeds and crashes, into the embedded store."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from telarchy.core.executor import Outcome
from telarchy.core.plan import Event, Step
from telarchy.resources.meta import Ref
from telarchy.store import Store

CRASH_FILES_KEPT = 20
UNTOLD_EVENTS = 1000  # kept in memory while the disk takes none


class StoreJournal:
    """`core.loop.Journal` on a Store. Statuses are kept in memory too: every round compares all of them.

    A disk that is full or cannot be written must not stop the fleet: what could not be kept is tried again with
    the next write, and `trouble` says so meanwhile.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._statuses = store.statuses.all()
        self._unkept: dict[Ref, Mapping[str, Any]] = {}
        self._untold: deque[Event] = deque(maxlen=UNTOLD_EVENTS)
        self.trouble = ""

    def status(self, ref: Ref) -> dict[str, Any] | None:
        return self._statuses.get(ref)

    def write_statuses(self, statuses: Mapping[Ref, Mapping[str, Any]], now: float) -> list[Ref]:
        """Keep those that say something new, and return their refs."""
        new = {ref: dict(status) for ref, status in statuses.items() if self._statuses.get(ref) != status}
        self._statuses |= new
        self._unkept |= new
        if self._unkept:
            with self._surviving():
                self._store.statuses.write(self._unkept, now)
                self._unkept = {}
        return list(new)

    def forget(self, refs: Iterable[Ref]) -> None:
        """These left desired state; the store has dropped their statuses already."""
        for ref in refs:
            self._statuses.pop(ref, None)
            self._unkept.pop(ref, None)

    def record_events(self, events: Iterable[Event], now: float) -> None:
        self._untold.extend(events)
        if self._untold:
            with self._surviving():
                self._store.events.record(self._untold, now)
                self._untold.clear()

    def approved(self, now: float) -> frozenset[str]:
        return self._store.approvals.actions(now)

    def finished(self, step: Step, outcome: Outcome, seconds: float, trace: str = "") -> None:
        word, reason, message = outcome
        with self._surviving():
            self._store.history.record(step.action, word, reason=reason, message=message, seconds=seconds)
        if trace:
            self.crashed(step.action.verb, trace)

    def crashed(self, name: str, trace: str) -> None:
        if not self._store.read_only:
            with self._surviving():
                write_crash(self._store.folder, name, trace)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
            self.trouble = ""
        except (sqlite3.OperationalError, OSError) as error:
            self.trouble = (
                f"{self._store.folder} cannot be written ({error}); until it can be, nothing new is kept"
            )


def write_crash(folder: Path, name: str, trace: str) -> Path:
    """Keep a traceback where a person can send it from, and drop the oldest ones. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = folder / f"crash-{stamp}.log"
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{name}\n{trace}\n")
    for old in sorted(folder.glob("crash-*.log"))[:-CRASH_FILES_KEPT]:
        old.unlink(missing_ok=True)
    return path
