"""Figures and how they are printed: medians of runs, ratios to a peer or to a bound, one table."""

from __future__ import annotations

import os
import resource
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "TELARCHY_BENCH_CACHE"


@dataclass(frozen=True)
class Row:
    """One line of the table. `bound` says what was declared, `holds` whether it is so (None: for information)."""

    benchmark: str
    what: str
    figure: str
    bound: str = ""
    holds: bool | None = None
    note: str = ""


class Skipped(Exception):
    """A benchmark that cannot run here, and why."""


def cache() -> Path:
    """Where prepared fleets and repositories stay between runs, outside the tree."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        folder = Path(named)
    elif os.access("/var/cache", os.W_OK):
        folder = Path("/var/cache/telarchy-bench")
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "telarchy-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def child_environment() -> dict[str, str]:
    """For processes that import what this one imports."""
    root = Path(__file__).resolve().parent.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "controller"), str(root)])}


def seconds(value: float) -> str:
    """`12.3 ms`, `1.23 s`, `4.5 µs`: three digits that mean something."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value / size < 100 else f"{value / size:.0f} {unit}"
    return f"{value * 1e9:.0f} ns"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:,.0f} MiB"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """`median 4.1 ms, p95 5.0 ms, n 50`."""
    return f"p95 {seconds(percentile(values, 0.95))}, best {seconds(min(values))}, n {len(values)}"


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def children_cpu() -> float:
    """CPU seconds of all child processes that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def peak_rss() -> int:
    """The most memory this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(rows: Sequence[Row]) -> str:
    """The rows in aligned columns."""
    lines = [("benchmark", "what", "figure", "bound", "", "note")]
    words = {True: "holds", False: "MISSED", None: ""}
    lines += [(one.benchmark, one.what, one.figure, one.bound, words[one.holds], one.note) for one in rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(char) else 1 for char in text)
