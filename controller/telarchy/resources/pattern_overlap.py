"""Floors that take the same files for titles of different depth: `tv/*` (a show) and `tv/*/*` (a season).

One title inside another is copied and counted twice, and trimming the inner one damages the outer. It is a
warning and not an error, since only the files can tell whether two patterns really meet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from telarchy.errors import Problem
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.loader import LoadedResource
from telarchy.resources.patterns import covers, depth, is_literal, may_contain


class _Selected(NamedTuple):
    """One selected pattern, and whose it is."""

    pattern: str
    exclude: tuple[str, ...]
    loaded: LoadedResource
    place: int


def overlaps(floors: Sequence[LoadedResource]) -> Iterator[Problem]:
    """A warning at each pattern whose titles may lie inside another pattern's titles."""
    selected = [
        _Selected(pattern, loaded.resource.spec.select.exclude, loaded, index)
        for loaded in floors
        if isinstance(loaded.resource, CustodyFloor)
        for index, pattern in enumerate(loaded.resource.spec.select.paths)
    ]
    # most patterns begin with a plain folder name, and only those with the same one can meet
    by_folder: dict[str, list[_Selected]] = defaultdict(list)
    for one in selected:
        folder = one.pattern.split("/", 1)[0]
        by_folder[folder if is_literal(folder) else "*"].append(one)
    for inner in selected:
        folder = inner.pattern.split("/", 1)[0]
        near = by_folder[folder] + by_folder["*"] if is_literal(folder) else selected
        outer = next((one for one in near if _lies_inside(inner, one)), None)
        if outer is None:
            continue
        whose = "this floor's" if outer.loaded is inner.loaded else f"{outer.loaded.ref}'s"
        yield inner.loaded.problem(
            f"titles of `{inner.pattern}` may lie inside titles of {whose} `{outer.pattern}`; exclude them there, "
            "or select at one depth",
            ("spec", "select", "paths", inner.place),
            rule="title-inside-title",
            severity="warning",
        )


def _lies_inside(inner: _Selected, outer: _Selected) -> bool:
    if depth(outer.pattern) >= depth(inner.pattern) or not may_contain(outer.pattern, inner.pattern):
        return False
    folder = "/".join(inner.pattern.split("/")[: depth(outer.pattern)])
    return not any(covers(one, folder) for one in outer.exclude) and not any(
        covers(one, inner.pattern) for one in inner.exclude
    )
