"""The command line in this process, over a room of toys, and a small fleet for it."""

import pytest

from telarchy.cli import main as entry
from tests.unit.cli.smallfleet import MANIFESTS
from tests.unit.runtime.toyroom import Toys


class Ended:
    """What a run of the command line left."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


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
        with pytest.raises(SystemExit) as end:
            entry.main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.out + shown.err
        return Ended(end.value.code, shown.out, shown.err)

    return call


@pytest.fixture
def fleet(tmp_path):
    path = tmp_path / "fleet"
    path.mkdir()
    (path / "fleet.yaml").write_text(MANIFESTS)
    return path
