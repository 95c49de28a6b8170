"""What the house asks of every file in it, besides what ruff, mypy and import-linter see."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted((ROOT / "controller").rglob("*.py"))
MOST_LINES = 500  # a longer file has two subjects

# Spelt in pieces, so that this file keeps its own rules.
INDEX_ADDRESS = re.compile(
    "|".join((r"pypi" + r"\.org", "python" + "hosted", "/sim" + "ple/", "index" + "-url"))
)
HOME_PATH = re.compile(r"(^|[\s\"'=:(])(/home/|/Users/|/ro" + r"ot/|/wo" + r"rk/)(?!me/|media/|u4711/|\.)")
UNFINISHED = re.compile(r"\b(TO" + "DO|FIX" + "ME|XX" + "X)\\b")
SAMPLES = ("tests/", "examples/", "docs/", "README.md")  # where made-up home folders stand for a reader's own


def tracked() -> list[Path]:
    """Text files that git keeps, or would keep at the next commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    files = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8192]]


def offences(pattern: re.Pattern[str], *, but: tuple[str, ...] = ()) -> list[str]:
    found = []
    for file in tracked():
        name = str(file.relative_to(ROOT))
        if name.startswith(but):
            continue
        for number, line in enumerate(
            file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        ):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    return found


def test_no_file_is_longer_than_a_subject() -> None:
    long = {str(one.relative_to(ROOT)): len(one.read_text().splitlines()) for one in CODE}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_every_module_says_why_it_exists() -> None:
    silent = [
        str(one.relative_to(ROOT))
        for one in CODE
        if one.read_text().strip() and not ast.get_docstring(ast.parse(one.read_text()))
    ]
    assert silent == []


def test_no_handler_catches_everything_without_saying_so() -> None:
    bare = [
        f"{one.relative_to(ROOT)}:{node.lineno}"
        for one in CODE
        for node in ast.walk(ast.parse(one.read_text()))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


def test_nobody_waits_with_a_call_that_can_swallow_a_cancellation() -> None:
    # Before Python 3.12, wait_for() forgets a cancellation that comes as the awaited thing completes; the task runs
    # on, and whoever cancelled it waits for ever. `async with asyncio.timeout(…)` does not.
    found = [
        f"{one.relative_to(ROOT)}:{number}"
        for one in CODE
        for number, line in enumerate(one.read_text().splitlines(), start=1)
        if "wait_" + "for(" in line
    ]
    assert found == []


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    assert offences(UNFINISHED) == []


def test_no_address_of_a_package_index_is_kept() -> None:
    assert offences(INDEX_ADDRESS) == []


def test_no_path_of_one_persons_machine_is_kept() -> None:
    assert offences(HOME_PATH, but=SAMPLES) == []
    machine = re.compile(r"/wo" + r"rk/(main|shared)")
    assert offences(machine) == []


def test_constraints_name_versions_and_nothing_else() -> None:
    lines = [one for one in (ROOT / "constraints.txt").read_text().splitlines() if one and one[0] != "#"]
    assert lines and all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", one) for one in lines)
