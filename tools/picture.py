"""Draws docs/live-view.svg: one moment of a real run of the quick start, in a folder of its own.

.venv/bin/python tools/picture.py [seconds after the first transfer]
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import quickstart
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from telarchy.cli import live
from telarchy.core.plan import Plan
from telarchy.runtime.standalone import Running, RunOptions, controller, run

TARGET = Path(__file__).resolve().parent.parent / "docs" / "live-view.svg"
COLUMNS, LINES = 112, 28
PATIENCE = 60.0
LARGE = 8 << 20  # bytes
# The reader's own fixed-width letters: a picture fetches nothing.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
PALE = [
    (24, 27, 33),
    (224, 108, 117),
    (126, 192, 126),
    (222, 180, 96),
    (104, 163, 230),
    (190, 132, 214),
    (86, 182, 194),
]
THEME = TerminalTheme(
    (24, 27, 33), (212, 216, 224), [*PALE, (212, 216, 224)], [(110, 118, 132), *PALE[1:], (245, 247, 250)]
)


async def picture(folder: Path) -> str:
    quickstart.TARGET = folder
    quickstart.main()
    asked = RunOptions(state=folder / "state", source=str(folder / "fleet"))
    async with controller(asked) as running:
        running_loop = asyncio.create_task(run(running, asked))
        try:
            await until(running, lambda _: telling(running), "no transfer was seen halfway")
            drawing = drawn(running)
            # transfers would go on in a folder that is about to be deleted
            await until(running, lambda plan: plan.settled, "the floors were not reached")
            return drawing
        finally:
            running_loop.cancel()
            await asyncio.gather(running_loop, return_exceptions=True)


def telling(running: Running) -> bool:
    """Whether this moment shows something: transfers, and one of them halfway."""
    running_now = running.engine.reconciler.executor.running.values()
    copies = [one.progress for one in running_now if one.action.verb == "Copy"]
    large = [one for one in copies if one.rate and one.total > LARGE]
    halfway = [one for one in large if 0.3 < one.bytes / one.total < 0.8]
    return len(copies) > 1 and bool(halfway)


async def until(running: Running, reached: Callable[[Plan], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached(running.engine.reconciler.plan):
        if time.monotonic() > deadline:
            sys.exit(otherwise)
        await asyncio.sleep(0.05)


def drawn(running: Running) -> str:
    console = Console(
        width=COLUMNS,
        height=LINES,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        file=io.StringIO(),
    )
    frame = live.draw(running.answers, source="quickstart/fleet", namespace="default", size=(COLUMNS, LINES))
    console.print(frame)
    svg = console.export_svg(title="make run", theme=THEME, code_format=FORMAT, font_aspect_ratio=0.6)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="telarchy-picture-") as folder:
        svg = asyncio.run(picture(Path(folder)))
    TARGET.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
