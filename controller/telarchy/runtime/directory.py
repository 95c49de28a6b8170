"""A folder (or one file) of manifests, watched. From the save of a file to its look: tens of milliseconds.

inotify tells at once; a slow poll covers what it cannot see (network file systems, a folder that was moved
away and back). The poll compares names, sizes and times, and reads nothing while they are the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from telarchy.resources.loader import SUFFIXES, is_folder, load_paths
from telarchy.runtime.manifests import usable
from telarchy.runtime.revision import Look

DEBOUNCE_MILLISECONDS = 100  # a change is told at the latest so long after it
STEP_MILLISECONDS = 50  # and as soon as so long nothing more changes; each step wakes a thread
POLL_MILLISECONDS = 5_000


class Directory:
    """A folder of manifests. `name` is the path as a person wrote it."""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self._path = Path(path)

    async def look(self) -> Look:
        return await asyncio.to_thread(self._look)

    def _look(self) -> Look:
        try:
            if self._path.is_dir():
                next(self._path.iterdir(), None)
            else:
                self._path.open("rb").close()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            return Look("", failure=f"{self.name} cannot be read: {why}", failure_reason="SourceUnreadable")
        before = fingerprint(self._path)
        loaded = load_paths([self._path])
        return Look(f"files:{before}", usable(loaded, _text_of))

    async def changes(self) -> AsyncIterator[None]:
        from watchfiles import awatch

        while True:
            seen, identity = fingerprint(self._path), _identity(self._path)
            if identity is None:
                await asyncio.sleep(POLL_MILLISECONDS / 1000 / 5)
                if _identity(self._path) is not None:
                    yield
                continue
            # A file is watched through its folder: editors replace files, and a watch on the old one sees nothing.
            folder = self._path if is_folder(self._path) else self._path.absolute().parent
            watching = awatch(
                folder,
                watch_filter=None,
                debounce=DEBOUNCE_MILLISECONDS,
                step=STEP_MILLISECONDS,
                rust_timeout=POLL_MILLISECONDS,
                yield_on_timeout=True,
                recursive=is_folder(self._path),
                ignore_permission_denied=True,
            )
            try:
                async with aclosing(watching):
                    async for changes in watching:
                        if _identity(self._path) != identity:
                            break
                        if changes:
                            seen = fingerprint(self._path)
                            if any(_matters(Path(path)) for _, path in changes):
                                yield
                        elif (now := fingerprint(self._path)) != seen:
                            seen = now
                            yield
            except* (OSError, RuntimeError):
                # no watch is left on this machine, or a name is no text, which ends the watch: polled meanwhile
                await asyncio.sleep(POLL_MILLISECONDS / 1000 / 5)
            if _identity(self._path) != identity or fingerprint(self._path) != seen:
                yield  # the folder is another one, or gone: look, then watch what stands there now


def fingerprint(path: Path) -> str:
    """12 hex digits over names, sizes and times of every manifest file under `path`; cheap to compare."""
    digest = hashlib.blake2b(digest_size=6)
    walk = os.walk(path) if is_folder(path) else iter([(str(path.parent), list[str](), [path.name])])
    for folder, folders, files in walk:
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.lower().endswith(SUFFIXES) or (name.startswith(".") and is_folder(path)):
                continue
            file = Path(folder, name)
            try:
                about = file.stat()
            except OSError:
                continue
            digest.update(os.fsencode(f"{file}\0{about.st_size}\0{about.st_mtime_ns}\0{about.st_ino}\n"))
    return digest.hexdigest()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which folder stands at the path now, None if there is none. A file counts as its folder."""
    try:
        about = (path if is_folder(path) else path.absolute().parent).stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _matters(path: Path) -> bool:
    """Manifests, and what may be a folder of them. Swap files, databases and the like do not."""
    return path.suffix.lower() in SUFFIXES or not path.suffix


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
