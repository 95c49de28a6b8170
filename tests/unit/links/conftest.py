"""Fixtures: an sshd on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.links.loopback import SSHD, Sshd


@pytest.fixture
def make_sshd(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    if SSHD is None:
        pytest.skip("sshd is not installed (apt install openssh-server)")
    made: list[Sshd] = []

    def make(name: str = "sshd", extra: list[str] | None = None) -> Sshd:
        sshd = Sshd(tmp_path / name, extra=extra or [])
        made.append(sshd)
        sshd.prepare()
        sshd.start()
        return sshd

    yield make
    for sshd in made:
        sshd.stop()


@pytest.fixture
def sshd(make_sshd: Callable[..., Sshd]) -> Sshd:
    return make_sshd()
