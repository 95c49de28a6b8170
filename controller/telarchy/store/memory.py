"""Small facts that must outlive the process: the controller's id, the lease, what was last seen of hosts."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any


def to_json(value: Any) -> str:
    """Canonical JSON: the same value is the same text. Names that are not UTF-8 survive as surrogates."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


class Memory:
    """Keys and JSON values. A value that is already there is not written again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, key: str, default: Any = None) -> Any:
        row = self._connection.execute("SELECT value FROM memory WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def put(self, key: str, value: Any, now: float | None = None) -> bool:
        """Keep `value`, which must be JSON-ready. True if that changed anything."""
        with self._connection:
            cursor = self._connection.execute(
                "INSERT INTO memory (key, value, changed) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET value = excluded.value, changed = excluded.changed WHERE value IS NOT excluded.value",
                (key, to_json(value), time.time() if now is None else now),
            )
        return cursor.rowcount > 0

    def forget(self, key: str) -> None:
        with self._connection:
            self._connection.execute("DELETE FROM memory WHERE key = ?", (key,))

    def under(self, prefix: str) -> dict[str, Any]:
        """Every key that begins with `prefix`, with its value."""
        rows = self._connection.execute(
            "SELECT key, value FROM memory WHERE key >= ? AND key < ? ORDER BY key",
            (prefix, prefix + "\U0010ffff"),
        )
        return {key: json.loads(value) for key, value in rows}

    def changed(self, key: str) -> float | None:
        """When the value last changed, seconds since the epoch."""
        row = self._connection.execute("SELECT changed FROM memory WHERE key = ?", (key,)).fetchone()
        return None if row is None else float(row[0])
