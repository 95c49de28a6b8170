"""Moving files into a staging folder and knowing what arrived: by the target's rsync, or by that of a local source.

The rsync command comes from `links.routes`; here it is tuned for staging. `--inplace` instead of a partial folder:
whatever ends the copy, even a power cut, what was written is there to go on from, and nobody but us ever sees
the unfinished file. No fsync per file: the job syncs the file system once, before it says that it is done. Between
two folders of one machine that has Python no rsync is run: the kernel copies, or shares, by `custody.reader`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from telarchy.custody import shell
from telarchy.custody.digests import ReadingLists, dotted
from telarchy.custody.lease import Writer
from telarchy.custody.survey import Place
from telarchy.custody.working import JobEnded, carry_out
from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.links import jobs, rsync
from telarchy.links.jobs import JobSpec
from telarchy.links.link import Link
from telarchy.links.rsync import RsyncTool

TOOL_FRESH_FOR = 600.0
TOOLLESS_FOR = 60.0
MANY = 1000  # files
SHARING = 1 << 30  # bytes; copies of more have a connection each, and with it a processor each
CONNECTION_CODES = (5, 10, 12, 255)
INSTALL = "install rsync there (Debian: apt install rsync; Fedora: dnf install rsync; Alpine: apk add rsync)"


class Route(Protocol):
    """`links.routes.Route`, as far as it is used here."""

    @property
    def kind(self) -> str: ...
    @property
    def runner(self) -> str: ...

    def argv(
        self,
        tool: RsyncTool,
        *,
        files_from: str,
        into: str,
        bandwidth: int | None = None,
        shared: bool = False,
    ) -> list[str]: ...


class Routing(Protocol):
    """Where routes come from; `links.routes.Routes` is one."""

    def open(self, target: str, source: str, root: str) -> AbstractAsyncContextManager[Route]: ...
    async def connect(self, target: str, source: str, root: str) -> None: ...
    def forget(self, target: str, source: str) -> None: ...


class Rsyncs:
    """Which rsync each host has, asked once in a while."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, RsyncTool]] = {}
        self.missed: dict[str, float] = {}  # hosts that needed one and had none; monotonic time

    async def of(self, link: Link) -> RsyncTool | None:
        """None where there is none."""
        since, tool = self._known.get(link.host, (0.0, None))
        if tool is not None and time.monotonic() - since < TOOL_FRESH_FOR:
            return tool
        answer = await link.run(["rsync", "--version"])
        found = rsync.parse_version(answer.stdout.decode("utf-8", "replace")) if answer.ok else None
        if found is not None:
            self._known[link.host] = (time.monotonic(), found)
            self.missed.pop(link.host, None)
        return found

    def forget(self, host: str) -> None:
        self._known.pop(host, None)

    def toolless_until(self, host: str, now: float) -> float:
        """Until when (seconds since the epoch) a host is not asked for more copies, for want of an rsync."""
        left = self.missed.get(host, 0.0) + TOOLLESS_FOR - time.monotonic()
        return now + left if host in self.missed and left > 0 else 0.0


@dataclass(frozen=True)
class Load:
    """What is to be moved: files by path relative to the root, their sizes, and the room that must stay free; bytes per
    second for it; how many at once may fetch (1 or 2)."""

    action: str
    verb: str
    title: str
    files: Mapping[str, int]
    reserve: int
    bandwidth: int | None = None
    streams: int = 1

    @property
    def total(self) -> int:
        return sum(self.files.values())

    def lists(self) -> dict[str, bytes]:
        order = ReadingLists.of(list(self.files.items()), as_sent=True)
        # Every second file to the other: so the two are done together, and what arrives, arrives about in order.
        names = dotted(self.files)
        return {
            "files": shell.nul_list(names[:: self.streams]),
            "more": shell.nul_list(names[1 :: self.streams] if self.streams > 1 else ()),
            "large": order.large,
            "small": order.small,
        }


class Transfer:
    """One way from a source to a target's staging folder. Safe to run again: it attaches, or goes on.

    job:   where its job lies
    """

    def __init__(self, job_place: Place, load: Load, route: Route) -> None:
        self.job_place, self.load, self.route = job_place, load, route
        self.folder = jobs.job_folder(job_place.path, load.action)

    async def run(self, told: Callable[[bytes], None], detached: Callable[[], bool]) -> None:
        """Move. Raises ActionFailed, SafetyRefusal, HostUnreachable."""
        raise NotImplementedError

    async def arrived(self) -> bytes:
        """Records of what was read of what arrived, once it has run, or has told that all is read. Raises ActionFailed,
        HostUnreachable."""
        raise NotImplementedError

    async def put_away(self) -> None:
        """Remove the job once nobody needs to know of it."""
        with suppress(ActionFailed, HostUnreachable):
            await jobs.remove(self.job_place.link, self.folder)

    async def _carry_out(
        self, job: JobSpec, told: Callable[[bytes], None], detached: Callable[[], bool]
    ) -> None:
        try:
            await carry_out(self.job_place, job, told, detached)
        except JobEnded as ended:
            if ended.code <= 100:
                raise
            code = {199: 255, 198: 127}.get(ended.code, ended.code - 100)
            said = await jobs.output(self.job_place.link, self.folder, "err")
            raise _copy_failure(self.job_place.host, code, said) from None


class Pull(Transfer):
    """The target's own job pulls and digests what arrives."""

    def __init__(self, target: Place, writer: Writer, load: Load, route: Route, way: list[str]) -> None:
        super().__init__(target, load, route)
        self._writer, self._way = writer, way

    async def run(self, told: Callable[[bytes], None], detached: Callable[[], bool]) -> None:
        place, load = self.job_place, self.load
        job = JobSpec(
            id=load.action,
            folder=self.folder,
            script=shell.script("fence", "stage", "copy"),
            args=(
                *shell.digesting(),
                place.path,
                place.volume,
                *self._writer.args,
                load.action,
                str(load.total),
                str(load.reserve),
                self.folder,
                str(len(load.files)),
                *self._way,
            ),
            files=load.lists(),
            spec={"verb": load.verb, "title": load.title, "total": load.total},
            nice=False,  # as a person's own rsync; budgets say how much
        )
        await self._carry_out(job, told, detached)

    async def arrived(self) -> bytes:
        return await jobs.output(self.job_place.link, self.folder)


class Push(Transfer):
    """A local source's job pushes; the target is asked afterwards what arrived."""

    def __init__(
        self, source: Place, target: Place, writer: Writer, load: Load, route: Route, command: list[str]
    ) -> None:
        super().__init__(source, load, route)
        self._target, self._writer, self._command = target, writer, command

    async def run(self, told: Callable[[bytes], None], detached: Callable[[], bool]) -> None:
        source, target, load = self.job_place, self._target, self.load
        await shell.run(
            target.link,
            ("fence", "stage", "await"),
            [
                target.path,
                target.volume,
                *self._writer.args,
                load.action,
                str(load.total),
                str(load.reserve),
                str(len(load.files)),
            ],
        )
        job = JobSpec(
            id=load.action,
            folder=self.folder,
            script=shell.script("fence", "stage", "push"),
            args=(source.path, source.volume, self.folder, *self._command),
            files=load.lists(),
            spec={"verb": "Push", "title": load.title, "total": load.total},
        )
        await self._carry_out(job, told, detached)

    async def arrived(self) -> bytes:
        target, load = self._target, self.load
        lists = ReadingLists.of(list(load.files.items()))
        done = await shell.run(
            target.link,
            ("fence", "stage", "arrived"),
            [*shell.digesting(), target.path, target.volume, load.action, str(len(lists.large))],
            stdin=lists.large + lists.small,
            within=None,
        )
        return done.stdout


@asynccontextmanager
async def transfer_between(
    routing: Routing, rsyncs: Rsyncs, writer: Writer, target: Place, source: Place, load: Load
) -> AsyncIterator[Transfer]:
    """The way for a load; a relay stands as long as the context.

    Raises ActionFailed (RsyncMissing and what routes raise), HostUnreachable.
    """
    async with routing.open(target.host, source.host, source.path) as route:
        runner = source if route.runner == source.host and route.runner != target.host else target
        folder = jobs.job_folder(runner.path, load.action)
        many = "many" if len(load.files) > MANY else ""
        tool = await rsyncs.of(runner.link)
        if tool is None:
            if route.kind != "local":
                rsyncs.missed[runner.host] = time.monotonic()
                raise ActionFailed(f"{runner.host} has no rsync: {INSTALL}", reason="RsyncMissing")
            yield Pull(target, writer, load, route, ["local", many, source.path])
            return
        into = f"{target.path.rstrip('/')}/.telarchy/staging/{load.action}"
        argv = route.argv(
            tool,
            files_from=f"{folder}/files",
            into=into,
            bandwidth=load.bandwidth,
            shared=load.total <= SHARING,
        )
        try:
            if runner is source:
                yield Push(source, target, writer, load, route, tuned(argv))
            elif route.kind == "local" and load.bandwidth is None:
                yield Pull(target, writer, load, route, ["local", many, source.path, *tuned(argv)])
            else:
                way = ["rsync", *for_copy(tuned(argv), tool, len(load.files))]
                yield Pull(target, writer, replace(load, streams=streams(load, route)), route, way)
        except ActionFailed as failure:
            if failure.reason in ("ConnectionLost", "RsyncMissing", "AuthenticationFailed"):
                routing.forget(target.host, source.host)
                rsyncs.forget(runner.host)
            raise


def tuned(argv: list[str]) -> list[str]:
    """An rsync command for a staging folder."""
    kept = [word for word in argv if word != "--fsync" and not word.startswith("--partial-dir=")]
    return [kept[0], "--inplace", *kept[1:]]


def for_copy(argv: list[str], tool: RsyncTool, files: int) -> list[str]:
    """A tuned command that fetches so many files, as copy.sh takes it: first the options by which rsync tells how
    far it is, as one word, if somebody else may do that.

    Of many files these take more than they are worth: telling something after each of them, and comparing every
    name that comes with every name that was asked for (of 10,000 files a tenth of the copy, of 100,000 many times
    the copy). What is staged is held against the list before it gets its name: no file more and none less.
    """
    if files <= MANY:
        return ["", *argv]
    telling = [word for word in argv if word in rsync.TELLING]
    trusting = ["--trust-sender"] if tool.has_trust_sender else []
    return [" ".join(telling), argv[0], *trusting, *(word for word in argv[1:] if word not in telling)]


def streams(load: Load, route: Route) -> int:
    """How many rsyncs fetch a load at once: many small files keep one of them waiting, for the disk or for the line."""
    many = len(load.files) > MANY and load.total <= SHARING
    return 2 if many and load.bandwidth is None and route.kind == "direct" else 1


def _copy_failure(host: str, code: int, said: bytes) -> ActionFailed:
    """rsync's failure in custody's words: what keeps a resumable partial is always worth another try."""
    failure = rsync.failure(code, said)
    if failure.reason == "DiskFull":
        return ActionFailed(
            f"{host}: the disk is full; what arrived stays and is gone on from", reason="NoSpace"
        )
    if failure.reason == "RsyncMissing":
        return ActionFailed(f"{host}: {failure}: {INSTALL}", reason="RsyncMissing")
    return ActionFailed(f"{host}: {failure}", reason=failure.reason, transient=failure.transient)
