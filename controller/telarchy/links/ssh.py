"""A host over ssh: one connection that carries commands, SFTP and forwards, made when needed and again when lost.

What a command costs is mostly the login shell that sshd starts for it (a few milliseconds with sh, a hundred with
a bash whose rc file does much). sshd runs `$SHELL -c <command>` and nothing a client sends can avoid that; so
the shell only says its process id and is then replaced by the command, and what can go without a shell at all
(space, the probe) goes over one open SFTP channel.

The process id is how a command is ended early: sshd ignores signals for sessions of root, and closing a channel
kills nothing. The shell leads its own process group, so `kill -KILL -<id>` ends it with all it started.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncssh

from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.links.connect import connect
from telarchy.links.link import Completed, Space
from telarchy.links.quoting import shell_command, to_bytes
from telarchy.links.way import Way
from telarchy.resources.host import Endpoint

MAX_COMMANDS = 6  # at once per host; sshd's MaxSessions is 10 by default, SFTP and kills need some
MAX_STREAMS = 4  # of them may last long, so that a short command never waits for a job
CHUNK = 64 * 1024
COMPLAINT_BYTES = 16 * 1024  # of stderr are kept from a streaming command
KILL_TIMEOUT = 5.0
REFUSED_CHANNEL_WAIT = 0.25  # seconds, then the channel is asked for again
REFUSED_CHANNEL_TRIES = 20
RETRY_AFTER = 3.0  # seconds during which a failed connection answers for the next ones

_SAY_PID = b"echo telarchy-pid $$ >&2; exec env LC_ALL=C "
_PID_LINE = re.compile(rb"telarchy-pid (\d+)\n")


@dataclass(frozen=True)
class _Command:
    """A command under way. `pid` is 0 when it ended before it could say so."""

    process: asyncssh.SSHClientProcess[bytes]
    pid: int
    said: bytes


class SshLink:
    """See Link. Safe for many tasks at once; one of them connects, the others wait for it."""

    def __init__(self, way: Way, *, retry_after: float = RETRY_AFTER) -> None:
        self.host = way.host
        self.endpoint = ""
        self.way = way
        self.winner: Endpoint | None = None  # the endpoint of the last connection
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._connecting = asyncio.Lock()
        self._opening_sftp = asyncio.Lock()
        self._commands = asyncio.Semaphore(MAX_COMMANDS)
        self._streams = asyncio.Semaphore(MAX_STREAMS)
        self._retry_after = retry_after
        self._failure: tuple[float, HostUnreachable] | None = None
        self._closed = False
        self._endings: set[asyncio.Task[None]] = set()
        self.connections = 0  # made so far; tells whether what was learned over one still holds

    async def connection(self, *, fresh: bool = False) -> asyncssh.SSHClientConnection:
        """The open connection, made if there is none. Raises HostUnreachable.

        A failure of the last few seconds answers at once, unless `fresh`.
        """
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        async with self._connecting:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            if self._closed:
                raise HostUnreachable(self.host, "ConnectionLost", "the link was closed")
            if self._failure is not None and not fresh:
                since, failure = self._failure
                if time.monotonic() - since < self._retry_after:
                    raise HostUnreachable(self.host, failure.reason, _message(failure))
            self._sftp = None
            try:
                self._connection, self.winner = await connect(self.way, winner=self.winner)
            except HostUnreachable as failure:
                self._failure = (time.monotonic(), failure)
                raise
            if self._closed:
                self._connection.abort()
                raise HostUnreachable(self.host, "ConnectionLost", "the link was closed")
            self._failure = None
            self.connections += 1
            self.endpoint = str(self.winner)
            return self._connection

    async def probe(self) -> None:
        """The cheapest round trip that shows that the host works: SFTP realpath, else the command `true`.

        Raises HostUnreachable; connects afresh even if the last attempt failed a moment ago.
        """
        await self.connection(fresh=True)
        try:
            sftp = await self._sftp_client()
            await sftp.realpath(b".")
        except asyncssh.SFTPNoConnection:
            raise self._lost() from None
        except (asyncssh.SFTPError, ActionFailed):
            await self.run(["true"], timeout=None)

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float | None = 60.0,
    ) -> Completed:
        """See Link.run."""
        async with asyncio.timeout(timeout):
            command = await self._start(argv, stdin)
            process = command.process
            ended = False
            try:
                out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
                await process.wait_closed()
                ended = True
                return Completed(self._code(process), out, command.said + err)
            except (asyncssh.Error, OSError):
                ended = True
                raise self._lost() from None
            finally:
                await self._finish(command, kill=not ended)

    async def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> AsyncIterator[bytes]:
        """See Link.stream. Not more than MAX_STREAMS at once; further ones wait."""
        async with self._streams:
            command = await self._start(argv, stdin)
            process = command.process
            complaining = asyncio.create_task(_tail(process.stderr, command.said))
            ended = False
            try:
                while chunk := await process.stdout.read(CHUNK):
                    yield chunk
                await process.wait_closed()
                ended = True
                result = Completed(self._code(process), b"", await complaining)
            except (asyncssh.Error, OSError):
                ended = True
                raise self._lost() from None
            finally:
                complaining.cancel()
                await self._finish(command, kill=not ended)
        if not result.ok:
            raise ActionFailed(f"{self.host}: {argv[0]}: {result.complaint}", reason="CommandFailed")

    async def space(self, path: str) -> Space:
        """See Link.space. Raises ActionFailed (NoSuchPath) when `path` is not there."""
        try:
            found = await (await self._sftp_client()).statvfs(to_bytes(path))
            return Space(total=found.blocks * found.frsize, free=found.bavail * found.frsize)
        except asyncssh.SFTPNoConnection:
            raise self._lost() from None
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            raise ActionFailed(f"{self.host}: {path}: no such folder", reason="NoSuchPath") from None
        except (asyncssh.SFTPError, ActionFailed):
            pass  # a server without SFTP or without statvfs: the portable way
        answer = await self.run(["df", "-Pk", path])
        if not answer.ok:
            raise ActionFailed(f"{self.host}: {answer.complaint}", reason="NoSuchPath")
        return parse_df(answer.stdout)

    def drop(self) -> None:
        """Give up the connection, which seems to be dead; whatever uses it sees HostUnreachable now, and the next use
        makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    async def close(self) -> None:
        """Let go of the connection. Commands that still run see HostUnreachable."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            try:
                async with asyncio.timeout(1):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort()

    async def _sftp_client(self) -> asyncssh.SFTPClient:
        connection = await self.connection()
        if self._sftp is not None:
            return self._sftp
        async with self._opening_sftp:
            if self._sftp is None:
                try:
                    self._sftp = await connection.start_sftp_client(path_encoding=None)
                except asyncssh.ChannelOpenError as problem:
                    message = f"{self.host}: no SFTP: {problem.reason}"
                    raise ActionFailed(message, reason="NoSftp") from None
                except (asyncssh.DisconnectError, OSError):
                    raise self._lost() from None
            return self._sftp

    async def _start(self, argv: Sequence[str], stdin: bytes) -> _Command:
        """Start a command when there is a slot for it; `_finish` gives the slot back.

        Cancelled on the way, it is ended as soon as its id is known, and keeps its slot until then: commands
        that were given up must not fill sshd's sessions, or no `kill` would find one.
        """
        await self._commands.acquire()
        starting = asyncio.create_task(self._open(argv, stdin))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            ending = asyncio.create_task(self._give_up(starting))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            raise
        except BaseException:
            self._commands.release()
            raise

    async def _open(self, argv: Sequence[str], stdin: bytes) -> _Command:
        text: Any = _SAY_PID + shell_command(argv)
        for _ in range(REFUSED_CHANNEL_TRIES):
            connection = await self.connection()
            try:
                process = await connection.create_process(text, encoding=None)
                if stdin:
                    process.stdin.write(stdin)
                process.stdin.write_eof()
                return await _introduce(process)
            except asyncssh.ChannelOpenError:
                if not connection.is_closed():
                    await asyncio.sleep(REFUSED_CHANNEL_WAIT)  # someone else's sessions fill MaxSessions
            except (asyncssh.Error, OSError):
                raise self._lost() from None
        raise ActionFailed(f"{self.host}: sshd opens no further session (MaxSessions)", reason="NoSession")

    async def _give_up(self, starting: asyncio.Task[_Command]) -> None:
        try:
            command = await starting
        except (HostUnreachable, ActionFailed):
            self._commands.release()
            return
        await self._finish(command, kill=True)

    async def _finish(self, command: _Command, *, kill: bool) -> None:
        try:
            if kill:
                await self._kill(command)
        finally:
            command.process.close()
            self._commands.release()

    async def _kill(self, command: _Command) -> None:
        """End a command's process group, even while this task is being cancelled."""
        connection = self._connection
        over = command.process.exit_status is not None or command.process.exit_signal is not None
        if over or not command.pid or connection is None or connection.is_closed():
            return

        async def kill() -> None:
            try:
                async with asyncio.timeout(KILL_TIMEOUT):
                    await _kill_group(connection, command.pid)
            except (TimeoutError, asyncssh.Error, OSError):
                pass  # the connection went, or the host does not answer: nothing more can be done from here

        await asyncio.shield(asyncio.create_task(kill()))

    def _code(self, process: asyncssh.SSHClientProcess[bytes]) -> int:
        """The exit status as a shell would say it; a command without one ended with its connection."""
        if process.exit_signal is not None:
            return 128 + _SIGNALS.get(str(process.exit_signal[0]), 15)
        if process.exit_status is None:
            raise self._lost()
        return process.exit_status

    def _lost(self) -> HostUnreachable:
        return HostUnreachable(self.host, "ConnectionLost", f"the connection to {self.endpoint} was lost")


_SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ABRT": 6,
    "KILL": 9,
    "SEGV": 11,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
}


def _message(failure: HostUnreachable) -> str:
    return str(failure).removeprefix(f"{failure.host}: ")


async def _kill_group(connection: asyncssh.SSHClientConnection, group: int) -> None:
    for _ in range(REFUSED_CHANNEL_TRIES):
        try:
            await connection.run(f"kill -s KILL -- -{group}", check=False)
            return
        except asyncssh.ChannelOpenError:
            await asyncio.sleep(REFUSED_CHANNEL_WAIT)


async def _introduce(process: asyncssh.SSHClientProcess[bytes]) -> _Command:
    """Read up to the line with the process id; before it stands what an rc file had to say."""
    said = b""
    while line := await process.stderr.readline():
        if match := _PID_LINE.search(line):
            return _Command(process, int(match[1]), said)
        said += line
    return _Command(process, 0, said)


async def _tail(reader: asyncssh.SSHReader[bytes], kept: bytes) -> bytes:
    while chunk := await reader.read(CHUNK):
        kept = (kept + chunk)[-COMPLAINT_BYTES:]
    return kept


def parse_df(stdout: bytes) -> Space:
    """The numbers of `df -Pk`. Raises ActionFailed when there are none."""
    for line in stdout.decode("utf-8", "replace").splitlines()[1:]:
        if match := re.search(r"\s(\d+)\s+\d+\s+(-?\d+)\s+\d+%\s", line):
            return Space(total=int(match[1]) * 1024, free=max(0, int(match[2])) * 1024)
    raise ActionFailed("df says nothing that can be read", reason="NoSpaceFigures")
