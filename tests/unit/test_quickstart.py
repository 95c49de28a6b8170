"""`make run`, as far as it can be tested without make: the sample fleet, and the loop that brings it to its floors."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

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
