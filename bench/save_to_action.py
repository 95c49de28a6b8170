"""From the save of a YAML file to the first action: the real controller on local hosts, one edit after the other.

Every edit raises one floor from one copy to two, saved as editors do it: a new file, renamed over the old one. The
clock runs from that rename to the moment when the loop has started the copy that follows from it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from bench.figures import Row, median, seconds, spread
from telarchy.core.loop import Reconciler
from telarchy.custody.actions import Copy
from telarchy.runtime.standalone import RunOptions, controller

EDITS = 20
TITLE_BYTES = 1 << 20
PAUSE = 0.5  # after each copy: the edit meets a loop at rest
PATIENCE = 20.0
MOST_SECONDS = 0.3


def run() -> list[Row]:
    took = asyncio.run(measure())
    return [
        Row(
            "save-to-action",
            "rename of a saved manifest → copy started",
            seconds(median(took)),
            "≤ 300 ms",
            median(took) <= MOST_SECONDS,
            f"{spread(took)}; 3 local hosts, {EDITS} floors in {EDITS} files",
        )
    ]


async def measure() -> list[float]:
    with tempfile.TemporaryDirectory(prefix="telarchy-save-") as name:
        folder = Path(name)
        source = _prepare(folder)
        async with controller(RunOptions(state=folder / "state", source=str(source))) as running:
            engine, started = running.engine, asyncio.Event()

            def look() -> None:
                if any(isinstance(one.action, Copy) for one in engine.reconciler.executor.running.values()):
                    started.set()

            engine.reconciler.on_change(look)
            tasks = [
                asyncio.create_task(engine.follow_source()),
                asyncio.create_task(engine.reconciler.run()),
            ]
            took = []
            try:
                await _settled(engine.reconciler)
                for edit in range(EDITS):
                    started.clear()
                    draft = source / ".draft"
                    draft.write_text(_floor(edit, copies=2))
                    saved = time.perf_counter()
                    draft.rename(source / f"floor{edit:02}.yaml")
                    async with asyncio.timeout(PATIENCE):
                        await started.wait()
                    took.append(time.perf_counter() - saved)
                    await _settled(engine.reconciler)
                    await asyncio.sleep(PAUSE)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return took


async def _settled(reconciler: Reconciler) -> None:
    for _ in range(int(PATIENCE / 0.02)):
        if reconciler.settled:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"not settled: {reconciler.plan.unsettled[:5]}")


def _prepare(folder: Path) -> Path:
    source = folder / "fleet"
    source.mkdir()
    roots = [folder / f"disk{number}" for number in range(3)]
    for root in roots:
        root.mkdir()
    for edit in range(EDITS):
        title = roots[0] / "films" / f"Film {edit:02}"
        title.mkdir(parents=True)
        (title / "film.mkv").write_bytes(bytes([edit]) * TITLE_BYTES)
        (source / f"floor{edit:02}.yaml").write_text(_floor(edit, copies=1))
    hosts = [
        f"apiVersion: telarchy.dev/v1alpha1\nkind: Host\nmetadata: {{name: host{number}}}\nspec:\n  class: Server\n"
        f"  alwaysOn: true\n  failureDomain: disk{number}\n  connection: {{local: {{}}}}\n"
        f"  mediaRoots: [{{name: main, path: {root}, reserve: '0'}}]\n"
        for number, root in enumerate(roots)
    ]
    (source / "hosts.yaml").write_text("---\n".join(hosts))
    return source


def _floor(edit: int, *, copies: int) -> str:
    return (
        f"apiVersion: telarchy.dev/v1alpha1\nkind: CustodyFloor\nmetadata: {{name: film{edit:02}}}\nspec:\n"
        f'  select: {{paths: ["films/Film {edit:02}"]}}\n  copies: {copies}\n  alwaysOn: 0\n'
    )
