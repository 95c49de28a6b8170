"""The Containerfile: it cannot be built where this is developed, so it is held to a few plain rules."""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import pairwise

from telarchy.web.pagefiles import asset_folders
from tests.unit.kubernetes.helm import ROOT

TEXT = (ROOT / "Containerfile").read_text()
# (instruction, rest) with continued lines joined and comments left out
LINES = [
    (line.split(None, 1)[0], line.split(None, 1)[1])
    for line in re.sub(
        r"\\\n", " ", "".join(f"{x}\n" for x in TEXT.splitlines() if not x.startswith("#"))
    ).splitlines()
    if line.strip()
]
_STARTS = [at for at, (word, _) in enumerate(LINES) if word == "FROM"]
STAGES = [LINES[start:end] for start, end in pairwise([*_STARTS, len(LINES)])]


def test_only_known_instructions() -> None:
    known = {"ARG", "FROM", "LABEL", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in LINES} <= known  # no ADD: it fetches and unpacks


def test_bases_are_named_and_slim() -> None:
    for stage in STAGES:
        image = stage[0][1].split()[0]
        assert re.fullmatch(r"python:\$\{PYTHON\}-slim-\w+|node:\$\{NODE\}-\w+-slim", image)
    assert STAGES[-1][0][1].startswith("python:"), "what runs needs no node"


def test_the_python_is_one_that_the_project_takes() -> None:
    (minor,) = re.findall(r"^ARG PYTHON=3\.(\d+)$", TEXT, re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (least,) = re.findall(r">=3\.(\d+)", project["requires-python"])
    assert int(minor) >= int(least)


def test_packages_are_pinned_and_come_from_nowhere_in_particular() -> None:
    for stage in STAGES:
        for word, rest in stage:
            if word == "RUN" and "pip install" in rest:
                assert "--constraint constraints.txt" in rest
                assert "'.[operator]'" in rest
    assert (
        "operator" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    assert "://" not in TEXT


def test_the_page_finds_its_player_where_the_image_puts_it() -> None:
    """hls.js comes by name and version, as the bytes that are known, and lies where `PageFiles` looks."""
    fetched = (ROOT / "tools/assets.sh").read_text()
    assert re.search(r"^fetch hls\.js \d+\.\d+\.\d+ \S+ hls\.min\.js \"\$HLS_SUM\"", fetched, re.M)
    (page,) = (stage for stage in STAGES if stage[0][1].endswith(" AS page"))
    assert ("RUN", "VENV=/page sh tools/assets.sh all") in page, (
        "`all`: it fails where the player cannot be had"
    )
    (put,) = (rest.split() for word, rest in STAGES[-1] if word == "COPY" and "--from=page" in rest)
    (venv,) = (rest.split()[-1] for word, rest in STAGES[-1] if word == "COPY" and "--from=build" in rest)
    below = asset_folders()[-1].relative_to(sys.prefix)
    assert put[1:] == [f"/page/{below}", f"{venv}/{below}"]


def test_debian_packages_leave_no_lists_behind() -> None:
    for stage in STAGES:
        for word, rest in stage:
            if word == "RUN" and "apt-get" in rest:
                assert "apt-get update" in rest
                assert "--no-install-recommends" in rest
                assert "rm -rf /var/lib/apt/lists/*" in rest
                assert {"git", "openssh-client", "rsync"} <= set(rest.split())


def test_the_last_stage_runs_as_nobody_in_particular() -> None:
    last = STAGES[-1]
    users = [rest for word, rest in last if word == "USER"]
    assert users == ["65532:65532"]
    after = [word for word, _ in last[last.index(("USER", users[0])) :]]
    assert "RUN" not in after
    assert ("ENTRYPOINT", '["telarchy"]') in last
    assert not any("apt-get install" in rest and "gcc" in rest for _, rest in last)


def test_only_what_is_copied_goes_to_the_builder() -> None:
    wanted = {
        name.removeprefix("./")
        for word, rest in LINES
        if word == "COPY" and "--from" not in rest
        for name in rest.split()[:-1]
    }
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == wanted
    for name in wanted:
        assert (ROOT / name).exists(), name
