"""Volumes for tests: real folders, read through the real local link by the real scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from telarchy.custody import shell
from telarchy.links.link import Completed
from telarchy.links.local import LocalLink

EPOCH, CONTROLLER, NAME = "3", "c" * 16, "desk"
WRITER = (EPOCH, CONTROLLER, NAME)


def named(path: Path, name: bytes) -> Path:
    return path / name.decode("utf-8", "surrogateescape")


class Volume:
    """A media root with a sentinel in `path`, and short words for what tests do with it."""

    def __init__(self, path: Path, letter: str = "a", *, sentinel: bool = True) -> None:
        self.path = path
        self.id = letter * 32 if sentinel else ""
        self.link = LocalLink(f"host-{letter}")
        path.mkdir(parents=True, exist_ok=True)
        if sentinel:
            self.own.mkdir(exist_ok=True)
            self.put_sentinel(self.id)

    @property
    def own(self) -> Path:
        return self.path / ".telarchy"

    @property
    def root(self) -> str:
        return str(self.path)

    def put_sentinel(self, volume_id: str) -> None:
        (self.own / "volume").write_text(json.dumps({"id": volume_id, "fleet": "test"}) + "\n")

    def write(self, name: str | bytes, data: bytes = b"data", mtime: int = 1_700_000_000) -> Path:
        raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
        path = named(self.path, raw)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(mtime * 10**9, mtime * 10**9 + 123_456_789))
        return path

    def stage(self, action: str, name: str, data: bytes = b"data") -> Path:
        return self.write(f".telarchy/staging/{action}/{name}", data)

    async def script(
        self, names: Sequence[str], *args: str, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> Completed:
        """Run scripts and hand back whatever came of it."""
        argv = shell.argv(names, args)
        if env is not None:
            argv = ["env", *(f"{key}={value}" for key, value in env.items()), *argv]
        return await self.link.run(argv, stdin=stdin)

    def everything(self) -> dict[str, bytes]:
        """All files outside `.telarchy`, by path."""
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and not path.is_symlink() and ".telarchy" not in path.parts
        }
