"""Reading again, setting aside, trimming, sweeping: nothing goes without a proof, and doubt refuses."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telarchy.core.observation import HostEvidence, Observation
from telarchy.core.plan import Plan
from telarchy.custody.act import STAGING_KEPT
from telarchy.custody.actions import CancelJob, ExpireTrash, Forget, Quarantine, Trim
from telarchy.custody.manifest import FileSeen, fingerprint
from telarchy.custody.proof import LEASE_SECONDS, FloorProof, VerifiedCopy
from telarchy.errors import ActionFailed, SafetyRefusal
from telarchy.links import jobs
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_act_copy import slow, staged, until

TITLE = "tv/show/S1"


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[LocalFleet]:
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    yield fleet
    await fleet.custody.close()


def everywhere(fleet: LocalFleet, name: str = f"{TITLE}/e1", data: bytes = b"good") -> None:
    for volume in fleet.volumes.values():
        volume.write(name, data)


def rot(path: Path, data: bytes) -> None:
    """Other contents, and no trace of it in the inode's times."""
    stamp = path.stat().st_mtime_ns
    path.write_bytes(data)
    os.utime(path, ns=(stamp, stamp))


async def verified(fleet: LocalFleet, letters: str = "abc", title: str = TITLE) -> None:
    await fleet.look()
    for letter in letters:
        await fleet.act(fleet.verify(title, letter))


def seen_by(fleet: LocalFleet) -> Observation:
    """What the planner gets of it: every host answers."""
    hosts = {letter: HostEvidence(letter, True, uptime=1.0) for letter in fleet.volumes}
    return Observation(hosts=hosts, sections={"custody": fleet.custody.section()})


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- verify --------------------------------------------------------------------------------------------------------


async def test_a_first_digest_is_just_recorded_and_then_compared(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet, "a")
    [one] = fleet.manifest("a", TITLE)
    assert one.sha256 == digest(b"good") and abs(one.verified_at - time.time()) < 60
    first = one.verified_at
    await fleet.act(fleet.verify(TITLE))
    [one] = fleet.manifest("a", TITLE)
    assert not one.damaged and one.verified_at > first
    assert list((fleet.volumes["a"].own / "jobs").iterdir()) == []


async def test_a_rotten_byte_is_found(fleet: LocalFleet) -> None:
    everywhere(fleet)
    everywhere(fleet, f"{TITLE}/e2", b"fine")
    await verified(fleet, "a")
    rot(fleet.volumes["a"].path / TITLE / "e1", b"gopd")
    await fleet.act(fleet.verify(TITLE))
    e1, e2 = fleet.manifest("a", TITLE)
    assert e1.damaged and e1.sha256 == digest(b"good")
    assert not e2.damaged
    rot(fleet.volumes["a"].path / TITLE / "e1", b"good")
    await fleet.act(fleet.verify(TITLE))
    assert not fleet.manifest("a", TITLE)[0].damaged


async def test_the_same_size_with_another_mtime_is_damage_too(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet, "a")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"evil", mtime=1_750_000_000)
    await fleet.look()
    await fleet.act(fleet.verify(TITLE))
    [one] = fleet.manifest("a", TITLE)
    assert one.damaged and one.sha256 == digest(b"good")


async def test_what_was_written_over_every_copy_is_the_new_version(fleet: LocalFleet) -> None:
    everywhere(fleet)
    everywhere(fleet, f"{TITLE}/e2", b"fine")
    await verified(fleet)
    for number, letter in enumerate("abc"):
        fleet.volumes[letter].write(f"{TITLE}/e1", b"mine", mtime=1_750_000_000 + number)
    await fleet.look()
    for letter in "ab":
        await fleet.act(fleet.verify(TITLE, letter))
    assert fleet.manifest("a", TITLE)[0].damaged and fleet.manifest("b", TITLE)[0].damaged, (
        "c has yet to be read"
    )
    await fleet.act(fleet.verify(TITLE, "c"))
    for letter in "abc":
        e1, e2 = fleet.manifest(letter, TITLE)
        assert (e1.sha256, e1.damaged, bool(e1.verified_at)) == (digest(b"mine"), False, True)
        assert e2.sha256 == digest(b"fine")
    await fleet.act(trim(fleet))  # and as good as any


async def test_what_rots_alike_on_every_copy_is_damaged(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    for letter in "abc":  # seen through the network, one rotten file is on many hosts
        rot(fleet.volumes[letter].path / TITLE / "e1", b"evil")
        await fleet.act(fleet.verify(TITLE, letter))
        await fleet.act(fleet.verify(TITLE, letter))
    for letter in "abc":
        assert fleet.manifest(letter, TITLE)[0].damaged
        assert fleet.manifest(letter, TITLE)[0].sha256 == digest(b"good")


async def test_a_touched_file_is_as_good_as_before(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet, "a")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good", mtime=1_750_000_000)
    await fleet.act(fleet.verify(TITLE))
    assert not fleet.manifest("a", TITLE)[0].damaged


async def test_a_title_that_is_gone_says_so(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await fleet.look()
    action = fleet.verify(TITLE)
    shutil.rmtree(fleet.volumes["a"].path / "tv")
    with pytest.raises(ActionFailed) as caught:
        await fleet.act(action)
    assert caught.value.reason == "Changed"
    assert fleet.manifest("a", TITLE) == ()


@pytest.mark.parametrize("hours", [1, 30])
async def test_an_interrupted_reading_is_taken_over_while_it_is_young(fleet: LocalFleet, hours: int) -> None:
    everywhere(fleet)
    everywhere(fleet, f"{TITLE}/e2", b"fine")
    await fleet.look()
    action = fleet.verify(TITLE)
    folder = Path(jobs.job_folder(fleet.volumes["a"].root, action.id))
    folder.mkdir(parents=True)
    begun = time.time() - hours * 3600
    (folder / "spec.json").write_text(json.dumps({"verb": "Verify", "title": TITLE, "begun": begun}))
    # What the reading that a power cut ended had found: planted, so that it can be told from a new one.
    seen = "4 1700000000.123456789"
    planted = "b" * 64
    (folder / "out").write_bytes(f"d {planted} {seen} {seen} {TITLE}/e1//\nd {planted[:30]}".encode())
    await fleet.act(action)
    e1, e2 = fleet.manifest("a", TITLE)
    assert e2.sha256 == digest(b"fine")
    if hours == 1:
        assert e1.sha256 == planted and abs(e1.verified_at - begun) < 1
    else:
        assert e1.sha256 == digest(b"good") and e1.verified_at > begun + 3600


async def test_a_running_reading_says_nothing_of_a_file_that_was_edited_since(fleet: LocalFleet) -> None:
    everywhere(fleet)
    everywhere(fleet, f"{TITLE}/e2", b"fine")
    await verified(fleet, "a")
    action = fleet.verify(TITLE)
    # A job of an earlier controller that has read the first file, and still reads the second.
    seen = "4 1700000000.123456789"
    record = f"printf 'd %s {seen} {seen} ./{TITLE}/%s//\\n'"
    script = f"{record} {digest(b'good')} e1; sleep 2; {record} {digest(b'fine')} e2"
    folder = jobs.job_folder(fleet.volumes["a"].root, action.id)
    spec = {"verb": "Verify", "title": TITLE, "begun": time.time()}
    await jobs.start(fleet.volumes["a"].link, jobs.JobSpec(action.id, folder, script, spec=spec))
    await until(lambda: Path(folder, "out").exists() and b"e1" in Path(folder, "out").read_bytes())
    fleet.volumes["a"].write(f"{TITLE}/e1", b"mine", mtime=1_750_000_000)
    with pytest.raises(ActionFailed) as caught:
        await fleet.act(action)
    assert caught.value.reason == "Changed"
    e1, e2 = fleet.manifest("a", TITLE)
    assert not e1.verified_at and e2.verified_at, "what was read is not what is there now"
    await fleet.act(action)
    assert fleet.manifest("a", TITLE)[0].damaged


# --- quarantine ----------------------------------------------------------------------------------------------------


def quarantine(fleet: LocalFleet, *paths: str, keepers: str = "bc") -> Quarantine:
    return Quarantine(
        host="a",
        root="main",
        volume=fleet.volumes["a"].id,
        title=TITLE,
        paths=paths,
        keepers=tuple(fleet.volumes[letter].id for letter in keepers),
    )


async def test_a_damaged_file_is_set_aside_and_healed(fleet: LocalFleet) -> None:
    everywhere(fleet)
    everywhere(fleet, f"{TITLE}/e2", b"fine")
    await verified(fleet)
    rot(fleet.volumes["a"].path / TITLE / "e1", b"evil")
    await fleet.act(fleet.verify(TITLE))
    await fleet.act(quarantine(fleet, "e1"))
    assert fleet.volumes["a"].everything() == {f"{TITLE}/e2": b"fine"}
    seen = (await fleet.look())[fleet.volumes["a"].id]
    assert seen.quarantined == {TITLE} and seen.removed == 0
    [entry] = (fleet.volumes["a"].own / "quarantine").iterdir()
    assert (entry / TITLE / "e1").read_bytes() == b"evil"
    await fleet.act(fleet.copy(TITLE, "b", "a"))
    assert fleet.volumes["a"].everything() == fleet.volumes["b"].everything()
    assert not any(one.damaged for one in fleet.manifest("a", TITLE))


async def test_what_was_set_aside_within_the_day_is_counted(fleet: LocalFleet) -> None:
    everywhere(fleet)
    everywhere(fleet, "films/Old/x")
    await verified(fleet, "ab")
    await verified(fleet, "ab", "films/Old")
    for title, name in ((TITLE, "e1"), ("films/Old", "x")):
        rot(fleet.volumes["a"].path / title / name, b"evil")
        await fleet.act(fleet.verify(title))
        await fleet.act(fleet.quarantine(title, "a", "b"))
    seen = (await fleet.look())[fleet.volumes["a"].id]
    assert seen.set_aside == 2
    [old] = [one for one in (fleet.volumes["a"].own / "quarantine").iterdir() if list(one.glob("films"))]
    old.rename(old.with_name("20200101T000000Z-" + old.name.partition("-")[2]))
    for one in (fleet.volumes["a"].own / "quarantine").glob("2020*"):
        os.utime(one, (1_600_000_000, 1_600_000_000))
    seen = (await fleet.look())[fleet.volumes["a"].id]
    assert seen.set_aside == 1 and seen.quarantined == {TITLE, "films/Old"}


async def test_the_last_source_stays_where_it_is(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    for letter in "abc":
        rot(fleet.volumes[letter].path / TITLE / "e1", letter.encode() * 4)
    await fleet.act(fleet.verify(TITLE))
    with pytest.raises(SafetyRefusal) as caught:
        await fleet.act(quarantine(fleet, "e1"))
    assert caught.value.rule == "last-copy"
    assert fleet.volumes["a"].everything() == {f"{TITLE}/e1": b"aaaa"}


async def test_a_file_that_is_fine_after_all_stays(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    fleet.catalogue.record_digests(fleet.volumes["a"].id, TITLE, {}, ["e1"], 5.0)
    assert fleet.manifest("a", TITLE)[0].damaged
    await fleet.act(quarantine(fleet, "e1"))
    assert fleet.volumes["a"].everything() == {f"{TITLE}/e1": b"good"}
    assert not fleet.manifest("a", TITLE)[0].damaged


async def test_an_empty_file_beside_longer_ones_is_set_aside(fleet: LocalFleet) -> None:
    everywhere(fleet)
    fleet.volumes["a"].write(f"{TITLE}/e1", b"")
    await fleet.look()
    await fleet.act(quarantine(fleet, "e1"))
    assert fleet.volumes["a"].everything() == {}


async def test_what_somebody_put_in_place_of_a_damaged_file_stays(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    rot(fleet.volumes["a"].path / TITLE / "e1", b"evil")
    await fleet.act(fleet.verify(TITLE))
    action = fleet.quarantine(TITLE, "a", "b")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"another version", mtime=1_750_000_000)
    with pytest.raises(ActionFailed) as caught:
        await fleet.act(action)
    assert caught.value.reason == "Changed"
    assert fleet.volumes["a"].everything() == {f"{TITLE}/e1": b"another version"}, (
        "a conflict, and a person's"
    )


# --- trim ----------------------------------------------------------------------------------------------------------


def trim(fleet: LocalFleet, victim: str = "c", keepers: str = "ab", **changes: Any) -> Trim:
    manifest = fleet.manifest(victim, TITLE)
    action = Trim(
        host=victim,
        root="main",
        volume=fleet.volumes[victim].id,
        title=TITLE,
        fingerprint=fingerprint(manifest),
        keepers=tuple(fleet.volumes[letter].id for letter in keepers),
        floor=2,
        always_on=1,
        bytes=4,
    )
    return replace(action, **changes)


async def refuses(fleet: LocalFleet, action: Trim) -> str:
    before = {letter: volume.everything() for letter, volume in fleet.volumes.items()}
    with pytest.raises((SafetyRefusal, ActionFailed)) as caught:
        await fleet.act(action)
    assert {letter: volume.everything() for letter, volume in fleet.volumes.items()} == before
    for volume in fleet.volumes.values():
        assert not list(volume.own.glob("leases/*")), "leases are given back"
    return str(caught.value)


async def test_a_surplus_copy_goes_to_the_trash(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await fleet.look()
    await fleet.act(trim(fleet))  # the keepers are read first: nobody had
    assert fleet.volumes["c"].everything() == {}
    assert fleet.manifest("c", TITLE) == ()
    assert fleet.manifest("a", TITLE)[0].sha256 == digest(b"good")
    seen = (await fleet.look())[fleet.volumes["c"].id]
    assert seen.removed == 1 and seen.trash[0].titles == (TITLE,) and seen.trash[0].age < 60
    assert list(fleet.volumes["c"].own.glob(f"trash/*/{TITLE}/e1"))
    for volume in fleet.volumes.values():
        assert not list(volume.own.glob("leases/*"))


async def test_removals_of_a_day_are_counted_though_their_trash_was_emptied(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    await fleet.act(trim(fleet))
    shutil.rmtree(fleet.volumes["c"].own / "trash")
    await fleet.look()
    assert fleet.custody.section().volumes[fleet.volumes["c"].id].removed == 1
    fleet.custody = fleet.controller()
    await fleet.look()
    assert fleet.custody.section().volumes[fleet.volumes["c"].id].removed == 1


async def test_too_few_keepers(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await fleet.look()
    assert "only 1 verified" in await refuses(fleet, trim(fleet, keepers="a"))
    assert "only 1 verified" in await refuses(fleet, trim(fleet, keepers="ac"))
    assert "only 0" in await refuses(fleet, trim(fleet, keepers=""))
    assert "proves nothing" in await refuses(fleet, trim(fleet, floor=0, keepers="ab"))


async def test_keepers_in_one_failure_domain_count_once(fleet: LocalFleet) -> None:
    everywhere(fleet)
    for letter in "ab":
        fleet.host_specs[letter] = {"failureDomain": "box"}
    fleet.custody.configure(fleet.world())
    await fleet.look()
    assert "only 1 verified" in await refuses(fleet, trim(fleet))
    fleet.host_specs = {"b": {"failureDomain": "box"}, "c": {"failureDomain": "box"}}
    fleet.custody.configure(fleet.world())
    assert "only 1 verified" in await refuses(fleet, trim(fleet))


async def test_an_always_on_copy_remains(fleet: LocalFleet) -> None:
    everywhere(fleet)
    for letter in "ab":
        fleet.host_specs[letter] = {"alwaysOn": False}
    fleet.custody.configure(fleet.world())
    await fleet.look()
    assert "always-on" in await refuses(fleet, trim(fleet))


async def test_a_keeper_that_rotted_is_found_before_anything_goes(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    old = time.time() - 25 * 3600
    for letter in "ab":
        fleet.catalogue.record_digests(fleet.volumes[letter].id, TITLE, {"e1": digest(b"good")}, (), old)
    rot(fleet.volumes["b"].path / TITLE / "e1", b"evil")
    assert "damaged" in await refuses(fleet, trim(fleet))
    assert fleet.manifest("b", TITLE)[0].damaged


async def test_a_keeper_that_moved_under_us(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    (fleet.volumes["b"].path / TITLE / "e1").unlink()
    assert "cannot be seen" in await refuses(fleet, trim(fleet)) or fleet.manifest("b", TITLE) == ()
    fleet.volumes["b"].put_sentinel("9" * 32)
    assert "is not at" in await refuses(fleet, trim(fleet))


async def test_a_victim_with_something_of_its_own_stays(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await fleet.look()
    action = trim(fleet)
    fleet.volumes["c"].write(f"{TITLE}/e2", b"only here")
    assert "not what was planned" in await refuses(fleet, action)
    await fleet.look()
    assert "on no keeper" in await refuses(fleet, trim(fleet))


async def test_a_victim_of_the_same_length_with_other_contents_stays(fleet: LocalFleet) -> None:
    everywhere(fleet)
    fleet.volumes["c"].write(f"{TITLE}/e1", b"mine")
    await fleet.look()
    assert "on no keeper" in await refuses(fleet, trim(fleet))  # nobody had read it: its size was as theirs
    assert fleet.manifest("c", TITLE)[0].sha256 == digest(b"mine"), "which makes it a conflict for a person"


async def test_a_victim_that_was_edited_in_place_stays(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    fleet.volumes["c"].write(f"{TITLE}/e1", b"mine", mtime=1_750_000_000)
    await fleet.look()
    assert "was edited" in await refuses(fleet, trim(fleet))
    assert fleet.manifest("c", TITLE)[0].damaged
    fleet.volumes["c"].write(f"{TITLE}/e1", b"good", mtime=1_750_000_001)
    await fleet.look()
    await fleet.act(trim(fleet))  # touched, and as good as before
    assert fleet.volumes["c"].everything() == {}


async def test_another_removal_that_counts_on_a_keeper(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await verified(fleet)
    action = trim(fleet)
    rival = trim(fleet, victim="a", keepers="bc")
    outcomes = await asyncio.gather(fleet.act(action), fleet.act(rival), return_exceptions=True)
    assert len([one for one in outcomes if isinstance(one, ActionFailed | SafetyRefusal)]) >= 1
    assert sum(bool(volume.everything()) for volume in fleet.volumes.values()) >= 2


async def test_keepers_with_different_contents(fleet: LocalFleet) -> None:
    everywhere(fleet)
    fleet.volumes["b"].write(f"{TITLE}/e1", b"also")
    await verified(fleet)
    assert "not the same" in await refuses(fleet, trim(fleet))


def kept(**changes: Any) -> VerifiedCopy:
    one = FileSeen("e1", 4, 5, "c" * 64, 1000.0)
    given: dict[str, Any] = {
        "volume": "v1",
        "host": "one",
        "domain": "one",
        "always_on": True,
        "recorded": (one,),
        "seen_now": (FileSeen("e1", 4, 5),),
        "now": 2000.0,
        "asked_at": 50.0,
    }
    return VerifiedCopy.show(**{**given, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"recorded": ()},
        {"recorded": (FileSeen("e1", 4, 5),)},
        {"recorded": (FileSeen("e1", 4, 5, "c" * 64, 0.0),), "now": 1e9},
        {"recorded": (FileSeen("e1", 4, 5, "c" * 64, 3000.0),)},  # read in the future: a clock that jumped
        {"recorded": (FileSeen("e1", 4, 5, "c" * 64, 1000.0, True),)},
        {"seen_now": ()},
        {"seen_now": (FileSeen("e1", 4, 6),)},
        {"seen_now": (FileSeen("e1", 3, 5),)},
    ],
)
def test_no_doubtful_copy_becomes_a_keeper(changes: dict[str, Any]) -> None:
    with pytest.raises(SafetyRefusal):
        kept(**changes)


def test_a_proof_runs_out_and_is_about_one_copy() -> None:
    proof = FloorProof(
        victim="v9",
        victim_domain="nine",
        leaving=(FileSeen("e1", 4, 7, "c" * 64, 1.0),),
        keepers=[kept()],
        floor=1,
        always_on=1,
    )
    proof.check("v9", 60.0)
    with pytest.raises(SafetyRefusal):
        proof.check("v8", 60.0)
    with pytest.raises(SafetyRefusal):
        proof.check("v9", 50.0 + LEASE_SECONDS)


# --- trash ---------------------------------------------------------------------------------------------------------


def expire(fleet: LocalFleet, *entries: str, letter: str = "c") -> ExpireTrash:
    return ExpireTrash(host=letter, root="main", volume=fleet.volumes[letter].id, entries=entries)


async def aged_trash(fleet: LocalFleet, days: int) -> str:
    """A trimmed copy, and the folder of its trash made so old, as one sees it that knew of it all the while."""
    everywhere(fleet)
    await fleet.look()
    await fleet.act(trim(fleet))
    [entry] = (fleet.volumes["c"].own / "trash").iterdir()
    stamp = time.time() - days * 86400
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(stamp)) + "-" + entry.name.partition("-")[2]
    aged = entry.rename(entry.with_name(name))
    os.utime(aged, (stamp, stamp))
    fleet.memory.put(f"custody/trash/{fleet.volumes['c'].id}", {name: -days * 86400.0})
    fleet.custody = fleet.controller()
    await fleet.look()
    return name


async def test_old_trash_is_deleted(fleet: LocalFleet) -> None:
    name = await aged_trash(fleet, 40)
    await fleet.act(expire(fleet, name))
    assert list((fleet.volumes["c"].own / "trash").iterdir()) == []


async def test_young_trash_stays_whatever_its_name_says(fleet: LocalFleet) -> None:
    name = await aged_trash(fleet, 20)
    with pytest.raises(SafetyRefusal):
        await fleet.act(expire(fleet, name))
    older = "20200101T000000Z-abc"
    (fleet.volumes["c"].own / "trash" / name).rename(fleet.volumes["c"].own / "trash" / older)
    with pytest.raises(SafetyRefusal):
        await fleet.act(expire(fleet, older))
    assert list(fleet.volumes["c"].own.glob(f"trash/{older}/{TITLE}/e1"))


async def test_trash_that_holds_the_last_copy_stays(fleet: LocalFleet) -> None:
    name = await aged_trash(fleet, 40)
    for letter in "ab":
        shutil.rmtree(fleet.volumes[letter].path / "tv")
    with pytest.raises(SafetyRefusal) as caught:
        await fleet.act(expire(fleet, name))
    assert caught.value.rule == "last-copy"
    assert list(fleet.volumes["c"].own.glob(f"trash/{name}/{TITLE}/e1"))


# --- adopting, cancelling, forgetting, sweeping -----------------------------------------------------------------------


async def test_a_new_root_is_adopted_and_keeps_what_was_seen(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "a", sentinels=False)
    fleet.volumes["a"].write(f"{TITLE}/e1")
    seen = (await fleet.look())["a/main"]
    assert seen.state == "New" and set(fleet.catalogue.titles_on("a/main")) == {TITLE}
    await fleet.act(fleet.adopt("a"))
    [seen] = (await fleet.look()).values()
    assert seen.state == "Mounted" and len(seen.id) == 32
    line = (fleet.volumes["a"].own / "volume").read_text()
    assert json.loads(line)["id"] == seen.id and json.loads(line)["fleet"] == "home" and line.count("\n") == 1
    assert set(fleet.catalogue.titles_on(seen.id)) == {TITLE}
    assert list(fleet.catalogue.titles_on("a/main")) == []


async def test_a_lost_volume_is_replaced_only_by_word(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await fleet.look()
    shutil.rmtree(fleet.volumes["a"].path)
    fleet.volumes["a"].path.mkdir()
    seen = (await fleet.look())[fleet.volumes["a"].id]
    assert seen.state == "Missing" and "mounted?" in seen.message
    assert set(fleet.catalogue.titles_on(seen.id)) == {TITLE}
    await fleet.act(fleet.adopt("a", replaces=seen.id))
    states = {one.host: one for one in (await fleet.look()).values()}
    assert states["a"].state == "Mounted" and states["a"].id != seen.id
    assert list(fleet.catalogue.titles_on(states["a"].id)) == []


async def test_who_gave_a_volume_up_is_asked_again_when_it_had_come_back(fleet: LocalFleet) -> None:
    def plan(*approved: str) -> Plan:
        seen = replace(seen_by(fleet), approved=frozenset(approved))
        return fleet.custody.plan(fleet.world(), seen, time.time())

    async def away() -> None:
        fleet.volumes["a"].path.rename(fleet.path / "unmounted")
        fleet.volumes["a"].path.mkdir()
        await fleet.look()

    async def back() -> None:
        fleet.volumes["a"].path.rmdir()
        (fleet.path / "unmounted").rename(fleet.volumes["a"].path)
        await fleet.look()

    await fleet.look()
    await away()
    [hold] = plan().holds
    fleet.custody = fleet.controller()
    await fleet.look()
    [same] = plan().holds
    assert same.hash == hold.hash, "a restart asks nothing anew"
    assert [step.action.id for step in plan(*hold.action_ids).steps] == list(hold.action_ids)
    await back()
    assert plan(*hold.action_ids).steps == ()
    fleet.custody = fleet.controller()
    await away()  # within the week that an approval stands
    [again] = plan(*hold.action_ids).holds
    assert again.hash != hold.hash and plan(*hold.action_ids).steps == ()


async def test_another_disk_in_its_place_is_taken_as_it_is(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await fleet.look()
    old = fleet.volumes["a"].id
    fleet.volumes["a"].put_sentinel("9" * 32)
    seen = (await fleet.look())[old]
    assert (seen.state, seen.found) == ("WrongId", "9" * 32)
    await fleet.act(fleet.adopt("a", replaces=old))
    states = {one.host: one for one in (await fleet.look()).values()}
    assert (states["a"].state, states["a"].id) == ("Mounted", "9" * 32)


async def test_an_unwanted_job_is_cancelled_and_its_bytes_stay_a_day(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", os.urandom(3_000_000))
    await fleet.look()
    slow(fleet)
    action = fleet.copy(TITLE)
    task = asyncio.create_task(fleet.act(action))
    await until(lambda: staged(fleet) > 100_000)
    fleet.custody.detach()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    cancel = CancelJob(host="b", root="main", volume=fleet.volumes["b"].id, job=action.id)
    await fleet.act(cancel)
    assert (await fleet.look())[fleet.volumes["b"].id].jobs == () and staged(fleet) > 100_000
    folder = fleet.volumes["b"].own / "staging" / action.id
    old = time.time() - STAGING_KEPT - 60
    for path in (folder, folder.with_name(f"{action.id}.begun")):
        os.utime(path, (old, old))
    everywhere(fleet, "films/one")
    await fleet.look()
    fleet.custody._swept.clear()
    await fleet.act(fleet.verify("films/one", "b"))
    assert staged(fleet) == 0 and not list((fleet.volumes["b"].own / "staging").iterdir())


async def test_a_title_that_somebody_has_is_not_forgotten(fleet: LocalFleet) -> None:
    everywhere(fleet)
    await fleet.look()
    with pytest.raises(SafetyRefusal):
        await fleet.act(Forget(host="", title=TITLE))


async def test_a_copy_that_went_again_before_the_next_scan(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1")
    await fleet.look()
    await fleet.look()
    await fleet.act(fleet.copy(TITLE))
    shutil.rmtree(fleet.volumes["b"].path / "tv")
    await fleet.look()
    assert fleet.manifest("b", TITLE) == ()
    away = fleet.volumes["a"].path / "tv"
    action = fleet.verify(TITLE)
    away.rename(away.with_name("elsewhere"))
    with pytest.raises(ActionFailed):
        await fleet.act(action)
    away.with_name("elsewhere").rename(away)
    await fleet.look()
    assert [one.path for one in fleet.manifest("a", TITLE)] == ["e1"]
