"""`python -m bench [NAME…]`: run all benchmarks, or the named ones, and print one table.

Exit code 0 when every declared bound holds, 2 when one is missed, 1 on errors. Skipped ones are shown.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from bench import annex, floor_check
from bench.figures import Row, Skipped, table

NAMES = (
    "floor-check",
    "replan-one",
    "git-annex",
    "idle",
    "save-to-action",
    "copy",
    "watch-200",
    "edge",
    "first-manifest",
)


class Benchmarks:
    """A method for each name. What a benchmark needs is imported when it runs."""

    def floor_check(self) -> list[Row]:
        return floor_check.run()

    def replan_one(self) -> list[Row]:
        return floor_check.run_replan()

    def git_annex(self) -> list[Row]:
        titles = floor_check.SIZES[-1]
        return annex.run(lambda: floor_check.cold(titles, 1)[0][0], titles)

    def idle(self) -> list[Row]:
        from bench import idle

        return idle.run()

    def save_to_action(self) -> list[Row]:
        from bench import save_to_action

        return save_to_action.run()

    def watch_200(self) -> list[Row]:
        from bench import streams

        return streams.run()

    def copy(self) -> list[Row]:
        from bench import copying

        return copying.run()

    def first_manifest(self) -> list[Row]:
        from bench import first_manifest

        return first_manifest.run()

    def edge(self) -> list[Row]:
        from bench import edge

        return edge.run()


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m bench", description="What Telarchy costs, measured.")
    asked.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(NAMES)} (default: all)")
    names = asked.parse_args().names or list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        asked.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    benchmarks, rows = Benchmarks(), []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        started = time.perf_counter()
        bench: Callable[[], list[Row]] = getattr(benchmarks, name.replace("-", "_"))
        try:
            measured = bench()
        except Skipped as why:
            measured = [Row(name, "skipped", "", note=str(why))]
        rows += measured
        # At once as well: what breaks later must not take half an hour of figures with it.
        print(
            f"{table(measured)}\n{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True
        )
    print(table(rows))
    load, cores = os.getloadavg()[1], os.cpu_count() or 1
    print(
        f"\n{cores} cores, load {load:.1f}: figures are medians; what else runs here is in them, ratios suffer least"
    )
    return 2 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
