"""Path patterns against brute force."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.resources.patterns import components_meet, covers, excludes, matches, may_contain, selects


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("tv/*/*", "tv/Show/Season 01", True),
        ("tv/*/*", "tv/Show", False),
        ("tv/*/*", "tv/Show/Season 01/e1.mkv", False),
        ("films/*", "Films/x", False),
        ("films/A[!b]?", "films/Acd", True),
        ("films/A[!b]?", "films/Abd", False),
        ("films/[[]x]", "films/[x]", True),
        ("*", "films", True),
    ],
)
def test_matches(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_an_exclude_takes_everything_beneath() -> None:
    assert excludes("tv/Kids", "tv/Kids/Season 01")
    assert not excludes("tv/Kids/Season 01", "tv/Kids")
    assert selects(["tv/*/*"], ["tv/Kids"], "tv/Show/Season 01")
    assert not selects(["tv/*/*"], ["tv/Kids"], "tv/Kids/Season 01")


def test_covers() -> None:
    assert covers("tv/*", "tv/Kids/*")
    assert covers("tv/K*", "tv/Kids")
    assert not covers("tv/K*", "tv/*")
    assert not covers("tv/*/*", "tv/*")


def test_may_contain() -> None:
    assert may_contain("tv/*", "tv/*/*")
    assert may_contain("*/S*", "tv/[RST]how/x")
    assert not may_contain("tv/*", "films/*/*")
    assert not may_contain("tv/*", "tv/*")


components = st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]"]), min_size=1, max_size=4).map(
    "".join
)
NAMES = ["".join(letters) for size in range(1, 6) for letters in product("ab", repeat=size)]


@given(components, components)
def test_components_meet_where_some_name_matches_both(one: str, other: str) -> None:
    common = any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in NAMES)
    if common:
        assert components_meet(one, other)
    elif "[" not in one or "[" not in other:
        # two sets are taken to meet, so only then may it say yes without a common name (of these letters)
        assert not components_meet(one, other) or "[!a]" in one + other
    assert components_meet(one, other) == components_meet(other, one)
