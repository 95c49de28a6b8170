"""`make run`, as far as it can be tested without make: the sample fleet, and the loop that brings it to its floors."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from telarchy.cli import exits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "tools" / "quickstart.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TARGET", tmp_path / 'a "place" with spaces: #1' / "quickstart")
    return module


def telarchy(*words: str, at: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "telarchy",
        *words,
        "--source",
        str(at / "fleet"),
        "--state",
        str(at / "state"),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=150)


def copies(at: Path) -> Counter[str]:
    """Sample file → on how many hosts it is, byte for byte as it was made."""
    found: Counter[str] = Counter()
    first: dict[str, bytes] = {}
    for host in sorted((at / "hosts").iterdir()):
        for file in sorted((host / "media").rglob("*.*")):
            name = str(file.relative_to(host / "media"))
            if file.is_file() and not name.startswith(".telarchy"):
                assert first.setdefault(name, file.read_bytes()) == file.read_bytes(), file
                found[name] += 1
    return found


def test_making_it_twice_changes_nothing_that_a_person_did(quickstart: ModuleType) -> None:
    quickstart.main()
    floors = quickstart.TARGET / "fleet" / "floors.yaml"
    floors.write_text("# mine\n")
    shutil.rmtree(quickstart.TARGET / "hosts" / "cellar")
    quickstart.main()
    assert floors.read_text() == "# mine\n"
    assert not (quickstart.TARGET / "hosts" / "cellar").exists()


def test_a_quick_start_that_was_moved_says_so(
    quickstart: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickstart.main()
    moved = quickstart.TARGET.rename(quickstart.TARGET.with_name("elsewhere"))
    monkeypatch.setattr(quickstart, "TARGET", moved)
    with pytest.raises(SystemExit, match="make clean-run"):
        quickstart.main()


@pytest.mark.timeout(400)
def test_it_reaches_its_floors_and_stays_there(quickstart: ModuleType) -> None:
    quickstart.main()
    at = quickstart.TARGET
    fleet = at / "fleet" / "fleet.yaml"
    fleet.write_text(re.sub(r"(?m)^ *bandwidth:.*\n", "", fleet.read_text()))
    before = copies(at)
    assert min(before.values()) == 1

    planned = telarchy("plan", at=at)
    assert planned.returncode == 2, planned.stderr
    assert copies(at) == before and not list(at.glob("hosts/*/media/.telarchy"))

    ran = telarchy("run", "--until-settled", "--timeout", "2m", at=at)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    after = copies(at)
    assert after.keys() == before.keys() and set(after.values()) == {2}

    planned = telarchy("plan", at=at)
    assert planned.returncode == 0, planned.stdout
    again = telarchy("run", "--until-settled", "--timeout", "2m", at=at)
    assert again.returncode == 0 and "CopyDone" not in again.stdout
    assert copies(at) == after


class Terminal:
    """A process on a terminal of its own, 80 by 24."""

    def __init__(self, *command: str) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            for one in (signal.SIGHUP, signal.SIGINT):  # which whoever began the tests may have had ignored
                signal.signal(one, signal.SIG_DFL)
            os.execvp(command[0], command)
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.shown = b""

    def until(self, text: bytes, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown[-2000:]
            if select.select([self.screen], [], [], 0.2)[0]:
                self.shown += os.read(self.screen, 65536)

    def ended(self, seconds: float = 30.0) -> int | None:
        """Its exit status; None while it runs on."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            # what is not read would block the one who writes it
            with suppress(OSError):
                time.sleep(0.05)
                if select.select([self.screen], [], [], 0.1)[0]:
                    os.read(self.screen, 65536)
        return None


@pytest.fixture
def on_a_terminal(quickstart: ModuleType) -> Iterator[Terminal]:
    quickstart.main()
    at = quickstart.TARGET
    run = ("run", "--source", str(at / "fleet"), "--state", str(at / "state"))
    terminal = Terminal(sys.executable, "-m", "telarchy", *run)
    yield terminal
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(terminal.pid, signal.SIGKILL)
        os.waitpid(terminal.pid, 0)


@pytest.mark.timeout(200)
def test_the_live_view_ends_with_its_terminal_and_not_with_a_hangup_signal(
    quickstart: ModuleType, on_a_terminal: Terminal
) -> None:
    on_a_terminal.until(b"films-twice")
    os.kill(on_a_terminal.pid, signal.SIGHUP)
    assert on_a_terminal.ended(1.5) is None
    os.close(on_a_terminal.screen)
    assert on_a_terminal.ended() == exits.READER_GONE
    assert not list(quickstart.TARGET.glob("state/crash-*"))


@pytest.mark.timeout(200)
def test_ctrl_c_ends_the_live_view(on_a_terminal: Terminal) -> None:
    on_a_terminal.until(b"films-twice")
    os.write(on_a_terminal.screen, b"\x03")
    assert on_a_terminal.ended() == 130
