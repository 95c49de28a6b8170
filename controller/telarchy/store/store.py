"""One folder of state, one file, and a small object per table. Everything in it can be observed again, except
what a person applied (kept as plain YAML too), approvals, and history.

    with Store.open(state) as store:
        store.statuses.write({ref: status})

One process writes. The connection belongs to the thread of the event loop; work on another thread takes its
own with `connect()`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from telarchy.core.plan import Event
from telarchy.resources.meta import Ref, Resource
from telarchy.store.approvals import Approvals
from telarchy.store.database import FILE_NAME, Opened, connect, open_database, telling
from telarchy.store.events import Events
from telarchy.store.history import History
from telarchy.store.memory import Memory
from telarchy.store.objects import APPLIED, SOURCE, Objects
from telarchy.store.statuses import Statuses

SOURCE_STATE = "source"  # memory key: what is known of the source of desired state


class Store:
    """The tables of one state folder.

    lost:       what a damaged file cost, as a sentence for a person; "" when nothing was lost
    read_only:  writes go to temporary copies of the tables and are gone at the end
    """

    def __init__(self, folder: Path, opened: Opened, *, read_only: bool) -> None:
        self.folder, self.read_only, self.lost = folder, read_only, opened.lost
        self.connection: sqlite3.Connection = opened.connection
        self.memory = Memory(self.connection)
        self.objects = Objects(self.connection, None if read_only else folder)
        self.statuses = Statuses(self.connection)
        self.events = Events(self.connection)
        self.approvals = Approvals(self.connection)
        self.history = History(self.connection)

    @classmethod
    def open(cls, folder: Path | str, *, read_only: bool = False, now: float | None = None) -> Self:
        """Open or begin the store in `folder`. Raises StoreError with a sentence that says what to do.

        A damaged file is set aside and a new one begun (see `lost`); a reader then sees an empty store.
        """
        folder = Path(folder)
        store = cls(folder, open_database(folder, read_only=read_only, now=now), read_only=read_only)
        if store.lost and not read_only:
            store._take_back(time.time() if now is None else now)
        return store

    @property
    def path(self) -> Path:
        return self.folder / FILE_NAME

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored here (a reader of a missing store sees an empty one)."""
        return self.path.exists()

    def connect(self) -> sqlite3.Connection:
        """Another connection to the same file, for work on another thread."""
        with telling(self.path, read_only=self.read_only):
            return connect(self.path, read_only=self.read_only)

    def sync_objects(
        self, resources: Sequence[Resource], revision: str, now: float | None = None
    ) -> list[Resource]:
        """Take a good revision of a directory or repository as desired state.

        Returns the resources with uid, generation (counted up only when the spec changed) and creation time.
        What left is pruned from desired state, with its status and an event; nothing happens to its copies on
        hosts. An empty revision prunes nothing: the last good resources are returned.
        """
        moment = time.time() if now is None else now
        with telling(self.path):
            if not resources and (last_good := self.objects.all(SOURCE)):
                return last_good
            kept, changes = self.objects.replace(resources, revision, moment)
            self.forget(
                [change.ref for change in changes if change.verb == "deleted"],
                f"no longer declared since {revision}" if revision else "no longer declared",
                moment,
            )
        return kept

    def declared(self) -> list[Resource]:
        """Desired state as last known: that of the source that last ran, or what was applied."""
        return self.objects.all(self._origin())

    def manifests(self) -> dict[Ref, dict[str, Any]]:
        """The same as plain manifests."""
        return self.objects.manifests(self._origin())

    def _origin(self) -> str:
        return SOURCE if (self.memory.get(SOURCE_STATE) or {}).get("name") else APPLIED

    def forget(self, refs: Iterable[Ref], why: str, now: float | None = None) -> None:
        """Drop the statuses of resources that left desired state, and tell it."""
        refs = list(refs)
        self.statuses.forget(refs)
        self.events.record(
            (Event(ref, "Pruned", f"{why}; nothing of the library is removed for it") for ref in refs), now
        )

    def _take_back(self, now: float) -> None:
        count = 0
        with suppress(OSError, ValueError, KeyError):
            count = self.objects.restore(now)
        if count:
            self.lost += f"; {count} applied resource(s) were restored from their plain copy"

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.commit()
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
