"""Listings of trees as hosts give them, and their files grouped into titles. Pure.

The records are those of scripts/list.sh and batch.sh.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from telarchy.custody.manifest import FileSeen, Manifest
from telarchy.custody.mounts import concerns, plain
from telarchy.custody.shell import records, text
from telarchy.custody.titles import TitlePatterns


@dataclass
class Listing:
    """Files under one folder.

    files:   path -> (size, mtime_ns)
    blind:   folders that could not be looked into; "" stands for somewhere
    others:  links, sockets and the like, which are never titles
    """

    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)
    others: int = 0

    def add(self, record: bytes) -> None:
        """Take one record in. Raises ValueError for what is no record of a listing."""
        kind, _, rest = record.partition(b" ")
        if kind == b"f":
            self.add_files((record,))
        elif kind == b"!":
            self.blind.add(text(rest))
        elif kind == b"?":
            self.others += 1
        else:
            raise ValueError(f"not a record of a listing: {record[:80]!r}")

    def add_files(self, rows: Iterable[bytes]) -> None:
        """Take records of files in. Titles and scans are made of these, so this is one loop without a call."""
        files = self.files
        for row in rows:
            _, size, stamp, path = row.split(b" ", 3)
            seconds, _, fraction = stamp.partition(b".")
            files[path.decode("utf-8", "surrogateescape")] = (
                int(size),
                int(seconds + fraction[:9].ljust(9, b"0")),  # as shell.nanoseconds
            )

    def manifest(self) -> Manifest:
        """The files as a title's, for a listing whose base was the title."""
        return tuple(
            [FileSeen(path, size, mtime_ns) for path, (size, mtime_ns) in sorted(self.files.items())]
        )


class Mounts:
    """Mount points below a folder, out of the records of `mounts` in list.sh."""

    def __init__(self, folder: str = "") -> None:
        self._folder = folder  # as it was named, until its true name is told: a root may be reached by a link
        self._points: set[str] = set()

    def add(self, record: bytes) -> bool:
        """Take one record in; False for one that is about something else."""
        kind, rest = record[:2], record[2:]
        if kind == b"r ":
            self._folder = text(rest)
        elif kind == b"m ":
            self._points.add(plain(rest))
        elif kind == b"M ":
            self._points.add(text(rest))
        else:
            return False
        return True

    @property
    def below(self) -> frozenset[str]:
        """Relative to the folder."""
        inside = self._folder.rstrip("/") + "/"
        return frozenset(
            point[len(inside) :] for point in self._points if point.startswith(inside) and point != inside
        )


def parse_listing(data: bytes) -> Listing:
    """A listing out of NUL-terminated records."""
    listing = Listing()
    for record in records(data):
        listing.add(record)
    return listing


@dataclass
class ScanAnswer:
    """What scan.sh said.

    delta:   `now` and `gone` tell only what changed since the listing that was named
    gone:    paths that are no longer there as they were (in `now` too when they changed)
    mounts:  mount points below the root, relative to it
    listing: name of the listing now kept on the volume, "" for none
    errors:  something could not be read
    """

    now: Listing
    delta: bool = False
    gone: set[str] = field(default_factory=set)
    mounts: frozenset[str] = frozenset()
    listing: str = ""
    errors: bool = False


def parse_scan(data: bytes, root: str) -> ScanAnswer:
    """Raises ValueError when the answer was cut off: then it says nothing about what is not in it."""
    rows = records(data)
    if len(rows) < 2 or rows[0] not in (b"scan full", b"scan delta") or not rows[-1].startswith(b"end "):
        raise ValueError("the answer was cut off")
    answer = ScanAnswer(Listing(), delta=rows[0] == b"scan delta")
    mounts = Mounts(root)
    for row in rows[1:-1]:
        if mounts.add(row):
            continue
        if row.startswith(b"-"):
            if row.startswith(b"-f "):
                answer.gone.add(text(row.split(b" ", 3)[3]))
            elif row.startswith(b"-! "):
                # It could not be read before: what is in it now comes as new.
                continue
        else:
            answer.now.add(row[1:] if row.startswith(b"+") else row)
    answer.mounts = mounts.below
    _, status, listing = (rows[-1].split(b" ") + [b""])[:3]
    answer.errors = status != b"0"
    answer.listing = text(listing)
    return answer


def group(files: Iterable[tuple[str, int, int]], patterns: TitlePatterns) -> dict[str, Manifest]:
    """Files (path, size, mtime_ns) by the titles they belong to; those of no title are left out."""
    titles: dict[str, list[FileSeen]] = {}
    for path, size, mtime_ns in files:
        for title in patterns.titles_of(path):
            titles.setdefault(title, []).append(FileSeen(path[len(title) + 1 :], size, mtime_ns))
    return {title: tuple(sorted(found, key=lambda one: one.path)) for title, found in titles.items()}


def under(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is in, is, or holds one of these folders; "" is everywhere."""
    return any(not folder or concerns(path, (folder,)) for folder in folders)


def regroup(
    answer: ScanAnswer, patterns: TitlePatterns, before: dict[str, Manifest]
) -> dict[str, Manifest | None]:
    """The titles that a delta changes, out of what they were. `before` must hold every title it touches."""
    changed: dict[str, dict[str, FileSeen]] = {}

    def files_of(title: str) -> dict[str, FileSeen]:
        if title not in changed:
            changed[title] = {one.path: one for one in before.get(title, ())}
        return changed[title]

    for path in answer.gone:
        for title in patterns.titles_of(path):
            files_of(title).pop(path[len(title) + 1 :], None)
    for path, (size, mtime_ns) in answer.now.files.items():
        for title in patterns.titles_of(path):
            inner = path[len(title) + 1 :]
            files_of(title)[inner] = FileSeen(inner, size, mtime_ns)
    return {title: tuple(files[path] for path in sorted(files)) or None for title, files in changed.items()}


def touched(answer: ScanAnswer, patterns: TitlePatterns) -> set[str]:
    """The titles that a delta says something about."""
    return {title for path in (*answer.gone, *answer.now.files) for title in patterns.titles_of(path)}
