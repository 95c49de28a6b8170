"""Where a copy goes: evenly, and never moved by a host that comes."""

from collections import Counter
from collections.abc import Mapping

from telarchy.core.observation import Attempt
from telarchy.core.plan import Decision
from telarchy.custody.actions import Copy
from telarchy.custody.choosing import copy_id
from telarchy.custody.evidence import VolumeSeen, VolumeState
from telarchy.custody.placement import lots
from telarchy.custody.plan import plan_custody
from tests.world import GIB, NOW, Seen, files, fleet, floor, host, seen

TITLES = [f"films/F{number:04}" for number in range(3000)]


def winner(title: str, weights: dict[str, float]) -> str:
    scores = lots(title, tuple(weights)) * list(weights.values())
    return list(weights)[int(scores.argmax())]


def test_titles_spread_in_proportion_to_the_weights() -> None:
    won = Counter(winner(title, {"a": 1.0, "b": 1.0, "c": 2.0}) for title in TITLES)
    assert 0.2 < won["a"] / len(TITLES) < 0.3 and 0.45 < won["c"] / len(TITLES) < 0.55


def test_a_volume_that_comes_wins_titles_and_moves_none_between_the_others() -> None:
    before = {title: winner(title, {"a": 1.0, "b": 1.0}) for title in TITLES}
    after = {title: winner(title, {"a": 1.0, "b": 1.0, "c": 1.0}) for title in TITLES}
    assert {after[title] for title in TITLES if after[title] != before[title]} == {"c"}


def targets(of: Seen) -> list[tuple[str, str]]:
    return [
        (step.action.host, str(step.decision)) for step in plan_custody(of.world, of.observation(), NOW).steps
    ]


def test_copies_go_where_the_plan_before_the_adoption_said() -> None:
    """`telarchy plan`, then `telarchy run`: the ids of new volumes are made up in between."""
    of = seen(fleet(), *(host(name) for name in "abcdef"), floor(copies=3))
    for title in TITLES[:40]:
        for name in "ab":
            of.put(name, title, files(GIB))

    def planned() -> list[tuple[str, str]]:
        copies = [step.action for step in plan_custody(of.world, of.observation(), NOW).steps]
        return [(one.title, one.host) for one in copies if isinstance(one, Copy)]

    def rename(names: Mapping[str, str], state: VolumeState) -> None:
        for old, new in names.items():
            volume = of.volumes.pop(old)
            adopted = new if state is VolumeState.MOUNTED else ""
            of.volumes[new] = VolumeSeen(**{**vars(volume), "id": adopted, "state": state})
            of.catalogue.rename_volume(old, new)

    rename({key: f"{volume.host}/{volume.root}" for key, volume in of.volumes.items()}, VolumeState.NEW)
    before = planned()
    rename({key: f"{7 * at % 6}-id" for at, key in enumerate(sorted(of.volumes))}, VolumeState.MOUNTED)
    assert sorted(planned()) == sorted(before) != []


def test_a_new_host_moves_nothing_that_is_held() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor())
    for title in TITLES[:50]:
        of.put("a", title, files(GIB))
        of.put("b", title, files(GIB))
    assert targets(of) == []


def test_a_copy_that_fails_again_and_again_is_tried_on_another_host() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor())
    of.put("a", "films/Alien", files(GIB))
    first = plan_custody(of.world, of.observation(), NOW).steps[0].action
    of.attempts[first.id] = Attempt(1, "Failed", "no", NOW + 5)
    assert targets(of) == [(first.host, "Wait")]
    of.attempts[first.id] = Attempt(2, "Failed", "no", NOW + 10)
    other = {"b", "c"} - {first.host}
    assert targets(of) == [(other.pop(), "Start")]


def test_a_failing_source_gives_way_to_another() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor(copies=3))
    for name in ("a", "b"):
        of.put(name, "films/Alien", files(GIB))
    first = plan_custody(of.world, of.observation(), NOW).steps[0].action
    of.attempts[first.id] = Attempt(1, "Failed", "no", NOW - 1)
    again = plan_custody(of.world, of.observation(), NOW).steps[0].action
    assert (again.id, again.host) == (first.id, "c") and again.source_host != first.source_host


def test_titles_that_are_refused_do_not_hide_those_behind_them() -> None:
    of = seen(fleet(), host("a"), host("b"), floor())
    for title in TITLES[:100]:
        of.put("a", title, files(GIB))
    of.put("a", "films/Last", files(2 * GIB))
    number = of.catalogue.names.find
    for title in TITLES[:100]:
        row = of.catalogue.holdings[of.key("a")].row(number(title))
        print_of = f"{int(of.catalogue.holdings[of.key('a')].fingerprint[row]):016x}"
        of.attempts[copy_id(title, of.key("b"), print_of)] = Attempt(1, "Refused", "no", None)
    steps = plan_custody(of.world, of.observation(), NOW, horizon=8).steps
    assert [step.action.title for step in steps if step.decision is Decision.START] == ["films/Last"]


def test_a_floor_with_no_place_left_does_not_starve_another() -> None:
    of = seen(
        fleet(),
        host("a"),
        host("b"),
        host("c"),
        floor("full", ("films/*",), hosts={"required": {"names": ["a", "b"]}}),
        floor("roomy", ("tv/*/*",)),
    )
    of.set_volume("b", free=0)
    for title in TITLES[:400]:
        of.put("a", title, files(1000))
    of.put("a", "tv/Show/S01", files(GIB))
    steps = plan_custody(of.world, of.observation(), NOW, horizon=4).steps
    assert [step.action.title for step in steps] == ["tv/Show/S01"]
