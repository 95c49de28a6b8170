"""Reading files where they lie, and what the readings mean.

A reading tells the file's size and mtime from before and after; when they differ the file was being written, and
nothing follows from its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from telarchy.core.words import quoted
from telarchy.custody import shell
from telarchy.custody.manifest import FileSeen, Manifest
from telarchy.errors import ActionFailed
from telarchy.links.link import Link

LARGE = 32 * 1024 * 1024  # bytes; files above are read one per process, smaller ones by the handful


class Reading(NamedTuple):
    """One file as it was read. Both digests are "" when it could not be, or changed meanwhile; each is "" too where
    the file was read by the other alone. With both, both are of the same bytes."""

    sha256: str
    size: int
    mtime_ns: int
    blake3: str = ""


def parse_readings(data: bytes) -> dict[str, Reading]:
    """Records of batch.sh by path. What was cut off at the end is left out; a later record of a path wins."""
    found = {}
    # Decoded in one go: what is no UTF-8 comes out as it would alone, and the rest is of ASCII.
    for record in shell.text(data).split("//\n")[:-1]:
        kind, sums, size, mtime, size_after, mtime_after, dotted_path = record.split(" ", 6)
        if kind != "d":
            raise ValueError(f"not a reading: {record[:80]!r}")
        path = dotted_path.removeprefix("./")
        if size == "-" or size_after == "-":
            found[path] = Reading("", 0, 0)
            continue
        if size != size_after or mtime != mtime_after:
            found[path] = Reading("", int(size_after), shell.nanoseconds(mtime_after))
            continue
        # `SHA256`, and with b3sum `SHA256:BLAKE3` or `-:BLAKE3`. For versions that do not know it that is no digest,
        # and nothing follows from it.
        sha256, _, blake3 = sums.partition(":")
        found[path] = Reading(
            sha256 if len(sha256) == 64 else "",
            int(size),
            shell.nanoseconds(mtime),
            blake3 if len(blake3) == 64 else "",
        )
    return found


def read_otherwise(data: bytes, expected: Mapping[str, tuple[int, str]]) -> list[str]:
    """Which of these files (path -> size and SHA-256) the records do not show to be as expected: read otherwise,
    changed while they were read, or not read at all. As by `parse_readings`, with less work for many files."""
    found = {}
    for record in shell.text(data).split("//\n")[:-1]:
        _, sha256, size, mtime, size_after, mtime_after, path = record.split(" ", 6)
        still = size == size_after and mtime == mtime_after
        found[path.removeprefix("./")] = f"{size} {sha256}" if still else ""
    return [path for path, (size, sha256) in expected.items() if found.get(path) != f"{size} {sha256}"]


def dotted(names: Iterable[str]) -> list[str]:
    """Relative names as tools take them without mistaking one for an option."""
    return [f"./{name}" for name in names]


def in_title(title: str, path: str) -> str:
    """A file's path relative to the root."""
    return f"{title}/{path}" if path else title


@dataclass(frozen=True)
class ReadingLists:
    """Files for digest jobs, relative to the root: `large` with sizes, `small` without."""

    large: bytes
    small: bytes

    @classmethod
    def of(cls, files: Sequence[tuple[str, int]], *, as_sent: bool = False) -> ReadingLists:
        """Files as (path, size). `as_sent`: those that rsync sends first come first, so that reading keeps up."""
        if as_sent:
            files = sorted(files, key=lambda one: transfer_order(one[0]))
        large = [word for path, size in files if size >= LARGE for word in (str(size), f"./{path}")]
        return cls(
            shell.nul_list(large), shell.nul_list(dotted(path for path, size in files if size < LARGE))
        )


def transfer_order(path: str) -> tuple[tuple[tuple[bool, bytes], ...], bytes]:
    """The order in which rsync sends: within a folder its files, then its folders, each by bytes."""
    folder, _, name = path.rpartition("/")
    return _folders(folder), shell.raw(name)


@lru_cache(maxsize=64)
def _folders(folder: str) -> tuple[tuple[bool, bytes], ...]:
    return tuple((True, part) for part in shell.raw(folder).split(b"/")) if folder else ()


async def read_now(
    link: Link, root: str, volume_id: str, files: Sequence[tuple[str, int]]
) -> dict[str, Reading]:
    """Digest files (path relative to the root, size) in one exec, without a trace on the host.

    Raises ActionFailed (VolumeGone when the volume is not there, ToolMissing when nothing can digest).
    """
    if not files:
        return {}
    lists = ReadingLists.of(files)
    done = await shell.run(
        link,
        ("fence", "read"),
        [*shell.digesting(), root, volume_id, str(len(lists.large))],
        stdin=lists.large + lists.small,
        within=None,
    )
    return parse_readings(done.stdout)


@dataclass
class Verdict:
    """What readings say about a title on a volume. Paths relative to the title.

    good:      path -> sha256 to record
    blake3:    path -> blake3 to record with it, of those that were read by both
    damaged:   read otherwise than recorded; found: path -> sha256 of what was read
    changed:   vanished, written to while it was read, or of another size than listed
    """

    good: dict[str, str] = field(default_factory=dict)
    blake3: dict[str, str] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    found: dict[str, str] = field(default_factory=dict)


def judge(title: str, recorded: Manifest, readings: Mapping[str, Reading]) -> Verdict:
    """Compare readings with what was recorded. A first digest is just recorded.

    Where size and mtime are as recorded, or only the mtime moved, another digest is damage: nothing that means
    to change a file leaves its length alone often enough to give it the benefit of the doubt. SHA-256 alone
    says so: BLAKE3 can only show that the bytes are those that were read by both, whatever the mtime is now.
    """
    verdict = Verdict()
    for one in recorded:
        reading = readings.get(in_title(title, one.path))
        if reading is None:
            continue
        sha256 = proven(one, reading)
        if not sha256 or reading.size != one.size:
            verdict.changed.add(one.path)
        elif one.sha256 and one.sha256 != sha256:
            verdict.damaged.add(one.path)
            verdict.found[one.path] = sha256
        else:
            verdict.good[one.path] = sha256
            if reading.blake3:
                verdict.blake3[one.path] = reading.blake3
    return verdict


def proven(one: FileSeen, reading: Reading) -> str:
    """The SHA-256 of what was read: as it was read, or as recorded where the BLAKE3 alone was read and is as recorded.
    "" for neither."""
    if not reading.sha256 and reading.blake3 and reading.blake3 == one.blake3:
        return one.sha256
    return reading.sha256


def require_all(title: str, verdict: Verdict, where: str) -> None:
    """Raise ActionFailed (Changed, to be tried again) when some files could not be judged."""
    if verdict.changed:
        first = sorted(verdict.changed)[0] or title
        raise ActionFailed(
            f"{where}: {quoted(first)} changed while it was read ({len(verdict.changed)} file(s) of {quoted(title)})",
            reason="Changed",
        )
