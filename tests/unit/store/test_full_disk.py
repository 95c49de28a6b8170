"""A disk under the store that takes nothing: nothing that was recorded is given up, and it is written later."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.command import command

from telarchy.custody.catalogue import Catalogue
from telarchy.custody.manifest import FileSeen
from telarchy.custody.titles import TitlePatterns
from telarchy.errors import StoreError
from telarchy.runtime.lock import StateLock
from telarchy.store import Store
from telarchy.store.catalogue import FILE, CatalogueFile


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 600 kB."""
    try:
        command("mount", "-t", "tmpfs", "-o", "size=600k", "none", str(tmp_path))
    except Exception as refusal:  # noqa: BLE001 - not root
        pytest.skip(f"no small disk to be had: {refusal}")
    yield tmp_path
    command("umount", "-l", str(tmp_path))


def fill(folder: Path) -> Path:
    filler = folder / "fill"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 1024):
                pass
        except OSError:
            pass
    return filler


def test_what_cannot_be_written_is_remembered_and_written_later(small: Path) -> None:
    with Store.open(small) as store:
        store.memory.put("before", 1)
        filler = fill(small)
        value = "x" * 100_000
        assert store.memory.put("lease", value)
        assert not store.memory.put("lease", value)
        assert store.memory.get("lease") == value
        assert set(store.memory.under("")) >= {"before", "lease"}
        store.memory.forget("before")
        assert store.memory.get("before") is None
        filler.unlink()
        store.memory.put("after", 2)
    with Store.open(small) as store:
        assert store.memory.get("lease") == value
        assert store.memory.get("before") is None


def test_a_full_disk_is_no_damage_to_the_catalogue(small: Path) -> None:
    file = CatalogueFile(small / FILE)
    catalogue = file.load()
    filler = fill(small)
    catalogue.names.forgotten.update(range(20_000))
    with pytest.raises(StoreError, match="is full: make room"):
        file.save(catalogue)
    filler.unlink()
    file.save(catalogue)
    file.close()
    with sqlite3.connect(small / FILE) as kept:
        (length,) = kept.execute("SELECT length(value) FROM meta WHERE key = 'forgotten'").fetchone()
    assert length > 100_000


def test_what_lies_in_titles_is_known_though_the_disk_takes_nothing(small: Path) -> None:
    def seen(size: int) -> tuple[FileSeen, ...]:
        return tuple(FileSeen(f"{number:02}.mkv", size, 1) for number in range(50))

    def of(catalogue: Catalogue, volume: str) -> dict[str, tuple[FileSeen, ...]]:
        return {title: catalogue.manifest(volume, title) for title in catalogue.titles_on(volume)}

    file = CatalogueFile(small / FILE)
    catalogue = file.load()
    catalogue.set_patterns(TitlePatterns(["films/*"]))
    before = {f"films/{number}": seen(1) for number in range(200)}
    catalogue.replace_volume("host/main", before, 1.0)
    filler = fill(small)
    with pytest.raises(StoreError, match="is full: make room"):
        file.save(catalogue)
    assert of(catalogue, "host/main") == before
    catalogue.patch_volume("host/main", {"films/1": seen(2), "films/2": None, "films/new": seen(3)}, 2.0)
    after = {**before, "films/1": seen(2), "films/new": seen(3)}
    del after["films/2"]
    assert of(catalogue, "host/main") == after
    catalogue.rename_volume("host/main", "id")
    assert of(catalogue, "id") == after
    with pytest.raises(StoreError, match="is full: make room"):
        file.save(catalogue)
    assert of(catalogue, "id") == after
    filler.unlink()
    file.save(catalogue)
    file.close()
    assert of(CatalogueFile(small / FILE).load(), "id") == after


def test_a_start_on_a_full_disk_says_whose_disk_it_is(small: Path) -> None:
    fill(small)
    with (
        pytest.raises(StoreError, match=r"store\.sqlite is full: make room there"),
        StateLock(small),
        Store.open(small),
    ):
        pass


def test_a_catalogue_that_the_disk_has_no_room_to_open_is_left_where_it_is(small: Path) -> None:
    fill(small)
    with pytest.raises(StoreError, match="is full: make room"):
        CatalogueFile(small / FILE)
    assert not list(small.glob("*.corrupt-*"))
