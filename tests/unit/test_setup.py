"""`tools/setup.sh` around a step that takes long. The Python of the virtual environment is a stand-in here: a real
installation takes a minute and a network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("result", [0, 1])
def test_a_long_step_says_that_it_goes_on(tmp_path: Path, result: int) -> None:
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\ncase "$*" in *install*) sleep 3; exit {result};; esac\n')
    python.chmod(0o755)
    environment = {**os.environ, "VENV": str(tmp_path / "venv"), "TELARCHY_SETUP_BEAT": "1"}
    done = subprocess.run(
        ["sh", "tools/setup.sh", "run"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert "telarchy: … still at it after 1 s\n" in done.stderr
    assert done.returncode == result
    assert (tmp_path / "venv/.made-for-run").exists() == (result == 0)
