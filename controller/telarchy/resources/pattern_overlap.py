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
    # most patterns begin with a plain folder name, and only those with the same one can meet; and only a pattern
    # that is less deep can hold another's titles, so thousands of one depth are compared with none
    by_folder: dict[str, dict[int, list[_Selected]]] = defaultdict(lambda: defaultdict(list))
    for one in selected:
        by_folder[_folder(one)][depth(one.pattern)].append(one)
    for inner in selected:
        near = (_folder(inner), "*") if _folder(inner) != "*" else tuple(by_folder)
        outer = next(
            (
                one
                for folder in near
                for level, found in by_folder.get(folder, {}).items()
                if level < depth(inner.pattern)
                for one in found
                if _lies_inside(inner, one)
            ),
            None,
        )
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


def _folder(one: _Selected) -> str:
    """The folder that a pattern begins with, `*` for any."""
    first = one.pattern.split("/", 1)[0]
    return first if is_literal(first) else "*"


def _lies_inside(inner: _Selected, outer: _Selected) -> bool:
    if not may_contain(outer.pattern, inner.pattern):
        return False
    folder = "/".join(inner.pattern.split("/")[: depth(outer.pattern)])
    return not any(covers(one, folder) for one in outer.exclude) and not any(
        covers(one, inner.pattern) for one in inner.exclude
    )
