"""Jobs: started once, followed, cancelled, found again; and never taken for running when they are not."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.links.loopback import Sshd

from telarchy.errors import ActionFailed
from telarchy.links import jobs
from telarchy.links.jobs import JobReport, JobSpec, JobState
from telarchy.links.link import Link
from telarchy.links.local import LocalLink
from telarchy.links.ssh import SshLink


@pytest.fixture(params=["local", "ssh"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    local = request.param == "local"
    made: Link = LocalLink("black") if local else SshLink(request.getfixturevalue("sshd").way())
    yield made
    await made.close()


def job(tmp_path: Path, script: str, *args: str, **more: object) -> JobSpec:
    name = f"{os.getpid():x}{time.monotonic_ns():x}"
    return JobSpec(name, f"{tmp_path}/it's \u00e4/.telarchy/jobs/{name}", script, args, **more)  # type: ignore[arg-type]


async def last(link: Link, spec: JobSpec) -> JobReport:
    return [report async for report in jobs.follow(link, spec.folder)][-1]


def leader(spec: JobSpec) -> int:
    return int((Path(spec.folder) / "pid").read_text().split("\n")[0])


async def test_a_job_runs_to_its_end(link: Link, tmp_path: Path) -> None:
    ugly = b"\xff '\n\"$x`".decode("utf-8", "surrogateescape")
    spec = job(
        tmp_path,
        'cat note; printf "%s|" "$@"; echo trouble >&2; printf "1%%\\r50%%\\r100%%" >progress; exit 3',
        ugly,
        "",
        files={"note": b"\0bytes"},
        spec={"verb": "Copy", "title": ugly},
    )
    assert await jobs.start(link, spec)
    report = await last(link, spec)
    assert report == JobReport(JobState.ENDED, 3, b"100%")
    assert (
        await jobs.output(link, spec.folder) == b"\0bytes" + ugly.encode("utf-8", "surrogateescape") + b"||"
    )
    assert await jobs.complaint(link, spec.folder) == "trouble"
    (found,) = await jobs.status(link, spec.folder.rsplit("/", 1)[0])
    assert (found.id, found.state, found.code, found.progress) == (spec.id, JobState.ENDED, 3, b"100%")
    assert found.spec == {"verb": "Copy", "title": ugly}
    await jobs.remove(link, spec.folder)
    assert await jobs.status(link, spec.folder.rsplit("/", 1)[0]) == []


async def test_starting_is_idempotent(link: Link, tmp_path: Path) -> None:
    spec = job(tmp_path, "echo once >>../count; sleep 1")
    started = await asyncio.gather(*(jobs.start(link, spec) for _ in range(5)))
    assert sorted(started) == [False, False, False, False, True]
    assert (await last(link, spec)).ok
    assert not await jobs.start(link, spec)
    count = Path(spec.folder).parent / "count"
    assert count.read_text() == "once\n"
    assert await jobs.start(link, spec, restart=True)
    assert (await last(link, spec)).ok
    assert count.read_text() == "once\nonce\n"


async def test_progress_is_told_as_it_changes(link: Link, tmp_path: Path) -> None:
    spec = job(
        tmp_path, "for n in 1 2 3; do echo $n >>progress; until [ -e go$n ]; do sleep 0.05; done; done"
    )
    await jobs.start(link, spec)
    seen = []
    async for report in jobs.follow(link, spec.folder):
        seen.append((str(report.state), report.progress))
        if report.progress:
            (Path(spec.folder) / f"go{report.progress.decode()}").touch()
    told = [one for one in seen if one[1]]
    assert told == [("Running", b"1"), ("Running", b"2"), ("Running", b"3"), ("Ended", b"3")]


@pytest.mark.parametrize("step", ["$!", "1", "0", "no number", "-1", "999999999"])
async def test_whatever_a_job_says_of_its_step_its_progress_is_told(
    link: Link, tmp_path: Path, step: str
) -> None:
    begin = f'sleep 0.3 & echo "{step}" >step; echo 1 >>progress; wait; echo 2 >>progress'
    spec = job(tmp_path, f"{begin}; until [ -e go ]; do sleep 0.05; done")
    await jobs.start(link, spec)
    told = []
    async for report in jobs.follow(link, spec.folder):
        told.append(report.progress)
        if report.progress == b"2":
            (Path(spec.folder) / "go").touch()
    assert b"2" in told and report.ok


@pytest.mark.parametrize("lacking", [("timeout",), ("tail --pid",), ("timeout", "sleep 0.")], ids="+".join)
async def test_a_job_is_followed_with_simple_tools_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...]
) -> None:
    simple = tmp_path / "simple"
    simple.mkdir()
    for tool in lacking:
        name, _, word = tool.partition(" ")
        refusing = f'case " $* " in *" {word}"*) echo >>"{tmp_path}/refused"; exit 1 ;; esac'
        (simple / name).write_text(f'#!/bin/sh\n{refusing}\nexec {shutil.which(name)} "$@"\n')
        (simple / name).chmod(0o755)
    spec = job(
        tmp_path, f"PATH={os.environ['PATH']}; echo 1 >>progress; until [ -e go ]; do sleep 0.05; done"
    )
    monkeypatch.setenv("PATH", f"{simple}:{os.environ['PATH']}")
    here = LocalLink("here")
    await jobs.start(here, spec)
    told = []
    async for report in jobs.follow(here, spec.folder):
        told.append(report.progress)
        (Path(spec.folder) / "go").touch()
    assert b"1" in told and report.ok
    # A tool that is lacking is asked for once, and not again and again.
    assert 1 <= len((tmp_path / "refused").read_text()) <= 3


async def test_the_end_is_noticed_at_once(link: Link, tmp_path: Path) -> None:
    spec = job(tmp_path, "sleep 0.7; date +%s.%N >ended")
    await jobs.start(link, spec)
    assert (await last(link, spec)).ok
    assert (
        time.time() - float((Path(spec.folder) / "ended").read_text()) < 5
    )  # on a busy machine; 0.05 on an idle one


async def test_cancelling_stops_everything_and_keeps_the_files(link: Link, tmp_path: Path) -> None:
    marker = f"78{os.getpid()}1"
    spec = job(tmp_path, f"echo part >staged; (setsid sleep {marker} &) ; sleep {marker}")
    await jobs.start(link, spec)
    following = asyncio.create_task(last(link, spec))
    await asyncio.sleep(0.3)
    await jobs.cancel(link, spec.folder)
    assert (await following).state is JobState.LOST
    assert subprocess.run(["pgrep", "-f", f"sleep {marker}"], check=False).returncode == 1
    assert (Path(spec.folder) / "staged").exists()
    await jobs.cancel(link, spec.folder)


async def test_a_job_that_ignores_politeness_is_killed(link: Link, tmp_path: Path) -> None:
    spec = job(tmp_path, "trap '' TERM; while :; do sleep 0.1; done")
    await jobs.start(link, spec)
    await jobs.cancel(link, spec.folder)
    (found,) = await jobs.status(link, spec.folder.rsplit("/", 1)[0])
    assert found.state is JobState.LOST


async def test_a_killed_job_is_lost_and_starts_again(link: Link, tmp_path: Path) -> None:
    spec = job(tmp_path, "echo x >>../count; [ -e ../again ] || sleep 30")
    await jobs.start(link, spec)
    following = asyncio.create_task(last(link, spec))
    await asyncio.sleep(0.2)
    os.kill(leader(spec), signal.SIGKILL)
    began = time.monotonic()
    assert (await following).state is JobState.LOST
    assert time.monotonic() - began < 5
    (Path(spec.folder).parent / "again").touch()
    assert await jobs.start(link, spec)  # ends what the first run left behind
    assert (await last(link, spec)).ok
    assert (Path(spec.folder).parent / "count").read_text() == "x\nx\n"


async def test_a_killed_worker_is_a_failed_job(link: Link, tmp_path: Path) -> None:
    spec = job(tmp_path, "sleep 30 & echo $! >worker; wait $!")
    await jobs.start(link, spec)
    while not (Path(spec.folder) / "worker").exists():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    os.kill(int((Path(spec.folder) / "worker").read_text()), signal.SIGKILL)
    assert (await last(link, spec)).code == 137


async def test_a_recycled_process_id_is_not_the_job(link: Link, tmp_path: Path) -> None:
    spec = job(tmp_path, "sleep 30")
    await jobs.start(link, spec)
    pid = Path(spec.folder) / "pid"
    number, born, boot = pid.read_text().split()
    try:
        pid.write_text(f"{number}\n{int(born) - 1}\n{boot}\n")
        assert (await last(link, spec)).state is JobState.LOST
        pid.write_text(f"{number}\n{born}\n00000000-another-boot\n")
        assert (await last(link, spec)).state is JobState.LOST
        for broken in ("", "x", f"{number}\n", "\0\0\0\0\0\0"):  # what a power cut leaves of a file
            pid.write_text(broken)
            assert (await last(link, spec)).state is JobState.LOST
        pid.write_text(f"{number}\n{born}\n{boot}\n")
        (Path(spec.folder) / "exit").write_text("")
        (found,) = await jobs.status(link, spec.folder.rsplit("/", 1)[0])
        assert found.state is JobState.RUNNING
        with pytest.raises(ActionFailed) as caught:
            await jobs.remove(link, spec.folder)
        assert caught.value.reason == "JobRunning"
    finally:
        await jobs.cancel(link, spec.folder)


async def test_a_job_that_is_not_there_is_lost(link: Link, tmp_path: Path) -> None:
    spec = job(tmp_path, "")
    assert (await last(link, spec)).state is JobState.LOST
    assert await jobs.status(link, f"{tmp_path}/none") == []
    await jobs.cancel(link, spec.folder)
    await jobs.remove(link, spec.folder)


async def test_where_nothing_can_be_written(link: Link, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ActionFailed) as caught:
        await jobs.start(link, JobSpec("a", f"{tmp_path}/file/.telarchy/jobs/a", ""))
    assert caught.value.reason == "JobNotStarted"


async def test_nobody_keeps_following_when_nobody_listens(sshd: Sshd, tmp_path: Path) -> None:
    link = SshLink(sshd.way())
    spec = job(tmp_path, "sleep 30")
    await jobs.start(link, spec)
    following = asyncio.create_task(last(link, spec))
    await asyncio.sleep(0.3)
    sshd.cut()
    with pytest.raises(Exception, match="lost"):
        await following
    for _ in range(300):
        if subprocess.run(["pgrep", "-f", f"job-follow {spec.folder}"], check=False).returncode:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("the follower still runs")
    (found,) = await jobs.status(link, spec.folder.rsplit("/", 1)[0])
    assert found.state is JobState.RUNNING
    await jobs.cancel(link, spec.folder)
    await link.close()


STARTER = """
import asyncio, sys
from telarchy.links import jobs
from telarchy.links.local import LocalLink
async def main():
    await jobs.start(LocalLink("here"), jobs.JobSpec("j1", sys.argv[1], "sleep 2; echo done"))
    print("started", flush=True)
    async for _ in jobs.follow(LocalLink("here"), sys.argv[1]): pass
asyncio.run(main())
"""


async def test_a_job_outlives_the_controller(tmp_path: Path) -> None:
    folder = f"{tmp_path}/.telarchy/jobs/j1"
    controller = subprocess.Popen([sys.executable, "-c", STARTER, folder], stdout=subprocess.PIPE)
    assert controller.stdout is not None
    await asyncio.to_thread(controller.stdout.readline)
    controller.kill()
    controller.wait()
    link = LocalLink("here")
    reports = [report async for report in jobs.follow(link, folder)]
    assert reports[-1].ok
    assert await jobs.output(link, folder) == b"done\n"


def test_what_is_no_job_folder_is_refused() -> None:
    for folder in ("relative/a", "/srv/x/", "/srv/..", "/srv/a b"):
        with pytest.raises(ValueError):
            jobs.job_id(folder)
    with pytest.raises(ValueError):
        JobSpec("a", "/srv/.telarchy/jobs/b", "")
