"""What a settled fleet costs while nothing happens: the real controller over hosts that exist in memory.

    python -m bench.idle HOSTS SECONDS        (the measured process; prints one JSON object)

Everything is real but the links: manifests in a folder, store, loop, probes, looks, leases, scans, records.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Row, child_environment, mebibytes, peak_rss

HOSTS = (10, 100, 1_000)
SECONDS = {10: 30.0, 100: 30.0, 1_000: 120.0}  # the largest scans each host once in 100 s
WARM_SECONDS = 45.0  # after everything was seen: the second scans, the first renewals
MOST_SHARE, MOST_BYTES = 0.05, 250 * 2**20


def run() -> list[Row]:
    rows = []
    for hosts in HOSTS:
        done = subprocess.run(
            [sys.executable, "-m", "bench.idle", str(hosts), str(SECONDS[hosts])],
            capture_output=True,
            text=True,
            check=False,
            env=child_environment(),
        )
        if done.returncode:
            raise RuntimeError(f"bench.idle failed: {done.stderr.strip()[-800:]}")
        told = json.loads(done.stdout)
        bound = hosts == HOSTS[-1]
        asked = ", ".join(f"{count} {what}" for what, count in sorted(told["asked"].items()))
        rows.append(
            Row(
                "idle",
                f"{hosts:,} hosts, share of a core",
                f"{told['share'] * 100:.2f} %",
                "≤ 5 %" if bound else "",
                told["share"] <= MOST_SHARE if bound else None,
                f"{SECONDS[hosts]:.0f} s with {told['rounds']} rounds; asked: {asked}; "
                f"settled after {told['settled']:.0f} s",
            )
        )
        rows.append(
            Row(
                "idle",
                f"{hosts:,} hosts, memory",
                mebibytes(told["rss"]),
                "≤ 250 MiB" if bound else "",
                told["rss"] <= MOST_BYTES if bound else None,
                f"peak {mebibytes(told['peak'])}",
            )
        )
    return rows


async def measure(hosts: int, seconds: float) -> dict[str, object]:
    from bench.simulated import SimulatedPool, manifests
    from telarchy.runtime import rooms
    from telarchy.runtime.standalone import RunOptions, controller

    rooms.LinkPool = SimulatedPool  # type: ignore[misc,assignment]
    with tempfile.TemporaryDirectory(prefix="telarchy-idle-") as folder:
        source, state = Path(folder) / "fleet", Path(folder) / "state"
        source.mkdir()
        (source / "fleet.yaml").write_text(manifests(hosts))
        async with controller(RunOptions(state=state, source=str(source))) as running:
            engine = running.engine
            tasks = [
                asyncio.create_task(engine.follow_source()),
                asyncio.create_task(engine.reconciler.run()),
            ]
            started = time.monotonic()
            while not engine.reconciler.settled:
                await asyncio.sleep(0.25)
                for task in tasks:
                    if task.done():
                        task.result()
                if time.monotonic() - started > 300:
                    raise RuntimeError(f"not settled: {engine.reconciler.plan.unsettled[:5]}")
            settled = time.monotonic() - started
            await asyncio.sleep(WARM_SECONDS)
            assert SimulatedPool.made is not None
            links = SimulatedPool.made.links.values()
            for link in links:
                link.asked.clear()
            rounds, before, began = engine.reconciler.rounds, _cpu(), time.monotonic()
            await asyncio.sleep(seconds)
            share = (_cpu() - before) / (time.monotonic() - began)
            asked: dict[str, int] = {}
            for link in links:
                for what, count in link.asked.items():
                    asked[what] = asked.get(what, 0) + count
            told = {
                "share": share,
                "rounds": engine.reconciler.rounds - rounds,
                "asked": asked,
                "settled": settled,
                "rss": _rss(),
                "peak": peak_rss(),
            }
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return told


def _cpu() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def _rss() -> int:
    """Bytes held now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    json.dump(asyncio.run(measure(int(sys.argv[1]), float(sys.argv[2]))), sys.stdout)
