"""On CI a missing program is a failure: a run that skipped half of its tests would look as good as a whole one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="frobnicate is not installed")
def test_marked(): ...

@pytest.fixture
def program():
    pytest.skip("frobnicate is not installed (apt install frobnicate)")

def test_asks(program): ...

def test_inside():
    pytest.skip("needs frobnicate")

def test_other():
    pytest.skip("this browser plays no HLS by itself")
"""


@pytest.mark.parametrize(("ci", "told"), [("true", "1 skipped"), ("", "4 skipped")])
def test_a_missing_program_fails_on_ci_alone(tmp_path: Path, ci: str, told: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "--rootdir",
        str(tmp_path),
        "-c",
        os.devnull,
    ]
    command += ["-p", "no:cacheprovider", "--reruns", "0", str(tmp_path)]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert told in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert (done.returncode == 0) == (ci != "true")
    if ci:
        assert "3 failed" in done.stdout or "errors" in done.stdout
        assert "CI has to have it: frobnicate is not installed" in done.stdout
