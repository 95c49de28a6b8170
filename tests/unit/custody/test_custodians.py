"""The rolling baton: who is obliged to keep a title."""

from telarchy.custody.custodians import custodians_of
from telarchy.custody.weighing import Holder, Standing, Weight


def holder(name: str, since: int, *, on: bool = False, domain: str = "", **fields: object) -> Holder:
    standing = Standing(name, domain or name, Weight.LIVE, on, fields.pop("counts", True))
    return Holder(name, standing, 1, 1, 0, since, **fields)


def names(*holders: Holder, count: int = 2, **options: int) -> list[str]:
    return [one.volume for one in custodians_of(holders, count, **options)]


def test_the_most_recent_holders_are_obliged() -> None:
    assert names(holder("old", 1, on=True), holder("new", 3, on=True), holder("mid", 2)) == ["new", "mid"]


def test_one_slot_is_kept_for_an_always_on_host() -> None:
    assert names(holder("old", 1, on=True), holder("l1", 3), holder("l2", 2)) == ["l1", "old"]


def test_as_many_slots_as_the_floor_asks_for() -> None:
    ones = [holder("s1", 1, on=True), holder("s2", 2, on=True), holder("l1", 4), holder("l2", 3)]
    assert names(*ones, count=3, always_on=2) == ["l1", "s2", "s1"]
    assert names(*ones, count=1, always_on=2) == ["s2"]


def test_one_per_failure_domain_and_only_whole_copies_that_count() -> None:
    ones = [
        holder("a", 5, domain="box"),
        holder("b", 4, domain="box"),
        holder("part", 3, missing=("e1",)),
        holder("drained", 2, counts=False),
        holder("c", 1),
    ]
    assert names(*ones) == ["a", "c"]
