"""Every script on real folders: what it does, what it refuses, and that doing it twice does no more."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telarchy.custody import shell
from telarchy.custody.listing import parse_listing
from telarchy.custody.looking import parse_look
from telarchy.custody.survey import parse_title
from telarchy.links.link import Completed
from tests.unit.custody.test_scan import HOSTILE, without_gnu
from tests.unit.custody.volumes import CONTROLLER, EPOCH, NAME, WRITER, Volume, named
from tests.unit.userland import busybox_flock, without_flock

SCRIPTS = Path(shell.__file__).parent / "scripts"
ACTION = "f" * 16
ROOT = os.geteuid() == 0


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "media")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Volume]:
    """A volume on a file system of its own, of one megabyte."""
    if not ROOT:
        pytest.skip("mounting needs root")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", path], check=True)
    try:
        yield Volume(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def read_only(volume: Volume) -> None:
    subprocess.run(["mount", "-o", "remount,ro", volume.path], check=True)


async def commit(
    volume: Volume, title: str, *, files: list[str] | None = None, looked: str = "", **kwargs: str
) -> Completed:
    staged = volume.own / "staging" / ACTION
    if files is None:
        files = [f"./{path.relative_to(staged)}" for path in staged.rglob("*") if path.is_file()]
    return await volume.script(
        ("fence", "list", "commit"),
        shell.script("batch"),
        shell.script("merge"),
        volume.root,
        kwargs.get("volume_id", volume.id),
        kwargs.get("epoch", EPOCH),
        kwargs.get("controller", CONTROLLER),
        NAME,
        ACTION,
        title,
        looked,
        stdin=shell.nul_list(files),
    )


async def aside(volume: Volume, where: str, title: str, *files: str) -> Completed:
    return await volume.script(
        ("fence", "aside"),
        volume.root,
        volume.id,
        *WRITER,
        where,
        ACTION,
        title,
        '"label"',
        stdin=shell.nul_list(files),
    )


# --- style -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("*.sh")))
def test_scripts_are_clean(name: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", SCRIPTS / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_exit_codes_are_the_same_on_both_sides() -> None:
    text = (SCRIPTS / "fence.sh").read_text()
    written = {name: int(code) for name, code in re.findall(r"^([A-Z_]+)=(7\d)$", text, re.MULTILINE)}
    assert written == {name: getattr(shell, name) for name in written} and len(written) == 9


# --- commit ----------------------------------------------------------------------------------------------------


async def test_an_absent_title_appears_whole(volume: Volume) -> None:
    for name in HOSTILE:
        volume.write(b".telarchy/staging/" + ACTION.encode() + b"/tv/show/S1/" + name + b"/" + name, name)
    done = await commit(volume, "tv/show/S1")
    assert done.ok, done.stderr
    assert not (volume.own / "staging" / ACTION).exists()
    rows = shell.records(done.stdout)
    assert rows[0] == b"kind folder" and rows[-1] == b"end 0"
    listing = parse_listing(b"\0".join([*rows[1:-1], b""]))
    assert {shell.raw(path) for path in listing.files} == {name + b"/" + name for name in HOSTILE}
    for name in HOSTILE:
        assert named(volume.path / "tv/show/S1", name + b"/" + name).read_bytes() == name


@pytest.mark.parametrize("name", HOSTILE)
async def test_titles_with_hostile_names(volume: Volume, name: bytes) -> None:
    title = shell.text(b"films/" + name)
    volume.stage(ACTION, title)
    assert (await commit(volume, title)).ok
    moved = await aside(volume, "trash", title)
    assert moved.ok, moved.stderr
    assert volume.everything() == {}
    assert named(volume.own / "trash" / shell.text(moved.stdout), b"films/" + name).read_bytes() == b"data"


async def test_a_title_that_is_a_file(volume: Volume) -> None:
    volume.stage(ACTION, "films/one.mkv", b"film")
    done = await commit(volume, "films/one.mkv")
    assert done.ok and shell.records(done.stdout)[0] == b"kind file"
    assert volume.everything() == {"films/one.mkv": b"film"}


async def test_a_rename_that_the_disk_does_not_keep_is_no_commit(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume.stage(ACTION, "tv/show/S1/e1")
    (tmp_path / "sync").write_text(
        "#!/bin/sh\nsleep 0.5\necho 'sync: error syncing: Input/output error' >&2\nexit 1\n"
    )
    (tmp_path / "sync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = await commit(volume, "tv/show/S1")
    assert done.code == shell.FAILED and "Input/output error" in done.complaint


async def test_what_was_looked_at_gets_its_name_without_a_listing(volume: Volume) -> None:
    volume.stage(ACTION, "tv/show/S1/e1")
    volume.write(f".telarchy/jobs/{ACTION}/out", b"what was read")
    done = await commit(volume, "tv/show/S1", files=[], looked="looked")
    assert done.ok and done.stdout == b"kind renamed\0end 0\0"
    assert (volume.path / "tv/show/S1/e1").is_file()
    assert not list((volume.own / "jobs").iterdir()) and not list((volume.own / "staging").iterdir())


async def test_what_was_looked_at_is_merged_into_what_came_meanwhile(volume: Volume) -> None:
    volume.stage(ACTION, "tv/show/S1/e1")
    volume.write("tv/show/S1/e2", b"of somebody else")
    done = await commit(volume, "tv/show/S1", files=[], looked="looked")
    assert done.ok and parse_title(done.stdout, "").listing.files.keys() == {"e1", "e2"}
    volume.stage(ACTION, "tv/show/S1/e2")
    assert (await commit(volume, "tv/show/S1", files=[], looked="looked")).code == shell.CONFLICT
    assert (volume.path / "tv/show/S1/e2").read_bytes() == b"of somebody else"


async def test_committing_twice_changes_nothing(volume: Volume) -> None:
    volume.stage(ACTION, "tv/show/S1/e1")
    first = await commit(volume, "tv/show/S1")
    second = await commit(volume, "tv/show/S1", files=["./tv/show/S1/e1"])
    assert first.ok and second.ok and first.stdout == second.stdout


async def test_missing_files_join_those_that_are_there(volume: Volume) -> None:
    volume.write("tv/show/S1/e1", b"one")
    volume.write("tv/show/S1/extras/a", b"a")
    volume.stage(ACTION, "tv/show/S1/e1", b"one")
    volume.stage(ACTION, "tv/show/S1/e2 \n x", b"two")
    volume.stage(ACTION, "tv/show/S1/-e3", b"three")
    volume.stage(ACTION, "tv/show/S1/extras/b", b"b")
    volume.stage(ACTION, "tv/show/S1/new/deep/c", b"c")
    done = await commit(volume, "tv/show/S1")
    assert done.ok, done.stderr
    assert volume.everything() == {
        "tv/show/S1/e1": b"one",
        "tv/show/S1/e2 \n x": b"two",
        "tv/show/S1/-e3": b"three",
        "tv/show/S1/extras/a": b"a",
        "tv/show/S1/extras/b": b"b",
        "tv/show/S1/new/deep/c": b"c",
    }
    assert not (volume.own / "staging" / ACTION).exists()


@pytest.mark.parametrize("there", [b"other", b"one but longer", b""])
async def test_a_different_file_is_never_overwritten(volume: Volume, there: bytes) -> None:
    volume.write("tv/show/S1/e1", there)
    volume.stage(ACTION, "tv/show/S1/e1", b"one")
    volume.stage(ACTION, "tv/show/S1/e2", b"two")
    done = await commit(volume, "tv/show/S1")
    assert done.code == shell.CONFLICT and "tv/show/S1/e1 is in the way" in done.complaint
    assert volume.everything() == {"tv/show/S1/e1": there}


async def test_other_kinds_of_things_are_in_the_way(volume: Volume, tmp_path: Path) -> None:
    volume.write("tv/show", b"a file where the show's folder belongs")
    volume.stage(ACTION, "tv/show/S1/e1")
    assert (await commit(volume, "tv/show/S1")).code == shell.CONFLICT
    (volume.path / "tv/show").unlink()
    volume.write("tv/show/S1", b"a file where the season belongs")
    assert (await commit(volume, "tv/show/S1")).code == shell.CONFLICT
    (volume.path / "tv/show/S1").unlink()
    (volume.path / "tv/show/S1/e1").mkdir(parents=True)
    assert (await commit(volume, "tv/show/S1")).code == shell.CONFLICT
    assert volume.everything() == {}


@pytest.mark.parametrize("trap", ["tv", "tv/show", "tv/show/S1", "tv/show/S1/sub", "tv/show/S1/sub/e1"])
async def test_links_are_traps(volume: Volume, tmp_path: Path, trap: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    volume.stage(ACTION, "tv/show/S1/sub/e1")
    (volume.path / trap).parent.mkdir(parents=True, exist_ok=True)
    (volume.path / trap).symlink_to(outside)
    done = await commit(volume, "tv/show/S1")
    assert done.code == shell.CONFLICT, done.stderr
    assert list(outside.iterdir()) == []
    assert (volume.own / "staging" / ACTION / "tv/show/S1/sub/e1").exists()


async def test_a_linked_staging_folder_is_a_trap(volume: Volume, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / ACTION / "films").mkdir(parents=True)
    (outside / ACTION / "films/one").write_text("x")
    (volume.own / "staging").symlink_to(outside)
    assert (await commit(volume, "films/one", files=["./films/one"])).code == shell.CONFLICT
    assert (outside / ACTION / "films/one").exists() and volume.everything() == {}


async def test_only_what_was_digested_is_committed(volume: Volume) -> None:
    volume.stage(ACTION, "tv/show/S1/e1")
    volume.stage(ACTION, "tv/show/S1/from an earlier try")
    done = await commit(volume, "tv/show/S1", files=["./tv/show/S1/e1"])
    assert done.code == shell.CHANGED and volume.everything() == {}


async def test_nothing_is_written_to_another_volume(volume: Volume) -> None:
    volume.stage(ACTION, "films/one")
    for wrong in ("b" * 32, ""):
        assert (await commit(volume, "films/one", volume_id=wrong)).code == shell.GONE
    shutil.rmtree(volume.path)
    volume.path.mkdir()
    assert (await commit(volume, "films/one", files=["./films/one"])).code == shell.GONE
    assert list(volume.path.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason="mounting needs root")
async def test_nothing_is_committed_across_file_systems(volume: Volume) -> None:
    volume.stage(ACTION, "films/one")
    (volume.path / "films").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", volume.path / "films"], check=True)
    try:
        done = await commit(volume, "films/one")
        assert done.code == shell.FAILED and "another file system" in done.complaint
        assert list((volume.path / "films").iterdir()) == []
    finally:
        subprocess.run(["umount", volume.path / "films"], check=True)


async def test_a_read_only_disk_says_so(small_disk: Volume) -> None:
    small_disk.stage(ACTION, "films/one")
    read_only(small_disk)
    assert (await commit(small_disk, "films/one")).code == shell.READ_ONLY


# --- the fence -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        (None, True),
        (f"2 {'d' * 16} other", True),
        (f"{EPOCH} {CONTROLLER} desk", True),
        (f"{EPOCH} {'d' * 16} other", False),
        (f"{EPOCH} {CONTROLLER} another desk", False),  # with a copy of our state folder
        (f"4 {'d' * 16} other", False),
        (f"4 {CONTROLLER} desk", False),
        ("", True),  # what a power cut may leave
        ("nonsense", True),
    ],
)
async def test_an_older_writer_is_refused(volume: Volume, held: str | None, allowed: bool) -> None:
    if held is not None:
        (volume.own / "epoch").write_text(held + "\n")
    volume.stage(ACTION, "films/one")
    done = await commit(volume, "films/one")
    assert done.code == (0 if allowed else shell.FENCED), done.stderr
    if allowed:
        assert (volume.own / "epoch").read_text() == f"{EPOCH} {CONTROLLER} {NAME}\n"
    else:
        assert volume.everything() == {} and (volume.own / "epoch").read_text() == f"{held}\n"


@pytest.mark.parametrize("flock", ["util-linux", "busybox", ""])
async def test_writers_wait_for_each_other(volume: Volume, tmp_path: Path, flock: str) -> None:
    for one in "ab":
        volume.write(f"films/{one}")
    env = dict(os.environ)
    if flock != "util-linux":
        # A stand-in for a userland without flock(1), or with one that knows no -w.
        (without_flock if not flock else busybox_flock)(tmp_path / "tools")
        env["PATH"] = str(tmp_path / "tools")
    script = shell.script("fence") + '\nwriter "$1" "$2" "$3" "$4" "$5"; echo in; sleep 1; echo out\n'
    argv = ["sh", "-c", script, "w", volume.root, volume.id, *WRITER]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, env=env) for _ in range(2)]
    begun = time.monotonic()
    for one in running:
        assert one.wait(20) == 0
    assert time.monotonic() - begun >= 2.0
    assert not (volume.own / "lock.d").exists()


# --- adopting --------------------------------------------------------------------------------------------------

LINE = '{"id": "' + "9" * 32 + '", "created": "2026-11-20T23:00:00Z", "fleet": "home"}'


async def adopt(volume: Volume, replaces: str = "") -> Completed:
    return await volume.script(("fence", "adopt"), volume.root, replaces, *WRITER, LINE)


async def test_adopting_writes_the_sentinel_once(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "new", sentinel=False)
    for _ in range(2):
        done = await adopt(volume)
        assert done.ok and done.stdout == b"9" * 32
    assert (volume.own / "volume").read_text() == LINE + "\n"


async def test_a_volume_that_has_a_sentinel_keeps_it(volume: Volume) -> None:
    for replaces in ("", "b" * 32):
        done = await adopt(volume, replaces)
        assert done.ok and shell.text(done.stdout) == volume.id
    done = await adopt(volume, volume.id)
    assert done.stdout == b"9" * 32


async def test_adopting_looks_before_it_writes(tmp_path: Path, small_disk: Volume) -> None:
    volume = Volume(tmp_path / "new", sentinel=False)
    (volume.path / ".telarchy").symlink_to(tmp_path)
    assert (await adopt(volume)).code == shell.CONFLICT
    volume.own.unlink()
    volume.own.mkdir()
    (volume.own / "volume").write_text("something else")
    assert (await adopt(volume)).code == shell.CONFLICT
    shutil.rmtree(volume.path)
    assert (await adopt(volume)).code == shell.GONE
    (small_disk.own / "volume").unlink()
    read_only(small_disk)
    assert (await adopt(small_disk)).code == shell.READ_ONLY


# --- setting aside, and the end of the trash ---------------------------------------------------------------------


async def test_trash_keeps_the_path(volume: Volume) -> None:
    volume.write("tv/show/S1/e1", b"one")
    volume.write("tv/show/S2/e1", b"two")
    done = await aside(volume, "trash", "tv/show/S1")
    assert done.ok, done.stderr
    assert re.fullmatch(rb"\d{8}T\d{6}Z-" + ACTION.encode(), done.stdout)
    folder = volume.own / "trash" / shell.text(done.stdout)
    assert (folder / "tv/show/S1/e1").read_bytes() == b"one"
    assert (folder / ".title").read_text() == '"label"\n'
    assert volume.everything() == {"tv/show/S2/e1": b"two"}
    assert (await aside(volume, "trash", "tv/show/S1")).code == shell.CHANGED


async def test_quarantine_takes_only_the_named_files(volume: Volume) -> None:
    names = ["e1", "sub/e2", "-e3 \n"]
    for name in [*names, "good"]:
        volume.write(f"tv/show/S1/{name}", name.encode())
    done = await aside(volume, "quarantine", "tv/show/S1", *names)
    assert done.ok, done.stderr
    folder = volume.own / "quarantine" / shell.text(done.stdout) / "tv/show/S1"
    assert {(folder / name).read_bytes().decode() for name in names} == set(names)
    assert volume.everything() == {"tv/show/S1/good": b"good"}
    volume.write("films/one")
    await volume.script(("fence", "expire"), volume.root, volume.id, *WRITER, "quarantine", folder.parts[-4])
    done = await aside(volume, "quarantine", "films/one", "")
    assert done.ok and volume.everything() == {"tv/show/S1/good": b"good"}


@pytest.mark.parametrize("trap", ["tv", "tv/show", ".telarchy/trash"])
async def test_setting_aside_does_not_follow_links(volume: Volume, tmp_path: Path, trap: str) -> None:
    volume.write("tv/show/S1/e1")
    real = tmp_path / "real"
    if trap.startswith("tv"):
        (volume.path / trap).rename(real)
    else:
        real.mkdir()
    (volume.path / trap).symlink_to(real)
    assert (await aside(volume, "trash", "tv/show/S1")).code == shell.CONFLICT
    assert list(real.rglob("e1")) or trap.endswith("trash")


async def test_only_named_trash_is_deleted_and_links_are_not_followed(volume: Volume, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "precious").write_text("x")
    for name in ("20260101T000000Z-a", "20260102T000000Z-b"):
        volume.write(f".telarchy/trash/{name}/tv/x")
        (volume.own / "trash" / name / "link").symlink_to(keep)
    (volume.own / "trash" / "linked").symlink_to(keep)

    async def expire(*entries: str) -> Completed:
        return await volume.script(("fence", "expire"), volume.root, volume.id, *WRITER, "trash", *entries)

    assert (await expire("20260101T000000Z-a")).ok
    for wrong in ("..", ".", "", "20260102T000000Z-b/tv", "/etc", "linked"):
        assert (await expire("20260102T000000Z-b", wrong)).code == shell.CONFLICT
    assert (await expire("never was")).ok
    assert [path.name for path in sorted((volume.own / "trash").iterdir())] == [
        "20260102T000000Z-b",
        "linked",
    ]
    assert (keep / "precious").exists()


# --- leases ----------------------------------------------------------------------------------------------------


async def lease(volume: Volume, lasts: str = "600") -> Completed:
    return await volume.script(
        ("fence", "list", "lease"),
        shell.script("batch"),
        volume.root,
        volume.id,
        *WRITER,
        "abcd",
        lasts,
        "films/one",
    )


async def test_a_lease_is_exclusive_until_it_runs_out(volume: Volume) -> None:
    volume.write("films/one")
    done = await lease(volume)
    assert done.ok and b"kind file" in done.stdout
    assert (await lease(volume)).code == shell.BUSY
    held = volume.own / "leases" / f"abcd.{EPOCH}"
    await volume.script(("release",), volume.root, "abcd", EPOCH)
    assert not held.exists()
    assert (await lease(volume)).ok
    old = time.time() - 700
    os.utime(held, (old, old))
    assert (await lease(volume)).ok


async def test_a_lease_of_a_controller_that_was_succeeded_holds_nobody_up(volume: Volume) -> None:
    volume.write("films/one")
    assert (await lease(volume)).ok
    held = volume.own / "leases" / f"abcd.{EPOCH}"
    held.rename(held.with_suffix(f".{int(EPOCH) - 1}"))
    assert (await lease(volume)).ok
    assert [one.name for one in held.parent.iterdir()] == [held.name]


# --- digests ---------------------------------------------------------------------------------------------------


async def digest(volume: Volume, *names: bytes, env: dict[str, str] | None = None) -> list[list[bytes]]:
    argv = ["sh", "-c", shell.script("batch"), "batch", "digest", "."]
    worker = ["xargs", "-0", "-n", "4", *argv]
    done = await volume.link.run(
        ["env", "-C", volume.root, *(f"{k}={v}" for k, v in (env or {}).items()), *worker],
        stdin=b"".join(b"./" + name + b"\0" for name in names),
    )
    assert done.ok, done.stderr
    rows = [row.split(b" ", 6) for row in done.stdout.split(b"//\n")[:-1]]
    return [[*row[:-1], row[-1].removeprefix(b"./")] for row in rows]


# What stands in for Python where there is none that can read for us.
OLD = (
    "import sys; sys.version_info = (3, 7); sys.stdin = None; del sys.argv[0]; "
    "exec(sys.argv[0], {'__name__': '__main__'})"
)
USELESS = {
    "fails": "#!/bin/sh\nexit 1\n",
    "missing": "#!/bin/sh\nexit 127\n",
    "old": f'#!/bin/sh\nshift 3\nexec {sys.executable} -I -S -c "{OLD}" "$@"\n',
}


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS)
async def test_python_reads_as_the_shell_does(volume: Volume, tmp_path: Path, useless: str) -> None:
    for name in HOSTILE:
        volume.write(name, name * 3)
    os.utime(volume.write("old", b"older than time"), ns=(0, -1_500_000_000))
    volume.write("large", bytes(10_000_000))
    (volume.path / "link").symlink_to("old")
    os.mkfifo(volume.path / "pipe")
    small = [*HOSTILE, b"old", b"gone"]
    large = b"10000000\0./large\0"
    listed = large + b"".join(b"./" + name + b"\0" for name in small)

    async def read(path: str, listed: bytes) -> list[bytes]:
        script = shell.argv(("fence", "read"), [*shell.digesting(), volume.root, volume.id, str(len(large))])
        done = await volume.link.run(["env", f"PATH={path}", *script], stdin=listed)
        assert done.ok, done.stderr
        return sorted(done.stdout.split(b"//\n"))

    without = tmp_path / "without"
    without.mkdir()
    (without / "python3").write_text(useless)
    (without / "python3").chmod(0o755)
    path = os.environ["PATH"]
    assert await read(path, listed) == await read(f"{without}:{path}", listed)
    rows = await read(path, large + b"./link\0./pipe\0")
    assert {b"d - - - - - ./link", b"d - - - - - ./pipe"} < set(rows)


async def test_a_python_that_is_killed_while_it_reads_is_a_failure(volume: Volume, tmp_path: Path) -> None:
    """What it had of the names is lost, so nobody else can go on with them."""
    volume.write("x")
    (tmp_path / "python3").write_text("#!/bin/sh\ncat >/dev/null\nkill -9 $$\n")
    (tmp_path / "python3").chmod(0o755)
    script = shell.argv(("fence", "read"), [*shell.digesting(), volume.root, volume.id, "0"])
    done = await volume.link.run(["env", f"PATH={tmp_path}:{os.environ['PATH']}", *script], stdin=b"./x\0")
    assert done.stdout == b"" and "cannot be digested" in done.complaint


@pytest.mark.parametrize("tools", ["openssl", "coreutils", "simple"])
async def test_digests_of_hostile_names(volume: Volume, tmp_path: Path, tools: str) -> None:
    env = {}
    if tools == "coreutils":
        (tmp_path / "openssl").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "openssl").chmod(0o755)
        env["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    if tools == "simple":
        env["PATH"] = without_gnu(tmp_path, bsd_stat=True)
    for name in HOSTILE:
        volume.write(name, name * 3)
    rows = await digest(volume, *HOSTILE)
    assert len(rows) == len(HOSTILE)
    for kind, sha256, size, before, size_after, after, name in rows:
        assert kind == b"d" and name in HOSTILE
        assert sha256 == hashlib.sha256(name * 3).hexdigest().encode()
        assert (size, before) == (size_after, after) and int(size) == len(name) * 3
        assert shell.nanoseconds(before.decode()) == 1_700_000_000_123_456_789


async def test_a_vanished_file_does_not_shift_the_others(volume: Volume) -> None:
    for name in (b"a", b"b", b"c"):
        volume.write(name, name)
    rows = {row[-1]: row[1:-1] for row in await digest(volume, b"a", b"gone", b"b", b"c")}
    assert rows[b"gone"] == [b"-", b"-", b"-", b"-", b"-"]
    for name in (b"a", b"b", b"c"):
        assert rows[name][0] == hashlib.sha256(name).hexdigest().encode()


async def test_a_damaged_lease_file_binds_nobody(volume: Volume) -> None:
    (volume.own / "epoch").write_text("99999999999999999999 0123 desk\n")
    done = await volume.script(("fence", "look"), "read", "0", "-", "-", "90", volume.root, volume.id)
    assert parse_look(done.stdout)[0].lease is None
