"""The one seam to a machine: run an argv, stream, move bytes, ask for space. Local and ssh look the same.

Commands are argv lists. A link quotes them for whatever shell stands in between; nothing that a manifest says
is ever pasted into shell text. Names of files are bytes on the far side and `surrogateescape` strings here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

MOST_TOLD = 500  # characters of a complaint; a path may have four thousand


def shortened(line: str) -> str:
    """A line for a person, without its middle where it is very long."""
    half = MOST_TOLD // 2
    return line if len(line) <= MOST_TOLD else f"{line[:half]}…{line[-half:]}"


@dataclass(frozen=True)
class Completed:
    """A command that ended. `code` is its exit status (128+signal when killed)."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def complaint(self) -> str:
        """The last line of stderr, for a person."""
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines()
        return shortened(lines[-1]) if lines else f"exit status {self.code}"


@dataclass(frozen=True)
class Space:
    """Bytes on the filesystem under a path. `free` is what an ordinary user may still write (f_bavail)."""

    total: int
    free: int


@runtime_checkable
class Link(Protocol):
    """A way to one host. Raises HostUnreachable when the host cannot be reached or the connection is lost."""

    host: str
    endpoint: str  # "" for local, else the chosen user@address[:port]

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float | None = 60.0,
    ) -> Completed:
        """Run to the end and collect. Raises TimeoutError when `timeout` seconds pass (the command is killed)."""
        ...

    def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> AsyncIterator[bytes]:
        """stdout in chunks as it comes; ends with the command. Raises ActionFailed on a non-zero exit status."""
        ...

    async def space(self, path: str) -> Space:
        """Free and total bytes under `path`: SFTP statvfs, else POSIX `df -Pk`, else os.statvfs."""
        ...

    async def close(self) -> None: ...
