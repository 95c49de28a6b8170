"""What is mounted below a media root may be another host's folder: its copies are no second ones, and none are made."""

from __future__ import annotations

import random

import pytest

from telarchy.core.plan import Decision
from telarchy.custody.actions import Copy, ExpireTrash, Trim
from telarchy.custody.evidence import TrashSeen
from telarchy.custody.explain import why
from telarchy.custody.looking import RootLook
from telarchy.custody.mounts import Mount, device_of, mounts_below
from telarchy.custody.plan import CensusMemo, deliberate, plan_custody
from telarchy.custody.volumes import borrowed
from telarchy.resources.meta import Ref
from telarchy.runtime.evidence import from_memory, to_memory
from tests.property.checks import counts_agree_with_weigh, same_counts
from tests.world import GIB, NOW, Seen, files, fleet, floor, host, seen

FILM = "films/Alien"

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 8:17 / /srv/media rw,relatime shared:1 - ext4 /dev/sdb1 rw
41 40 0:50 / /srv/media/tv rw,relatime shared:2 master:3 - nfs4 nas:/tv rw,vers=4.2
42 40 8:33 /films /srv/media/a\040b\011\134 rw - xfs /dev/sdc1 rw
43 40 0:51 / /srv/media/films rw - autofs systemd-1 rw
44 43 0:52 / /srv/media/films rw - cifs //nas/films rw
45 40 8:17 /x /srv/media/.telarchy/trash rw - ext4 /dev/sdb1 rw
46 27 8:49 / /srv/media2 rw - ext4 /dev/sdd1 rw
47 27 8:17 /srv/media/y /mnt rw - ext4 /dev/sdb1 rw
cut off"""


def test_the_kernels_table_is_read() -> None:
    assert mounts_below("/srv/media", TABLE) == (
        Mount("a b\t\\", "xfs", "8:33"),
        Mount("films", "cifs", "0:52"),
        Mount("tv", "nfs4", "0:50"),
    )
    assert mounts_below("/srv/media2", TABLE) == ()
    assert mounts_below("/srv/media", ": nfs /srv/media/a b\n: ufs /srv/media/c") == (
        Mount("a b", "nfs"),
        Mount("c", "ufs"),
    )
    assert mounts_below("/srv/media", "") == ()
    assert (device_of("2065"), device_of("")) == ("8:17", "")


def look(boot: str, number: int, *mounts: Mount) -> RootLook:
    return RootLook("/srv", boot=boot, device=str(number), mounts=mounts)


NFS, DISK, DATASET = Mount("tv", "nfs4", "0:50"), Mount("films", "xfs", "8:33"), Mount("x", "zfs", "0:60")


@pytest.mark.parametrize(
    ("other", "doubtful"),
    [
        (None, ("tv",)),
        (look("one", 2065), ("tv",)),  # the disk that both roots are on is not the one that is mounted
        (look("one", 2081), ("films", "tv")),
        (look("one", 2065, Mount("y", "zfs", "0:60")), ("tv", "x")),
        (look("two", 2081, DATASET), ("tv",)),  # another machine's devices are others
    ],
)
def test_a_disk_of_its_own_is_its_own(other: RootLook | None, doubtful: tuple[str, ...]) -> None:
    mine = look("one", 2065, DISK, NFS, DATASET)
    found = borrowed({("a", "main"): mine, ("a", "second"): mine, ("b", "main"): other})
    assert found["a", "main"] == found["a", "second"] == doubtful


def home(**floor_fields: object) -> Seen:
    """Films on three hosts; on `c` they lie where something is mounted."""
    of = seen(fleet(), host("a"), host("b"), host("c"), floor("all", **floor_fields))
    of.set_volume("c", mounts=("films",), borrowed=("films",))
    return of


def state(of: Seen) -> dict[str, int]:
    status = plan_custody(of.world, of.observation(), NOW).statuses[Ref("CustodyFloor", "default", "all")]
    return {
        key: status[key] for key in ("met", "lacking", "copying", "unknown", "unrecoverable") if status[key]
    }


def test_a_copy_that_may_be_another_one_is_not_counted_and_not_made_again() -> None:
    of = home()
    for letter in "ac":
        of.put(letter, FILM, files(GIB))
    made = plan_custody(of.world, of.observation(), NOW)
    assert state(of) == {"unknown": 1}
    assert not [step for step in made.steps if isinstance(step.action, Copy)]
    [worst] = made.statuses[Ref("CustodyFloor", "default", "all")]["worst"]
    assert worst["reason"] == "MountBelowRoot" and "a media root of its own" in worst["message"]
    lines = "\n".join(why("title", FILM, of.world, of.observation(), NOW))
    assert "may be another copy seen twice" in lines and "a media root of its own" in lines
    conditions = made.statuses[Ref("Host", "default", "c")]["conditions"]
    [told] = [one for one in conditions if one["type"] == "CopiesInDoubt"]
    assert "1 title in" in told["message"] and "a media root of its own" in told["message"]
    others = made.statuses[Ref("Host", "default", "a")]["conditions"]
    assert not [one for one in others if one["type"] == "CopiesInDoubt"]


def test_it_is_no_bar_to_two_that_are_sure_and_a_source_for_one_that_lacks() -> None:
    of = home()
    for letter in "abc":
        of.put(letter, FILM, files(GIB))
    assert state(of) == {"met": 1}
    for letter in "ab":
        of.drop(letter, FILM)
    made = plan_custody(of.world, of.observation(), NOW)
    [step] = [step for step in made.steps if isinstance(step.action, Copy)]
    assert step.decision is Decision.START and step.action.source_host == "c"


def test_what_is_out_of_sight_is_unknown_no_source_and_no_reason_for_anything() -> None:
    of = home(maxCopies=1)
    for letter in "ab":
        of.put(letter, FILM, files(GIB, read_at=NOW - 60), at=NOW - 365 * 86400.0)
    of.set_volume("a", hidden=("films",), mounts=("films",), message="cannot read 'films'")
    assert state(of) == {"unknown": 1}
    made = plan_custody(of.world, of.observation(), NOW)
    assert not [step for step in made.steps if isinstance(step.action, Copy | Trim)]
    [worst] = made.statuses[Ref("CustodyFloor", "default", "all")]["worst"]
    assert worst["reason"] == "HolderUnknown" and "cannot read 'films'" in worst["message"]
    of.drop("b", FILM)
    assert not plan_custody(of.world, of.observation(), NOW).steps
    assert state(of) == {"unknown": 1}


def test_what_is_out_of_sight_is_not_read_and_keeps_nothing_else_from_being_read() -> None:
    of = home(verify={"every": "30d"})
    for number in range(9):
        of.put("a", f"films/F{number}", files(GIB))
    of.put("a", "tv/Show/S1", files(GIB, read_at=NOW - 40 * 86400.0))
    of.set_volume("a", hidden=("films",), mounts=("films",))
    read = [
        one.action.title
        for one in plan_custody(of.world, of.observation(), NOW).steps
        if one.action.verb == "Verify"
    ]
    assert read == ["tv/Show/S1"]


def test_a_title_that_holds_a_mount_is_one_and_its_neighbours_are_not() -> None:
    of = home()
    of.set_volume("c", borrowed=("films/Alien/extras",), mounts=("films/Alien/extras",))
    for letter in "ac":
        of.put(letter, FILM, files(GIB))
        of.put(letter, "films/Aliens", files(GIB))
    assert state(of) == {"unknown": 1, "met": 1}


def test_nothing_is_planned_to_where_it_cannot_appear() -> None:
    of = home()
    of.set_volume("b", mounts=("films",))  # a disk of its own, and still another file system
    of.put("a", FILM, files(GIB))
    made = plan_custody(of.world, of.observation(), NOW)
    assert not [step for step in made.steps if isinstance(step.action, Copy)]
    [worst] = made.statuses[Ref("CustodyFloor", "default", "all")]["worst"]
    assert worst["reason"] == "NoTarget" and "a media root of its own" in worst["message"]
    of.put("a", "tv/Show/S1", files(GIB))
    made = plan_custody(of.world, of.observation(), NOW)
    assert [step.action.title for step in made.steps if isinstance(step.action, Copy)] == ["tv/Show/S1"]


def test_nothing_is_removed_on_its_strength_nor_while_it_may_be_what_goes() -> None:
    old = NOW - 365 * 86400.0
    of = home(maxCopies=2)
    for letter in "abc":
        of.put(letter, FILM, files(GIB, read_at=NOW - 60), at=old)
    of.set_volume("a", trash=(TrashSeen("20200101T000000Z-x", 400 * 86400.0, (FILM,)),))

    def removals() -> list[object]:
        steps = plan_custody(of.world, of.observation(), NOW).steps
        return [step for step in steps if isinstance(step.action, Trim | ExpireTrash)]

    assert removals() == []
    of.resources.append(host("d"))
    more = seen(*of.resources)
    of.volumes |= {key: one for key, one in more.volumes.items() if one.host == "d"}
    of.hosts["d"] = more.hosts["d"]
    of.put("d", FILM, files(GIB, read_at=NOW - 60), at=old)
    assert removals() == [], "three that are sure are one too many, but c may show any of them"
    assert "seen twice" not in deliberate(of.world, of.observation(), NOW).not_now
    assert any("surplus stays" in line for line in why("title", FILM, of.world, of.observation(), NOW))
    of.set_volume("c", borrowed=(), mounts=())
    assert removals()


def test_counts_in_columns_know_of_it_too() -> None:
    chance = random.Random(7)
    for _ in range(30):
        of, memo = home(copies=chance.choice((1, 2, 3))), CensusMemo()
        for _ in range(3):
            for _ in range(12):
                title = chance.choice(("films/F", "films/G", "tv/Show/S")) + str(chance.randrange(6))
                if chance.random() < 0.2:
                    of.drop(chance.choice("abc"), title)
                else:
                    of.put(chance.choice("abc"), title, files(GIB, *[1] * (chance.random() < 0.1)))
            if chance.random() < 0.3:
                of.set_volume("b", borrowed=chance.choice(((), ("tv/Show/S1", "films"))))
            if chance.random() < 0.3:
                of.set_volume(
                    chance.choice("abc"), hidden=chance.choice(((), ("tv", "films/F2"), ("films/G1",)))
                )
            if chance.random() < 0.3:
                of.miss("a", chance.choice((60.0, 10_000.0)))
            followed = deliberate(of.world, of.observation(), NOW, memo=memo).census
            fresh = deliberate(of.world, of.observation(), NOW).census
            same_counts(followed, fresh)
            counts_agree_with_weigh(fresh)
            with_memo = plan_custody(of.world, of.observation(), NOW, memo=memo)
            assert with_memo.statuses == plan_custody(of.world, of.observation(), NOW).statuses


def test_it_is_remembered_for_who_asks_later() -> None:
    of = home()
    volumes = from_memory(to_memory(of.observation()), of.catalogue, frozenset()).sections["custody"].volumes
    assert volumes == of.volumes
