"""From what the loader found to what is usable, broken, or not fully known.

The loader says what is wrong where; a source needs to know *which resource* that is, so that the others go on
and the last good version of this one stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from telarchy.errors import Problem
from telarchy.resources import references
from telarchy.resources.loader import Loaded, LoadedResource
from telarchy.resources.meta import DEFAULT_NAMESPACE, Ref, Resource
from telarchy.resources.registry import resolve_kind
from telarchy.runtime.revision import Manifests

UNUSABLE = ("declared-twice", "second-fleet")
"""The findings between resources that leave one of them without a meaning; the others are advice."""

_KIND = re.compile(r"^\W*kind\W+([A-Za-z]+)", re.MULTILINE)
_METADATA = re.compile(r"^\W*metadata\W(?P<inside>.*(?:\n(?:[ \t].*)?)*)", re.MULTILINE)
_NAME = re.compile(r"\bname\b[\"']?\s*:\s*[\"']?([a-z0-9][-a-z0-9.]*)")
_NAMESPACE = re.compile(r"\bnamespace\b[\"']?\s*:\s*[\"']?([a-z0-9][-a-z0-9.]*)")


def usable(loaded: Loaded, text_of: Callable[[str], str]) -> Manifests:
    """Sort what was loaded. `text_of(file)` gives a file's text again, "" if there is none."""
    resources: dict[Ref, Resource] = {}
    places: dict[Ref, str] = {}
    broken: dict[Ref, list[Problem]] = {}
    unread: list[Problem] = []
    damaged: set[str] = set()
    for problem in loaded.errors:
        damaged.add(problem.file)
        ref = named_near(text_of(problem.file), problem.line)
        if ref is not None:
            broken.setdefault(ref, []).append(problem)
        else:
            unread.append(problem)
    for one in loaded.resources:
        resources[one.ref], places[one.ref] = one.resource, one.file
        broken.pop(one.ref, None)
    advice: dict[Ref, list[Problem]] = {}
    crossed = references.check(loaded)
    for problem in crossed:
        owner = _owner(problem, loaded.resources)
        if owner is not None and problem.severity == "error":
            (broken if problem.rule in UNUSABLE else advice).setdefault(owner, []).append(problem)
    for ref in broken:
        resources.pop(ref, None)
    return Manifests(
        resources=resources,
        places=places,
        broken={ref: tuple(problems) for ref, problems in sorted(broken.items())},
        advice={ref: tuple(problems) for ref, problems in sorted(advice.items())},
        unread=tuple(unread),
        damaged=frozenset(damaged),
        problems=(*loaded.problems, *crossed),
    )


def named_near(text: str, line: int) -> Ref | None:
    """The resource that the document around `line` seems to be, judged by its text alone.

    The document may not be YAML at all, so this looks for `kind:` and for `name:` under `metadata:` as a
    person would.
    """
    lines = text.splitlines()
    first = last = min(max(line, 1), len(lines)) - 1 if lines else 0
    while first > 0 and not lines[first].startswith("---"):
        first -= 1
    while last + 1 < len(lines) and not lines[last + 1].startswith("---"):
        last += 1
    document = "\n".join(lines[first : last + 1])
    kind_found, metadata = _KIND.search(document), _METADATA.search(document)
    kind = resolve_kind(kind_found[1]) if kind_found else None
    name = _NAME.search(metadata["inside"]) if metadata else None
    if kind is None or metadata is None or name is None:
        return None
    namespace = _NAMESPACE.search(metadata["inside"])
    return Ref(kind.name, namespace[1] if namespace else DEFAULT_NAMESPACE, name[1])


def _owner(problem: Problem, resources: list[LoadedResource]) -> Ref | None:
    """The loaded resource in whose lines a problem stands."""
    before = [
        one for one in resources if one.file == problem.file and one.positions.root.line <= problem.line
    ]
    return max(before, key=lambda one: one.positions.root.line).ref if before else None
