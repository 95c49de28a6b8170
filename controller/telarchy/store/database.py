"""Opening the file: never a traceback, never a silent loss, never a write where only a look was wanted.

A damaged file is moved aside, not deleted, and a new one is begun: what stands on the hosts can be observed
again. A file from a newer version is left alone. A reader gets temporary copies of the tables, so the
same code can run under `telarchy plan` without leaving a trace.

Connections use implicit transactions: a write begins one, `with connection:` ends it (commit, or roll back on
an exception). Every write in this room stands inside such a `with`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from telarchy import __version__
from telarchy.errors import StoreError
from telarchy.store.schema import (
    MIGRATIONS,
    SCHEMA,
    TABLES,
    shadow_tables,
)

FILE_NAME = "store.sqlite"
BESIDE = ("applied.yaml", "catalogue.sqlite")  # what stands beside a store that was in use
BUSY_TIMEOUT_SECONDS = 5.0
WRITTEN_BY = "store/written-by"  # memory key: the version that last migrated the file

LOST = (
    "its history, events and approvals are lost; what stands on the hosts is untouched and is observed again"
)


@dataclass
class Opened:
    """A usable connection. `lost` says in plain words what a damaged file cost; "" when nothing was lost."""

    connection: sqlite3.Connection
    lost: str = ""
    aside: Path | None = None  # where the damaged file lies now


class _Damaged(Exception):
    """The file is not a healthy SQLite database."""


def open_database(folder: Path, *, read_only: bool, now: float | None = None) -> Opened:
    """Open `<folder>/store.sqlite`, creating or migrating it as needed. Raises StoreError."""
    path = folder / FILE_NAME
    with telling(path, read_only=read_only):
        if read_only:
            return _open_to_read(path)
        _make_private_folder(folder)
        gone = _gone(path)
        try:
            opened = Opened(_open_to_write(path))
            return replace(opened, lost=f"the store {gone}: {LOST}") if gone else opened
        except _Damaged as damage:
            aside = _move_aside(path, now if now is not None else time.time())
            lost = f"the store was damaged ({damage}) and is set aside as {aside.name}: {LOST}"
            return Opened(_open_to_write(path), lost, aside)


def _gone(path: Path) -> str:
    """What became of the file, where only what stood beside it is left; "" when it is there, or never was."""
    log = path.with_name(path.name + "-wal")
    if not any((path.parent / name).exists() for name in BESIDE) or (log.exists() and log.stat().st_size):
        return ""
    if not path.exists():
        return "is gone from its folder"
    return "is an empty file" if path.is_file() and not path.stat().st_size else ""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A bare connection with our settings. May be handed to another thread, but not shared by two at once."""
    source = path.absolute().as_uri() + ("?mode=ro" if read_only else "?mode=rwc")
    connection = sqlite3.connect(
        source,
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level="IMMEDIATE",
        check_same_thread=False,
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def telling(path: Path, *, read_only: bool = False) -> Iterator[None]:
    """Turn what SQLite and the disk complain about into one sentence for a person."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(_sentence(path, error, "read" if read_only else "written")) from error


def _sentence(path: Path, error: Exception, used: str) -> str:
    text = str(error)
    if isinstance(error, PermissionError) or "unable to open" in text or "readonly" in text:
        why = f"check who owns {path.parent}, and whether its disk is mounted read-only"
        return f"the store {path} cannot be {used}: {why}; or name another with --state"
    if "disk is full" in text or "No space left" in text:
        return f"the disk of the store {path} is full: make room there, nothing else is lost"
    if "locked" in text:
        return f"the store {path} stayed locked by another process for {BUSY_TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return f"the store {path} cannot be used: {error.strerror.lower()}"
    return f"the store {path} cannot be used: {text}"


def _make_private_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o700)


def _make_private_file(path: Path) -> None:
    """For its owner only: it holds secrets that the controller made. What SQLite puts beside it gets its rights."""
    with suppress(OSError):  # which SQLite will complain about
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if each.exists() and each.stat().st_mode & 0o077:
                each.chmod(0o600)


def _open_to_write(path: Path) -> sqlite3.Connection:
    connection = None
    _make_private_file(path)
    try:
        connection = connect(path)
        version = _healthy_version(connection)
        if version > SCHEMA:
            raise StoreError(_too_new(connection, path, version))
        _migrate(connection, version)
        # on a read-only disk, opening succeeds and the first write fails: find out now
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    except sqlite3.DatabaseError as error:
        _close(connection)
        if is_damage(error):
            raise _Damaged(str(error)) from error
        raise
    except (_Damaged, StoreError):
        _close(connection)
        raise
    return connection


def _open_to_read(path: Path) -> Opened:
    """A connection that cannot change the file. Without a healthy file, an empty store in memory."""
    if gone := _gone(path):
        return Opened(_empty(), f"the store {path} {gone}; nothing was read from it")
    if not path.exists():
        return Opened(_empty())
    connection = None
    try:
        connection = _connect_to_read(path)
        version = _healthy_version(connection)
        if version > SCHEMA:
            raise StoreError(_too_new(connection, path, version))
        if version < SCHEMA:
            return Opened(_migrated_copy(connection))
        shadow_tables(connection)
    except sqlite3.DatabaseError as error:
        _close(connection)
        if is_damage(error):
            return Opened(_empty(), f"the store {path} is damaged ({error}); nothing was read from it")
        raise
    except _Damaged as damage:
        _close(connection)
        return Opened(_empty(), f"the store {path} is damaged ({damage}); nothing was read from it")
    return Opened(connection)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    connection = connect(path, read_only=True)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        # A read-only folder has no place for the shared-memory file that WAL needs, not even to read. If no
        # log stands beside the file, nothing can be missed by reading the file alone.
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        uri = path.absolute().as_uri() + "?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True, isolation_level="IMMEDIATE", check_same_thread=False)
    return connection


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level="IMMEDIATE", check_same_thread=False)
    _migrate(connection, 0)
    return connection


def _migrated_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """An older file may be read but not migrated: take a copy to memory and migrate that."""
    copy = sqlite3.connect(":memory:", isolation_level="IMMEDIATE", check_same_thread=False)
    with connection:
        connection.backup(copy)
    connection.close()
    _migrate(copy, copy.execute("PRAGMA user_version").fetchone()[0])
    return copy


def _healthy_version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version > SCHEMA:
        return version
    if version and (missing := sorted(set(TABLES) - tables)):
        raise _Damaged(f"table {missing[0]} is missing")
    if not version and tables:
        raise _Damaged("it holds something else than a store of Telarchy")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _Damaged(str(found).splitlines()[-1])
    return version


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    if version < SCHEMA:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            version = connection.execute("PRAGMA user_version").fetchone()[0]  # another may have been faster
            for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
                migration(connection)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute(
                "INSERT INTO memory (key, value, changed) VALUES (?, json_quote(?), ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed = excluded.changed",
                (WRITTEN_BY, __version__, time.time()),
            )


def _too_new(connection: sqlite3.Connection, path: Path, version: int) -> str:
    needed = "a newer version"
    with suppress(sqlite3.Error):
        row = connection.execute(
            "SELECT json_extract(value, '$') FROM memory WHERE key = ?", (WRITTEN_BY,)
        ).fetchone()
        if row and row[0]:
            needed = f"version {row[0]} or later"
    return (
        f"the store {path} was written by a newer Telarchy (schema {version}; this is {__version__}, "
        f"which knows {SCHEMA}): it needs {needed}, or name another folder with --state; the file is untouched"
    )


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is bad, as opposed to the disk, a lock or our own mistake."""
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _move_aside(path: Path, now: float) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()
