"""Scans see what is there, say what they could not see, and never take an unmounted disk for an empty one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from telarchy.custody import shell
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.scan import ScanMemo, Scanned, next_scan_after, scan
from telarchy.custody.titles import TitlePatterns
from telarchy.errors import ActionFailed
from tests.unit.custody.volumes import Volume, named

PATTERNS = TitlePatterns(["tv/*/*", "films/*"])

HOSTILE = [
    b"with space",
    b"new\nline",
    b"quote'\"`$(touch x)\\",
    b"not utf-8 \xff\xfe",
    b"-rf",
    b"#comment",
    b"tab\there",
    b" leading and trailing ",
    b"*?[x]",
    "ünï-cødé".encode(),
]


class Scanner:
    """Scans one volume again and again, remembering what the controller would."""

    def __init__(self, volume: Volume, *, trace: bool = True) -> None:
        self.volume, self.trace = volume, trace
        self.catalogue = Catalogue(patterns=PATTERNS)
        self.memo = ScanMemo()

    async def __call__(self, now: float = 1.0) -> Scanned:
        done = await scan(
            self.volume.link,
            self.volume.root,
            self.volume.id,
            "v",
            self.catalogue,
            PATTERNS,
            self.memo,
            now,
            leave_trace=self.trace,
        )
        self.memo = ScanMemo.from_json(done.memo.to_json())
        return done

    def titles(self) -> dict[str, list[str]]:
        return {
            title: [one.path for one in self.catalogue.manifest("v", title)]
            for title in self.catalogue.titles_on("v")
        }


def without_gnu(tmp_path: Path, *, bsd_stat: bool) -> str:
    """A PATH whose find and stat are stand-ins for a simpler userland (no BSD is to be had here).

    They refuse what such tools do not know and pass the rest on to the real ones.
    """
    folder = tmp_path / "shims"
    folder.mkdir()
    find, stat = shutil.which("find"), shutil.which("stat")
    (folder / "find").write_text(
        "#!/bin/sh\n"
        "for one; do case $one in -P|-printf|-readable|-ignore_readdir_race) exit 1;; esac; done\n"
        f'exec {find} "$@"\n'
    )
    if bsd_stat:
        (folder / "stat").write_text(
            "#!/bin/sh\n"
            '[ "$1" = -f ] || { echo "stat: illegal option" >&2; exit 1; }\n'
            "case $2 in %d) f=%d;; '%z %Fm') f='%s %.9Y';; '%m %N') f='%Y %n';; *) exit 1;; esac\n"
            f'shift 2; exec {stat} -c "$f" "$@"\n'
        )
    else:
        (folder / "stat").write_text(
            "#!/bin/sh\n"
            'case "$1 $2" in "-c %.9Y") echo %.9Y; exit;; "-c "*) ;; *) exit 1;; esac\n'
            f'exec {stat} "$@"\n'
        )
    for tool in ("comm", "openssl"):
        (folder / tool).write_text("#!/bin/sh\nexit 1\n")
    for shim in folder.iterdir():
        shim.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "media")


async def test_files_are_grouped_into_titles_with_size_and_mtime(volume: Volume) -> None:
    volume.write("tv/Show/Season 01/e1.mkv", b"12345")
    volume.write("tv/Show/Season 01/extras/x.mkv")
    volume.write("films/one.mkv", b"film")
    volume.write("loose.txt")
    scanner = Scanner(volume)
    done = await scanner()
    assert done.full and done.changed and not done.blind
    assert scanner.titles() == {
        "films/one.mkv": [""],
        "tv/Show/Season 01": ["e1.mkv", "extras/x.mkv"],
    }
    first = scanner.catalogue.manifest("v", "tv/Show/Season 01")[0]
    assert (first.size, first.mtime_ns) == (5, 1_700_000_000_123_456_789)


@pytest.mark.parametrize("trace", [True, False])
async def test_hostile_names_survive(volume: Volume, trace: bool) -> None:
    for name in HOSTILE:
        volume.write(b"tv/show/" + name + b"/" + name)
    scanner = Scanner(volume, trace=trace)
    await scanner()
    found = {title.encode("utf-8", "surrogateescape") for title in scanner.titles()}
    assert found == {b"tv/show/" + name for name in HOSTILE}
    volume.write(b"tv/show/" + HOSTILE[1] + b"/more")
    named(volume.path, b"tv/show/" + HOSTILE[3] + b"/" + HOSTILE[3]).unlink()
    await scanner()
    titles = {title.encode("utf-8", "surrogateescape"): files for title, files in scanner.titles().items()}
    assert len(titles[b"tv/show/" + HOSTILE[1]]) == 2
    assert b"tv/show/" + HOSTILE[3] not in titles


async def test_only_the_difference_is_sent(volume: Volume) -> None:
    for number in range(50):
        volume.write(f"tv/Show/S{number}/e")
    scanner = Scanner(volume)
    assert (await scanner()).full
    again = await scanner()
    assert not again.full and not again.changed
    volume.write("tv/Show/S7/e", b"longer now")
    (volume.path / "tv/Show/S8/e").unlink()
    volume.write("tv/Show/S9/new")
    delta = await scanner()
    assert not delta.full and delta.changed
    titles = scanner.titles()
    assert len(titles) == 49 and titles["tv/Show/S9"] == ["e", "new"]
    assert scanner.catalogue.manifest("v", "tv/Show/S7")[0].size == 10


async def test_an_unknown_listing_means_a_full_scan(volume: Volume) -> None:
    volume.write("films/a")
    scanner = Scanner(volume)
    await scanner()
    shutil.rmtree(volume.own / "scan")
    assert (await scanner()).full
    kept = scanner.memo
    await scanner()
    # The controller was killed before it could store what it just saw: it still names the one before.
    scanner.memo = kept
    volume.write("films/b")
    assert not (await scanner()).full
    assert set(scanner.titles()) == {"films/a", "films/b"}


async def test_new_patterns_mean_a_full_scan(volume: Volume) -> None:
    volume.write("films/a")
    scanner = Scanner(volume)
    await scanner()
    other = await scan(
        volume.link,
        volume.root,
        volume.id,
        "v",
        scanner.catalogue,
        TitlePatterns(["films/*", "books/*"]),
        scanner.memo,
        2.0,
        leave_trace=True,
    )
    assert other.full


async def test_read_only_leaves_no_trace(volume: Volume) -> None:
    volume.write("films/a")
    before = sorted(volume.path.rglob("*"))
    done = await Scanner(volume, trace=False)()
    assert done.full and done.memo.listing == ""
    assert sorted(volume.path.rglob("*")) == before


async def test_links_are_never_followed_and_own_files_never_count(volume: Volume, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("x")
    volume.write("tv/Show/S1/e1")
    (volume.path / "tv/Show/S1/link").symlink_to(secret / "file")
    (volume.path / "tv/Show/S2").symlink_to(secret)
    os.mkfifo(volume.path / "tv/Show/S1/pipe")
    volume.stage("a1", "tv/Show/S3/e1")
    scanner = Scanner(volume)
    done = await scanner()
    assert scanner.titles() == {"tv/Show/S1": ["e1"]}
    assert done.others == 3


async def test_another_volume_is_not_taken_for_this_one(volume: Volume) -> None:
    volume.write("films/a")
    scanner = Scanner(volume)
    await scanner()
    volume.put_sentinel("b" * 32)
    (volume.path / "films/a").unlink()
    with pytest.raises(ActionFailed) as caught:
        await scanner()
    assert caught.value.reason == "VolumeGone"
    assert scanner.titles() == {"films/a": [""]}


async def test_an_unmounted_volume_throws_the_scan_away(volume: Volume) -> None:
    volume.write("films/a")
    scanner = Scanner(volume)
    await scanner()
    shutil.rmtree(volume.path)
    volume.path.mkdir()
    with pytest.raises(ActionFailed, match="no sentinel"):
        await scanner()
    assert scanner.titles() == {"films/a": [""]}


async def test_a_sentinel_that_changes_during_the_walk_throws_it_away(volume: Volume, tmp_path: Path) -> None:
    volume.write("films/a")
    shims = tmp_path / "shims"
    shims.mkdir()
    # A find that walks, and under whose feet the disk goes away: the moment a real unmount would need luck for.
    (shims / "find").write_text(
        f'#!/bin/sh\n{shutil.which("find")} "$@"; code=$?\nrm -f {volume.own}/volume\nexit $code\n'
    )
    (shims / "find").chmod(0o755)
    done = await volume.script(
        ("fence", "list", "scan"),
        shell.script("batch"),
        volume.root,
        volume.id,
        "",
        "aa",
        env={"PATH": f"{shims}:{os.environ['PATH']}"},
    )
    assert done.code == shell.GONE
    assert "during the scan" in done.complaint
    assert not list((volume.own / "scan").glob("*"))


async def test_a_link_instead_of_a_sentinel_is_none(volume: Volume, tmp_path: Path) -> None:
    (volume.own / "volume").rename(tmp_path / "elsewhere")
    (volume.own / "volume").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ActionFailed, match="no sentinel"):
        await Scanner(volume)()


@pytest.mark.parametrize("bsd_stat", [True, False])
async def test_a_simple_userland_gives_the_same_answer(
    volume: Volume, tmp_path: Path, bsd_stat: bool
) -> None:
    for name in HOSTILE:
        volume.write(b"tv/show/" + name + b"/" + name, b"x" * len(name))
    (volume.path / "tv/show/link").symlink_to("/etc")
    path = without_gnu(tmp_path, bsd_stat=bsd_stat)
    args = (shell.script("batch"), volume.root, volume.id, "", "aa")
    simple = await volume.script(("fence", "list", "scan"), *args, env={"PATH": path})
    full = await volume.script(("fence", "list", "scan"), *args[:4], "")

    def files(data: bytes) -> set[tuple[bytes, int, bytes]]:
        rows = [row.split(b" ", 3) for row in shell.records(data) if row.startswith(b"f ")]
        return {
            (row[1], shell.nanoseconds(row[2].decode()) // (1 if bsd_stat else 10**9), row[3]) for row in rows
        }

    assert simple.ok, simple.stderr
    expected = {
        (size, stamp if bsd_stat else stamp // 10**9, name)
        for size, stamp, name in {
            (row.split(b" ", 3)[1], shell.nanoseconds(row.split(b" ", 3)[2].decode()), row.split(b" ", 3)[3])
            for row in shell.records(full.stdout)
            if row.startswith(b"f ")
        }
    }
    assert files(simple.stdout) == expected and len(expected) == len(HOSTILE)
    assert b"? o" in shell.records(simple.stdout)
    assert shell.records(simple.stdout)[-1] == b"end 0 "
    assert not (volume.own / "scan").exists()


@pytest.fixture
def stranger(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> Volume:
    """The volume, reached as `nobody` when this test runs as root."""
    if os.geteuid() == 0:
        run = volume.link.run

        async def as_nobody(argv, **kwargs):  # type: ignore[no-untyped-def]
            return await run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv], **kwargs)

        monkeypatch.setattr(volume.link, "run", as_nobody)
        for folder in [volume.path, *volume.path.parents]:
            if not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
    return volume


@pytest.mark.parametrize("trace", [True, False])
async def test_what_cannot_be_read_stays_as_it_was(stranger: Volume, trace: bool) -> None:
    volume = stranger
    volume.write("tv/Show/S1/e1")
    volume.write("tv/Show/S1/extras/x")
    volume.write("tv/Show/S2/e1")
    volume.write("tv/Other/S1/e1")
    for path in [volume.path, *volume.path.rglob("*")]:
        path.chmod(0o777)
    scanner = Scanner(volume, trace=trace)
    await scanner()
    before = scanner.titles()
    (volume.path / "tv/Show/S1/extras").chmod(0)
    (volume.path / "tv/Other").chmod(0o600)
    (volume.path / "tv/Show/S2/e1").unlink()
    done = await scanner()
    assert set(done.blind) == {"tv/Show/S1/extras", "tv/Other"}
    assert done.hidden == ("tv/Other",)  # of the other title only a part cannot be read: it is as last seen
    assert "cannot read" in done.message
    assert scanner.titles() == {title: files for title, files in before.items() if title != "tv/Show/S2"}
    (volume.path / "tv/Other").chmod(0o777)
    (volume.path / "tv/Other/S1/e1").unlink()
    (volume.path / "tv/Show/S1/extras").chmod(0o777)
    done = await scanner()
    assert not done.blind and done.full
    assert scanner.titles() == {"tv/Show/S1": ["e1", "extras/x"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_a_lost_mount_below_the_root_is_unknown_and_not_empty(volume: Volume) -> None:
    point = volume.path / "films on disk 2"
    point.mkdir()
    patterns = TitlePatterns(["films on disk 2/*", "tv/*/*"])
    catalogue = Catalogue(patterns=patterns)

    async def look(memo: ScanMemo) -> Scanned:
        return await scan(
            volume.link, volume.root, volume.id, "v", catalogue, patterns, memo, 1.0, leave_trace=True
        )

    volume.write("tv/Show/S1/e1")
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    try:
        (point / "one.mkv").write_text("film")
        seen = await look(ScanMemo())
        assert seen.memo.mounts == ("films on disk 2",) and not seen.blind
    finally:
        subprocess.run(["umount", point], check=True)
    for _ in range(3):
        seen = await look(seen.memo)
        assert seen.blind == ("films on disk 2",)
        assert set(catalogue.titles_on("v")) == {"films on disk 2/one.mkv", "tv/Show/S1"}
    # Somebody gave the disk up and put what was on it into the folder.
    (point / "two.mkv").write_text("film")
    seen = await look(seen.memo)
    assert not seen.blind and seen.memo.mounts == ()
    assert set(catalogue.titles_on("v")) == {"films on disk 2/two.mkv", "tv/Show/S1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_a_sign_in_an_empty_mount_point_is_no_title_and_a_mount_without_titles_is_not_missed(
    volume: Volume,
) -> None:
    """Many a mount point holds a file that says `not mounted`: it gives nothing up."""
    patterns = TitlePatterns(["tv/*/*"])
    catalogue = Catalogue(patterns=patterns)
    volume.write("tv/NOT_MOUNTED")
    (volume.path / "photos").mkdir()
    points = [volume.path / "tv", volume.path / "photos"]

    async def look(memo: ScanMemo) -> Scanned:
        return await scan(
            volume.link, volume.root, volume.id, "v", catalogue, patterns, memo, 1.0, leave_trace=True
        )

    for point in points:
        subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    try:
        volume.write("tv/Show/S1/e1")
        volume.write("photos/one")
        seen = await look(ScanMemo())
        assert seen.memo.mounts == ("photos", "tv")
    finally:
        for point in points:
            subprocess.run(["umount", point], check=True)
    for _ in range(3):
        seen = await look(seen.memo)
        assert seen.blind == seen.lost == seen.memo.mounts == ("tv",)
        assert set(catalogue.titles_on("v")) == {"tv/Show/S1"}
        assert "mounted again" in seen.message


async def test_a_volume_without_a_sentinel_is_only_read(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "new", sentinel=False)
    volume.write("films/a")
    scanner = Scanner(volume)
    done = await scanner()
    assert scanner.titles() == {"films/a": [""]}
    assert done.memo.listing == ""
    assert not volume.own.exists()


def test_the_next_scan_comes_after_a_multiple_of_the_last() -> None:
    assert next_scan_after(0.1, None) == 15.0
    assert next_scan_after(2.0, None) == 40.0
    assert next_scan_after(500.0, None) == 600.0
    assert next_scan_after(500.0, 5.0) == 5.0
