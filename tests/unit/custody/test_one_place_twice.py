"""What looks like two places and is one: it never counts as two where something is to be taken away."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telarchy.custody.catalogue import Catalogue
from telarchy.custody.explain import why
from telarchy.custody.plan import plan_custody
from telarchy.custody.scan import ScanMemo, scan
from telarchy.custody.titles import TitlePatterns
from telarchy.errors import ActionFailed, SafetyRefusal
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_act_care import TITLE, everywhere, refuses, rot, seen_by, trim
from tests.unit.custody.volumes import Volume
from tests.world import NOW

mounting = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@contextmanager
def mounted(what: Path, where: Path) -> Iterator[None]:
    """The folder `what` once more at `where`, as a bind mount shows it, or a network file system from afar."""
    what.mkdir(parents=True, exist_ok=True)
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", what, where], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", where], check=True)


@contextmanager
def mounted_kind(where: Path, kind: str = "tmpfs") -> Iterator[None]:
    """A new file system of this kind at `where`."""
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", kind, "none", where], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", where], check=True)


@mounting
async def test_what_shows_a_keepers_folder_is_no_surplus_copy(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    for letter in "ab":
        fleet.volumes[letter].write(f"{TITLE}/e1", b"good")
    with mounted(fleet.volumes["a"].path / "tv", fleet.volumes["c"].path / "tv"):
        await fleet.look()
        assert "mounted below its root" in await refuses(fleet, trim(fleet))
    assert fleet.volumes["a"].everything() == {f"{TITLE}/e1": b"good"}
    await fleet.custody.close()


@mounting
async def test_what_shows_another_ones_folder_does_not_count_as_a_copy(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "the fleet", "abc")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")

    async def counts() -> dict[str, int]:
        await fleet.look()
        made = plan_custody(fleet.world(), seen_by(fleet), NOW)
        assert not [step for step in made.steps if step.action.title == TITLE and step.action.host != "b"]
        [status] = [one for ref, one in made.statuses.items() if ref.kind == "CustodyFloor"]
        return {key: status[key] for key in ("met", "copying", "unknown") if status[key]}

    with mounted(fleet.volumes["a"].path / "tv", fleet.volumes["c"].path / "tv"):
        assert await counts() == {"unknown": 1}
        [seen] = [one for one in fleet.custody.section().volumes.values() if one.host == "c"]
        assert seen.borrowed == seen.mounts == ("tv",)
        fleet.volumes["b"].write(f"{TITLE}/e1", b"good")
        assert await counts() == {"met": 1}
    await fleet.custody.close()


@mounting
async def test_what_a_lost_mount_held_is_unknown_and_no_action_forgets_it(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")

    def plan() -> tuple[dict[str, int], list[str]]:
        made = plan_custody(fleet.world(), seen_by(fleet), NOW)
        [status] = [one for ref, one in made.statuses.items() if ref.kind == "CustodyFloor"]
        shown = {key: status[key] for key in ("met", "lacking", "copying", "unknown") if status[key]}
        return shown, [step.action.verb for step in made.steps]

    with mounted_kind(fleet.volumes["b"].path / "tv"):
        fleet.volumes["b"].write(f"{TITLE}/e1", b"good")
        await fleet.look()
        await fleet.act(fleet.verify(TITLE, "b"))
        assert plan() == ({"met": 1}, [])
    held = fleet.manifest("b", TITLE)
    for action in (
        fleet.verify(TITLE, "b"),
        fleet.quarantine(TITLE, "b", "a"),
        fleet.copy(TITLE, "b", "c"),
        fleet.copy(TITLE, "a", "b"),
    ):
        # … and again before anybody has looked.
        with pytest.raises((ActionFailed, SafetyRefusal)) as caught:
            await fleet.act(action)
        assert "'tv'" in str(caught.value) and fleet.manifest("b", TITLE) == held
    for _ in range(2):
        volumes = await fleet.look()
        assert fleet.manifest("b", TITLE) == held
        assert volumes[fleet.volumes["b"].id].hidden == ("tv",)
        assert plan() == ({"unknown": 1}, [])
    lines = "\n".join(why("title", TITLE, fleet.world(), seen_by(fleet), NOW))
    assert "HolderUnknown" in lines and "'tv'" in lines
    # Whoever puts files there by hand has given the disk up.
    fleet.volumes["b"].write(f"{TITLE}/e1", b"good")
    volumes = await fleet.look()
    assert volumes[fleet.volumes["b"].id].hidden == () and plan()[0] == {"met": 1}
    await fleet.custody.close()


@mounting
async def test_nothing_is_set_aside_out_of_what_is_mounted_within_a_title(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "ab")
    disk = fleet.volumes["a"].path / TITLE / "disk"
    with mounted_kind(disk):
        everywhere(fleet, f"{TITLE}/disk/e1")
        await fleet.look()
        for letter in "ab":
            await fleet.act(fleet.verify(TITLE, letter))
        rot(disk / "e1", b"gopd")
        await fleet.act(fleet.verify(TITLE))
        with pytest.raises(ActionFailed) as caught:
            await fleet.act(fleet.quarantine(TITLE, "a", "b"))
        assert caught.value.reason == "OtherFileSystem"
        assert (disk / "e1").read_bytes() == b"gopd"
    await fleet.custody.close()


@mounting
async def test_a_disk_of_its_own_below_the_root_counts(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    with mounted_kind(fleet.volumes["b"].path / "tv"):
        fleet.volumes["b"].write(f"{TITLE}/e1", b"good")
        [_, seen] = (await fleet.look()).values()
        assert (seen.mounts, seen.borrowed) == (("tv",), ())
        [status] = [
            one
            for ref, one in plan_custody(fleet.world(), seen_by(fleet), NOW).statuses.items()
            if ref.kind == "CustodyFloor"
        ]
        assert status["met"] == 1
    await fleet.custody.close()


@mounting
async def test_what_shows_the_surplus_copy_is_no_keeper(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "a fleet", "abc")
    for letter in "ac":
        fleet.volumes[letter].write(f"{TITLE}/e1", b"good")
    with mounted(fleet.volumes["c"].path / TITLE, fleet.volumes["b"].path / TITLE):
        await fleet.look()
        assert "mounted below its root" in await refuses(fleet, trim(fleet))
    assert fleet.volumes["c"].everything() == {f"{TITLE}/e1": b"good"}
    await fleet.custody.close()


@mounting
async def test_a_mount_elsewhere_below_the_root_is_in_nobodys_way(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    everywhere(fleet)
    with mounted(tmp_path / "photos", fleet.volumes["c"].path / "tv" / "show 2"):
        await fleet.look()
        await fleet.act(trim(fleet))
    assert fleet.volumes["c"].everything() == {}
    await fleet.custody.close()


@mounting
async def test_nothing_is_sent_to_where_it_could_not_be_put(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    with mounted(tmp_path / "photos", fleet.volumes["b"].path / "tv"):
        await fleet.look()
        with pytest.raises(ActionFailed) as caught:
            await fleet.act(fleet.copy(TITLE))
    assert caught.value.reason == "OtherFileSystem" and "a media root of its own" in str(caught.value)
    assert not (fleet.volumes["b"].own / "staging").exists()
    await fleet.custody.close()


@mounting
async def test_a_lost_mount_is_noticed_where_the_root_is_a_link(tmp_path: Path) -> None:
    volume, link = Volume(tmp_path / "disk"), tmp_path / "media"
    link.symlink_to(volume.path)
    patterns = TitlePatterns(["films/*"])
    catalogue = Catalogue(patterns=patterns)

    async def look(memo: ScanMemo) -> tuple[ScanMemo, set[str]]:
        done = await scan(
            volume.link, str(link), volume.id, "v", catalogue, patterns, memo, 1.0, leave_trace=True
        )
        return done.memo, set(catalogue.titles_on("v"))

    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "one").write_text("film")
    with mounted(tmp_path / "second", volume.path / "films"):
        memo, titles = await look(ScanMemo())
        assert memo.mounts == ("films",) and titles == {"films/one"}
    _, titles = await look(memo)
    assert titles == {"films/one"}


@contextmanager
def read_only(what: Path, where: Path) -> Iterator[None]:
    with mounted(what, where):
        subprocess.run(["mount", "-o", "remount,bind,ro", where], check=True)
        yield


@mounting
async def test_two_roots_that_take_no_sentinel_are_not_two_copies(tmp_path: Path) -> None:
    shared = Volume(tmp_path / "shared", sentinel=False)
    shared.write(f"{TITLE}/e1")
    fleet = LocalFleet(tmp_path / "fleet", "ab", sentinels=False)
    with read_only(shared.path, fleet.volumes["a"].path), read_only(shared.path, fleet.volumes["b"].path):
        volumes = await fleet.look()
        assert [one.state for one in volumes.values()] == ["New", "New"]
        assert "cannot be written to" in volumes["a/main"].message
        made = plan_custody(fleet.world(), seen_by(fleet), NOW)
    [status] = [one for ref, one in made.statuses.items() if ref.kind == "CustodyFloor"]
    assert (status["met"], status["unknown"]) == (0, 1)
    await fleet.custody.close()


@mounting
async def test_of_a_disk_and_its_clone_only_what_is_seen_is_believed(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "ab")
    disk, other = fleet.volumes["a"], fleet.volumes["b"]
    shutil.rmtree(other.path)
    disk.write("films/One/x")
    await fleet.look()
    shutil.copytree(disk.path, other.path)
    away = disk.path.rename(tmp_path / "away")
    await fleet.look()
    other.write("films/Two/x")
    await fleet.look()
    assert fleet.manifest("a", "films/Two")
    other.path.rename(tmp_path / "clone")
    away.rename(disk.path)
    await fleet.look()  # nothing changed on it since it was looked at last
    assert fleet.manifest("a", "films/One") and not fleet.manifest("a", "films/Two")


async def test_a_volume_whose_own_folder_takes_no_writing_is_read_only(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    own = fleet.volumes["a"].own
    with read_only(own, own):
        [one] = (await fleet.look()).values()
    assert one.state == "ReadOnly" and ".telarchy in it" in one.message
    await fleet.custody.close()


@pytest.mark.parametrize("left", [b"", bytes(4096), b'{"id": "12'])
async def test_a_sentinel_that_a_power_cut_spoilt_says_how_to_mend_it(tmp_path: Path, left: bytes) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    fleet.volumes["a"].write(f"{TITLE}/e1")
    await fleet.look()
    sentinel, volume_id = fleet.volumes["a"].own / "volume", fleet.volumes["a"].id
    sentinel.write_bytes(left)
    one = (await fleet.look())[volume_id]
    assert one.state == "Missing" and set(fleet.catalogue.titles_on(volume_id)) == {TITLE}
    word = one.message.partition("write ")[2].partition(" into it")[0]
    sentinel.write_text(word)
    assert (await fleet.look())[volume_id].state == "Mounted"
    await fleet.custody.close()


async def test_the_same_folder_declared_twice_is_told_so(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "ab")
    everywhere(fleet)
    fleet.volumes["b"].path.rename(tmp_path / "gone")
    fleet.volumes["b"].path.symlink_to(fleet.volumes["a"].path)
    volumes = await fleet.look()
    assert {one.state for one in volumes.values()} == {"Conflict"}
    assert all("if they are one folder, declare it once" in one.message for one in volumes.values())
    made = plan_custody(fleet.world(), seen_by(fleet), NOW)
    [status] = [one for ref, one in made.statuses.items() if ref.kind == "CustodyFloor"]
    assert status["met"] == 0
    await fleet.custody.close()
