"""Which paths are titles. A floor's pattern names a depth under the media root, and what stands there is one title.

What one component matches is said in `resources.patterns`; here many patterns are asked about many paths at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from telarchy.resources.patterns import component_matches

_REMEMBERED = 200_000  # answers kept; a title is asked for once per file under it


class Pattern:
    """One path pattern: as many components as the titles it selects."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.components = tuple(text.split("/"))
        self.depth = len(self.components)

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether it matches the path with these components; the depths must be equal."""
        return len(parts) == self.depth and all(
            component_matches(wanted, part) for part, wanted in zip(parts, self.components, strict=True)
        )


class TitlePatterns:
    """All patterns of a fleet's floors, asked together. Immutable."""

    def __init__(self, select: Iterable[str], exclude: Iterable[str] = ()) -> None:
        self.select = frozenset(select)
        self.exclude = frozenset(exclude)
        self._seen: dict[str, bool] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TitlePatterns):
            return NotImplemented
        return (self.select, self.exclude) == (other.select, other.exclude)

    def __hash__(self) -> int:
        return hash((self.select, self.exclude))

    @cached_property
    def _selecting(self) -> tuple[tuple[int, tuple[Pattern, ...]], ...]:
        depths: dict[int, list[Pattern]] = {}
        for pattern in map(Pattern, sorted(self.select)):
            depths.setdefault(pattern.depth, []).append(pattern)
        return tuple((depth, tuple(patterns)) for depth, patterns in sorted(depths.items()))

    @cached_property
    def _excluding(self) -> tuple[Pattern, ...]:
        return tuple(map(Pattern, sorted(self.exclude)))

    def titles_of(self, path: str) -> tuple[str, ...]:
        """The titles that a file belongs to (one per depth that matches), shallowest first; () for none."""
        parts = path.split("/")
        found = []
        for depth, patterns in self._selecting:
            if depth > len(parts):
                break
            title = path if depth == len(parts) else "/".join(parts[:depth])
            hit = self._seen.get(title)
            if hit is None:
                if len(self._seen) > _REMEMBERED:
                    self._seen.clear()
                hit = self._seen[title] = any(pattern.matches(parts[:depth]) for pattern in patterns)
            if hit:
                found.append(title)
        return tuple(found)

    def marks(self, title: str) -> frozenset[str]:
        """Every pattern that says something about this title: `+p` selects it, `-p` leaves it (or all above it) out."""
        parts = title.split("/")
        chosen = {
            "+" + one.text
            for depth, ones in self._selecting
            if depth == len(parts)
            for one in ones
            if one.matches(parts)
        }
        left_out = {
            "-" + one.text
            for one in self._excluding
            if one.depth <= len(parts) and one.matches(parts[: one.depth])
        }
        return frozenset(chosen | left_out)


def selects(marks: frozenset[str], select: Iterable[str], exclude: Iterable[str] = ()) -> bool:
    """Whether a floor with these patterns is about a title with these marks."""
    return any("+" + pattern in marks for pattern in select) and not any(
        "-" + pattern in marks for pattern in exclude
    )
