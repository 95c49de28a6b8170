"""The store keeps what it is told, only when it is new, and says in plain words what a bad file costs."""

import sqlite3

import pytest

from telarchy.core.plan import Event
from telarchy.errors import StoreError
from telarchy.resources.fleet import Fleet
from telarchy.resources.meta import Ref
from telarchy.store import Store
from telarchy.store.database import FILE_NAME
from telarchy.store.objects import SOURCE
from telarchy.store.schema import SCHEMA

HOME = Ref("Fleet", "default", "home")


def fleet(name="home", copies=2, **metadata):
    return Fleet.model_validate(
        {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": "Fleet",
            "metadata": {"name": name, **metadata},
            "spec": {"custody": {"copies": copies}},
        }
    )


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as opened:
        yield opened


def test_memory_survives_a_restart_and_skips_equal_values(tmp_path):
    with Store.open(tmp_path) as store:
        assert store.memory.put("lease", {"b": 1, "a": [2]})
        assert not store.memory.put("lease", {"a": [2], "b": 1})
    with Store.open(tmp_path) as store:
        assert store.memory.get("lease") == {"a": [2], "b": 1}
        assert store.memory.get("nothing", 7) == 7


def test_nobody_else_reads_the_store_wherever_it_lies(tmp_path):
    tmp_path.chmod(0o755)
    for _ in range(2):
        with Store.open(tmp_path) as store:
            store.memory.put("secret", "value")
            assert {each.stat().st_mode & 0o077 for each in tmp_path.glob("store.sqlite*")} == {0}
        (tmp_path / "store.sqlite").chmod(0o644)  # as versions before this one left it


def test_names_that_are_not_utf8_survive(store):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    store.memory.put("title", {"name": name})
    assert store.memory.get("title") == {"name": name}
    store.events.record([Event(HOME, "Odd", f"saw {name}")])
    assert "saw caf" in store.events.recent()[0].message


def test_statuses_are_written_only_on_change(store):
    status = {"conditions": [{"type": "Ready", "status": "True"}], "hosts": 3}
    assert store.statuses.write({HOME: status}, now=1) == [HOME]
    assert store.statuses.write({HOME: dict(reversed(status.items()))}, now=2) == []
    assert store.statuses.changed(HOME) == 1
    assert store.statuses.get(HOME) == status


def test_generation_counts_spec_changes_only_and_the_uid_stays(store):
    (first,) = store.sync_objects([fleet()], "r1", now=10)
    (labelled,) = store.sync_objects([fleet(labels={"a": "b"})], "r2", now=20)
    (changed,) = store.sync_objects([fleet(copies=3)], "r3", now=30)
    assert [one.metadata.generation for one in (first, labelled, changed)] == [1, 1, 2]
    assert len({one.metadata.uid for one in (first, labelled, changed)}) == 1
    assert changed.metadata.creation_timestamp.timestamp() == 10


def test_what_left_is_pruned_with_an_event_and_its_status(store):
    store.sync_objects([fleet(), fleet("other")], "r1")
    store.statuses.write({HOME: {"hosts": 1}})
    kept = store.sync_objects([fleet("other")], "r2")
    assert [one.name for one in kept] == ["other"]
    assert store.statuses.get(HOME) is None
    assert [event.reason for event in store.events.recent(ref=HOME)] == ["Pruned"]


def test_an_empty_revision_prunes_nothing(store):
    store.sync_objects([fleet()], "r1")
    kept = store.sync_objects([], "r2")
    assert [one.name for one in kept] == ["home"]
    assert kept[0].metadata.generation == 1
    assert [one.name for one in store.objects.all(SOURCE)] == ["home"]


def test_applied_and_source_objects_do_not_touch_each_other(store):
    store.objects.apply([fleet("mine")], now=1)
    store.sync_objects([fleet()], "r1")
    store.sync_objects([fleet("other")], "r2")
    assert [one.name for one in store.objects.all("applied")] == ["mine"]
    assert [change.verb for change in store.objects.delete([Ref("Fleet", "default", "mine"), HOME])] == [
        "deleted"
    ]


def test_equal_events_in_a_row_are_counted(store):
    calm, worry = Event(HOME, "Calm", "all well"), Event(HOME, "Worry", "a host is gone", "Warning")
    store.events.record([calm, calm], now=1)
    store.events.record([worry], now=2)
    store.events.record([calm], now=3)
    assert [(one.reason, one.count) for one in store.events.recent()] == [
        ("Calm", 2),
        ("Worry", 1),
        ("Calm", 1),
    ]


def test_events_are_bounded_per_resource_and_in_total(store, monkeypatch):
    monkeypatch.setattr("telarchy.store.events.PER_RESOURCE", 5)
    monkeypatch.setattr("telarchy.store.events.IN_TOTAL", 12)
    for name in "abcd":
        store.events.record([Event(Ref("Host", "default", name), "Seen", str(n)) for n in range(9)])
    assert len(store.events.recent(ref=Ref("Host", "default", "d"))) == 5
    assert len(store.events.recent()) == 12


def test_approvals_expire_after_a_week(store):
    store.approvals.grant("abc", ["x", "y"], who="me", now=0)
    assert store.approvals.actions(now=6 * 86400) == {"x", "y"}
    assert store.approvals.actions(now=8 * 86400) == frozenset()


def test_an_approval_that_a_wrong_clock_gave_for_next_year_does_not_last_until_then(store):
    store.approvals.grant("abc", ["x"], who="me", now=400 * 86400)
    assert store.approvals.actions(now=400 * 86400 - 3600) == {"x"}
    assert store.approvals.actions(now=35 * 86400) == frozenset()


@pytest.mark.parametrize("left", [b"", None])
def test_an_emptied_store_says_so_and_what_was_applied_comes_back(tmp_path, left):
    with Store.open(tmp_path) as store:
        assert store.lost == ""
        store.objects.apply([fleet("mine")], now=1)
    for one in tmp_path.glob("store.sqlite*"):
        one.unlink()
    if left is not None:
        (tmp_path / FILE_NAME).write_bytes(left)
    with Store.open(tmp_path, read_only=True) as store:
        assert "nothing was read from it" in store.lost
    with Store.open(tmp_path) as store:
        assert "approvals are lost" in store.lost and "1 applied resource(s) were restored" in store.lost
        assert [one.name for one in store.objects.all("applied")] == ["mine"]
    with Store.open(tmp_path) as store:
        assert store.lost == ""


def test_a_damaged_file_is_set_aside_and_what_was_applied_comes_back(tmp_path):
    with Store.open(tmp_path) as store:
        store.objects.apply([fleet("mine")], now=1)
        store.memory.put("a", 1)
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all" * 100)
    with Store.open(tmp_path, now=0) as store:
        assert "store.sqlite.corrupt-19700101T000000Z" in store.lost
        assert "untouched" in store.lost
        assert "1 applied resource(s) were restored" in store.lost
        assert [one.name for one in store.objects.all("applied")] == ["mine"]
        assert store.memory.get("a") is None
    assert (tmp_path / "store.sqlite.corrupt-19700101T000000Z").exists()


def test_damage_in_the_middle_of_a_page_is_noticed(tmp_path):
    with Store.open(tmp_path) as store:
        store.events.record([Event(HOME, "Seen", "x" * 500 + str(n)) for n in range(150)])
    raw = bytearray((tmp_path / FILE_NAME).read_bytes())
    for page in range(4096, len(raw), 4096):
        raw[page : page + 64] = b"\xff" * 64
    (tmp_path / FILE_NAME).write_bytes(bytes(raw))
    with Store.open(tmp_path) as store:
        assert store.lost
        assert store.events.recent() == []


def test_a_newer_file_is_refused_with_the_version_it_needs(tmp_path):
    with Store.open(tmp_path) as store:
        store.memory.put("store/written-by", "9.9.0")
    with sqlite3.connect(tmp_path / FILE_NAME) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"needs version 9\.9\.0 or later"):
            Store.open(tmp_path, read_only=read_only)


def test_a_reader_may_write_and_leaves_no_trace(tmp_path):
    with Store.open(tmp_path) as store:
        store.sync_objects([fleet()], "r1", now=1)
        store.memory.put("a", 1)
    before = (tmp_path / FILE_NAME).read_bytes()
    with Store.open(tmp_path, read_only=True) as reader:
        reader.sync_objects([fleet(copies=5), fleet("new")], "r2")
        reader.memory.put("a", 2)
        reader.statuses.write({HOME: {"hosts": 1}})
        reader.events.record([Event(HOME, "Seen", "x")])
        reader.events.record([Event(HOME, "Seen", "x")])
        assert reader.memory.get("a") == 2
        assert reader.events.recent()[-1].count == 2
    assert (tmp_path / FILE_NAME).read_bytes() == before
    with Store.open(tmp_path) as store:
        assert store.memory.get("a") == 1
        assert store.events.recent() == []


def test_a_reader_of_nothing_creates_nothing(tmp_path):
    with Store.open(tmp_path / "none", read_only=True) as reader:
        reader.memory.put("a", 1)
        assert not reader.exists
    assert not (tmp_path / "none").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used: not a directory"):
        Store.open(tmp_path / "file" / "state")


def test_a_reader_sees_what_a_writer_committed(tmp_path):
    with Store.open(tmp_path) as writer:
        writer.memory.put("a", 1)
        with Store.open(tmp_path, read_only=True) as reader:
            assert reader.memory.get("a") == 1
