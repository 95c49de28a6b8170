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
    """Keys and JSON values. A value that is already there is not written again.

    While the disk takes nothing, what is put is kept in the process, and written with the first put that succeeds:
    a full disk under the controller stops no work on hosts.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._unwritten: dict[str, str | None] = {}  # None: to be forgotten

    def get(self, key: str, default: Any = None) -> Any:
        if key in self._unwritten:
            text = self._unwritten[key]
            return default if text is None else json.loads(text)
        row = self._connection.execute("SELECT value FROM memory WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def put(self, key: str, value: Any, now: float | None = None) -> bool:
        """Keep `value`, which must be JSON-ready. True if that changed anything."""
        text = to_json(value)
        if self._unwritten.get(key) == text:
            return False
        return self._write({key: text}, time.time() if now is None else now)

    def forget(self, key: str) -> None:
        self._write({key: None}, time.time())

    def _write(self, changes: dict[str, str | None], now: float) -> bool:
        changed = 0
        self._unwritten |= changes
        try:
            with self._connection:
                for key, text in self._unwritten.items():
                    changed += self._connection.execute(*_statement(key, text, now)).rowcount
        except sqlite3.OperationalError:  # the journal, which writes to the same disk, tells the person
            return True
        self._unwritten.clear()
        return changed > 0

    def under(self, prefix: str) -> dict[str, Any]:
        """Every key that begins with `prefix`, with its value."""
        rows = self._connection.execute(
            "SELECT key, value FROM memory WHERE key >= ? AND key < ? ORDER BY key",
            (prefix, prefix + "\U0010ffff"),
        )
        found: dict[str, str | None] = dict(rows)
        found |= {key: text for key, text in self._unwritten.items() if key.startswith(prefix)}
        return {key: json.loads(text) for key, text in sorted(found.items()) if text is not None}

    def changed(self, key: str) -> float | None:
        """When the value last changed, seconds since the epoch."""
        row = self._connection.execute("SELECT changed FROM memory WHERE key = ?", (key,)).fetchone()
        return None if row is None else float(row[0])


def _statement(key: str, text: str | None, now: float) -> tuple[str, tuple[object, ...]]:
    if text is None:
        return "DELETE FROM memory WHERE key = ?", (key,)
    return (
        "INSERT INTO memory (key, value, changed) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
        "SET value = excluded.value, changed = excluded.changed WHERE value IS NOT excluded.value",
        (key, text, now),
    )
