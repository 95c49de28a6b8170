"""Path patterns: what they match, and how two of them relate.

A pattern is a relative path whose components may hold `*` (any run of characters), `?` (one), and `[…]`
(one of a set, `[!…]` none of it). None of them crosses a `/`: the number of components sets what one title
is. Letters are compared as they are, on every system.

An exclude pattern leaves out what it matches and everything beneath it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from fnmatch import fnmatchcase

_WILD = frozenset("*?[")


def depth(pattern: str) -> int:
    """How many components deep a pattern's titles lie under the media root."""
    return pattern.count("/") + 1


def is_literal(component: str) -> bool:
    """Whether it is a plain name, without wildcards."""
    return _WILD.isdisjoint(component)


def matches(pattern: str, path: str) -> bool:
    """Whether `path` (relative, `/`-separated) is a title of `pattern`."""
    wanted, found = pattern.split("/"), path.split("/")
    return len(wanted) == len(found) and all(map(component_matches, wanted, found))


def excludes(pattern: str, path: str) -> bool:
    """Whether an exclude pattern leaves `path` out: it matches it, or a folder that it lies in."""
    wanted, found = pattern.split("/"), path.split("/")
    return len(wanted) <= len(found) and all(map(component_matches, wanted, found))


def selects(paths: Iterable[str], exclude: Iterable[str], path: str) -> bool:
    """Whether a floor that selects `paths` without `exclude` has `path` as a title."""
    return any(matches(one, path) for one in paths) and not any(excludes(one, path) for one in exclude)


def covers(outer: str, inner: str) -> bool:
    """Whether the exclude pattern `outer` surely leaves out all that the pattern `inner` matches.

    Errs towards False: two spellings of one set of names are not compared.
    """
    wide, narrow = outer.split("/"), inner.split("/")
    return len(wide) <= len(narrow) and all(
        one == "*" or one == other or (is_literal(other) and component_matches(one, other))
        for one, other in zip(wide, narrow, strict=False)
    )


def may_contain(outer: str, inner: str) -> bool:
    """Whether some title of `inner` may lie inside some title of `outer` (which is less deep)."""
    above, below = outer.split("/"), inner.split("/")
    return len(above) < len(below) and all(
        map(components_meet, above, below)  # map stops at the end of the shorter one
    )


def component_matches(pattern: str, name: str) -> bool:
    """Whether one component matches one name. As in a shell, a wildcard does not match a leading dot:
    `.DS_Store` and half-written `.part` files are nobody's library."""
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return pattern in ("*", name) or (not is_literal(pattern) and fnmatchcase(name, pattern))


def components_meet(one: str, other: str) -> bool:
    """Whether some name is matched by both components. Two sets are taken to have a character in common."""
    if one == other or "*" in (one, other):
        return True
    if is_literal(one):
        return component_matches(other, one)
    if is_literal(other):
        return component_matches(one, other)
    return _tokens_meet(_tokens(one), _tokens(other))


@functools.lru_cache(maxsize=4096)
def _tokens(component: str) -> tuple[str, ...]:
    """The component cut into single characters, `*`, `?` and `[…]` sets."""
    tokens: list[str] = []
    at = 0
    while at < len(component):
        end = at + 1
        if component[at] == "[":
            # a `]` right after the opening (or after `!`) belongs to the set
            closing = component.find("]", at + (3 if component[at + 1 : at + 2] == "!" else 2))
            end = closing + 1 if closing != -1 else end
        tokens.append(component[at:end])
        at = end
    return tuple(tokens)


def _tokens_meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Runs both patterns side by side over every name at once; `reached` are pairs of places in them."""
    reached = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        left, right = waiting.pop()
        if left == len(one) and right == len(other):
            return True
        a = one[left] if left < len(one) else ""
        b = other[right] if right < len(other) else ""
        steps = []
        if a == "*":
            steps.append((left + 1, right))
            steps += [(left, right + 1)] if b else []
        if b == "*":
            steps.append((left, right + 1))
            steps += [(left + 1, right)] if a else []
        if a and b and "*" not in (a, b) and _one_meets(a, b):
            steps.append((left + 1, right + 1))
        fresh = [step for step in steps if step not in reached]
        reached.update(fresh)
        waiting += fresh
    return False


def _one_meets(a: str, b: str) -> bool:
    """Whether two one-character tokens have a character in common."""
    if len(a) > 1 and len(b) > 1:
        return True
    if len(a) > 1:
        return b == "?" or fnmatchcase(b, a)
    if len(b) > 1:
        return a == "?" or fnmatchcase(a, b)
    return "?" in (a, b) or a == b
