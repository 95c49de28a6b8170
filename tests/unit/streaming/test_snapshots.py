"""Snapshots of external endpoints: only what is signed, young and new is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telarchy.store import Store
from telarchy.streaming import snapshots
from telarchy.streaming.evidence import Carried
from telarchy.streaming.snapshots import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SnapshotBook,
    SnapshotForged,
    SnapshotMalformed,
    SnapshotReplayed,
    signature,
)

SECRET = b"what the far end knows"
NOW = 1_795_228_800.0


def document(sequence: int = 1, **more: Any) -> bytes:
    playlist = {"rendition": "720p", "first": 10, "last": 15, "target": 2.0, "age": 1.5}
    stream = {"name": "garden", "generation": "g1-0a", "viewers": 7, "egress": 9_000, "playlists": [playlist]}
    return json.dumps({"endpoint": "cdn", "sequence": sequence, "streams": [stream], **more}).encode()


def signed(body: bytes, at: float = NOW, secret: bytes = SECRET) -> dict[str, str]:
    return {TIMESTAMP_HEADER: str(int(at)), SIGNATURE_HEADER: signature(secret, int(at), body)}


@pytest.fixture
def book(tmp_path: Path):
    with Store.open(tmp_path) as store:
        yield SnapshotBook(store.memory)


def test_a_signed_one_is_kept_and_found_again(book: SnapshotBook, tmp_path: Path) -> None:
    body = document()
    taken = book.take("cdn", SECRET, signed(body), body, NOW)
    assert taken.streams["garden"].viewers == 7
    assert taken.streams["garden"].playlists["720p"].changed == NOW - 1.5
    assert book.latest("cdn") == taken
    assert book.latest("another") is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {TIMESTAMP_HEADER: str(int(NOW))},
        signed(document(), secret=b"guessed"),
        signed(document(2)),  # of another document
        signed(document(), at=NOW - 301),
        signed(document(), at=NOW + 301),
        {**signed(document()), TIMESTAMP_HEADER: str(int(NOW) + 1)},
        {**signed(document()), TIMESTAMP_HEADER: "٣"},
        {**signed(document()), SIGNATURE_HEADER: "md5=00"},
    ],
)
def test_a_forged_one_is_refused_and_changes_nothing(book: SnapshotBook, headers: dict[str, str]) -> None:
    with pytest.raises(SnapshotForged):
        book.take("cdn", SECRET, headers, document(), NOW)
    assert book.latest("cdn") is None


def test_what_it_carried_is_added_up_by_the_next_process_too(tmp_path: Path) -> None:
    stream = {"name": "garden", "hits": 5, "misses": 2, "failures": 1}
    for sequence in (1, 2):
        with Store.open(tmp_path) as store:
            body = document(sequence, streams=[stream])
            SnapshotBook(store.memory).take("cdn", SECRET, signed(body), body, NOW)
    with Store.open(tmp_path) as store:
        book = SnapshotBook(store.memory)
        for _ in range(2):  # looking at it changes nothing
            latest = book.latest("cdn")
            assert latest is not None
            assert latest.streams["garden"].carried == Carried(hits=10, misses=4, failures=2)


def test_an_empty_secret_signs_nothing(book: SnapshotBook) -> None:
    body = document()
    with pytest.raises(SnapshotForged):
        book.take("cdn", b"", signed(body, secret=b""), body, NOW)


def test_a_replayed_one_is_refused_by_the_next_process_too(tmp_path: Path) -> None:
    body = document(5)
    with Store.open(tmp_path) as store:
        SnapshotBook(store.memory).take("cdn", SECRET, signed(body), body, NOW)
    with Store.open(tmp_path) as store:
        book = SnapshotBook(store.memory)
        for sequence in (5, 4):
            again = document(sequence)
            with pytest.raises(SnapshotReplayed):
                book.take("cdn", SECRET, signed(again), again, NOW + 1)
        newer = document(6)
        assert book.take("cdn", SECRET, signed(newer), newer, NOW + 2).reported == NOW + 2


def test_one_signed_for_another_endpoint_is_refused(book: SnapshotBook) -> None:
    body = document()
    with pytest.raises(SnapshotForged):
        book.take("other", SECRET, signed(body), body, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b"\xff\xfe",
        document(-1),
        document(surprise=1),
        document(streams=[{"name": "../etc"}]),
        document(streams=[{"name": "garden", "viewers": 1e99}]),
        document(streams=[{"name": "garden", "generation": "../.."}]),
        b'{"endpoint":"cdn","sequence":1,"streams":[{"name":"a","playlists":[{"rendition":"x","first":1,'
        b'"last":2,"target":NaN,"age":0}]}]}',
        b"[" * 5000,
        b" " * (snapshots.SNAPSHOT_BYTES + 1),
    ],
)
def test_a_malformed_one_is_refused_with_a_short_sentence(book: SnapshotBook, body: bytes) -> None:
    with pytest.raises(SnapshotMalformed) as refused:
        book.take("cdn", SECRET, signed(body), body, NOW)
    assert 0 < len(str(refused.value)) <= 200
    assert book.latest("cdn") is None
