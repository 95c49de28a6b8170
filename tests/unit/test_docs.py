"""What the pages say is so: links lead somewhere, commands exist, manifests load, the reference is current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from telarchy.cli import exits
from telarchy.cli.main import VERBS
from telarchy.resources.loader import load_text

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", page.read_text()):
        path, _, anchor = "".join(target).partition("#")
        if path.startswith(("http:", "https:")):
            continue
        found = (page.parent / path) if path else page
        assert found.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings
            }, anchor


@pytest.mark.parametrize("name", NAMES)
def test_verbs_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    inline = re.findall(r"`telarchy ([a-z-]+)", text)
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    for verb in {*inline, *re.findall(r"^(?:\$ )?(?:\.venv/bin/)?telarchy ([a-z-]+)", blocks, re.MULTILINE)}:
        assert verb in VERBS, verb


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_that_are_named_exist(name: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"`make ([a-z-]+)", (ROOT / name).read_text()):
        assert target in targets, target


@pytest.mark.parametrize("name", NAMES)
def test_manifests_that_are_shown_load(name: str) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / name).read_text(), re.DOTALL):
        if "apiVersion:" in block:
            problems = [one for one in load_text(block, name).problems if one.rule != "foreign"]
            assert not problems, "\n".join(map(str, problems))


def test_exit_codes_are_told_as_they_are() -> None:
    told = set(re.findall(r"^\| (\d+) \|", (ROOT / "docs/cli.md").read_text(), re.MULTILINE))
    assert told == {
        str(value) for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)
    }


def test_the_reference_is_what_the_models_say() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "tools/reference.py"), "--check"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "controller"), "PATH": "/usr/bin:/bin"},
    )
    assert checked.returncode == 0, checked.stderr
