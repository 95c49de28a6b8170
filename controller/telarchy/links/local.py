"""The controller's own machine as a host: the same seam, without a connection.

Each command leads a process group of its own, so that a cancelled or late one dies with everything it started,
and so that a Ctrl-C in the controller's terminal does not reach it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence

from telarchy.errors import ActionFailed
from telarchy.links.link import Completed, Space
from telarchy.links.quoting import to_bytes

CHUNK = 64 * 1024
COMPLAINT_BYTES = 16 * 1024  # of stderr are kept from a streaming command


class LocalLink:
    """Runs commands on this machine. `endpoint` is empty."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.endpoint = ""
        self.connections = 1  # see SshLink

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float | None = 60.0,
    ) -> Completed:
        """See Link.run. A program that is not installed gives exit status 127, as a shell does."""
        process = await self._start(argv)
        if isinstance(process, Completed):
            return process
        try:
            async with asyncio.timeout(timeout):
                stdout, stderr = await process.communicate(stdin)
        except BaseException:
            await _kill(process)
            raise
        return Completed(_code(process), stdout, stderr)

    async def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> AsyncIterator[bytes]:
        """See Link.stream."""
        process = await self._start(argv)
        if isinstance(process, Completed):
            raise ActionFailed(f"{argv[0]}: {process.complaint}", reason="CommandFailed", transient=False)
        assert process.stdout is not None and process.stderr is not None
        stderr = asyncio.create_task(_tail(process.stderr))
        feeder = asyncio.create_task(_feed(process, stdin))
        try:
            while chunk := await process.stdout.read(CHUNK):
                yield chunk
            await process.wait()
            complaint = Completed(_code(process), b"", await stderr)
        finally:
            await _kill(process)
            for task in (stderr, feeder):
                task.cancel()
        if not complaint.ok:
            raise ActionFailed(f"{argv[0]}: {complaint.complaint}", reason="CommandFailed")

    async def space(self, path: str) -> Space:
        """See Link.space. Raises ActionFailed (NoSuchPath) when `path` is not there."""
        try:
            found = await asyncio.to_thread(os.statvfs, to_bytes(path))
        except OSError as problem:
            raise ActionFailed(f"{path}: {problem.strerror}", reason="NoSuchPath") from None
        return Space(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)

    async def probe(self) -> None:
        """This machine is there."""

    def drop(self) -> None:
        """There is no connection to drop."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _start(self, argv: Sequence[str]) -> Process | Completed:
        try:
            return await asyncio.create_subprocess_exec(
                *(to_bytes(argument) for argument in argv),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError:
            return Completed(127, b"", f"{argv[0]}: not found".encode())
        except PermissionError as problem:
            return Completed(126, b"", f"{argv[0]}: {problem.strerror}".encode())
        except OSError as problem:  # E2BIG, ENOMEM, EAGAIN
            raise ActionFailed(f"cannot start {argv[0]}: {problem.strerror}", reason="CannotStart") from None


def _code(process: Process) -> int:
    code = process.returncode
    assert code is not None
    return code if code >= 0 else 128 - code


async def _tail(reader: asyncio.StreamReader) -> bytes:
    kept = b""
    while chunk := await reader.read(CHUNK):
        kept = (kept + chunk)[-COMPLAINT_BYTES:]
    return kept


async def _feed(process: Process, stdin: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(stdin)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it ended without reading everything, which is its right
    finally:
        process.stdin.close()


async def _kill(process: Process) -> None:
    """End the whole group of a process that still runs, and reap it."""
    if process.returncode is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    await asyncio.shield(process.wait())
