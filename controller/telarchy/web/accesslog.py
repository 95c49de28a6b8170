"""Access logs of the built-in media plane: one line per request, without addresses and tokens, in nginx's shape here.

    milliseconds  kind  stream  generation  rendition  status  bytes  cache  upstream status  viewer

Whoever counts viewers on the host reads and shortens these files; this only adds to them, a batch at a time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FLUSH_SECONDS = 0.5
MOST_WAITING = 10_000  # lines; more are not kept while the disk does not take them
MOST_BYTES = 16 * 1024 * 1024  # of a file that nobody reads


class Entry(NamedTuple):
    """A request. `at` in seconds since the epoch, `sent` in bytes, `viewer` 16 hex digits that lead nowhere."""

    at: float
    kind: str
    stream: str
    generation: str
    rendition: str
    status: int
    sent: int
    viewer: str

    def line(self) -> str:
        parts = (
            f"{self.at:.3f}",
            self.kind,
            self.stream,
            self.generation,
            self.rendition or "-",
            str(self.status),
            str(self.sent),
            "-",
            "-",
            self.viewer,
        )
        return "\t".join(parts) + "\n"


class AccessLogs:
    """Lines by file. Written half a second after the first of them; `close` writes what waits."""

    def __init__(self) -> None:
        self._waiting: dict[Path, list[str]] = {}
        self._count = 0
        self._flushing: asyncio.Task[None] | None = None

    def add(self, file: Path, entry: Entry) -> None:
        if self._count >= MOST_WAITING:
            return
        self._waiting.setdefault(file, []).append(entry.line())
        self._count += 1
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._soon(), name="write access logs")

    async def close(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        _write(self._take())

    async def _soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(FLUSH_SECONDS)
            taken = self._take()
            await asyncio.to_thread(_write, taken)

    def _take(self) -> dict[Path, list[str]]:
        taken, self._waiting, self._count = self._waiting, {}, 0
        return taken


def _write(lines: Mapping[Path, list[str]]) -> None:
    """A disk that takes nothing costs figures, not playback."""
    for file, several in lines.items():
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(
                file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                if os.fstat(handle).st_size > MOST_BYTES:
                    os.ftruncate(handle, 0)
                os.write(handle, "".join(several).encode())
            finally:
                os.close(handle)
