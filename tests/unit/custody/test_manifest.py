"""What a title is, out of what its holders have."""

import json
import zlib

import pytest

from telarchy.custody.catalogue import Catalogue
from telarchy.custody.manifest import (
    FileSeen,
    carry_digests,
    compare,
    content_number,
    decode,
    encode,
    fingerprint,
)

A, B = "a" * 64, "b" * 64


def file(path: str = "e1", size: int = 10, sha256: str = "", **fields: object) -> FileSeen:
    return FileSeen(path, size, 1, sha256, 5.0 if sha256 else 0.0, **fields)


def test_equal_copies_are_complete_whatever_was_read() -> None:
    found = compare({"x": (file(sha256=A),), "y": (file(),)})
    assert found.complete == {"x", "y"} and not found.conflict
    assert found.reference == (file(sha256=A),)


def test_the_reference_is_the_union_and_the_rest_is_partial() -> None:
    found = compare({"x": (file("e1"), file("e2")), "y": (file("e2"), file("e3"))})
    assert [one.path for one in found.reference] == ["e1", "e2", "e3"]
    assert found.partial == {"x": ("e3",), "y": ("e1",)} and found.complete == frozenset()


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (file(size=10), file(size=11), "the sizes differ"),
        (file(sha256=A), file(sha256=B), "the contents differ"),
        (file(path=""), file(path="e1"), "a file on x and a folder elsewhere"),
    ],
)
def test_what_cannot_be_told_is_a_conflict_and_nothing_is_damaged(one, other, says) -> None:
    found = compare({"x": (one,), "y": (other,)})
    assert says in found.conflict
    assert (found.complete, found.partial, found.damaged) == (frozenset(), {}, {})


def test_a_file_of_no_length_beside_a_longer_one_is_damaged() -> None:
    found = compare({"x": (file(size=0),), "y": (file(size=10),)})
    assert found.damaged == {"x": ("e1",)} and found.complete == {"y"} and not found.conflict


def test_two_longer_ones_that_differ_stay_a_conflict_beside_an_empty_one() -> None:
    assert compare({"x": (file(size=0),), "y": (file(sha256=A),), "z": (file(sha256=B),)}).conflict


def test_a_damaged_file_counts_nowhere_and_conflicts_with_nothing() -> None:
    found = compare({"x": (file(sha256=A, damaged=True),), "y": (file(sha256=B),)})
    assert found.damaged == {"x": ("e1",)} and found.complete == {"y"} and not found.conflict


def test_damaged_everywhere_still_belongs_to_the_title() -> None:
    found = compare({"x": (file("e1", damaged=True), file("e2")), "y": (file("e2"),)})
    assert [one.path for one in found.reference] == ["e1", "e2"]
    assert found.partial == {"y": ("e1",)} and found.damaged == {"x": ("e1",)}


def test_the_order_of_holders_does_not_matter() -> None:
    holders = {"x": (file("e1", sha256=A),), "y": (file("e1"), file("e2")), "z": (file("e1", size=0),)}
    assert compare(holders) == compare(dict(reversed(holders.items())))


def test_digests_are_carried_over_what_did_not_change() -> None:
    before = (
        file("same", sha256=A, damaged=True, blake3=B),
        file("touched", sha256=A, blake3=B),
        file("grown", sha256=A, blake3=B),
    )
    now = (file("same"), file("touched")._replace(mtime_ns=2), file("grown")._replace(size=11), file("new"))
    same, touched, grown, new = carry_digests(before, now)
    assert same == before[0]
    assert (touched.sha256, touched.blake3, touched.verified_at) == (A, B, 0.0)
    assert grown.sha256 == new.sha256 == grown.blake3 == ""


def test_a_manifest_survives_the_store_with_bytes_that_are_no_text() -> None:
    manifest = (file("caf\udce9\n'x", sha256=A), file("y", sha256=A, blake3=B), file("z", damaged=True))
    manifest += (file("zz", sha256=A, damaged=True, found=B),)
    assert decode(encode(manifest)) == manifest


def test_rows_of_older_versions_are_read_and_files_without_blake3_cost_no_more() -> None:
    manifest = (file("x", sha256=A), file("z", damaged=True))
    rows = [[one.path, one.size, 1, one.sha256, one.verified_at, int(one.damaged)] for one in manifest]
    stored = zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)
    assert decode(stored) == manifest and encode(manifest) == stored


def test_blake3_is_no_part_of_what_a_title_is() -> None:
    plain, both = (file(sha256=A),), (file(sha256=A, blake3=B),)
    assert content_number(plain) == content_number(both) and fingerprint(plain) == fingerprint(both)
    found = compare({"x": both, "y": (file(sha256=A, blake3=A),), "z": plain})
    assert found.complete == {"x", "y", "z"} and not found.conflict


def test_the_fingerprint_is_of_paths_and_sizes_alone() -> None:
    assert fingerprint((file(sha256=A),)) == fingerprint((file()._replace(mtime_ns=9),))
    assert fingerprint((file(size=11),)) != fingerprint((file(),)) != fingerprint((file("e2"),))


def test_a_blake3_goes_with_the_sha256_that_it_was_read_with() -> None:
    catalogue = Catalogue()
    catalogue.patch_volume("v", {"t": (file("e1"),)}, 0)

    def read(sha256: str, damaged: tuple[str, ...] = (), **blake3: str) -> FileSeen:
        catalogue.record_digests("v", "t", {} if damaged else {"e1": sha256}, damaged, 9, blake3)
        return catalogue.manifest("v", "t")[0]

    assert read(A, e1=B).blake3 == B
    assert read(A).blake3 == B, "read by SHA-256 alone, with the same result"
    damaged = read("", ("e1",))
    assert damaged.damaged and (damaged.sha256, damaged.blake3) == (A, B), "what it was when it was good"
    assert read(A).blake3 == B
    assert read(B).blake3 == "", "other contents: nothing is known of them"
