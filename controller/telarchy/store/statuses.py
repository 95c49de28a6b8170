"""What was last reported about each resource. Written only when it says something new."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any

from telarchy.resources.meta import Ref
from telarchy.store.memory import to_json


class Statuses:
    """Resource → status (camelCase, JSON-ready)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, ref: Ref) -> dict[str, Any] | None:
        row = self._connection.execute(
            "SELECT status FROM statuses WHERE kind = ? AND namespace = ? AND name = ?",
            (ref.kind, ref.namespace, ref.name),
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self) -> dict[Ref, dict[str, Any]]:
        rows = self._connection.execute("SELECT kind, namespace, name, status FROM statuses")
        return {Ref(kind, namespace, name): json.loads(status) for kind, namespace, name, status in rows}

    def write(self, statuses: Mapping[Ref, Mapping[str, Any]], now: float | None = None) -> list[Ref]:
        """Keep these statuses in one transaction. Returns the refs whose status changed."""
        moment = time.time() if now is None else now
        changed = []
        with self._connection:
            for ref, status in statuses.items():
                cursor = self._connection.execute(
                    "INSERT INTO statuses (kind, namespace, name, status, changed) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (kind, namespace, name) DO UPDATE SET status = excluded.status, "
                    "changed = excluded.changed WHERE status IS NOT excluded.status",
                    (ref.kind, ref.namespace, ref.name, to_json(status), moment),
                )
                if cursor.rowcount > 0:
                    changed.append(ref)
        return changed

    def forget(self, refs: Iterable[Ref]) -> None:
        with self._connection:
            self._connection.executemany(
                "DELETE FROM statuses WHERE kind = ? AND namespace = ? AND name = ?",
                [(ref.kind, ref.namespace, ref.name) for ref in refs],
            )

    def changed(self, ref: Ref) -> float | None:
        """When the status last changed, seconds since the epoch."""
        row = self._connection.execute(
            "SELECT changed FROM statuses WHERE kind = ? AND namespace = ? AND name = ?",
            (ref.kind, ref.namespace, ref.name),
        ).fetchone()
        return None if row is None else float(row[0])
