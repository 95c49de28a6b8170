"""Copies: whole or not at all, never twice, never over something else; whatever dies in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telarchy.custody import copying, transfer, working
from telarchy.custody.digests import LARGE
from telarchy.custody.transfer import for_copy, tuned
from telarchy.errors import ActionFailed, SafetyRefusal
from telarchy.links import jobs
from telarchy.links.rsync import RsyncTool
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_scan import HOSTILE

ROOT = os.geteuid() == 0
TITLE = "tv/show/S1"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[LocalFleet]:
    fleet = LocalFleet(tmp_path / "fleet")
    yield fleet
    await fleet.custody.close()


async def failure(fleet: LocalFleet, title: str = TITLE) -> str:
    """The reason why a copy fails."""
    with pytest.raises(ActionFailed) as caught:
        await fleet.act(fleet.copy(title))
    assert caught.value.transient
    return caught.value.reason


def leftovers(fleet: LocalFleet, letter: str = "b") -> list[str]:
    own = fleet.volumes[letter].own
    return [str(path.relative_to(own)) for folder in ("jobs", "staging") for path in (own / folder).glob("*")]


def program(folder: Path, name: str, text: str) -> Path:
    """A folder for PATH with a shell script in it."""
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{text}")
    (folder / name).chmod(0o755)
    return folder


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.02)


def slow(fleet: LocalFleet, rate: int = 1_000_000) -> None:
    """Copies at so many bytes per second."""
    fleet.spec = {"transfers": {"bandwidth": str(rate), "maxParallel": 1}}
    fleet.custody.configure(fleet.world())


def staged(fleet: LocalFleet, letter: str = "b") -> int:
    """Bytes in staging."""
    folder = fleet.volumes[letter].own / "staging"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


TOOLS = {"python": (), "rsync": ("python3",), "cp": ("python3", "rsync")}


@pytest.mark.parametrize("missing", TOOLS.values(), ids=TOOLS)
async def test_a_title_arrives_whole_with_digests_at_both_ends(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    if missing:
        monkeypatch.setenv("PATH", path_without(tmp_path, *missing))
    for name in HOSTILE:
        fleet.volumes["a"].write(b"tv/show/S1/" + name + b"/" + name, name * 100)
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    for letter in "ab":
        files = {one.path.encode("utf-8", "surrogateescape"): one for one in fleet.manifest(letter, TITLE)}
        assert len(files) == len(HOSTILE)
        for name in HOSTILE:
            one = files[name + b"/" + name]
            assert one.sha256 == hashlib.sha256(name * 100).hexdigest()
            assert one.mtime_ns == 1_700_000_000_123_456_789 and one.verified_at > 0
    assert leftovers(fleet) == []
    assert [progress.phase for progress in fleet.progress][:: len(fleet.progress) - 1] == [
        "looking",
        "committing",
    ]


async def test_a_title_that_is_one_large_file(fleet: LocalFleet) -> None:
    data = os.urandom(1 << 20) * 40
    fleet.volumes["a"].write("films/one.mkv", data)
    await fleet.look()
    await fleet.act(fleet.copy("films/one.mkv"))
    assert (fleet.volumes["b"].path / "films/one.mkv").read_bytes() == data
    [one] = fleet.manifest("b", "films/one.mkv")
    assert one.sha256 == hashlib.sha256(data).hexdigest()


async def test_an_empty_file_arrives_too(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/empty", b"")
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == {f"{TITLE}/empty": b""}


async def test_only_missing_files_come(fleet: LocalFleet) -> None:
    for number in range(4):
        fleet.volumes["a"].write(f"{TITLE}/e{number}", b"%d" % number)
    kept = fleet.volumes["b"].write(f"{TITLE}/e1", b"1")
    fleet.volumes["b"].write(f"{TITLE}/own", b"only here")
    await fleet.look()
    before = kept.stat()
    await fleet.act(fleet.copy(TITLE))
    assert kept.stat().st_ino == before.st_ino and kept.stat().st_mtime_ns == before.st_mtime_ns
    assert set(fleet.volumes["b"].everything()) == {
        f"{TITLE}/{name}" for name in ("e0", "e1", "e2", "e3", "own")
    }


async def test_nothing_but_the_manifest_travels(fleet: LocalFleet, tmp_path: Path) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1")
    (fleet.volumes["a"].path / TITLE / "link").symlink_to("/etc/passwd")
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    assert [path.name for path in (fleet.volumes["b"].path / TITLE).iterdir()] == ["e1"]


async def test_a_complete_title_is_only_read(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    there = fleet.volumes["b"].write(f"{TITLE}/e1", b"one")
    await fleet.look()
    inode = there.stat().st_ino
    await fleet.act(fleet.copy(TITLE))
    assert there.stat().st_ino == inode
    assert fleet.manifest("b", TITLE)[0].sha256 == hashlib.sha256(b"one").hexdigest()
    assert leftovers(fleet) == []


async def test_a_complete_title_with_other_contents_is_told(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    fleet.volumes["b"].write(f"{TITLE}/e1", b"two")
    await fleet.look()
    assert await failure(fleet) == "ContentsDiffer"
    assert fleet.volumes["b"].everything() == {f"{TITLE}/e1": b"two"}


# --- dying in the middle -----------------------------------------------------------------------------------------


async def test_what_is_staged_is_not_moved_again(fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    await fleet.look()
    action = fleet.copy(TITLE)

    async def die(*args: object) -> None:
        raise ActionFailed("the controller died here")

    with monkeypatch.context() as patch:
        patch.setattr(copying, "_commit", die)
        with pytest.raises(ActionFailed):
            await fleet.act(action)
    assert fleet.volumes["b"].everything() == {}
    [job] = (await fleet.look())[fleet.volumes["b"].id].jobs
    assert (job.action, job.state, job.title, job.bytes) == (action.id, "Staged", TITLE, 3)
    inode = (fleet.volumes["b"].own / "staging" / action.id / TITLE / "e1").stat().st_ino
    fleet.custody = fleet.controller()
    await fleet.look()
    await fleet.act(action)
    assert (fleet.volumes["b"].path / TITLE / "e1").stat().st_ino == inode
    assert leftovers(fleet) == []


async def test_what_was_committed_but_not_recorded_is_found(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    await fleet.look()
    action = fleet.copy(TITLE)

    def die(*args: object) -> None:
        raise ActionFailed("the controller died here")

    with monkeypatch.context() as patch:
        patch.setattr(copying, "_record", die)
        with pytest.raises(ActionFailed):
            await fleet.act(action)
    inode = (fleet.volumes["b"].path / TITLE / "e1").stat().st_ino
    await fleet.act(action)
    assert (fleet.volumes["b"].path / TITLE / "e1").stat().st_ino == inode
    assert fleet.manifest("b", TITLE)[0].verified_at > 0
    assert leftovers(fleet) == []


async def test_cancelling_stops_the_job_and_keeps_what_came(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", os.urandom(4_000_000))
    await fleet.look()
    slow(fleet)
    action = fleet.copy(TITLE)
    task = asyncio.create_task(fleet.act(action))
    await until(lambda: staged(fleet) > 300_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [job] = (await fleet.look())[fleet.volumes["b"].id].jobs
    assert job.state in ("Lost", "Failed") and job.bytes > 0
    came = staged(fleet)
    assert came > 300_000
    slow(fleet, 100_000_000)
    await fleet.act(action)
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    assert leftovers(fleet) == []


async def test_a_plan_that_sees_the_title_appear_does_not_cut_off_its_record(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    await fleet.look()
    task = asyncio.create_task(fleet.act(fleet.copy(TITLE)))
    commit = copying._commit

    async def seen_meanwhile(*arguments: Any) -> Any:
        committed = await commit(*arguments)
        task.cancel()
        await asyncio.sleep(0)
        return committed

    monkeypatch.setattr(copying, "_commit", seen_meanwhile)
    await task
    assert fleet.manifest("b", TITLE)[0].sha256 == hashlib.sha256(b"one").hexdigest()
    assert leftovers(fleet) == []


async def test_a_stopping_controller_leaves_its_job_running(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", os.urandom(3_000_000))
    await fleet.look()
    slow(fleet)
    action = fleet.copy(TITLE)
    task = asyncio.create_task(fleet.act(action))
    await until(lambda: staged(fleet) > 100_000)
    fleet.custody.detach()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    fleet.custody = fleet.controller()
    [job] = (await fleet.look())[fleet.volumes["b"].id].jobs
    assert job.state == "Running"
    begun = (fleet.volumes["b"].own / "jobs" / action.id / "pid").stat().st_mtime_ns
    finishing = asyncio.create_task(fleet.act(action))
    await asyncio.sleep(0.5)
    assert (fleet.volumes["b"].own / "jobs" / action.id / "pid").stat().st_mtime_ns == begun
    await finishing
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


CONTROLLER = """
import asyncio, pathlib, sys
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_act_copy import TITLE, slow

async def main():
    fleet = LocalFleet(pathlib.Path(sys.argv[1]))
    await fleet.look()
    slow(fleet)
    await fleet.act(fleet.copy(TITLE))

asyncio.run(main())
"""


async def test_a_killed_controller_is_succeeded_by_the_next(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", os.urandom(3_000_000))
    path = ":".join([str(REPOSITORY / "controller"), str(REPOSITORY)])
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(fleet.path)], env={**os.environ, "PYTHONPATH": path}
    )
    await until(lambda: staged(fleet) > 300_000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    await fleet.look()
    action = fleet.copy(TITLE)
    pid = fleet.volumes["b"].own / "jobs" / action.id / "pid"
    begun = pid.stat().st_mtime_ns
    attached = asyncio.create_task(fleet.act(action))
    await asyncio.sleep(0.3)
    assert pid.stat().st_mtime_ns == begun
    await attached
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    assert leftovers(fleet) == []


async def test_a_killed_job_goes_on_from_what_came(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"small")
    fleet.volumes["a"].write(f"{TITLE}/e2", os.urandom(4_000_000))
    await fleet.look()
    slow(fleet)
    action = fleet.copy(TITLE)
    task = asyncio.create_task(fleet.act(action))
    await until(lambda: staged(fleet) > 500_000)
    for process in Path("/proc").glob("[0-9]*/environ"):
        with_mark = f"TELARCHY_JOB={action.id}".encode()
        try:
            mine = with_mark in process.read_bytes().split(b"\0")
        except OSError:
            continue
        if mine:
            os.kill(int(process.parent.name), signal.SIGKILL)
    with pytest.raises(ActionFailed) as caught:
        await task
    assert caught.value.reason in ("JobLost", "Interrupted")
    first = fleet.volumes["b"].own / "staging" / action.id / TITLE / "e1"
    inode = first.stat().st_ino
    slow(fleet, 100_000_000)
    await fleet.act(action)
    assert (fleet.volumes["b"].path / TITLE / "e1").stat().st_ino == inode
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


# --- disks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[LocalFleet]:
    """A fleet whose second host has a disk of eight megabytes."""
    if not ROOT:
        pytest.skip("mounting needs root")
    disk = tmp_path / "fleet" / "b"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], check=True)
    try:
        yield LocalFleet(tmp_path / "fleet")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


async def test_too_little_room_is_told_before_anything_moves(small: LocalFleet) -> None:
    small.volumes["a"].write(f"{TITLE}/e1", bytes(9_000_000))
    await small.look()
    assert await failure(small) == "NoSpace"
    assert staged(small) == 0


async def test_the_reserve_is_left_free(small: LocalFleet) -> None:
    small.volumes["a"].write(f"{TITLE}/e1", bytes(5_000_000))
    root = {"name": "main", "path": small.volumes["b"].root, "reserve": "6M"}
    small.host_specs["b"] = {"mediaRoots": [root]}
    small.custody.configure(small.world())
    await small.look()
    assert await failure(small) == "NoSpace"
    small.host_specs["b"] = {"mediaRoots": [{**root, "reserve": "1M"}]}
    small.custody.configure(small.world())
    await small.act(small.copy(TITLE))
    assert small.volumes["b"].everything() == small.volumes["a"].everything()


async def test_a_disk_that_fills_up_keeps_a_resumable_part(small: LocalFleet) -> None:
    small.volumes["a"].write(f"{TITLE}/e1", os.urandom(4_000_000))
    await small.look()
    slow(small, 2_000_000)
    task = asyncio.create_task(small.act(small.copy(TITLE)))
    await until(lambda: staged(small) > 300_000)
    filling = small.volumes["b"].path / "filling"
    with pytest.raises(OSError), filling.open("wb") as file:
        while True:
            file.write(bytes(65536))
            file.flush()
    with pytest.raises(ActionFailed) as caught:
        await task
    assert caught.value.reason == "NoSpace" and caught.value.transient
    assert staged(small) > 300_000
    assert not (small.volumes["b"].path / TITLE).exists()
    filling.unlink()
    slow(small, 100_000_000)
    await small.act(small.copy(TITLE))
    assert small.volumes["b"].everything() == small.volumes["a"].everything()


async def test_a_disk_with_too_few_inodes_is_not_filled_up_for_nothing(small: LocalFleet) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=150", small.volumes["b"].path], check=True)
    for number in range(200):
        small.volumes["a"].write(f"{TITLE}/{number}", b"")
    small.volumes["a"].write("films/one")
    await small.look()
    assert await failure(small) == "NoSpace"
    assert not (small.volumes["b"].own / "staging" / small.copy(TITLE).id).exists()
    await small.act(small.copy("films/one"))
    assert set(small.volumes["b"].everything()) == {"films/one"}


async def test_a_job_that_cannot_be_written_to_a_full_disk(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_room(*_: Any, **__: Any) -> bool:
        raise ActionFailed("printf: I/O error", reason="JobNotStarted")

    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    await fleet.look()
    monkeypatch.setattr(jobs, "start", no_room)
    assert await failure(fleet) == "JobNotStarted"
    monkeypatch.setattr(working, "LITTLE", 1 << 60)
    assert await failure(fleet) == "NoSpace"


async def test_a_disk_that_turned_read_only_says_so(small: LocalFleet) -> None:
    small.volumes["a"].write(f"{TITLE}/e1")
    await small.look()
    subprocess.run(["mount", "-o", "remount,ro", small.volumes["b"].path], check=True)
    with pytest.raises(ActionFailed):
        await small.act(small.copy(TITLE))
    assert (await small.look())[small.volumes["b"].id].state == "ReadOnly"
    assert await failure(small) == "ReadOnly"


@pytest.mark.parametrize("letter", ["a", "b"])
async def test_a_disk_that_went_away_says_so(fleet: LocalFleet, letter: str) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1")
    await fleet.look()
    action = fleet.copy(TITLE)
    shutil.rmtree(fleet.volumes[letter].path)
    fleet.volumes[letter].path.mkdir()
    with pytest.raises(ActionFailed) as caught:
        await fleet.act(action)
    assert caught.value.reason == "VolumeGone"
    assert list(fleet.volumes[letter].path.iterdir()) == []


# --- sources that are not what they were ----------------------------------------------------------------------------


async def test_a_source_that_changed_since_the_plan(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    await fleet.look()
    fleet.volumes["a"].write(f"{TITLE}/e1", b"longer")
    assert await failure(fleet) == "SourceChanged"
    assert fleet.volumes["b"].everything() == {}
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == {f"{TITLE}/e1": b"longer"}


async def test_a_source_that_can_be_read_in_part_only_says_so(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    await fleet.look()
    survey = copying.survey

    async def in_part(*arguments: Any) -> Any:
        return replace(await survey(*arguments), whole=False)

    monkeypatch.setattr(copying, "survey", in_part)
    assert await failure(fleet) == "Unreadable"


async def test_what_came_of_a_source_that_changed_meanwhile_is_not_kept(fleet: LocalFleet) -> None:
    growing = fleet.volumes["a"].write(f"{TITLE}/e1", os.urandom(2_000_000))
    await fleet.look()
    slow(fleet)
    task = asyncio.create_task(fleet.act(fleet.copy(TITLE)))
    await until(lambda: staged(fleet) > 300_000)
    with growing.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ActionFailed) as caught:
        await task
    assert caught.value.reason == "SourceChanged"
    assert leftovers(fleet) == []
    [(title, at)] = fleet.custody.section().restless.items()
    assert title == TITLE and at > fleet.custody.bench.clock.now()


async def test_a_file_that_was_written_a_moment_ago_has_to_hold_still(fleet: LocalFleet) -> None:
    growing = fleet.volumes["a"].write(f"{TITLE}/e1", b"the beginning")
    os.utime(growing)
    await fleet.look()
    task = asyncio.create_task(fleet.act(fleet.copy(TITLE)))
    await until(lambda: any(one.phase == "settling" for one in fleet.progress))
    growing.write_bytes(b"the beginning and the end")
    with pytest.raises(ActionFailed) as caught:
        await task
    assert caught.value.reason == "SourceChanged" and fleet.volumes["b"].everything() == {}


async def test_a_source_that_rotted_is_found_out(fleet: LocalFleet) -> None:
    rotten = fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    await fleet.look()
    await fleet.act(fleet.verify(TITLE))
    stamp = rotten.stat().st_mtime_ns
    rotten.write_bytes(b"evil")
    os.utime(rotten, ns=(stamp, stamp))
    assert await failure(fleet) == "SourceDamaged"
    assert fleet.manifest("a", TITLE)[0].damaged
    assert fleet.manifest("a", TITLE)[0].sha256 == hashlib.sha256(b"good").hexdigest()
    assert fleet.volumes["b"].everything() == {} and staged(fleet) == 0
    assert await failure(fleet) == "SourceDamaged"


async def test_what_arrives_wrong_is_not_committed(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not older than the copy, so that it is read at the end and not as it arrives.
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good", mtime=int(time.time()) + 1000)
    await fleet.look()
    slow(fleet, 100_000_000)  # which is rsync's business
    text = (
        f'{shutil.which("rsync")} "$@" || exit\nfor last; do :; done\n'
        '[ ! -d "$last" ] || find "$last" -type f -exec sh -c \'printf evil >"$1"\' x {} \\;\n'
    )
    bad = program(tmp_path / "bad", "rsync", text)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{bad}:{os.environ['PATH']}")
        assert await failure(fleet) == "DigestMismatch"
    assert fleet.volumes["b"].everything() == {} and staged(fleet) == 0
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == {f"{TITLE}/e1": b"good"}


async def test_a_file_that_nobody_asked_for_is_not_committed(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    await fleet.look()
    slow(fleet, 100_000_000)
    more = f'echo >"$last/{TITLE}/more"'
    text = f'{shutil.which("rsync")} "$@" || exit\nfor last; do :; done\n[ ! -d "$last" ] || {more}\n'
    monkeypatch.setenv("PATH", f"{program(tmp_path / 'bad', 'rsync', text)}:{os.environ['PATH']}")
    assert await failure(fleet) == "Changed"
    assert fleet.volumes["b"].everything() == {} and leftovers(fleet) == []


async def test_rsync_tells_how_far_it_is_only_where_nobody_else_can(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    await fleet.look()
    slow(fleet, 100_000_000)
    monkeypatch.setattr(transfer, "MANY", 0)
    noted = tmp_path / "noted"
    text = f'printf "%s " "$@" >"{noted}"\nexec {shutil.which("rsync")} "$@"\n'
    monkeypatch.setenv("PATH", f"{program(tmp_path / 'bin', 'rsync', text)}:{os.environ['PATH']}")
    await fleet.act(fleet.copy(TITLE))
    assert "--inplace" in noted.read_text() and "progress" not in noted.read_text()
    # What an earlier try left is nothing that arrives.
    fleet.volumes["a"].write("tv/show/S2/e1", b"good")
    await fleet.look()
    left = fleet.volumes["b"].own / "staging" / fleet.copy("tv/show/S2").id
    left.mkdir(parents=True)
    left.with_suffix(".begun").touch()
    await fleet.act(fleet.copy("tv/show/S2"))
    assert "--info=progress2" in noted.read_text()
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


def test_of_many_files_rsync_does_not_compare_every_name_with_every_other() -> None:
    new, old = RsyncTool("rsync", (3, 2, 5)), RsyncTool("rsync", (3, 2, 4))
    argv = tuned(["rsync", "--times", "--partial-dir=x", "--info=progress2", "--fsync", "a:", "b"])
    assert argv == ["rsync", "--inplace", "--times", "--info=progress2", "a:", "b"]
    assert for_copy(argv, new, 1000) == ["", *argv]
    many = ["--info=progress2", "rsync", "--trust-sender", "--inplace", "--times", "a:", "b"]
    assert for_copy(argv, new, 1001) == many
    assert for_copy(argv, old, 1001) == [word for word in many if word != "--trust-sender"]


# --- refusals ------------------------------------------------------------------------------------------------------


async def refused(fleet: LocalFleet) -> SafetyRefusal:
    with pytest.raises(SafetyRefusal) as caught:
        await fleet.act(fleet.copy(TITLE))
    return caught.value


@pytest.mark.parametrize("there", [b"", b"longer than it"])
async def test_a_file_of_another_size_is_never_overwritten(fleet: LocalFleet, there: bytes) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"one")
    fleet.volumes["a"].write(f"{TITLE}/e2", b"two")
    fleet.volumes["b"].write(f"{TITLE}/e1", there)
    await fleet.look()
    assert (await refused(fleet)).rule == "never-overwrite"
    assert fleet.volumes["b"].everything() == {f"{TITLE}/e1": there}


async def test_a_file_here_and_a_folder_there(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1")
    fleet.volumes["b"].write(TITLE)
    await fleet.look()
    assert (await refused(fleet)).rule == "never-overwrite"


async def test_links_on_the_way_are_traps(fleet: LocalFleet, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    fleet.volumes["a"].write(f"{TITLE}/e1")
    (fleet.volumes["b"].path / "tv").symlink_to(outside)
    await fleet.look()
    assert (await refused(fleet)).rule == "never-overwrite"
    assert list(outside.iterdir()) == []


async def test_a_rival_with_a_higher_epoch_stops_us_at_once(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1")
    await fleet.look()
    assert fleet.custody.section().fenced == ""
    (fleet.volumes["b"].own / "epoch").write_text("99 rival other desk\n")
    refusal = await refused(fleet)
    assert refusal.rule == "single-writer" and "other desk" in str(refusal)
    assert "other desk" in fleet.custody.section().fenced
    assert fleet.volumes["b"].everything() == {} and staged(fleet) == 0


# --- tools ---------------------------------------------------------------------------------------------------------


def path_without(tmp_path: Path, *names: str) -> str:
    """A PATH with everything of this machine but these programs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).glob("*"):
            if tool.name not in names and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    return str(tools)


@pytest.mark.parametrize("missing", TOOLS.values(), ids=TOOLS)
async def test_large_files_are_read_as_they_come_whatever_tools_there_are(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    if missing:
        monkeypatch.setenv("PATH", path_without(tmp_path, *missing))
    for number in range(2):
        fleet.volumes["a"].write(f"{TITLE}/e{number}", os.urandom(LARGE + number))
    fleet.volumes["a"].write(f"{TITLE}/e2", b"small")
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    assert [one.sha256 for one in fleet.manifest("b", TITLE)] == [
        hashlib.sha256(data).hexdigest() for _, data in sorted(fleet.volumes["a"].everything().items())
    ]
    assert {one.mtime_ns for one in fleet.manifest("b", TITLE)} == {1_700_000_000_123_456_789}


@pytest.mark.parametrize("missing", TOOLS.values(), ids=TOOLS)
async def test_what_an_earlier_try_left_is_gone_on_from_and_read_all_the_same(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    if missing:
        monkeypatch.setenv("PATH", path_without(tmp_path, *missing))
    data = os.urandom(LARGE)
    fleet.volumes["a"].write(f"{TITLE}/e1", data)
    fleet.volumes["a"].write(f"{TITLE}/e2", b"small")
    await fleet.look()
    staging = fleet.volumes["b"].own / "staging"
    left = staging / fleet.copy(TITLE).id / TITLE
    left.mkdir(parents=True)
    staging.joinpath(f"{fleet.copy(TITLE).id}.begun").touch()
    left.joinpath("e1").write_bytes(data[: LARGE // 2])
    left.joinpath("e2").write_bytes(b"smal")
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


async def test_a_rotten_remainder_is_found_out_and_comes_again(fleet: LocalFleet) -> None:
    data = os.urandom(LARGE)
    fleet.volumes["a"].write(f"{TITLE}/e1", data)
    await fleet.look()
    staging = fleet.volumes["b"].own / "staging"
    left = staging / fleet.copy(TITLE).id / TITLE
    left.mkdir(parents=True)
    (staging / f"{fleet.copy(TITLE).id}.begun").touch()
    left.joinpath("e1").write_bytes(bytes(LARGE // 2))
    assert await failure(fleet) == "DigestMismatch"
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


@pytest.mark.parametrize("teller", ["rsync", "python"])
async def test_the_job_is_shown_with_its_progress(
    fleet: LocalFleet, teller: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MANY", 0 if teller == "python" else 1000)
    fleet.volumes["a"].write(f"{TITLE}/e1", os.urandom(3_000_000))
    await fleet.look()
    slow(fleet, 1_000_000 if teller == "rsync" else 300_000)  # a Python that starts on a busy machine
    action = fleet.copy(TITLE)
    task = asyncio.create_task(fleet.act(action))
    await until(lambda: any(p.phase == "transferring" and p.rate for p in fleet.progress))
    [job] = (await fleet.look())[fleet.volumes["b"].id].jobs
    assert (job.verb, job.title, job.state, job.total) == ("Copy", TITLE, "Running", 3_000_000)
    assert 0 < job.bytes < 3_000_000
    await task
    shown = [progress for progress in fleet.progress if progress.phase == "transferring"]
    assert all(progress.total == 3_000_000 for progress in shown)
    assert any(progress.eta for progress in shown)
    assert jobs.JOBS_FOLDER and (await fleet.look())[fleet.volumes["b"].id].jobs == ()
