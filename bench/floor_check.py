"""Is every floor met? A generated fleet, a cold process, the whole plan; and planning again after little changed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.figures import Row, cache, child_environment, mebibytes, median, seconds, spread

SIZES = (10_000, 100_000, 1_000_000)
COLD_RUNS = 5
REPLANS = 60

MOST_SECONDS, MOST_BYTES = 3.0, 1.5 * 2**30
MOST_REPLAN_SECONDS = 0.010


def prepare(titles: int) -> Path:
    """A fleet of this many titles, written by a process of its own; out of the cache if this version wrote it."""
    folder = cache() / f"fleet-{titles}"
    if not (folder / "shape.json").exists():
        print(f"generating a fleet of {titles:,} titles (once)", file=sys.stderr)
        _python("bench.fleet", "--titles", str(titles), "--out", str(folder))
    return folder


def cold(titles: int, runs: int = COLD_RUNS) -> tuple[list[float], list[dict[str, Any]]]:
    """Wall seconds of whole processes, and what each of them told."""
    folder = prepare(titles)
    walls, told = [], []
    for _ in range(runs):
        started = time.perf_counter()
        told.append(json.loads(_python("bench.cold", str(folder))))
        walls.append(time.perf_counter() - started)
    return walls, told


def run() -> list[Row]:
    """Rows by fleet size."""
    rows, wall, first = [], 0.0, 0.0
    for titles in SIZES:
        walls, told = cold(titles)
        wall = median(walls)
        first = first or wall
        parts = ", ".join(
            f"{part} {seconds(median(one[part] for one in told))}"
            for part in ("import", "manifests", "load", "plan")
        )
        largest = titles == SIZES[-1]
        growth = "" if titles == SIZES[0] else f"; ×{wall / first:.1f} of {SIZES[0]:,} titles"
        rows.append(
            Row(
                "floor-check",
                f"{titles:,} titles × 50 hosts, cold process",
                seconds(wall),
                "≤ 3 s" if largest else "",
                wall <= MOST_SECONDS if largest else None,
                f"{parts}; {told[-1]['lacking']:,} lacking; best {seconds(min(walls))}, n {len(walls)}{growth}",
            )
        )
        memory = max(one["rss"] for one in told)
        rows.append(
            Row(
                "floor-check",
                f"{titles:,} titles × 50 hosts, peak memory",
                mebibytes(memory),
                "≤ 1,536 MiB" if largest else "",
                memory <= MOST_BYTES if largest else None,
            )
        )
    return rows


def run_replan() -> list[Row]:
    """Rows of `replan-one`, by fleet size and by how many titles changed."""
    rows = []
    for titles in SIZES:
        folder = prepare(titles)
        told = json.loads(_python("bench.cold", str(folder), "--replan", str(REPLANS)))
        for what, walls in told["replan"].items():
            if titles != SIZES[-1] and what != "1 changed":
                continue
            bound = titles == SIZES[-1] and what == "1 changed"
            rows.append(
                Row(
                    "replan-one",
                    f"{titles:,} titles, {what}",
                    seconds(median(walls)),
                    "≤ 10 ms" if bound else "",
                    median(walls) <= MOST_REPLAN_SECONDS if bound else None,
                    spread(walls),
                )
            )
    return rows


def _python(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
