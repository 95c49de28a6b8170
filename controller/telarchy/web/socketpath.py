"""Where the control socket lies, and how to name it when its path is longer than the kernel takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_NAME = "control.sock"
PATH_LIMIT = 100  # bytes; the kernel takes 107, and 103 on BSD


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for bind() and connect(): the path itself, or one by way of its folder's descriptor."""
    if len(os.fsencode(path)) <= PATH_LIMIT:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
