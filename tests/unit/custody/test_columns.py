"""What the catalogue, the names and the readings answer by columns is what they answer one by one."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from telarchy.custody.catalogue import ROW, Catalogue, Holdings
from telarchy.custody.census import _stable_order
from telarchy.custody.manifest import FileSeen
from telarchy.custody.names import CHUNK, TitleNames
from telarchy.custody.readings import Due
from telarchy.custody.scan import SHORTEST, next_scan_after
from telarchy.custody.titles import TitlePatterns
from telarchy.errors import StoreError
from telarchy.store.catalogue import FILE, CatalogueFile

NAMES = [
    f"films/Film {number} \udcff" if number % 7 == 0 else f"films/F{number}" for number in range(CHUNK + 9)
]
PATTERNS = TitlePatterns(["films/*"])


def packed(names: list[str]) -> TitleNames:
    joined = ["\0".join(names[at : at + CHUNK]) for at in range(0, len(names), CHUNK)]
    return TitleNames([one.encode("utf-8", "surrogateescape") for one in joined])


def test_a_name_is_the_same_out_of_a_packed_chunk_and_an_unpacked_one() -> None:
    names = packed(NAMES)
    asked = [0, 1, 7, CHUNK - 1, CHUNK, len(NAMES) - 1]
    assert [names.name(number) for number in asked] == [NAMES[number] for number in asked]
    assert names.find(NAMES[CHUNK - 1]) == CHUNK - 1  # unpacks them all
    assert [names.name(number) for number in asked] == [NAMES[number] for number in asked]
    assert names.intern("films/New", PATTERNS) == len(NAMES)
    assert names.name(len(NAMES)) == "films/New"


def some_catalogue() -> Catalogue:
    chance, holdings = random.Random(3), {}
    for volume in "abcd":
        ids = sorted(chance.sample(range(500), chance.randrange(1, 400)))
        rows = np.zeros(len(ids), ROW)
        rows["title"], rows["fingerprint"], rows["files"] = ids, 7, 1
        holdings[volume] = Holdings.from_rows(rows)
    holdings["empty"] = Holdings.empty()
    return Catalogue(names=packed([f"films/F{number}" for number in range(500)]), holdings=holdings)


def test_many_titles_have_the_holders_that_each_of_them_has() -> None:
    catalogue = some_catalogue()
    together = catalogue.holders_of(range(500))
    assert together == {title: catalogue.holders(title) for title in range(500)}
    assert {title for title in range(500) if "a" in together[title]} == set(catalogue.holdings["a"].title)
    assert catalogue.holders_of([]) == {}


def test_the_longest_overdue_come_first_and_equal_ones_by_row() -> None:
    chance = random.Random(4)
    due_at = np.array([float(chance.randrange(20)) for _ in range(200)])
    rows = np.array(sorted(chance.sample(range(1000), 200)))
    due = Due(rows, due_at, 0, 0.0)
    ranked = [row for _, row in sorted(zip(due_at.tolist(), rows.tolist(), strict=True))]
    for most in (0, 1, 2, 50, 199, 200, 500):
        assert due.oldest(most) == ranked[:most]
    assert all((row in due) == (row in set(rows.tolist())) for row in range(1000))


def test_the_quick_order_is_the_stable_one() -> None:
    chance = np.random.default_rng(5)
    for most in (3, 1 << 60):
        keys = chance.integers(0, most, 1000).astype(np.uint64)
        assert (_stable_order(keys) == np.argsort(keys, kind="stable")).all()


def test_titles_that_disagree_are_remembered_and_a_save_without_news_writes_nothing(tmp_path: Path) -> None:
    file = CatalogueFile(tmp_path / FILE)
    catalogue = file.load()
    catalogue.set_patterns(PATTERNS)
    for volume, size in (("a", 1), ("b", 2)):
        catalogue.patch_volume(
            volume, {"films/X": (FileSeen("x", size, 0),), "films/Y": (FileSeen("y", 1, 0),)}, 0
        )
    file.save(catalogue)
    watcher = sqlite3.connect(tmp_path / FILE)
    before = watcher.execute("PRAGMA data_version").fetchone()
    file.save(catalogue)
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    assert file.load().irregular == catalogue.irregular != {}
    catalogue.patch_volume("b", {"films/X": (FileSeen("x", 1, 0),)}, 0)
    file.save(catalogue)
    assert watcher.execute("PRAGMA data_version").fetchone() != before
    assert file.load().irregular == {}
    watcher.close()
    file.close()


def test_a_catalogue_of_an_older_version_is_read_and_an_older_version_says_that_this_one_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (FileSeen("x", 1, 0, "a" * 64, 5.0),)
    monkeypatch.setattr("telarchy.store.catalogue.SCHEMA_VERSION", 1)
    with closing(CatalogueFile(tmp_path / FILE)) as older:
        catalogue = older.load()
        catalogue.patch_volume("v", {"films/X": files}, 0)
        older.save(catalogue)
    monkeypatch.undo()
    with closing(CatalogueFile(tmp_path / FILE)) as newer:
        catalogue = newer.load()
        assert catalogue.manifest("v", "films/X") == files
        catalogue.record_digests("v", "films/X", {"x": "a" * 64}, (), 6.0, {"x": "b" * 64})
        newer.save(catalogue)
    with closing(CatalogueFile(tmp_path / FILE, read_only=True)) as again:
        assert again.load().manifest("v", "films/X")[0].blake3 == "b" * 64
    monkeypatch.setattr("telarchy.store.catalogue.SCHEMA_VERSION", 1)
    for read_only in (False, True):
        with pytest.raises(StoreError, match="written by a newer Telarchy"):
            CatalogueFile(tmp_path / FILE, read_only=read_only)


def test_a_large_fleet_shares_its_scans_and_a_declared_cadence_is_kept() -> None:
    assert next_scan_after(0.1, None) == next_scan_after(0.1, None, roots=100) == SHORTEST
    assert next_scan_after(0.1, None, roots=1000) == 100.0
    assert next_scan_after(0.1, 5.0, roots=1000) == 5.0
