"""Counts that follow changes, against counts made from scratch."""

from telarchy.custody.plan import CensusMemo, deliberate
from telarchy.custody.weighing import TitleState
from tests.property.checks import counts_agree_with_weigh, same_counts
from tests.world import GIB, NOW, Seen, files, fleet, floor, host, seen


def follow(of: Seen, memo: CensusMemo) -> None:
    followed = deliberate(of.world, of.observation(), NOW, memo=memo).census
    fresh = deliberate(of.world, of.observation(), NOW).census
    same_counts(followed, fresh)
    counts_agree_with_weigh(fresh)


def two_floors() -> Seen:
    return seen(
        fleet(), host("a"), host("b"), host("c"), floor("all"), floor("films", ("films/*",), copies=3)
    )


def test_bytes_to_move_follow_a_title_that_grew_under_two_floors() -> None:
    of, memo = two_floors(), CensusMemo()
    of.put("a", "films/Alien", files(GIB))
    follow(of, memo)
    first = memo.census
    of.put("a", "films/Alien", files(GIB, GIB))
    follow(of, memo)
    assert memo.census is first  # it followed, and did not count anew
    assert [count.bytes_to_move for count in first.floors] == [2 * GIB, 4 * GIB]


def test_titles_that_come_go_and_disagree_are_followed() -> None:
    of, memo = two_floors(), CensusMemo()
    for number in range(20):
        of.put("a", f"films/F{number:02}", files(number + 1))
    follow(of, memo)
    of.put("b", "films/F03", files(4))
    of.put("c", "films/F03", files(9))  # a conflict
    of.drop("a", "films/F05")
    of.put("b", "tv/Show/S01", files(5, 5))
    follow(of, memo)
    states = [
        memo.census.floors[0].state[of.catalogue.names.find(name)] for name in ("films/F03", "films/F05")
    ]
    assert states == [TitleState.UNKNOWN, TitleState.UNRECOVERABLE]
    of.put("c", "films/F03", files(4))
    of.catalogue.forget("films/F05")
    follow(of, memo)
    assert not memo.census.floors[0].member[of.catalogue.names.find("films/F05")]
    of.put("a", "films/F05", files(6))
    follow(of, memo)
    assert memo.census.floors[0].member[of.catalogue.names.find("films/F05")]


def test_more_changes_than_are_remembered_are_counted_anew() -> None:
    of, memo = two_floors(), CensusMemo()
    of.put("a", "films/F0", files(1))
    follow(of, memo)
    since = of.catalogue.version
    many = {f"films/M{number:05}": files(2) for number in range(1500)}
    of.catalogue.patch_volume(of.key("a"), many, NOW)
    for size in range(9_000):
        of.catalogue.patch_volume(of.key("b"), {"films/F0": files(size + 1)}, NOW)
    assert of.catalogue.changed_since(since) is None  # a part of the first change is forgotten
    follow(of, memo)


def test_the_most_urgent_come_first() -> None:
    of = seen(fleet(), *(host(name) for name in "abcdef"), floor(copies=4, alwaysOn=1))
    for name in "ab":
        of.put(name, "films/Two", files(1))
    of.put("a", "films/OneBig", files(9))
    of.put("a", "films/OneSmall", files(3))
    names = of.catalogue.names
    count = deliberate(of.world, of.observation(), NOW).census.floors[0]
    assert [names.name(title) for title in count.order] == ["films/OneSmall", "films/OneBig", "films/Two"]
