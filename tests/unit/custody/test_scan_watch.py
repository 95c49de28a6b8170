"""Looking again and again: which volume stands where, who may write, and what wakes the planner."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from telarchy.custody import shell
from telarchy.custody.evidence import VolumeSeen, VolumeState
from telarchy.custody.lease import LEASE_SECONDS, Controller, WriterLease
from telarchy.custody.looking import Lease, RootLook, parse_look
from telarchy.custody.volumes import settle
from telarchy.errors import HostUnreachable, StoreError
from telarchy.links.link import Completed, Link
from tests.unit.custody.fleet import LocalFleet, running
from tests.unit.custody.test_act_care import rot
from tests.unit.custody.test_act_copy import until

TITLE = "tv/show/S1"
X, Y = "a" * 32, "b" * 32


def root_look(volume_id: str = X, **changes: object) -> RootLook:
    look = RootLook("/srv/media", exists="folder", readable=True, writable=True, id=volume_id)
    for name, value in changes.items():
        setattr(look, name, value)
    return look


ONE, TWO = ("one", "main"), ("two", "main")


@pytest.mark.parametrize(
    ("known", "look", "state", "volume_id", "found"),
    [
        ("", root_look(""), "New", "", ""),
        ("", root_look(X), "Mounted", X, ""),
        (X, root_look(X), "Mounted", X, ""),
        (X, root_look(X, writable=False), "ReadOnly", X, ""),
        (X, root_look(""), "Missing", X, ""),
        (X, root_look("", exists=""), "Missing", X, ""),
        ("", root_look("", exists=""), "Missing", "", ""),
        (X, root_look("", exists="other"), "Missing", X, ""),
        (X, root_look(Y), "WrongId", X, Y),
        (X, root_look("", readable=False), "Unknown", X, ""),
        (X, None, "Unknown", X, ""),
        ("", None, "Unknown", "", ""),
    ],
)
def test_what_a_root_is_found_to_be(
    known: str, look: RootLook | None, state: str, volume_id: str, found: str
) -> None:
    standing = settle({ONE: known}, {ONE: look})[ONE]
    assert (standing.state, standing.id, standing.found) == (state, volume_id, found)


def test_one_volume_in_two_places_is_a_conflict_for_both() -> None:
    for known in ({}, {ONE: X}, {TWO: X}, {ONE: X, TWO: X}):
        standings = settle(known, {ONE: root_look(), TWO: root_look()})
        assert {one.state for one in standings.values()} == {VolumeState.CONFLICT}
        assert [one.id for one in standings.values()].count(X) == 1
        assert standings[TWO if known == {TWO: X} else ONE].id == X


def test_a_disk_that_moved_is_seen_where_it_is() -> None:
    for away, state in ((root_look(""), "Missing"), (None, "Unknown")):
        standings = settle({ONE: X}, {ONE: away, TWO: root_look()})
        assert (standings[TWO].state, standings[TWO].id) == ("Mounted", X)
        assert (standings[ONE].state, standings[ONE].id) == (state, "")
        assert "two/main" in standings[ONE].message


def test_a_volume_whose_place_shows_a_second_one_is_unknown_and_not_gone() -> None:
    """A disk was copied, sentinel and all, and the copy stands where another one belongs."""
    for names in (("one", "two"), ("two", "one")):
        right, wrong = ((name, "main") for name in names)
        standings = settle({right: X, wrong: Y}, {ONE: root_look(), TWO: root_look()})
        assert (standings[right].state, standings[right].id) == (VolumeState.CONFLICT, X)
        assert (standings[wrong].state, standings[wrong].id) == (VolumeState.CONFLICT, Y)
        three = ("three", "main")
        moved = settle({right: X, wrong: Y}, {ONE: root_look(), TWO: root_look(), three: root_look(Y)})
        assert [one.id for one in moved.values()].count(Y) == 1
        assert (moved[three].state, moved[three].id) == ("Mounted", Y)


def test_a_cut_off_answer_says_nothing_of_the_rest() -> None:
    whole = (
        b"now\x001000\x00root\x00/a\x00exists\x00folder\x00id\x00"
        + X.encode()
        + b"\x00root\x00/b\x00exists\x00fol"
    )
    first, second = parse_look(whole)
    assert first.id == X and second.exists == ""
    with pytest.raises(ValueError, match="not an answer"):
        parse_look(b"id\x00x\x00")


# --- the lease, in thought -----------------------------------------------------------------------------------------

ME = Controller("me", "my desk")


def other(epoch: int, age: float = 10.0) -> Lease:
    return Lease(epoch, "other", "other desk", age)


def test_the_first_controller_takes_epoch_one() -> None:
    lease = WriterLease(ME)
    assert lease.fenced and lease.writer is None
    lease.consider([])
    assert lease.epoch == 1 and lease.fenced == ""
    assert lease.writer is not None and lease.writer.args == ("1", "me", "my desk")


@pytest.mark.parametrize("age", [0.0, 89.0, -60.0])
def test_a_lease_that_is_alive_is_respected(age: float) -> None:
    lease = WriterLease(ME)
    lease.consider([other(4, age)])
    assert lease.epoch == 0 and "other desk" in lease.fenced


@pytest.mark.parametrize("age", [LEASE_SECONDS, 1e6, -1e6])
def test_a_lease_that_ran_out_is_taken_over(age: float) -> None:
    lease = WriterLease(ME, remembered=2)
    lease.consider([other(4, age), Lease(3, "me", "my desk", 5.0)])
    assert lease.epoch == 5 and not lease.fenced


def test_the_same_controller_takes_over_at_once() -> None:
    lease = WriterLease(ME)
    lease.consider([Lease(7, "me", "my desk", 1.0)])
    assert lease.epoch == 8


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_higher_epoch_of_another_stops_us(epoch: int) -> None:
    passed = [0.0]
    lease = WriterLease(ME, monotonic=lambda: passed[0])
    lease.consider([])
    lease.consider([other(epoch)])
    assert lease.epoch == 0 and "other desk" in lease.fenced
    passed[0] += 190
    lease.consider([other(epoch, 200.0)])
    assert lease.epoch == epoch + 1


def test_a_hosts_clock_that_jumps_ends_no_lease() -> None:
    passed = [1000.0]
    lease = WriterLease(ME, monotonic=lambda: passed[0])
    lease.consider([other(4, 5.0)])
    passed[0] += 20
    lease.consider([other(4, 365 * 86400.0)])
    assert lease.epoch == 0 and "other desk" in lease.fenced
    passed[0] += LEASE_SECONDS
    lease.consider([other(4, 365 * 86400.0)])
    assert lease.epoch == 5 and not lease.fenced


def test_an_older_epoch_of_another_does_not() -> None:
    lease = WriterLease(ME, remembered=5)
    lease.consider([])
    lease.consider([other(5)])
    assert lease.epoch == 6


def test_a_later_process_with_our_id_is_not_outbid() -> None:
    passed = [0.0]
    lease = WriterLease(ME, monotonic=lambda: passed[0])
    lease.consider([])
    lease.consider([Lease(2, "me", "another desk", 5.0)])  # on a copy of the state folder
    assert (
        lease.epoch == 0 and "another desk" in lease.fenced and "is its state folder a copy?" in lease.fenced
    )
    lease.consider([Lease(2, "me", "another desk", 50.0)])
    assert lease.epoch == 0
    passed[0] += 195
    lease.consider([Lease(2, "me", "another desk", 200.0)])
    assert lease.epoch == 3 and not lease.fenced
    lease.consider([Lease(3, "me", "my desk", 1.0), Lease(2, "me", "another desk", 220.0)])
    assert lease.epoch == 3


def test_two_with_one_id_that_took_the_same_epoch_both_stop() -> None:
    lease = WriterLease(ME)
    lease.consider([])
    assert not lease.unquestioned([Lease(1, "me", "another desk", 5.0)])
    lease.consider([Lease(1, "me", "another desk", 5.0)])
    assert lease.epoch == 0 and "another desk" in lease.fenced


# --- the lease, on disks ---------------------------------------------------------------------------------------------


async def test_two_controllers_and_one_writes(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    rival = fleet.controller(2)
    await fleet.look()
    await rival.observe()
    assert fleet.custody.section().fenced == ""
    assert "desk 1" in rival.section().fenced
    for volume in fleet.volumes.values():
        assert (volume.own / "epoch").read_text() == "1 controller1 desk 1\n"
    # The first one stays silent for longer than its lease lasts.
    old = time.time() - LEASE_SECONDS - 5
    for volume in fleet.volumes.values():
        os.utime(volume.own / "epoch", (old, old))
    rival.bench.lease._monotonic = lambda: time.monotonic() + LEASE_SECONDS + 5
    await rival.observe()
    assert rival.section().fenced == ""
    for volume in fleet.volumes.values():
        assert (volume.own / "epoch").read_text() == "2 controller2 desk 2\n"
    await fleet.look()
    assert "desk 2" in fleet.custody.section().fenced


async def test_looking_renews_the_lease(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    await fleet.look()
    epoch = fleet.volumes["a"].own / "epoch"
    os.utime(epoch, (1000, 1000))
    await fleet.look()
    assert time.time() - epoch.stat().st_mtime < 60


async def test_a_restarted_controller_goes_on_at_once(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    await fleet.look()
    again = fleet.controller()
    await again.observe()
    assert again.section().fenced == ""
    assert (fleet.volumes["a"].own / "epoch").read_text() == "2 controller1 desk 1\n"


async def test_of_two_on_copies_of_one_state_folder_the_later_writes(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    await fleet.look()
    clone = fleet.controller(name="desk of the copy")
    await clone.observe()
    await fleet.look()
    assert "desk of the copy" in fleet.custody.section().fenced
    await clone.observe()
    assert clone.section().fenced == ""
    for volume in fleet.volumes.values():
        assert (volume.own / "epoch").read_text() == "2 controller1 desk of the copy\n"


async def test_a_scan_that_could_not_be_saved_is_done_anew_after_a_restart(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.volumes["a"].write(f"{TITLE}/e1")

    def full() -> None:
        raise StoreError("the disk is full")

    fleet.custody._store = full
    await fleet.look()
    assert fleet.catalogue.holdings, "it is known meanwhile"
    assert not fleet.memory.under("custody/scan/"), "the next scan would bring only what changed since"


@pytest.mark.parametrize("full", [True, False])
async def test_what_went_while_the_host_was_listing_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "ab")
    for volume in fleet.volumes.values():
        volume.write("films/One/x")
        volume.write("films/Two/x")
    await fleet.look()
    for letter in "ab":
        await fleet.act(fleet.verify("films/One", letter))
        await fleet.act(fleet.verify("films/Two", letter))
    for number in range(25 if full else 1):
        fleet.custody.observer.touched(fleet.volumes["a"].id, f"films/{number}")
    listed = shell.run

    async def slow(link: Link, names: Sequence[str], *args: Any, **words: Any) -> Completed:
        answer = await listed(link, names, *args, **words)
        if names[-1] == "scan" and link.host == "a":
            monkeypatch.undo()
            rot(fleet.volumes["a"].path / "films/One/x", b"evil")
            await fleet.act(fleet.verify("films/One"))
            await fleet.act(fleet.quarantine("films/One", "a", "b"))
        return answer

    monkeypatch.setattr(shell, "run", slow)
    await fleet.look()
    assert not fleet.manifest("a", "films/One")
    assert fleet.manifest("a", "films/Two")[0].sha256
    await fleet.custody.close()


async def test_a_root_that_was_adopted_while_it_was_listed_is_scanned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a", sentinels=False)
    fleet.volumes["a"].write("films/One/x")
    listed = shell.run

    async def slow(link: Link, names: Sequence[str], *args: Any, **words: Any) -> Completed:
        answer = await listed(link, names, *args, **words)
        if names[-1] == "scan":
            monkeypatch.undo()
            await fleet.act(fleet.adopt("a"))
        return answer

    monkeypatch.setattr(shell, "run", slow)
    await fleet.look()
    [seen] = fleet.custody.section().volumes.values()
    assert seen.id and seen.scanned is None, "what was listed has no name any more"
    await fleet.look()
    assert list(fleet.catalogue.holdings) == [seen.id]
    assert fleet.catalogue.manifest(seen.id, "films/One")
    await fleet.custody.close()


async def test_planning_leaves_no_trace(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.volumes["a"].write(f"{TITLE}/e1")
    before = {path: path.stat().st_mtime_ns for path in sorted(fleet.path.rglob("*"))}
    await fleet.custody.observe(read_only=True)
    section = fleet.custody.section()
    assert section.fenced == "" and set(section.catalogue.titles_on(X)) == {TITLE}
    assert {path: path.stat().st_mtime_ns for path in sorted(fleet.path.rglob("*"))} == before
    assert fleet.memory.held.get("custody/epoch") is None


async def test_planning_beside_a_running_controller_says_so(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    await fleet.look()
    rival = fleet.controller(2)
    await rival.observe(read_only=True)
    assert "desk 1" in rival.section().fenced


# --- again and again -------------------------------------------------------------------------------------------------


def one(fleet: LocalFleet, letter: str = "a") -> VolumeSeen:
    return next(seen for seen in fleet.custody.section().volumes.values() if seen.host == letter)


async def test_watching_finds_titles_and_wakes_the_planner(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.spec = {"scan": {"every": "200ms"}}
    fleet.volumes["a"].write(f"{TITLE}/e1")
    fleet.custody = fleet.controller()
    async with running(fleet.custody) as woken:
        await until(lambda: one(fleet).scanned is not None and one(fleet, "b").scanned is not None, 5)
        assert woken.is_set() and set(fleet.catalogue.titles_on(X)) == {TITLE}
        assert fleet.custody.section().fenced == ""
        await asyncio.sleep(0.5)
        woken.clear()
        await asyncio.sleep(0.6)
        assert not woken.is_set(), "nothing changed, so nobody is woken"
        fleet.volumes["b"].write("films/new")
        await asyncio.wait_for(woken.wait(), 3)
        assert set(fleet.catalogue.titles_on(Y)) == {"films/new"}
        await until(lambda: (fleet.volumes["a"].own / "epoch").exists(), 3)


async def test_disks_that_changed_places_are_looked_at_on_both_sides(tmp_path: Path) -> None:
    """The host that was looked at first shows the other's volume; what the other showed before is no second place."""
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.spec = {"scan": {"every": "1h"}}
    fleet.volumes["a"].write(f"{TITLE}/e1")
    fleet.custody = fleet.controller()
    async with running(fleet.custody):
        await until(lambda: one(fleet).scanned is not None and one(fleet, "b").scanned is not None, 5)
        a, b, spare = (tmp_path / "fleet" / name for name in ("a", "b", "spare"))
        for source, target in ((a, spare), (b, a), (spare, b)):
            source.rename(target)
        fleet.custody.observer._poke(fleet.custody.observer._look_soon, "b")
        await until(lambda: {one(fleet, name).state for name in "ab"} == {VolumeState.WRONG_ID}, 12)
        assert (one(fleet, "a").id, one(fleet, "b").id) == (X, Y)
        assert set(fleet.catalogue.titles_on(X)) == {TITLE} and not list(fleet.catalogue.titles_on(Y))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_an_unmounted_disk_is_missing_and_its_titles_stay(tmp_path: Path) -> None:
    disk = tmp_path / "fleet" / "a"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
    try:
        fleet = LocalFleet(tmp_path / "fleet", "a")
        fleet.volumes["a"].write(f"{TITLE}/e1")
        await fleet.look()
        keep = tmp_path / "keep"
        keep.mkdir()
        subprocess.run(["mount", "--make-private", disk], check=True)
        subprocess.run(["mount", "--move", disk, keep], check=True)
        for _ in range(2):
            await asyncio.sleep(0.05)
            await fleet.look()
        seen = one(fleet)
        assert (seen.state, seen.id) == ("Missing", X) and seen.missing_for >= 0.05
        assert set(fleet.catalogue.titles_on(X)) == {TITLE}
        assert list(disk.iterdir()) == []
        subprocess.run(["mount", "--move", keep, disk], check=True)
        await fleet.look()
        assert one(fleet).state == "Mounted" and one(fleet).missing_for == 0.0
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


class DeadLinks:
    """A pool in which one host does not answer, and another takes its time."""

    def __init__(self, fleet: LocalFleet, dead: Sequence[str], seconds: float) -> None:
        self.inner, self.dead, self.seconds = fleet.custody.bench.links, dead, seconds

    async def link(self, name: str) -> object:
        if name in self.dead:
            await asyncio.sleep(self.seconds)
            raise HostUnreachable(name, "ConnectionTimeout", "nothing answers")
        return await self.inner.link(name)


async def test_a_disk_that_is_mounted_after_its_host_was_renamed_is_what_it_was(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "ab")
    for volume in fleet.volumes.values():
        volume.write("films/One/x")
    await fleet.look()
    for letter in "ab":
        await fleet.act(fleet.verify("films/One", letter))
    await fleet.look()
    disk = fleet.volumes["c"] = fleet.volumes.pop("a")
    disk.path.rename(tmp_path / "unplugged")
    disk.write("films/Two/x")
    fleet.custody = fleet.controller()
    await fleet.look()
    assert set(fleet.custody.section().volumes) == {"c/main", "b" * 32}
    shutil.rmtree(disk.path)
    (tmp_path / "unplugged").rename(disk.path)
    await fleet.custody.observer._look("c")
    assert fleet.custody.section().volumes[disk.id].scanned is None, "until it was scanned, nothing is sure"
    await fleet.look()
    assert set(fleet.custody.section().volumes) == {disk.id, "b" * 32} == set(fleet.catalogue.holdings)
    [one] = fleet.catalogue.manifest(disk.id, "films/One")
    assert one.sha256, "it was lying there all the time"
    assert not fleet.catalogue.manifest(disk.id, "films/Two"), "which lay under it"
    await fleet.custody.close()


async def test_a_dead_host_delays_nobody_and_keeps_its_titles(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    fleet.volumes["a"].write(f"{TITLE}/e1")
    await fleet.look()
    known = fleet.custody
    fleet.custody = fleet.controller()
    fleet.custody.observer._links = DeadLinks(fleet, "a", 2.0)  # type: ignore[assignment]
    began = time.monotonic()
    async with running(fleet.custody):
        await until(lambda: one(fleet, "b").scanned is not None and one(fleet, "c").scanned is not None, 5)
        assert time.monotonic() - began < 1.5
        seen = one(fleet)
        assert (seen.state, seen.id) == ("Unknown", X)
        assert set(fleet.catalogue.titles_on(X)) == {TITLE}
    await known.close()


async def test_a_hanging_disk_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    other_root = tmp_path / "other"
    other_root.mkdir()
    fleet.host_specs["a"] = {
        "mediaRoots": [
            {"name": "main", "path": fleet.volumes["a"].root},
            {"name": "stuck", "path": str(other_root)},
        ]
    }
    fleet.custody = fleet.controller()
    link = await fleet.custody.bench.links.link("a")
    run = link.run

    async def stuck(argv: Sequence[str], **kwargs: object) -> Completed:
        if str(other_root) in argv:
            raise TimeoutError
        return await run(argv, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(link, "run", stuck)
    await fleet.look()
    volumes = await fleet.look()
    assert volumes[X].state == "Mounted"
    assert volumes["a/stuck"].state == "Unknown" and "longer than" in volumes["a/stuck"].message


async def test_hosts_come_and_go(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "ab")
    for letter in "ab":
        fleet.volumes[letter].write(f"{TITLE}/e1")
    async with running(fleet.custody):
        await until(lambda: one(fleet, "b").scanned is not None, 5)
        gone = fleet.volumes.pop("b")
        fleet.custody.configure(fleet.world())
        assert set(fleet.custody.section().volumes) == {X}
        assert set(fleet.catalogue.titles_on(Y)) == {TITLE}, "a slip of the pen costs no digests"
        fleet.volumes["b"] = gone
        fleet.custody.configure(fleet.world())
        await until(lambda: one(fleet, "b").scanned is not None, 5)
    note = f"custody/unlisted/{Y}"
    fleet.volumes.pop("b")
    fleet.custody.configure(fleet.world())
    since = fleet.memory.get(note)
    fleet.memory.put(note, since - 2 * 86400)
    fleet.custody.configure(fleet.world())
    assert Y not in fleet.catalogue.holdings


async def test_new_patterns_are_scanned_at_once(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    fleet.volumes["a"].write("books/one")
    async with running(fleet.custody):
        await until(lambda: one(fleet).scanned is not None, 5)
        assert list(fleet.catalogue.titles_on(X)) == []
        fleet.select = ["books/*"]
        fleet.custody.configure(fleet.world())
        await until(lambda: list(fleet.catalogue.titles_on(X)) == ["books/one"], 3)


async def test_what_was_learned_outlives_the_process(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    fleet.volumes["a"].write(f"{TITLE}/e1")
    await fleet.look()
    shutil.move(fleet.volumes["a"].path, tmp_path / "away")
    fleet.volumes["a"].path.mkdir()
    fleet.custody = fleet.controller()
    await fleet.look()
    assert (one(fleet).state, one(fleet).id) == ("Missing", X)
    fleet.volumes["a"].path.rmdir()
    shutil.move(tmp_path / "away", fleet.volumes["a"].path)
    fleet.custody = fleet.controller()
    assert one(fleet).scanned is not None, "the past is known"
    await fleet.custody.observer._look("a")
    assert one(fleet).state == "Mounted" and one(fleet).scanned is None, "and is not the present"
    await fleet.look()
    assert one(fleet).scanned is not None
