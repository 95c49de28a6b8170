"""The peer of the floor check: git-annex (Debian's), asked which files lack a copy.

50,000 files in 20 repositories, filled through its own plumbing (`fromkey --batch`, `setpresentkey --batch`)
without any contents: both tools then answer from what they have recorded. The shares are those of the
generated fleet: 20 % with one copy, 50 % with two, 30 % with three, and the floor asks for two.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Row, Skipped, cache, children_cpu, median, seconds

FILES = 50_000
REPOSITORIES = 20
RUNS = 3


def prepare(files: int = FILES, repositories: int = REPOSITORIES) -> Path:
    """The filled repository, out of the cache if it is there."""
    if shutil.which("git-annex") is None or shutil.which("git") is None:
        raise Skipped("git-annex is not installed (Debian: apt install git-annex)")
    home = cache() / f"annex-{files}-{repositories}"
    if (home / "ready").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    repository = home / "repository"
    _run(home, "git", "init", "-q", str(repository))
    _run(repository, "git", "annex", "init", "bench", "-q")
    _run(repository, "git", "annex", "numcopies", "2", "-q")
    _run(repository, "git", "config", "annex.alwayscommit", "false")
    places = [_add_repository(home, repository, number) for number in range(repositories)]

    print(f"filling a git-annex repository with {files:,} files (once)", file=sys.stderr)
    chance = random.Random(20)
    names, present = [], []
    for number in range(files):
        digest = hashlib.sha256(b"%d" % number).hexdigest()
        key = f"SHA256E-s{chance.randrange(1 << 28, 1 << 32)}--{digest}.mkv"
        names.append(
            f"{key} tv/Show {number // 100:04}/Season {number // 10 % 10:02}/e{number % 10:02}.mkv\n"
        )
        copies = chance.choices((1, 2, 3), (20, 50, 30))[0]
        present += [f"{key} {place} 1\n" for place in chance.sample(places, copies)]
    _run(repository, "git", "annex", "fromkey", "--force", "--batch", "-q", given="".join(names))
    _run(repository, "git", "annex", "setpresentkey", "--batch", "-q", given="".join(present))
    _run(repository, "git", "config", "--unset", "annex.alwayscommit")
    _run(repository, "git", "annex", "merge", "-q")
    _run(repository, "git", "commit", "-q", "-m", "files")
    (home / "ready").touch()
    return home


def run(telarchy: Callable[[], float], titles: int) -> list[Row]:
    """Time the peer, and compare it per title. `telarchy` runs one cold floor check of `titles` titles and says
    how many seconds it took; the two take turns, so that both meet the same weather."""
    repository = prepare() / "repository"
    theirs: dict[str, list[float]] = {"wall": [], "cpu": []}
    ours: dict[str, list[float]] = {"wall": [], "cpu": []}
    lacking = 0
    for _ in range(RUNS):
        for _ in range(2):
            spent = children_cpu()
            ours["wall"].append(telarchy())
            ours["cpu"].append(children_cpu() - spent)
        spent, started = children_cpu(), time.perf_counter()
        found = _run(repository, "git", "annex", "find", "--lackingcopies=1")
        theirs["wall"].append(time.perf_counter() - started)
        theirs["cpu"].append(children_cpu() - spent)
        lacking = found.count("\n")
    walls = theirs["wall"]
    version = _run(repository, "git", "annex", "version", "--raw")
    rows = [
        Row(
            "git-annex",
            f"find --lackingcopies=1, {FILES:,} files, {REPOSITORIES} repositories",
            seconds(median(walls)),
            note=f"git-annex {version}; {lacking:,} lacking; best {seconds(min(walls))}, n {RUNS}",
        )
    ]
    for clock, what in (("wall", "per title"), ("cpu", "CPU per title")):
        each, mine = median(theirs[clock]) / FILES, median(ours[clock]) / titles
        rows.append(
            Row(
                "git-annex",
                f"{what}, git-annex : telarchy (floor-check, cold)",
                f"{each / mine:,.0f} : 1",
                "≥ 500 : 1" if clock == "wall" else "",
                each / mine >= 500 if clock == "wall" else None,
                f"{seconds(each)} : {seconds(mine)}, taking turns; best of each "
                f"{min(theirs[clock]) / FILES / (min(ours[clock]) / titles):,.0f} : 1",
            )
        )
    return rows


def _add_repository(home: Path, repository: Path, number: int) -> str:
    name, folder = f"host{number:02}", home / f"host{number:02}"
    folder.mkdir()
    _run(
        repository,
        "git",
        "annex",
        "initremote",
        name,
        "type=directory",
        f"directory={folder}",
        "encryption=none",
    )
    return _run(repository, "git", "config", f"remote.{name}.annex-uuid").strip()


def _run(folder: Path, *command: str, given: str | None = None) -> str:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
    done = subprocess.run(
        command,
        cwd=folder,
        input=given,
        text=True,
        capture_output=True,
        env={**os.environ, **who},
        check=False,
    )
    if done.returncode:
        raise Skipped(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


_WHO = {"NAME": "bench", "EMAIL": "bench@localhost"}
