"""Fixtures of the lab: one lab per test session, its hosts reset between tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.readiness import lab_declined, lab_required, missing_prerequisites
from tests.lab.tree import layers

_HERE = Path(__file__).parent
_FIRST_TREE_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a lab test, and the first of them may have to build a tree."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_FIRST_TREE_SECONDS))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The session's lab. Where it cannot be: a failure on CI, a skip with the reason elsewhere."""
    if lab_declined() and not lab_required():
        pytest.skip("no lab: TELARCHY_LAB=off")
    if missing := missing_prerequisites():
        reason = f"no lab on this machine: {'; '.join(missing)}"
        if lab_required():
            pytest.fail(reason)
        pytest.skip(reason)
    with Lab() as running:
        yield running


@pytest.fixture
def fleet(lab: Lab) -> Iterator[MakeFleet]:
    """Hosts that live as long as the session, reset for this test: `nas, vps = fleet("nas", "vps")`.

    With `fresh=True` their systems are installed anew too (about a second; for tests that change /etc).
    """

    def make(
        *names: str,
        volumes: Mapping[str, int] | None = None,
        packages: Sequence[str] = (),
        fresh: bool = False,
    ) -> tuple[LabHost, ...]:
        wanted = {"/srv/media": 256} if volumes is None else volumes
        lower = layers(packages)

        def ready(name: str) -> LabHost:
            host = lab[name] if name in lab else lab.host(name, boot=False, packages=packages)
            if host.layers != lower or (fresh and host.booted):
                host.reinstall(lower)
            host.reset(wanted)
            return host

        lab.heal_all()
        with ThreadPoolExecutor(max_workers=8) as pool:
            return tuple(pool.map(ready, names or ("nas", "vps", "laptop")))

    yield make
    lab.heal_all()
