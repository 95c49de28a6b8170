"""Titles of many small files: two rsyncs fetch them, and their source is read before they travel."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from telarchy.custody import copying, shell, source, transfer
from telarchy.custody.arrival import Arrival
from telarchy.custody.digests import parse_readings, read_otherwise
from telarchy.custody.manifest import FileSeen
from telarchy.custody.survey import TitleNow, parse_title, survey
from telarchy.custody.transfer import Load, streams
from telarchy.errors import ActionFailed
from telarchy.links.routes import Route
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_act_copy import failure, leftovers, program, slow, staged, until
from tests.unit.custody.test_scan import HOSTILE

TITLE = "tv/show/S1"


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[LocalFleet]:
    yield LocalFleet(tmp_path)


# --- two at once ---------------------------------------------------------------------------------------------------


def load(files: int, size: int = 10, bandwidth: int | None = None) -> Load:
    return Load("id", "Copy", TITLE, {f"{TITLE}/{n}": size for n in range(files)}, 0, bandwidth)


def test_two_fetch_many_small_files_over_a_direct_line() -> None:
    direct, relay = Route("direct", "a", "b", "b", "/a"), Route("relay", "a", "b", "b", "/a")
    assert streams(load(1001), direct) == 2
    assert streams(load(1000), direct) == 1  # not worth a second
    assert streams(load(1001, 2 << 20), direct) == 1  # each would have a connection of its own
    assert streams(load(1001, bandwidth=1000), direct) == 1  # and so much each
    assert streams(load(1001), relay) == 1


@pytest.mark.parametrize("at_once", [1, 2])
def test_every_file_is_fetched_once(at_once: int) -> None:
    one = load(7)
    lists = Load(one.action, one.verb, one.title, one.files, 0, streams=at_once).lists()
    first, second = (lists[name].split(b"\0")[:-1] for name in ("files", "more"))
    assert sorted(first + second) == sorted(f"./{name}".encode() for name in one.files)
    assert (len(first), len(second)) == ((7, 0) if at_once == 1 else (4, 3))


@pytest.fixture
def noted(fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two rsyncs for whatever there is, and a file of how they were called. Between two folders of one machine there is
    an rsync only where it has to be slow, and that one is alone: so this way of copying is had here by force."""
    monkeypatch.setattr(transfer, "MANY", 0)
    monkeypatch.setattr(transfer, "streams", lambda load, route: 2)
    slow(fleet, 100_000_000)
    file = tmp_path / "noted"
    text = (
        f'printf "%s " "$@" >>"{file}"; echo >>"{file}"\n'
        f'case " $* " in *"/more "*) [ ! -e "{tmp_path}/spoilt" ] || exit 12 ;; esac\n'
        f'case " $* " in *" --files-from="*) rmdir "{tmp_path}/once" 2>/dev/null && exit 12 ;; esac\n'
        f'exec {shutil.which("rsync")} "$@"\n'
    )
    monkeypatch.setenv("PATH", f"{program(tmp_path / 'bin', 'rsync', text)}:{os.environ['PATH']}")
    return file


async def twenty(fleet: LocalFleet) -> None:
    """Files to fetch."""
    for number in range(20):
        fleet.volumes["a"].write(f"{TITLE}/e{number:02d}", b"%d" % number * 1000)
    await fleet.look()


def calls(noted: Path) -> list[str]:
    return [line for line in noted.read_text().splitlines() if "--files-from" in line]


async def test_what_two_fetch_is_whole(fleet: LocalFleet, noted: Path) -> None:
    for name in HOSTILE:
        fleet.volumes["a"].write(b"tv/show/S1/" + name + b"/" + name, name * 100)
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    assert sorted(line.count("/more") for line in calls(noted)) == [0, 1]
    assert all(one.sha256 for one in fleet.manifest("b", TITLE)) and leftovers(fleet) == []


async def test_when_one_of_two_fails_the_copy_fails_and_goes_on_later(
    fleet: LocalFleet, noted: Path, tmp_path: Path
) -> None:
    await twenty(fleet)
    (tmp_path / "spoilt").touch()
    assert await failure(fleet) == "ConnectionLost"
    assert fleet.volumes["b"].everything() == {}
    first_half = sum(len(b"%d" % number * 1000) for number in range(0, 20, 2))
    assert staged(fleet) == first_half
    (tmp_path / "spoilt").unlink()
    noted.write_text("")
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    # What is there already is nothing that arrives: one rsync says how far it is with all of it.
    [call] = calls(noted)
    assert "--info=progress2" in call and leftovers(fleet) == []


async def test_a_holder_that_lets_in_one_at_a_time_is_asked_again(
    fleet: LocalFleet, noted: Path, tmp_path: Path
) -> None:
    await twenty(fleet)
    (tmp_path / "once").mkdir()
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    assert len(calls(noted)) == 3 and leftovers(fleet) == []


async def test_without_python_one_fetches_all_and_tells(
    fleet: LocalFleet, noted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "PATH", f"{program(tmp_path / 'useless', 'python3', 'exit 1' + chr(10))}:{os.environ['PATH']}"
    )
    for number in range(5):
        fleet.volumes["a"].write(f"{TITLE}/e{number}", b"%d" % number * 1000)
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    [call] = calls(noted)
    assert "--info=progress2" in call


# --- while the disk takes it ---------------------------------------------------------------------------------------


@pytest.fixture
def syncing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a file `bad`, `once` (is bad once) or `slow` says how the disk takes what is written."""
    folder = tmp_path / "disk"
    folder.mkdir()
    text = (
        f'case $1 in -f) while [ -e "{folder}/slow" ]; do sleep 0.05; done ;; esac\n'
        f'if [ "$1" = -f ] && rm "{folder}/once" 2>/dev/null; then echo "sync: Input/output error" >&2; exit 1; fi\n'
        f'if [ "$1" = -f ] && [ -e "{folder}/bad" ]; then\n'
        f"until grep -qs settling {tmp_path}/b/.telarchy/jobs/*/progress; do sleep 0.05; done\n"
        'echo "sync: Input/output error" >&2; exit 1; fi\n'
        f'exec {shutil.which("sync")} "$@"\n'
    )
    monkeypatch.setenv("PATH", f"{program(tmp_path / 'syncing', 'sync', text)}:{os.environ['PATH']}")
    return folder


async def not_taken(fleet: LocalFleet, syncing: Path) -> None:
    """A first try that has read it all, and whose disk did not take it."""
    await twenty(fleet)
    (syncing / "bad").touch()
    assert await failure(fleet) == "ActionFailed"
    (syncing / "bad").unlink()


async def test_what_arrived_is_compared_while_the_disk_takes_it_and_named_only_then(
    fleet: LocalFleet, noted: Path, syncing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await twenty(fleet)
    (syncing / "slow").touch()
    looked: list[bool] = []
    real = Arrival._staged

    def seen(self, now, good):
        looked.append(real(self, now, good) is not None)
        return real(self, now, good)

    monkeypatch.setattr(Arrival, "_staged", seen)
    copying = asyncio.create_task(fleet.act(fleet.copy(TITLE)))
    await until(lambda: bool(looked))
    assert looked == [True] and fleet.progress[-1].phase == "settling"
    await asyncio.sleep(0.3)
    assert fleet.volumes["b"].everything() == {} and not copying.done()
    (syncing / "slow").unlink()
    await copying
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    assert leftovers(fleet) == []
    await fleet.look()
    assert all(one.sha256 and one.verified_at for one in fleet.manifest("b", TITLE))
    assert fleet.manifest("b", TITLE) == tuple(
        one._replace(verified_at=now.verified_at)
        for one, now in zip(fleet.manifest("a", TITLE), fleet.manifest("b", TITLE), strict=True)
    )


async def test_a_sync_that_fails_while_files_still_come_is_not_made_up_for_by_the_last(
    fleet: LocalFleet, noted: Path, syncing: Path
) -> None:
    """The system tells once that a disk did not take what was written."""
    slow(fleet, 20_000)
    await twenty(fleet)
    (syncing / "once").touch()
    assert await failure(fleet) == "ActionFailed"
    assert not (syncing / "once").exists()
    assert fleet.volumes["b"].everything() == {} and staged(fleet) == 0
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


async def test_who_syncs_beside_a_copy_and_is_told_of_a_failure_speaks_for_both(
    fleet: LocalFleet, syncing: Path
) -> None:
    """The system tells of it once, whoever's files they were: here the other title's copy hears it."""
    fleet.volumes["a"].write("tv/show/S2/e1", b"x" * 2000)
    await twenty(fleet)
    slow(fleet, 4_000)
    copying = asyncio.create_task(failure(fleet))
    await until(lambda: staged(fleet) > 0)
    (syncing / "once").touch()
    assert await failure(fleet, "tv/show/S2") == "ActionFailed"
    assert not (syncing / "once").exists() and not copying.done()
    assert await copying == "ActionFailed"
    assert fleet.volumes["b"].everything() == {} and staged(fleet) == 0
    for title in (TITLE, "tv/show/S2"):
        await fleet.act(fleet.copy(title))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything() and leftovers(fleet) == []


def sync_mark(fleet: LocalFleet, pid: int, *, born: str = "", boot: str = "", action: str = "0011") -> Path:
    """What stage.sh leaves while it syncs."""
    folder = fleet.volumes["b"].own / "staging"
    folder.mkdir(exist_ok=True)
    born = born or Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
    boot = boot or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    mark = folder / f".{action}.2.sync"
    mark.write_text(f"{pid} {born}/{boot}\n")
    return mark


@pytest.mark.parametrize("who", ["gone", "another", "earlier boot", "empty"])
async def test_of_who_was_killed_while_it_synced_nothing_is_known(
    fleet: LocalFleet, syncing: Path, who: str
) -> None:
    """Of this boot: memory still shows what the disk may have refused. Of the one before: what is there is on disk."""
    await twenty(fleet)
    if who == "gone":
        ended = subprocess.Popen(["true"])
        ended.wait()
        mark = sync_mark(fleet, ended.pid, born="77")
    else:  # its number is a living process's by now
        mark = sync_mark(fleet, os.getpid(), born="77", boot="" if who == "another" else "an earlier one")
    if who == "empty":
        mark.write_text("")
    if who in ("gone", "another"):
        assert await failure(fleet) == "ActionFailed"
        assert fleet.volumes["b"].everything() == {} and staged(fleet) == 0
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
    assert mark.exists() is (who == "empty")


async def test_a_copy_that_was_killed_while_it_synced_begins_anew(
    fleet: LocalFleet, noted: Path, syncing: Path
) -> None:
    slow(fleet, 20_000)
    await twenty(fleet)
    action = fleet.copy(TITLE).id
    (syncing / "slow").touch()
    copying = asyncio.create_task(fleet.act(fleet.copy(TITLE)))
    marks = fleet.volumes["b"].own / "staging"
    await until(lambda: bool(list(marks.glob(f".{action}.*.sync"))) and staged(fleet) > 1000)
    for pid in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"TELARCHY_JOB={action}".encode() in pid.read_bytes().split(b"\0"):
                os.kill(int(pid.parent.name), signal.SIGKILL)
    with pytest.raises(ActionFailed):
        await copying
    (syncing / "slow").unlink()
    slow(fleet, 100_000_000)
    with next(path for path in (marks / action).rglob("e*") if path.stat().st_size).open("rb") as before:
        await fleet.act(fleet.copy(TITLE))
        now = {path.stat().st_ino for path in (fleet.volumes["b"].path / TITLE).iterdir()}
        assert os.fstat(before.fileno()).st_ino not in now
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything() and leftovers(fleet) == []


async def test_a_copy_waits_for_who_syncs_beside_it(fleet: LocalFleet, syncing: Path) -> None:
    await twenty(fleet)
    mark = sync_mark(fleet, os.getpid())
    copying = asyncio.create_task(fleet.act(fleet.copy(TITLE)))
    await until(lambda: staged(fleet) > 0)
    await asyncio.sleep(1)
    assert not copying.done()
    mark.unlink()
    await copying
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


async def test_what_was_given_up_beside_its_own_copy_comes_again_whole(
    fleet: LocalFleet, noted: Path, syncing: Path
) -> None:
    """Its line broke before it could see that; memory still shows files that the disk may not have."""
    await not_taken(fleet, syncing)
    staging = fleet.volumes["b"].own / "staging"
    action = fleet.copy(TITLE).id
    (staging / action / TITLE).mkdir(parents=True)
    shutil.copy2(fleet.volumes["a"].path / TITLE / "e07", staging / action / TITLE / "e07")
    inode = (staging / action / TITLE / "e07").stat().st_ino
    holds = (staging / action / TITLE / "e07").open("rb")  # so that its number is not given away again
    with holds:
        await fleet.act(fleet.copy(TITLE))
        assert (fleet.volumes["b"].path / TITLE / "e07").stat().st_ino != inode


async def test_all_is_read_once_nobody_writes_any_more(tmp_path: Path) -> None:
    """A try that goes on finds all there, and whoever brings files may still find one that has changed."""
    for name, content in (
        ("begun", b""),
        ("large", b""),
        ("small", b"./e1\0"),
        ("e1", b"good"),
        ("progress", b""),
    ):
        (tmp_path / name).write_bytes(content)
    os.utime(tmp_path / "e1", (1_700_000_000, 1_700_000_000))
    _, reader = shell.digesting()
    words = ["gnu", "begun", str(tmp_path / "done"), "large", "small", "yes", "progress", ""]
    with (tmp_path / "out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            "python3", "-I", "-S", "-c", reader, "arrive", *words, cwd=tmp_path, stdout=out
        )
    await until(lambda: bool((tmp_path / "out").stat().st_size))
    await asyncio.sleep(0.1)
    assert not (tmp_path / "progress").stat().st_size and process.returncode is None
    (tmp_path / "done").touch()
    assert await process.wait() == 0
    assert (tmp_path / "progress").read_bytes() == b"settling\n"


async def test_between_two_folders_of_a_machine_many_files_are_compared_early_too(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MANY", 10)
    await twenty(fleet)
    commits: list[bool] = []
    real = copying._commit

    async def seen(target, writer, action, missing):
        commits.append(missing == ())
        return await real(target, writer, action, missing)

    monkeypatch.setattr(copying, "_commit", seen)
    await fleet.act(fleet.copy(TITLE))
    assert commits == [True]
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything() and leftovers(fleet) == []


async def test_what_an_earlier_try_read_says_nothing_of_what_came_later(
    fleet: LocalFleet, noted: Path, syncing: Path
) -> None:
    """A byte of the source rots between two tries."""
    await not_taken(fleet, syncing)
    [job] = (fleet.volumes["b"].own / "jobs").iterdir()
    assert (job / "progress").read_text().endswith("settling\n") and (job / "out").stat().st_size
    rotten = fleet.volumes["a"].path / TITLE / "e07"
    before = rotten.stat()
    rotten.write_bytes(b"!" + rotten.read_bytes()[1:])
    os.utime(rotten, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await failure(fleet) == "SourceDamaged"
    assert fleet.volumes["b"].everything() == {}


async def test_a_job_that_begins_anew_leaves_the_reading_of_the_source_alone(
    fleet: LocalFleet, noted: Path, syncing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await not_taken(fleet, syncing)
    real = copying.source_digests

    async def long(*given):
        await asyncio.sleep(1)
        return await real(*given)

    monkeypatch.setattr(copying, "source_digests", long)
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()


async def test_what_cannot_be_compared_early_is_compared_later(
    fleet: LocalFleet, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await twenty(fleet)

    asked: list[object] = []

    async def refused(self):
        asked.append(self)
        raise ActionFailed("no further session", reason="NoSession")

    monkeypatch.setattr(Arrival, "_look", refused)
    await fleet.act(fleet.copy(TITLE))
    assert len(asked) == 1
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything() and leftovers(fleet) == []


async def test_what_is_staged_besides_is_found_before_anything_gets_its_name(
    fleet: LocalFleet, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await twenty(fleet)
    real = Arrival._look

    async def besides(self):
        [staging] = [one for one in (fleet.volumes["b"].own / "staging").iterdir() if one.is_dir()]
        (staging / TITLE / "besides").touch()
        return await real(self)

    monkeypatch.setattr(Arrival, "_look", besides)
    assert await failure(fleet) == "Changed"
    assert fleet.volumes["b"].everything() == {} and leftovers(fleet) == []


# --- the source is read early --------------------------------------------------------------------------------------


async def test_the_source_is_read_while_both_ends_are_looked_at(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    await fleet.look()
    reads = count_reads(monkeypatch)
    await fleet.act(fleet.copy(TITLE))
    assert reads == [[f"{TITLE}/e1"]]
    assert fleet.manifest("a", TITLE)[0].sha256 == hashlib.sha256(b"good").hexdigest()


async def test_what_changed_after_it_was_read_early_is_read_anew_and_not_called_damaged(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same length, by somebody who was done with it an hour ago as far as its mtime says."""
    fleet.volumes["a"].write(f"{TITLE}/e1", b"before")
    fleet.volumes["a"].write(f"{TITLE}/e2", b"stays")
    await fleet.look()
    reads = count_reads(monkeypatch)

    async def late(place, title, before=None):
        while not reads or not reads[0]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        if place.volume == fleet.volumes["a"].id:
            fleet.volumes["a"].write(f"{TITLE}/e1", b"behind", mtime=1_700_003_600)
        return await survey(place, title, before)

    monkeypatch.setattr(copying, "survey", late)
    await fleet.act(fleet.copy(TITLE))
    assert reads == [[f"{TITLE}/e1", f"{TITLE}/e2"]] * 2
    assert fleet.volumes["b"].everything()[f"{TITLE}/e1"] == b"behind"
    for letter in "ab":
        one, _ = fleet.manifest(letter, TITLE)
        assert one.sha256 == hashlib.sha256(b"behind").hexdigest() and not one.damaged


async def test_the_digest_of_what_was_there_before_is_not_recorded_of_what_is_there_now(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan finds another file between the look and the record of what was read before."""
    fleet.volumes["a"].write(f"{TITLE}/e1", b"before")
    fleet.volumes["a"].write(f"{TITLE}/e2", b"stays")
    await fleet.look()
    real = source.judge

    def judged(*given):
        fleet.volumes["a"].write(f"{TITLE}/e1", b"behind", mtime=1_700_003_600)
        seen = [
            FileSeen(one.path, one.size, one.mtime_ns + (3600 * 10**9 if one.path == "e1" else 0))
            for one in fleet.manifest("a", TITLE)
        ]
        fleet.custody.bench.patch(fleet.volumes["a"].id, TITLE, tuple(seen))
        return real(*given)

    monkeypatch.setattr(source, "judge", judged)
    assert await failure(fleet) in ("SourceChanged", "DigestMismatch")
    changed, stays = fleet.manifest("a", TITLE)
    assert not changed.verified_at and not changed.damaged
    assert stays.sha256 == hashlib.sha256(b"stays").hexdigest()
    monkeypatch.setattr(source, "judge", real)
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything()[f"{TITLE}/e1"] == b"behind"
    assert not any(one.damaged for letter in "ab" for one in fleet.manifest(letter, TITLE))


async def test_nothing_is_read_for_a_title_that_the_target_may_have(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for letter in "ab":
        fleet.volumes[letter].write(f"{TITLE}/e1", b"good")
    fleet.volumes["a"].write(f"{TITLE}/e2", b"more")
    await fleet.look()
    reads = count_reads(monkeypatch)
    await fleet.act(fleet.copy(TITLE))
    assert reads == [[f"{TITLE}/e2"]]  # and not what is there already


async def test_a_look_that_fails_ends_the_early_reading(
    fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    await fleet.look()
    ended: list[str] = []

    async def endless(*_: object) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    async def refused(*_: object) -> TitleNow:
        await asyncio.sleep(0.1)
        raise ActionFailed("gone", reason="VolumeGone")

    monkeypatch.setattr(source, "read_now", endless)
    monkeypatch.setattr(copying, "survey", refused)
    assert await failure(fleet) == "VolumeGone"
    assert ended == ["cancelled"]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    reads: list[list[str]] = []
    real = source.read_now

    async def counted(link, root, volume_id, files):
        reads.append([path for path, _ in files])
        return await real(link, root, volume_id, files)

    monkeypatch.setattr(source, "read_now", counted)
    return reads


# --- answers of many files -----------------------------------------------------------------------------------------


def record(
    path: str, *, sha256: str = "a" * 64, size: object = 5, after: object = None, at: str = "1.5"
) -> bytes:
    name = path.encode("utf-8", "surrogateescape")
    return f"d {sha256} {size} 1.5 {size if after is None else after} {at} ./".encode() + name + b"//\n"


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (record("x"), []),
        (record("a b\nc/d e\udcff"), ["x"]),
        (b"", ["x"]),
        (record("x", sha256="b" * 64), ["x"]),
        (record("x", sha256="-"), ["x"]),
        (record("x", size=6), ["x"]),
        (record("x", after=6), ["x"]),  # written to while it was read
        (record("x", at="1.6"), ["x"]),
        (record("x", size="-", after="-", at="-"), ["x"]),
        (record("x") + record("x", sha256="b" * 64), ["x"]),  # the last word on a file is what counts
        (record("x", sha256="b" * 64) + record("x"), []),
        (record("x")[:-1], ["x"]),  # cut off
    ],
)
def test_what_was_read_otherwise_is_what_the_readings_say(said: bytes, wrong: list[str]) -> None:
    expected = {"x": (5, "a" * 64)}
    assert read_otherwise(said, expected) == wrong
    readings = parse_readings(said)
    as_parsed = [
        path
        for path, (size, sha256) in expected.items()
        if path not in readings or (readings[path].size, readings[path].sha256) != (size, sha256)
    ]
    assert as_parsed == wrong


async def test_a_second_look_that_says_the_same_is_the_first(fleet: LocalFleet) -> None:
    for name in HOSTILE:
        fleet.volumes["a"].write(b"tv/show/S1/" + name, name)
    fleet.custody.section()
    await fleet.look()
    place = await fleet.custody.bench.place(fleet.volumes["a"].id)
    first = await survey(place, TITLE)
    assert await survey(place, TITLE, first) is first
    fleet.volumes["a"].write(b"tv/show/S1/" + HOSTILE[0], HOSTILE[0], mtime=1_700_003_600)
    second = await survey(place, TITLE, first)
    assert second is not first and second.listing.files != first.listing.files


def test_another_amount_of_free_space_is_no_other_title() -> None:
    rows = b"state writable\0kind folder\0f 5 1.5 x\0end 0\0"
    one, other = parse_title(b"space 5\0" + rows, "a"), parse_title(b"space 6\0" + rows, "a")
    assert one.answer == other.answer == rows
