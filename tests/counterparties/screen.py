"""A screen that nobody sees, for programs that want one; pictures are drawn by the processor."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def screened(folder: Path) -> Iterator[dict[str, str]]:
    """The environment for programs that are to be on it."""
    reads, writes = os.pipe()
    with (folder / "screen.log").open("ab") as log:
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
            pass_fds=[writes],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(writes)
    try:
        with os.fdopen(reads) as told:
            display = told.readline().strip()
        assert display, (folder / "screen.log").read_text()
        yield {"DISPLAY": f":{display}", "LIBGL_ALWAYS_SOFTWARE": "1", "QT_QPA_PLATFORM": "xcb"}
    finally:
        process.terminate()
        process.wait(10)
