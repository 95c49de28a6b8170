"""The journal keeps what the loop says, and a disk that takes nothing does not stop the loop."""

import sqlite3

import pytest

from telarchy.core.plan import Event, Step
from telarchy.resources.meta import Ref
from telarchy.runtime.journal import StoreJournal, write_crash
from telarchy.store import Store
from tests.unit.runtime.toyroom import Place

BLACK = Ref("Host", "default", "black")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as opened:
        yield opened


def full(*_, **__):
    raise sqlite3.OperationalError("database or disk is full")


def test_only_what_is_new_is_written(store):
    journal = StoreJournal(store)
    assert journal.write_statuses({BLACK: {"state": "Up"}}, 1) == [BLACK]
    assert journal.write_statuses({BLACK: {"state": "Up"}}, 2) == []
    assert StoreJournal(store).status(BLACK) == {"state": "Up"}


def test_a_full_disk_is_told_and_made_good_later(store, monkeypatch):
    journal = StoreJournal(store)
    with monkeypatch.context() as patch:
        patch.setattr(store.statuses, "write", full)
        patch.setattr(store.events, "record", full)
        patch.setattr(store.history, "record", full)
        journal.write_statuses({BLACK: {"state": "Up"}}, 1)
        journal.record_events([Event(BLACK, "Up", "it answers")], 1)
        journal.finished(Step(Place(host="black", title="a")), ("Done", "", ""), 1.0)
        assert "disk is full" in journal.trouble
        assert journal.status(BLACK) == {"state": "Up"}
    journal.write_statuses({}, 2)
    journal.record_events([], 2)
    assert journal.trouble == ""
    assert store.statuses.get(BLACK) == {"state": "Up"}
    assert [event.reason for event in store.events.recent()] == ["Up"]


def test_finished_actions_become_history(store):
    StoreJournal(store).finished(Step(Place(host="black", title="a")), ("Failed", "Boom", "no room"), 2.5)
    (deed,) = store.history.recent()
    assert (deed.verb, deed.host, deed.outcome, deed.reason, deed.seconds) == (
        "Copy",
        "black",
        "Failed",
        "Boom",
        2.5,
    )


def test_crash_files_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr("telarchy.runtime.journal.CRASH_FILES_KEPT", 2)
    for number in range(4):
        (tmp_path / f"crash-2020010{number}T000000Z.log").write_text("old")
    path = write_crash(tmp_path, "toys", "trace")
    assert path.read_text() == "toys\ntrace\n"
    assert len(list(tmp_path.glob("crash-*"))) == 2
