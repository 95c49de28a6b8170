"""Fixtures: services that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from telarchy.core.service import Service
from tests.unit.streaming.running import Running, need

Run = Callable[..., Running]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a service in `tmp_path / base`."""
    need("nginx")
    made: list[Running] = []

    def one(service: Service, secrets: Mapping[str, bytes] | None = None, base: str = "base") -> Running:
        folder = tmp_path / base
        folder.mkdir(exist_ok=True)
        made.append(Running(folder, service, secrets))
        return made[-1]

    yield one
    for service in reversed(made):
        service.stop()
        service.kill()
