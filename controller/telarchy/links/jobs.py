"""Long work belongs to the host: it outlives the controller, and the next controller finds it again.

A job is a folder `<root>/.telarchy/jobs/<action id>/`:

    spec.json    what it is for, as the action told it; read back by `status`
    run.sh       its script; args.sh its arguments; job-run.sh runs it
    unit         manager and name of its transient systemd unit, when it runs as one
    pid          process id, start time, boot id: a recycled id or a reboot is told from a running job
    progress     its last line is where the job stands; run.sh writes it
    step         id of a process that run.sh waits for, if it likes: when that ends, progress is looked at
    out, err     what run.sh wrote
    exit         its exit status, written last and in one go

From these its state follows: Ended with `exit`, Running while that very process lives, else Lost (killed, cancelled,
power cut). A lost job is started again by `start`; what it had staged is still there for run.sh to go on from.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from telarchy.errors import ActionFailed
from telarchy.links.link import Link
from telarchy.links.quoting import shell_command
from telarchy.links.scripts import script, text

JOBS_FOLDER = ".telarchy/jobs"
START_TIMEOUT = 60.0
CANCEL_TIMEOUT = 90.0  # systemd waits 20 s before it kills, and so do we
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)


class JobState(StrEnum):
    RUNNING = "Running"
    ENDED = "Ended"
    LOST = "Lost"


@dataclass(frozen=True)
class JobSpec:
    """What to run.

    id:      the action's id, and the last part of `folder`
    folder:  absolute path of the job's folder on the host
    script:  text of run.sh: POSIX sh, run in the folder with LC_ALL=C and `args` as "$@"
    files:   further files to lay beside it, by name
    spec:    JSON-ready; comes back in JobStatus.spec
    nice:    give way to other work on the host
    """

    id: str
    folder: str
    script: str
    args: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    nice: bool = True

    def __post_init__(self) -> None:
        if self.id != job_id(self.folder):
            raise ValueError(f"the folder of job {self.id!r} must end in its id, not {self.folder!r}")


@dataclass(frozen=True)
class JobReport:
    """How a job goes. `code` is its exit status once Ended; `progress` is its last line, as bytes."""

    state: JobState
    code: int | None = None
    progress: bytes = b""

    @property
    def ok(self) -> bool:
        return self.state is JobState.ENDED and self.code == 0


@dataclass(frozen=True)
class JobStatus:
    """A job folder that was found. `spec` is empty where spec.json is missing or broken."""

    id: str
    state: JobState
    code: int | None
    progress: bytes
    spec: Mapping[str, Any]


def job_folder(root: str, action_id: str) -> str:
    """Where the job of an action lies on a volume."""
    return f"{root.rstrip('/')}/{JOBS_FOLDER}/{action_id}"


def job_id(folder: str) -> str:
    """The id that a job folder's path ends in. Raises ValueError where a path is not one of a job."""
    name = folder.rsplit("/", 1)[-1]
    if not folder.startswith("/") or _ID.fullmatch(name) is None:
        raise ValueError(f"{folder!r} is not the folder of a job")
    return name


async def start(link: Link, job: JobSpec, *, restart: bool = False) -> bool:
    """Start a job; True if it was started now. One that runs is left alone, and so is one that ended, unless
    `restart`. A lost one is started again. Returns once the job is on its way. Raises ActionFailed."""
    argv = script("job-start", job.folder, job.id, _yes(job.nice), _yes(restart))
    answer = await link.run(argv, stdin=_archive(job), timeout=START_TIMEOUT)
    if not answer.ok:
        raise ActionFailed(
            f"{link.host}: the job {job.id} cannot be started: {answer.complaint}", reason="JobNotStarted"
        )
    return answer.stdout.strip() == b"started"


async def follow(link: Link, folder: str) -> AsyncIterator[JobReport]:
    """Reports when the progress line changes (looked at 4 times a second) and, at last, how it ended.

    Over one channel; that it ended is noticed within 0.1 s. A job that is not there is Lost. Raises HostUnreachable
    when the connection goes; the job goes on.
    """
    progress, rest, told = b"", b"", False
    async with aclosing(_chunks(link, script("job-follow", folder))) as chunks:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"P "):
                    progress = line[2:]
                    yield JobReport(JobState.RUNNING, None, progress)
                elif line.startswith(b"E ") or line == b"L":
                    told = True  # the script ends by itself now, and need not be killed
                    state = JobState.LOST if line == b"L" else JobState.ENDED
                    yield JobReport(state, None if line == b"L" else int(line[2:]), progress)
    if not told:
        raise ActionFailed(f"{link.host}: nobody follows {folder} any more", reason="FollowEnded")


async def status(link: Link, jobs_folder: str) -> list[JobStatus]:
    """Every job in `<root>/.telarchy/jobs`, in one round trip. A folder that is not there holds none."""
    answer = await link.run(script("job-status", jobs_folder))
    fields = answer.stdout.split(b"\0")
    return [_job_status(*fields[at : at + 5]) for at in range(0, len(fields) - 4, 5)]


async def cancel(link: Link, folder: str) -> None:
    """Stop a job and wait until nothing of it runs; its files stay, and it counts as Lost unless it had ended.

    Raises ActionFailed when it cannot be stopped (a process that waits for a dead disk, for one).
    """
    answer = await link.run(script("job-cancel", folder, job_id(folder)), timeout=CANCEL_TIMEOUT)
    if not answer.ok:
        raise ActionFailed(f"{link.host}: {folder}: {answer.complaint}", reason="JobNotStopped")


async def remove(link: Link, folder: str) -> None:
    """Remove the folder of a job that does not run, with all that lies in it. Raises ActionFailed (JobRunning)."""
    job_id(folder)
    if f"/{JOBS_FOLDER}/" not in folder:
        raise ValueError(f"{folder!r} is not the folder of a job")
    answer = await link.run(script("job-remove", folder))
    if not answer.ok:
        reason = "JobRunning" if answer.code == 3 else "CannotRemove"
        raise ActionFailed(f"{link.host}: {folder}: {answer.complaint}", reason=reason)


async def output(link: Link, folder: str, name: str = "out") -> bytes:
    """A file of a job as it is now: out, err, or one that run.sh wrote. Empty when there is none."""
    return (await link.run(["cat", "--", f"{folder}/{name}"])).stdout


async def complaint(link: Link, folder: str) -> str:
    """The last line that a job wrote to stderr, for a person; "" when it wrote none."""
    answer = await link.run(["tail", "-n", "5", f"{folder}/err"])
    lines = answer.stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _chunks(link: Link, argv: list[str]) -> Any:
    return link.stream(argv)


def _job_status(name: bytes, state: bytes, code: bytes, progress: bytes, spec: bytes) -> JobStatus:
    try:
        content = json.loads(spec)
    except ValueError:
        content = {}
    return JobStatus(
        id=name.decode("utf-8", "surrogateescape"),
        state=JobState(state.decode()),
        code=int(code) if code else None,
        progress=progress,
        spec=content if isinstance(content, dict) else {},
    )


def _archive(job: JobSpec) -> bytes:
    """The job's files as a tar archive, which every userland unpacks."""
    content = {
        "job-lib.sh": text("job-lib").encode(),
        "job-run.sh": text("job-run").encode(),
        "run.sh": job.script.encode("utf-8", "surrogateescape"),
        "args.sh": shell_command(["set", "--", *job.args]) + b"\n",
        "spec.json": json.dumps(job.spec).encode() + b"\n",
        **job.files,
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in content.items():
            if "/" in name:
                raise ValueError(f"{name!r}: the files of a job lie in its folder")
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
