"""Two controllers and one endpoint: one acts, the other says whose it is, and nothing changes hands by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telarchy.core.owner import Holding, Owner
from telarchy.core.plan import Decision, Hold
from telarchy.streaming.actions import TakeOver
from telarchy.streaming.evidence import StreamingSeen
from telarchy.streaming.ownership import SILENT_SECONDS
from tests.unit.streaming.stage import INTERVAL, Stage, key, origin, ssh_host, stream
from tests.world import NOW

A, B = Owner("aaaa", "home-1"), Owner("bbbb", "nas-7")


def home(me: Owner = A, *, settled: bool = True) -> Stage:
    stage = Stage(ssh_host("black"), origin(), stream(ingest={"test": {}}), key())
    stage.memory = replace(stage.memory, owner=me)
    if settled:
        stage.settle()
    return stage


def seen_by_another(stage: Stage, me: Owner = B) -> Stage:
    """A controller with an empty memory and the same declaration, on the same hosts."""
    other = Stage(*stage.declared.values())
    other.now, other.there, other.holdings = stage.now, stage.there, stage.holdings
    other._made = stage._generations
    other.memory = StreamingSeen(interval=INTERVAL, owner=me)
    return other


def hold(stage: Stage) -> Hold:
    (found,) = stage.plan.holds
    return found


def message(stage: Stage, kind: str = "Owned") -> str:
    conditions = stage.status("MediaEndpoint", "origin")["conditions"]
    return str(next((one["message"] for one in conditions if one["type"] == kind), ""))


def test_what_is_ours_is_acted_on_and_nothing_is_said_of_it() -> None:
    stage = home()
    stage.run(20)
    assert stage.holdings["origin@black"].id == "aaaa"
    assert stage.ready("MediaEndpoint", "origin") == ("True", "Serving")
    assert not message(stage) and not stage.plan.steps and not stage.plan.holds
    assert not any(line.startswith("mark") for line in stage.log)


def test_the_other_one_does_nothing_and_says_whose_it_is() -> None:
    mine = home()
    mine.run(20)
    mine.holdings["origin@black"] = replace(mine.holdings["origin@black"], alive=mine.now)
    theirs = seen_by_another(mine)
    theirs.declare(stream(ingest={"test": {}}, segment={"duration": "4s"}))
    theirs.run(60)
    assert theirs.log == []
    assert theirs.ready("MediaEndpoint", "origin") == ("False", "ForeignOwner")
    said = message(theirs)
    assert "black is of controller home-1 (aaaa) since 20" in said and "at work there" in said
    assert f"`telarchy approve {hold(theirs).hash}`" in said
    assert ("mediaendpoint/origin", "ForeignOwner") in theirs.events and len(theirs.events) == 1
    assert [step.decision for step in theirs.plan.steps] == [Decision.HOLD]
    assert theirs.status("Stream", "garden")["phase"] == "Pending"
    assert "home-1" in str(theirs.status("Stream", "garden")["conditions"])
    assert theirs.status("Stream", "garden")["generation"] == ""
    before = theirs.plan.statuses
    theirs.now += SILENT_SECONDS
    theirs._report()
    theirs.round()
    assert "silent since" in message(theirs) and theirs.plan.statuses != before
    assert "gone for good" in hold(theirs).reason
    theirs.delete(origin())
    theirs.run(5)
    assert theirs.log == [] and not theirs.plan.lingering, "what it never had, it need not undo"


@pytest.mark.parametrize("moment", [1.7e12, 1e17, -1e15])
def test_a_marker_of_no_moment_that_has_a_date_ends_no_thought(moment: float) -> None:
    """What a host says may be anything, and all other streams are planned in the same round."""
    mine = home()
    mine.run(20)
    mine.holdings["origin@black"] = replace(mine.holdings["origin@black"], since=moment, alive=moment)
    theirs = seen_by_another(mine)
    theirs.run(3)
    assert theirs.ready("MediaEndpoint", "origin") == ("False", "ForeignOwner")
    assert "since " in message(theirs)


def test_it_is_told_when_the_owner_falls_silent() -> None:
    mine = home()
    mine.holdings["origin@black"] = replace(mine.holdings["origin@black"], alive=mine.now)
    theirs = seen_by_another(mine)
    theirs.run(1)
    assert theirs.plan.wake_at == pytest.approx(mine.now + SILENT_SECONDS + 0.05)


def test_it_is_taken_over_once_a_person_says_so_and_plays_on() -> None:
    mine = home()
    mine.run(20)
    generation = mine.status("Stream", "garden")["generation"]
    theirs = seen_by_another(mine)
    theirs.run(5)
    released = hold(theirs)
    theirs.approved = frozenset(released.action_ids)
    theirs.run(5)
    assert theirs.log == ["take over origin on black from controller home-1 (aaaa)"], (
        "and starts nothing anew"
    )
    assert theirs.status("Stream", "garden")["generation"] == generation
    assert theirs.ready("MediaEndpoint", "origin") == ("True", "Serving")
    # and the first one finds itself in the place of the other
    mine.holdings = theirs.holdings
    mine.log.clear()
    mine.run(30)
    assert mine.log == [] and mine.ready("MediaEndpoint", "origin") == ("False", "ForeignOwner")
    assert mine.status("Stream", "garden")["phase"] == "Live", "what it knew of the stream it still knows"
    mine.approved = frozenset(hold(mine).action_ids)
    mine.run(2)
    assert mine.holdings["origin@black"].id == "aaaa"
    theirs.run(10)
    assert theirs.holdings["origin@black"].id == "aaaa", "a release counts for one change of hands"


def test_several_of_one_owner_are_one_question() -> None:
    mine = Stage(
        ssh_host("black"), *(origin(f"o-{n}", listen={"http": 8000 + n, "rtmp": 9000 + n}) for n in range(5))
    )
    mine.memory = replace(mine.memory, owner=A)
    mine.settle()
    theirs = seen_by_another(mine)
    theirs.run(2)
    assert hold(theirs).summary.startswith("take over 5 endpoints (o-0, o-1, o-2, 2 more")
    assert len(hold(theirs).action_ids) == 5


@pytest.mark.parametrize(
    "before", [Holding(), Holding("aaaa", "home-0", 0, NOW, 0, "default", "origin", "Orphan")]
)
def test_a_folder_that_does_not_say_what_it_should_is_marked_quietly(before: Holding) -> None:
    stage = home()
    stage.run(5)
    stage.holdings["origin@black"] = before
    stage.events.clear()
    stage.log.clear()
    stage.run(5)
    assert stage.log == ["mark origin on black as this controller's"]
    assert stage.holdings["origin@black"].policy == "Release" and stage.events == []
    assert stage.ready("MediaEndpoint", "origin") == ("True", "Serving")


def test_a_later_tenure_goes_on_at_once_and_an_earlier_one_is_over() -> None:
    old = home(Owner("lease", "pod-1", 3))
    old.run(10)
    new = seen_by_another(old, Owner("lease", "pod-2", 4))
    new.run(3)
    assert new.log == ["mark origin on black as this controller's"]
    assert new.ready("MediaEndpoint", "origin") == ("True", "Serving")
    old.log.clear()
    old.declare(origin(cors=["https://tv.example"]))
    old.run(10)
    assert old.log == [] and not old.plan.holds
    assert "pod-2 acts on this fleet" in message(old) and "term 4" in message(old)


def test_a_lease_that_was_made_anew_is_still_the_same_fleet() -> None:
    old = home(Owner("lease-1", "pod-1", 7))
    new = seen_by_another(old, Owner("lease-2", "pod-1", 1))
    new.memory = replace(new.memory, former=frozenset({"lease-1"}))
    new.run(3)
    assert len(new.log) == 1 and new.holdings["origin@black"].id == "lease-2"
    assert new.ready("MediaEndpoint", "origin") == ("True", "Serving") and not new.plan.holds


def test_nothing_is_marked_where_it_is_suspended_unseen_or_not_all_read() -> None:
    for harm in ("suspend", "unseen", "incomplete"):
        stage = home()
        stage.holdings["origin@black"] = Holding()
        stage.log.clear()
        if harm == "suspend":
            stage.declare(origin(suspend=True))
        elif harm == "unseen":
            stage.off.add("black")
            stage.now += 60
        else:
            stage.complete = False
        stage.run(10)
        assert not any(isinstance(step.action, TakeOver) for step in stage.plan.steps), harm
        assert stage.log == [], harm


def test_an_owner_that_cannot_be_seen_is_not_taken_for_another() -> None:
    mine = home()
    theirs = seen_by_another(mine)
    theirs.run(2)
    theirs.off.add("black")
    theirs.run(30)
    assert theirs.ready("MediaEndpoint", "origin")[1] == "Unknown" and not message(theirs)
    assert not theirs.plan.steps and not theirs.plan.holds
    assert theirs.events.count(("mediaendpoint/origin", "ForeignOwner")) == 1
