"""The catalogue on disk: `<state>/catalogue.sqlite`. A cache of what the hosts can show again, and the digests.

Columns are stored as they lie in memory, so that a cold start reads a million titles in the time it takes to
read the file. When it cannot be read it is set aside and the hosts are scanned anew; what is lost then are the
recorded digests, and the next verification records them afresh.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from telarchy.custody.catalogue import ROW, Catalogue, Holdings
from telarchy.custody.manifest import Manifest, decode, encode
from telarchy.custody.names import CHUNK, TitleNames
from telarchy.custody.titles import TitlePatterns
from telarchy.errors import StoreError
from telarchy.store.database import is_damage, telling

FILE = "catalogue.sqlite"
SCHEMA_VERSION = 2  # 2: files may have a BLAKE3, at the end of their rows
MOST_UNWRITTEN = 20_000  # titles whose files are kept in memory until the next save
PAGE_BYTES = 16_384  # columns are megabytes long: four times fewer pages to fetch than with SQLite's default

_TABLES = """
CREATE TABLE IF NOT EXISTS volume (key TEXT PRIMARY KEY, titles INTEGER NOT NULL, columns BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS name_chunk (number INTEGER PRIMARY KEY, names BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS manifest (
  volume TEXT NOT NULL, title INTEGER NOT NULL, files BLOB NOT NULL, PRIMARY KEY (volume, title)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


class CatalogueFile:
    """One open catalogue file. `lost` says in plain words what could not be read, "" if nothing."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.lost = ""
        self._manifests: ManifestTable | None = None
        self._written: dict[
            str, bytes | str
        ] = {}  # what stands in `meta`: most saves come from a scan without news
        if read_only and not path.exists():
            self._connection = sqlite3.connect(":memory:")
            self._connection.executescript(_TABLES)
            return
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as trouble:
            if read_only or not is_damage(trouble):  # a full disk is no reason to give digests up
                with telling(path):
                    raise
            aside = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
            path.replace(aside)
            self.lost = (
                f"{path.name} was corrupt ({trouble}) and lies now as {aside.name}: recorded digests are lost and "
                "will be taken anew; the copies on the hosts are untouched"
            )
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self.read_only:
            connection = sqlite3.connect(
                self.path.absolute().as_uri() + "?mode=ro", uri=True, check_same_thread=False
            )
        else:
            connection = sqlite3.connect(self.path, check_same_thread=False)
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            connection.close()
            raise StoreError(
                f"{self.path} was written by a newer Telarchy (catalogue version {version}, this one reads "
                f"{SCHEMA_VERSION}): use that version, or another --state folder"
            )
        if not self.read_only:
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.commit()
        connection.execute("SELECT count(*) FROM volume").fetchone()
        return connection

    def load(self) -> Catalogue:
        """The whole catalogue. Raises StoreError where a column does not have the length it should."""
        chunks = [
            bytes(row[0]) for row in self._connection.execute("SELECT names FROM name_chunk ORDER BY number")
        ]
        meta = dict(self._connection.execute("SELECT key, value FROM meta"))
        marks = np.frombuffer(zlib.decompress(meta["marks"]), np.int16) if "marks" in meta else None
        sets = [frozenset(one) for one in json.loads(meta["mark_sets"])] if "mark_sets" in meta else []
        patterns = json.loads(meta["patterns"]) if "patterns" in meta else {"select": [], "exclude": []}
        holdings = {}
        for key, titles, columns in self._connection.execute("SELECT key, titles, columns FROM volume"):
            holdings[key] = _unpack(key, titles, columns)
        table = self._manifests = ManifestTable(self._connection)
        names = TitleNames(chunks, marks, sets)
        names.forgotten.update(json.loads(meta["forgotten"]) if "forgotten" in meta else [])
        return Catalogue(
            names=names,
            holdings=holdings,
            manifests=ManifestOverlay(table) if self.read_only else table,
            patterns=TitlePatterns(patterns["select"], patterns["exclude"]),
            irregular=json.loads(meta["irregular"]) if "irregular" in meta else None,
        )

    def is_behind(self, catalogue: Catalogue) -> bool:
        """Whether volumes or titles are known that are not written here yet."""
        return bool(catalogue.unsaved) or catalogue.names.dirty_from < len(catalogue.names)

    def save(self, catalogue: Catalogue) -> None:
        """Write what changed since the last save, in one transaction. Raises StoreError: then nothing was, and the
        next save writes it all."""
        if self.read_only:
            return
        dirty_from, unsaved = catalogue.names.dirty_from, set(catalogue.unsaved)
        try:
            with telling(self.path):
                self._save(catalogue)
        except StoreError:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            catalogue.names.dirty_from = min(dirty_from, catalogue.names.dirty_from)
            catalogue.unsaved |= unsaved
            raise

    def _save(self, catalogue: Catalogue) -> None:
        names = catalogue.names
        first = names.dirty_from // CHUNK if names.dirty_from < len(names) else len(names)
        for index in range(first, -(-len(names) // CHUNK)):
            self._connection.execute(
                "INSERT OR REPLACE INTO name_chunk VALUES (?, ?)", (index, names.chunk(index))
            )
        names.dirty_from = len(names)
        if self._manifests is not None:
            self._manifests.write()
        for key in catalogue.unsaved:
            held = catalogue.holdings.get(key)
            if held is None:
                self._connection.execute("DELETE FROM volume WHERE key = ?", (key,))
                self._connection.execute("DELETE FROM manifest WHERE volume = ?", (key,))
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO volume VALUES (?, ?, ?)", (key, len(held), _pack(held))
                )
        catalogue.unsaved.clear()
        select, exclude = sorted(catalogue.patterns.select), sorted(catalogue.patterns.exclude)
        meta: dict[str, bytes | str] = {
            "marks": names.marks.tobytes(),
            "mark_sets": json.dumps([sorted(one) for one in names.mark_sets]),
            "forgotten": json.dumps(sorted(names.forgotten)),
            "patterns": json.dumps({"select": select, "exclude": exclude}),
            "irregular": json.dumps(sorted(catalogue.irregular)),
        }
        for key, value in meta.items():
            if self._written.get(key) != value:
                stored = zlib.compress(value, 1) if isinstance(value, bytes) else value
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, stored))
        self._connection.commit()
        if self._manifests is not None:
            self._manifests.written()
        self._written = meta

    def close(self) -> None:
        self._connection.close()


class ManifestTable:
    """`Manifests` in SQLite. What is put stays at hand until it is on the disk, by `CatalogueFile.save` or, when
    it becomes much, before: a disk that takes nothing makes nobody forget what lies in a title."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._unwritten: dict[tuple[str, int], bytes | None] = {}  # None: dropped
        self._most = MOST_UNWRITTEN

    def get(self, volume: str, title: int) -> Manifest:
        if (volume, title) in self._unwritten:
            files = self._unwritten[volume, title]
            return decode(files) if files is not None else ()
        row = self._connection.execute(
            "SELECT files FROM manifest WHERE volume = ? AND title = ?", (volume, title)
        ).fetchone()
        return decode(row[0]) if row else ()

    def put(self, volume: str, title: int, manifest: Manifest) -> None:
        self._keep(volume, title, encode(manifest))

    def drop(self, volume: str, title: int) -> None:
        self._keep(volume, title, None)

    def rename(self, old: str, new: str) -> None:
        renamed = {
            (new, title): self._unwritten.pop((volume, title))
            for volume, title in list(self._unwritten)
            if volume == old
        }
        try:
            self._connection.execute("UPDATE OR REPLACE manifest SET volume = ? WHERE volume = ?", (new, old))
            self._connection.commit()
        except sqlite3.OperationalError:
            self._roll_back()
            for title, files in self._connection.execute(
                "SELECT title, files FROM manifest WHERE volume = ?", (old,)
            ).fetchall():
                self._unwritten[new, title], self._unwritten[old, title] = files, None
        self._unwritten |= renamed

    def write(self) -> None:
        """Put it all into the transaction that is open; `written` says that it was committed. Raises sqlite3.Error."""
        put = ((*key, files) for key, files in self._unwritten.items() if files is not None)
        self._connection.executemany("INSERT OR REPLACE INTO manifest VALUES (?, ?, ?)", put)
        dropped = (key for key, files in self._unwritten.items() if files is None)
        self._connection.executemany("DELETE FROM manifest WHERE volume = ? AND title = ?", dropped)

    def written(self) -> None:
        self._unwritten.clear()
        self._most = MOST_UNWRITTEN

    def _keep(self, volume: str, title: int, files: bytes | None) -> None:
        self._unwritten[volume, title] = files
        if len(self._unwritten) < self._most:
            return
        try:
            self.write()
            self._connection.commit()
        except sqlite3.OperationalError:
            self._roll_back()
            self._most = 2 * len(self._unwritten)
        else:
            self.written()

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.rollback()


class ManifestOverlay:
    """`Manifests` for a look that leaves no trace: changes stay in memory, all else comes from the table."""

    def __init__(self, table: ManifestTable) -> None:
        self._table = table
        self._changed: dict[tuple[str, int], Manifest] = {}
        self._renamed: dict[str, str] = {}

    def get(self, volume: str, title: int) -> Manifest:
        changed = self._changed.get((volume, title))
        return self._table.get(self._renamed.get(volume, volume), title) if changed is None else changed

    def put(self, volume: str, title: int, manifest: Manifest) -> None:
        self._changed[volume, title] = manifest

    def drop(self, volume: str, title: int) -> None:
        self._changed[volume, title] = ()

    def rename(self, old: str, new: str) -> None:
        self._renamed[new] = self._renamed.pop(old, old)
        for volume, title in [key for key in self._changed if key[0] == old]:
            self._changed[new, title] = self._changed.pop((volume, title))


def _pack(held: Holdings) -> bytes:
    return b"".join(getattr(held, name).tobytes() for name in ROW.names or ())


def _unpack(key: str, titles: int, data: bytes) -> Holdings:
    if len(data) != titles * ROW.itemsize:
        raise StoreError(
            f"the catalogue's columns of volume {key} are cut short: delete {FILE} to have it scanned anew"
        )
    columns, at = [], 0
    for name in ROW.names or ():
        kind = ROW[name]
        columns.append(np.frombuffer(data, kind, titles, at))
        at += titles * kind.itemsize
    return Holdings(*columns)
