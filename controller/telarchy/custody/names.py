"""Titles as numbers: 1,000,000 names in compact chunks, decoded only where somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from telarchy.custody.titles import TitlePatterns

CHUNK = 4096  # names per chunk; only the last, unfinished one is ever written again


class TitleNames:
    """Names of titles by id (0, 1, 2, …; never reused) and what the floors' patterns say of each.

    marks:      per title, an index into `mark_sets`
    mark_sets:  sets of `+pattern` and `-pattern`, see `TitlePatterns.marks`
    """

    def __init__(
        self,
        chunks: Iterable[bytes] = (),
        marks: npt.NDArray[np.int16] | None = None,
        mark_sets: Sequence[frozenset[str]] = (),
    ) -> None:
        self._chunks: list[bytes | list[str]] = list(chunks)
        full = max(0, len(self._chunks) - 1) * CHUNK
        self._count = full + (len(self._decoded(len(self._chunks) - 1)) if self._chunks else 0)
        self.mark_sets: list[frozenset[str]] = list(mark_sets)
        self._set_numbers = {one: number for number, one in enumerate(self.mark_sets)}
        self._marks = np.zeros(max(CHUNK, self._count), np.int16)
        self.marked = marks is not None and len(marks) == self._count
        if marks is not None and self.marked:
            self._marks[: self._count] = marks
        self._numbers: dict[str, int] | None = None
        self._named: dict[int, str] = {}  # names that were asked for out of chunks that are still packed
        self.dirty_from = self._count  # first id that is not stored yet
        self.forgotten: set[int] = set()  # given up by a person; remembered again as soon as a host has one

    def __len__(self) -> int:
        return self._count

    @property
    def marks(self) -> npt.NDArray[np.int16]:
        return self._marks[: self._count]

    def name(self, number: int) -> str:
        held = self._chunks[number // CHUNK]
        if not isinstance(held, bytes):
            return held[number % CHUNK]
        known = self._named.get(number)
        if known is None:
            known = self._named[number] = _nth(held, number % CHUNK)
        return known

    def find(self, name: str) -> int | None:
        """The id of a name, None when it was never seen."""
        return self._index().get(name)

    def intern(self, name: str, patterns: TitlePatterns) -> int:
        """The id of a name, given now if it has none."""
        known = self._index().get(name)
        if known is not None:
            return known
        number = self._count
        if number % CHUNK == 0:
            self._chunks.append([])
        self._decoded(number // CHUNK).append(name)
        self._count += 1
        if self._count > len(self._marks):
            self._marks = np.concatenate([self._marks, np.zeros(len(self._marks), np.int16)])
        self._marks[number] = self._mark_number(patterns.marks(name))
        self._index()[name] = number
        return number

    def mark_all(self, patterns: TitlePatterns) -> None:
        """Ask the patterns about every name anew."""
        self.mark_sets, self._set_numbers = [], {}
        for number in range(self._count):
            self._marks[number] = self._mark_number(patterns.marks(self.name(number)))
        self.marked = True

    def chunk(self, index: int) -> bytes:
        """One chunk as it is stored: names joined by NUL, which no path can contain."""
        held = self._chunks[index]
        return held if isinstance(held, bytes) else "\0".join(held).encode("utf-8", "surrogateescape")

    def _mark_number(self, marks: frozenset[str]) -> int:
        number = self._set_numbers.get(marks)
        if number is None:
            number = self._set_numbers[marks] = len(self.mark_sets)
            self.mark_sets.append(marks)
        return number

    def _decoded(self, index: int) -> list[str]:
        held = self._chunks[index]
        if isinstance(held, bytes):
            held = self._chunks[index] = held.decode("utf-8", "surrogateescape").split("\0")
        return held

    def _index(self) -> dict[str, int]:
        if self._numbers is None:
            self._numbers = {}
            for index in range(len(self._chunks)):
                first = index * CHUNK
                self._numbers.update(zip(self._decoded(index), range(first, first + CHUNK), strict=False))
            self._named.clear()
        return self._numbers


def _nth(chunk: bytes, at: int) -> str:
    """One name out of a packed chunk, without unpacking the others."""
    ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == 0)
    first = int(ends[at - 1]) + 1 if at else 0
    last = int(ends[at]) if at < len(ends) else len(chunk)
    return chunk[first:last].decode("utf-8", "surrogateescape")
