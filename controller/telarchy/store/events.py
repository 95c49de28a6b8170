"""What happened, for a person to read later. Repetitions are counted, and the whole is bounded."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from telarchy.core.plan import Event
from telarchy.resources.meta import Ref

PER_RESOURCE = 200
IN_TOTAL = 20_000


@dataclass(frozen=True)
class EventRecord:
    """An event as kept: `first` and `last` in seconds since the epoch, `count` of equal ones in a row."""

    id: int
    ref: Ref
    type: str
    reason: str
    message: str
    first: float
    last: float
    count: int


class Events:
    """The log of events. Equal consecutive ones of a resource become one with a count."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def record(self, events: Iterable[Event], now: float | None = None) -> list[EventRecord]:
        """Keep these events in one transaction. Returns them as they stand now, new or counted up."""
        moment = time.time() if now is None else now
        with self._connection:
            kept = [self._record(event, moment) for event in events]
            if kept:
                self._connection.execute(
                    "DELETE FROM events WHERE id <= "
                    "(SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (IN_TOTAL,),
                )
        return kept

    def _record(self, event: Event, now: float) -> EventRecord:
        ref, message = event.ref, _printable(event.message)
        key = (ref.kind, ref.namespace, ref.name)
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM events WHERE kind = ? AND namespace = ? AND name = ? "
            "ORDER BY id DESC LIMIT 1",
            key,
        ).fetchone()
        before = None if row is None else _record_of(row)
        if before and (before.type, before.reason, before.message) == (event.type, event.reason, message):
            self._connection.execute(
                "UPDATE events SET count = count + 1, last = max(last, ?) WHERE id = ?", (now, before.id)
            )
            return replace(before, last=max(before.last, now), count=before.count + 1)
        cursor = self._connection.execute(
            "INSERT INTO events (kind, namespace, name, type, reason, message, first, last, count) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (*key, event.type, event.reason, message, now, now),
        )
        self._connection.execute(
            "DELETE FROM events WHERE kind = ?1 AND namespace = ?2 AND name = ?3 AND id <= ("
            "SELECT id FROM events WHERE kind = ?1 AND namespace = ?2 AND name = ?3 "
            "ORDER BY id DESC LIMIT 1 OFFSET ?4)",
            (*key, PER_RESOURCE),
        )
        number = int(cursor.lastrowid or 0)
        return EventRecord(number, ref, event.type, event.reason, message, now, now, 1)

    def recent(self, limit: int = 1000, *, ref: Ref | None = None) -> list[EventRecord]:
        """The last `limit` events, oldest first, of one resource or of all."""
        values: tuple[str, ...] = ()
        where = ""
        if ref is not None:
            where, values = (
                "WHERE kind = ? AND namespace = ? AND name = ?",
                (ref.kind, ref.namespace, ref.name),
            )
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM events {where} ORDER BY last DESC, id DESC LIMIT ?", (*values, limit)
        ).fetchall()
        return [_record_of(row) for row in reversed(rows)]


_COLUMNS = "id, kind, namespace, name, type, reason, message, first, last, count"


def _record_of(row: tuple[int, str, str, str, str, str, str, float, float, int]) -> EventRecord:
    number, kind, namespace, name, kind_of_event, reason, message, first, last, count = row
    return EventRecord(number, Ref(kind, namespace, name), kind_of_event, reason, message, first, last, count)


def _printable(message: str) -> str:
    """SQLite keeps UTF-8 only; a name that is not becomes readable escapes."""
    return message.encode("utf-8", "backslashreplace").decode("utf-8")
