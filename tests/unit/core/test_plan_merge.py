"""One plan out of several rooms' plans."""

from telarchy.core.plan import Event, Plan, merge
from telarchy.resources.meta import Ref

REF = Ref("Host", "default", "a")


def test_parts_of_a_status_are_merged_and_conditions_by_their_type() -> None:
    one = Plan(
        statuses={
            REF: {"a": 1, "m": {"x": 1}, "conditions": [{"type": "Ready", "v": 1}, {"type": "B", "v": 1}]}
        },
        beyond=(1, 10),
        unsettled=("a",),
        wake_at=9.0,
    )
    other = Plan(
        statuses={REF: {"b": 2, "m": {"y": 2}, "conditions": [{"type": "Ready", "v": 2}]}},
        events=(Event(REF, "R", "m"),),
        beyond=(2, 5),
        wake_at=7.0,
    )
    merged = merge([one, other])
    assert merged.statuses[REF] == {
        "a": 1,
        "b": 2,
        "m": {"x": 1, "y": 2},
        "conditions": [{"type": "Ready", "v": 2}, {"type": "B", "v": 1}],
    }
    assert (merged.beyond, merged.unsettled, merged.wake_at) == ((3, 15), ("a",), 7.0)
    assert merged.events == other.events
    assert one.statuses[REF]["m"] == {"x": 1}  # nobody's plan is changed


def test_nothing_is_settled_and_sleeps() -> None:
    assert merge([]).settled and merge([]).wake_at is None
    assert not merge([Plan(beyond=(1, 0))]).settled and not merge([Plan(unsettled=("a",))]).settled
