"""A title's files on one volume, and how two such lists compare."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class FileSeen(NamedTuple):
    """One file of a title on one volume.

    path:         relative to the title; "" when the title itself is a file
    sha256:       64 hex digits of the contents when they were last read, "" if never
    verified_at:  when that was, seconds since the epoch
    damaged:      the last reading did not match what had been recorded (`sha256` keeps the good digest)
    blake3:       64 hex digits of the very bytes that `sha256` is of, both taken in one reading of this copy; "" if
                  never. Only ever compared with later readings of this copy: what a title is, SHA-256 says
    found:        64 hex digits of what a damaged file holds that was written to since it was last read as it was
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str = ""
    verified_at: float = 0.0
    damaged: bool = False
    blake3: str = ""
    found: str = ""


Manifest = tuple[FileSeen, ...]


def _number(parts: list[str]) -> int:
    data = "\0".join(parts).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") or 1


def fingerprint_number(manifest: Manifest) -> int:
    """64 bits over paths and sizes; equal for two complete copies of the same thing. 0 for no files."""
    return _number([f"{path}\0{size}" for path, size, *_ in manifest]) if manifest else 0


def fingerprint(manifest: Manifest) -> str:
    """`fingerprint_number` as 16 hex digits."""
    return f"{fingerprint_number(manifest):016x}"


def content_number(manifest: Manifest) -> int:
    """64 bits over paths, sizes and digests; 0 while any digest is missing."""
    if not manifest or not all(one.sha256 for one in manifest):
        return 0
    return _number([f"{path}\0{size}\0{sha256}" for path, size, _, sha256, *_ in manifest])


def encode(manifest: Manifest) -> bytes:
    """For the store. Bytes that are no UTF-8 survive as lone surrogates in JSON escapes."""
    rows = [
        # Most files of most fleets have neither, and pay nothing for it.
        [
            *one[:5],
            int(one.damaged),
            *([one.blake3, one.found] if one.found else [one.blake3] if one.blake3 else ()),
        ]
        for one in manifest
    ]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


def decode(data: bytes) -> Manifest:
    rows = json.loads(zlib.decompress(data))
    return tuple(FileSeen(p, s, m, d, v, bool(x), *more) for p, s, m, d, v, x, *more in rows)


def carry_digests(before: Manifest, now: Manifest) -> Manifest:
    """`now` with the digests of files whose size and mtime are unchanged.

    A file of the same size with another mtime keeps its digests too, but unverified: its contents may have
    been touched without a trace in its length, and the next reading decides that against what was recorded.
    """
    known = {one.path: one for one in before}
    carried = []
    for one in now:
        old = known.get(one.path)
        if old is None or old.size != one.size or one.sha256:
            carried.append(one)
        elif old.mtime_ns == one.mtime_ns:
            carried.append(old)
        else:
            carried.append(old._replace(mtime_ns=one.mtime_ns, verified_at=0.0, damaged=False, found=""))
    return tuple(carried)


def rewritten(path: str, copies: Iterable[Manifest]) -> str:
    """The SHA-256 of the version that every copy of a file was written over with, "" where they do not all say so. Two
    at least: what one disk did to a file, no other one does."""
    ones = [one for manifest in copies for one in manifest if one.path == path]
    versions = {(one.size, one.found) for one in ones}
    return ones[0].found if len(ones) > 1 and len(versions) == 1 else ""


@dataclass(frozen=True)
class Variants:
    """What the holders of one title have between them.

    reference:  the complete list of files, or () when it cannot be told which is right
    complete:   volumes that hold all of it
    partial:    volumes that hold some of it and nothing that contradicts it: volume -> missing paths
    damaged:    volumes with files that fail their digest or lost bytes: volume -> those paths
    conflict:   why a person must look, "" if nobody must
    """

    reference: Manifest
    complete: frozenset[str]
    partial: Mapping[str, tuple[str, ...]]
    damaged: Mapping[str, tuple[str, ...]]
    conflict: str = ""


def compare(holders: Mapping[str, Manifest]) -> Variants:
    """Settle what the title is, out of what its holders have. Pure; the order of `holders` does not matter.

    * The reference is the union of all good files. Who lacks some of them is partial: a season that grew on
      one host grows on the others.
    * A file that fails its recorded digest is damaged, and so is one that is shorter than, or differs from,
      what other holders have while its own record says it once was the same.
    * Two good files of one name that differ are a conflict; so are a file here and a folder there. Nothing
      can tell which is right, so nothing is touched.
    """
    kinds = {any(one.path == "" for one in manifest) for manifest in holders.values() if manifest}
    if len(kinds) > 1:
        files = sorted(v for v, m in holders.items() if any(one.path == "" for one in m))
        return Variants((), frozenset(), {}, {}, f"it is a file on {', '.join(files)} and a folder elsewhere")
    by_path: dict[str, dict[str, FileSeen]] = {}
    for volume in sorted(holders):
        for one in holders[volume]:
            by_path.setdefault(one.path, {})[volume] = one
    damaged: dict[str, list[str]] = {}
    reference: dict[str, FileSeen] = {}
    for path in sorted(by_path):
        seen = by_path[path]
        good = {volume: one for volume, one in seen.items() if not one.damaged}
        for volume in seen.keys() - good.keys():
            damaged.setdefault(volume, []).append(path)
        if not good:
            # Every copy of this file is damaged: it still belongs to the title, and cannot be had anywhere.
            reference[path] = seen[min(seen)]
            continue
        settled = _settle(good)
        if settled is None:
            sizes = ", ".join(f"{one.size} bytes on {volume}" for volume, one in sorted(good.items()))
            digests = (
                len({one.sha256 for one in good.values()}) > 1
                and len({one.size for one in good.values()}) == 1
            )
            what = "the contents differ" if digests else "the sizes differ"
            return Variants((), frozenset(), {}, {}, f"{path or 'the file'}: {what} ({sizes})")
        reference[path], wrong = settled
        for volume in wrong:
            damaged.setdefault(volume, []).append(path)
    complete, partial = set(), {}
    for volume, manifest in holders.items():
        have = {one.path for one in manifest}
        lacks = tuple(path for path in reference if path not in have)
        if volume in damaged:
            continue
        if lacks:
            partial[volume] = lacks
        elif manifest:
            complete.add(volume)
    return Variants(
        tuple(reference[path] for path in sorted(reference)),
        frozenset(complete),
        partial,
        {volume: tuple(paths) for volume, paths in sorted(damaged.items())},
    )


def _settle(good: Mapping[str, FileSeen]) -> tuple[FileSeen, list[str]] | None:
    """The right one among same-named files that are not known to be damaged, and the volumes that hold a wrong one.

    None when it cannot be told. A zero-length file beside longer ones is what a crashed file system leaves;
    a verified digest beats a file that nobody has read.
    """
    if len({(one.size, one.sha256) for one in good.values()}) == 1:
        return _freshest(good), []
    sizes = {one.size for one in good.values()}
    digests = {one.sha256 for one in good.values() if one.sha256}
    if len(sizes) == 1 and len(digests) <= 1:
        return _freshest(good), []
    if len(sizes) == 2 and 0 in sizes and len(digests - {_EMPTY}) <= 1:
        longer = {volume: one for volume, one in good.items() if one.size}
        return _freshest(longer), sorted(good.keys() - longer.keys())
    return None


_EMPTY = hashlib.sha256(b"").hexdigest()


def _freshest(files: Mapping[str, FileSeen]) -> FileSeen:
    return max(files.items(), key=lambda pair: (pair[1].sha256 != "", pair[1].verified_at, pair[0]))[1]
