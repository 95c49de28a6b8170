"""The command line in this process, over a room of toys, and a small fleet for it."""

import pytest

from tests.unit.cli.calling import called
from tests.unit.cli.smallfleet import MANIFESTS
from tests.unit.runtime.toyroom import Toys


@pytest.fixture
def toys(monkeypatch):
    room = Toys()
    monkeypatch.setattr("telarchy.runtime.engine.furnish", lambda store, clock, **_: room.rooms())
    return room


@pytest.fixture
def telarchy(capsys, tmp_path, monkeypatch, toys):
    monkeypatch.setenv("TELARCHY_STATE", str(tmp_path / "state"))

    def call(*arguments, stdin=None):
        if stdin is not None:
            file = tmp_path / "stdin"
            file.write_text(stdin)
            monkeypatch.setattr("sys.stdin", file.open())
        return called(capsys, *arguments)

    return call


@pytest.fixture
def fleet(tmp_path):
    path = tmp_path / "fleet"
    path.mkdir()
    (path / "fleet.yaml").write_text(MANIFESTS)
    return path
