"""The shape of the store file, as a list of migrations. The list only ever grows.

`user_version` in the file counts the migrations that it has been through. A file that counts more than this
list was written by a newer Telarchy and is not touched.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

TABLES = ("objects", "statuses", "events", "memory", "approvals", "history")
"""Every table of this file; all are bounded. The catalogue of titles has a file of its own."""

_FIRST = """
CREATE TABLE objects (
  origin     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  namespace  TEXT NOT NULL,
  name       TEXT NOT NULL,
  uid        TEXT NOT NULL,
  generation INTEGER NOT NULL,
  created    REAL NOT NULL,
  changed    REAL NOT NULL,
  manifest   TEXT NOT NULL,
  revision   TEXT NOT NULL,
  PRIMARY KEY (origin, kind, namespace, name)
) WITHOUT ROWID;

CREATE TABLE statuses (
  kind      TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name      TEXT NOT NULL,
  status    TEXT NOT NULL,
  changed   REAL NOT NULL,
  PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;

CREATE TABLE events (
  id        INTEGER PRIMARY KEY,
  kind      TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name      TEXT NOT NULL,
  type      TEXT NOT NULL,
  reason    TEXT NOT NULL,
  message   TEXT NOT NULL,
  first     REAL NOT NULL,
  last      REAL NOT NULL,
  count     INTEGER NOT NULL
);
CREATE INDEX events_of ON events (kind, namespace, name, id);
CREATE INDEX events_last ON events (last, id);

CREATE TABLE memory (
  key     TEXT PRIMARY KEY,
  value   TEXT NOT NULL,
  changed REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE approvals (
  hash    TEXT PRIMARY KEY,
  actions TEXT NOT NULL,
  summary TEXT NOT NULL,
  who     TEXT NOT NULL,
  at      REAL NOT NULL,
  expires REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE history (
  id      INTEGER PRIMARY KEY,
  at      REAL NOT NULL,
  action  TEXT NOT NULL,
  verb    TEXT NOT NULL,
  host    TEXT NOT NULL,
  summary TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason  TEXT NOT NULL,
  message TEXT NOT NULL,
  bytes   INTEGER NOT NULL,
  seconds REAL NOT NULL
);
CREATE INDEX history_of ON history (action, id);
"""


def statements(script: str) -> list[str]:
    """The single statements of a script, so that they fit into one transaction."""
    return [part.strip() for part in script.split(";\n") if part.strip()]


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in statements(_FIRST):
        connection.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_create_tables,)

SCHEMA = len(MIGRATIONS)


def shadow_tables(connection: sqlite3.Connection) -> None:
    """Cover the tables with temporary copies, so that a reader may write and leaves no trace.

    SQLite looks in `temp` first when a table is named without its schema, even on a read-only connection.
    """
    for statement in statements(_FIRST):
        temporary = statement.replace("CREATE TABLE ", "CREATE TEMP TABLE ", 1)
        connection.execute(temporary.replace("CREATE INDEX ", "CREATE INDEX temp.", 1))
    for table in TABLES:
        connection.execute(f"INSERT INTO temp.{table} SELECT * FROM main.{table}")
    connection.commit()
