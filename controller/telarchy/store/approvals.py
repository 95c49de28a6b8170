"""Which held changes a person released. An approval names the very actions, and ends after a week."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from telarchy.store.memory import to_json

VALID_SECONDS = 7 * 86400.0
AHEAD_SECONDS = 86400.0  # one that says to be given later than this from now would not end after a week


@dataclass(frozen=True)
class Approval:
    """A release of exactly these action ids. `at` and `expires` in seconds since the epoch."""

    hash: str
    actions: tuple[str, ...]
    summary: str
    who: str
    at: float
    expires: float


class Approvals:
    """The approvals that stand."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def grant(
        self,
        plan_hash: str,
        actions: Iterable[str],
        *,
        summary: str = "",
        who: str = "",
        now: float | None = None,
    ) -> Approval:
        """Release these actions for a week from now."""
        moment = time.time() if now is None else now
        approval = Approval(plan_hash, tuple(actions), summary, who, moment, moment + VALID_SECONDS)
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO approvals (hash, actions, summary, who, at, expires) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (plan_hash, to_json(list(approval.actions)), summary, who, moment, approval.expires),
            )
        return approval

    def standing(self, now: float | None = None) -> list[Approval]:
        """Approvals that have not expired, oldest first. One that a wrong clock gave for next year is none."""
        moment = time.time() if now is None else now
        rows = self._connection.execute(
            "SELECT hash, actions, summary, who, at, expires FROM approvals WHERE expires > ? AND at <= ? "
            "ORDER BY at, hash",
            (moment, moment + AHEAD_SECONDS),
        )
        return [Approval(row[0], tuple(json.loads(row[1])), *row[2:]) for row in rows]

    def actions(self, now: float | None = None) -> frozenset[str]:
        """Ids of every released action, for `Observation.approved`."""
        return frozenset(action for approval in self.standing(now) for action in approval.actions)

    def withdraw(self, plan_hash: str) -> None:
        with self._connection:
            self._connection.execute("DELETE FROM approvals WHERE hash = ?", (plan_hash,))

    def sweep(self, now: float | None = None) -> None:
        """Drop what has expired."""
        with self._connection:
            self._connection.execute(
                "DELETE FROM approvals WHERE expires <= ?", (time.time() if now is None else now,)
            )
