"""For all tests: the cheap ones first, and nothing of the person's own environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SLOW = ("browser", "operator", "lab")  # folders whose tests take minutes, in this order
PURE = ("property", "plans")  # what fails here fails for a reason, and at every try
SECOND_CHANCES = 2
FOREIGN = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "XDG_STATE_HOME")  # git sets these for its hooks


def pytest_configure() -> None:
    for name in list(os.environ):
        ours = name.startswith("TELARCHY_") and not name.startswith(
            ("TELARCHY_LAB", "TELARCHY_UPDATE", "TELARCHY_TEST")
        )
        if ours or name in FOREIGN:
            del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent

    def lateness(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0] if here in item.path.parents else ""
        return 1 + SLOW.index(folder) if folder in SLOW else 0

    items.sort(key=lateness)
    if os.environ.get("CI") == "true":
        _give_second_chances(items)


def _give_second_chances(items: list[pytest.Item]) -> None:
    """Tests wait for real processes, and booted machines share the cores of this one: a moment without any of them
    can outlast a test's patience. On CI such a test is tried again, and the report shows it (`R`); a person sees
    the failure at once."""
    for item in items:
        if not set(PURE) & set(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=SECOND_CHANCES))
