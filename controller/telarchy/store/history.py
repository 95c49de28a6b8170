"""What was done and how it ended, one row per finished action. Bounded; the fleet itself is the truth."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from telarchy.core.action import Action

IN_TOTAL = 100_000
TRIM_EVERY = 1000  # rows between two trims; exactness is not worth a delete per row


@dataclass(frozen=True)
class Deed:
    """A finished action. `outcome`: Done | Failed | Refused | Cancelled; `seconds` it took; `at` its end."""

    at: float
    action: str
    verb: str
    host: str
    summary: str
    outcome: str
    reason: str
    message: str
    bytes: int
    seconds: float


class History:
    """The log of finished actions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def record(
        self,
        action: Action,
        outcome: str,
        *,
        reason: str = "",
        message: str = "",
        seconds: float = 0.0,
        now: float | None = None,
    ) -> None:
        summary, message = (
            text.encode("utf-8", "backslashreplace").decode() for text in (str(action), message)
        )
        with self._connection:
            cursor = self._connection.execute(
                "INSERT INTO history "
                "(at, action, verb, host, summary, outcome, reason, message, bytes, seconds) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    time.time() if now is None else now,
                    action.id,
                    action.verb,
                    action.host,
                    summary,
                    outcome,
                    reason,
                    message,
                    action.bytes,
                    seconds,
                ),
            )
            if (cursor.lastrowid or 0) % TRIM_EVERY == 0:
                self._connection.execute(
                    "DELETE FROM history WHERE id <= ?", ((cursor.lastrowid or 0) - IN_TOTAL,)
                )

    def recent(self, limit: int = 100, *, action: str = "", host: str = "") -> list[Deed]:
        """The last `limit` deeds, oldest first, optionally of one action or one host."""
        clauses, values = [], []
        for column, value in (("action", action), ("host", host)):
            if value:
                clauses.append(f"{column} = ?")
                values.append(value)
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        rows = self._connection.execute(
            "SELECT at, action, verb, host, summary, outcome, reason, message, bytes, seconds "
            f"FROM history {where} ORDER BY id DESC LIMIT ?",
            (*values, limit),
        ).fetchall()
        return [Deed(*row) for row in reversed(rows)]
