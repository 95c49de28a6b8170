"""For all tests: the cheap ones first, and nothing of the person's own environment."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

SLOW = ("browser", "operator", "lab")  # folders whose tests take minutes, in this order
PURE = ("property", "plans")  # what fails here fails for a reason, and at every try
SECOND_CHANCES = 2
LACKING = re.compile(
    r"\bnot installed\b|\bneeds\b"
)  # so says whoever skips a test for want of a program, or of root
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI what a test lacks is a failure: what was skipped for it would look as good as what passed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if LACKING.search(reason):
            report.outcome = "failed"
            report.longrepr = f"CI has to have it: {reason}"
    return report
