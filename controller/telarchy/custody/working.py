"""Jobs on hosts, from custody's side: start or attach, follow, and say what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from telarchy.custody import shell
from telarchy.custody.survey import Place
from telarchy.errors import ActionFailed, HostUnreachable, TelarchyError
from telarchy.links import jobs
from telarchy.links.jobs import JobReport, JobSpec, JobState

LITTLE = 1 << 20  # bytes; with less, a disk is full
FINISH_SECONDS = 120.0  # for the last steps of an action that is not wanted any more

T = TypeVar("T")


class JobEnded(ActionFailed):
    """A job ended with an exit code that is not one of custody's own. `code` is it."""

    def __init__(self, message: str, code: int) -> None:
        self.code = code
        super().__init__(message)


async def to_its_end(finishing: Coroutine[None, None, T], detached: Callable[[], bool]) -> T:
    """The last steps of an action, from where a scan may see its result: a plan that sees it wants the action no
    more, and would cut it off between the deed and its record. A cancellation is not passed on to them, unless
    `detached()`: the next controller finds out by itself how far they came.
    """
    task = asyncio.ensure_future(finishing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # The request stays counted on this task, so that whoever made it does not make it again.
        if detached() or not (await asyncio.wait([task], timeout=FINISH_SECONDS))[0]:
            task.cancel()
            await asyncio.wait([task])
            raise
        return task.result()


def give_up(task: asyncio.Task[Any]) -> None:
    """End a task of which nobody wants to know any more what becomes of it."""
    task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


async def carry_out(
    place: Place, job: JobSpec, told: Callable[[bytes], None], detached: Callable[[], bool]
) -> None:
    """Run a job to its good end, or attach to the one of the same id that runs or has ended.

    `told` gets each new last line of its progress, and b"" when it begins anew. When this task is cancelled the job
    is stopped, unless `detached()`: then it goes on and the next controller attaches. Raises what the job's exit code
    stands for.
    """
    try:
        started = await _start(place, job)
        ended = await _follow(place, job.folder, told)
        if not started and not ended.ok:
            # What an earlier try came to says nothing about this one.
            told(b"")
            await _start(place, job, restart=True)
            ended = await _follow(place, job.folder, told)
    except asyncio.CancelledError:
        if not detached():
            stopping = asyncio.ensure_future(jobs.cancel(place.link, job.folder))
            with suppress(ActionFailed, HostUnreachable, TimeoutError):
                await asyncio.shield(stopping)
        raise
    if not ended.ok:
        raise await _failure(place, job.folder, ended)


async def _start(place: Place, job: JobSpec, *, restart: bool = False) -> bool:
    try:
        return await jobs.start(place.link, job, restart=restart)
    except ActionFailed as failure:
        if failure.reason == "JobNotStarted" and await _is_full(place):
            raise _no_space(place) from failure
        raise


async def _is_full(place: Place) -> bool:
    with suppress(ActionFailed):
        return (await place.link.space(place.path)).free < LITTLE
    return False


def _no_space(place: Place) -> ActionFailed:
    return ActionFailed(f"{place.host}: the disk under {place.path} is full", reason="NoSpace")


async def _follow(place: Place, folder: str, told: Callable[[bytes], None]) -> JobReport:
    ended = JobReport(JobState.LOST)
    for _ in range(2):
        async for ended in jobs.follow(place.link, folder):
            if ended.progress:
                told(ended.progress)
        if ended.state is not JobState.LOST:
            break
        # Ended while it was looked at, perhaps: lost is only what is lost twice.
    return ended


async def _failure(place: Place, folder: str, ended: JobReport) -> TelarchyError:
    if ended.state is JobState.LOST or ended.code is None:
        if await _is_full(place):  # a job on a full disk cannot write down that it ended
            return _no_space(place)
        return ActionFailed(
            f"{place.host}: the job stopped without a word (killed, or the machine lost power); the next try goes "
            "on from what is there",
            reason="JobLost",
        )
    said = await jobs.complaint(place.link, folder)
    if ended.code < shell.FENCED or ended.code > shell.FAILED:
        return JobEnded(f"{place.host}: {said or f'the job ended with {ended.code}'}", ended.code)
    return shell.failure(ended.code, said or f"the job ended with {ended.code}", place.host)
