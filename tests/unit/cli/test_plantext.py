"""The plan in words: order, reasons, times, held changes, ages. Compared as whole texts, as a person reads them."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import click
import pytest

from telarchy.cli.plantext import failed_lines, floors_told, plan_lines
from telarchy.core.action import Action
from telarchy.core.observation import Attempt, HostEvidence, Observation, Progress, Running
from telarchy.core.plan import Decision, Hold, Plan, Step
from telarchy.resources.meta import Ref
from telarchy.runtime.snapshot import snapshot
from tests.unit.runtime.toyroom import Place

NOW = 1_800_000_000.0
FLOOR = Ref("CustodyFloor", "default", "series-twice")


@dataclass(frozen=True, kw_only=True)
class Drop(Action):
    verb: ClassVar[str] = "Trim"
    capability: ClassVar[str] = "toys"
    removes: ClassVar[bool] = True
    title: str

    def identity(self):
        return (self.title, self.host)

    def __str__(self):
        return f"move {self.title!r} on {self.host} to its trash"


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def text(plan, seen=None, **more):
    shown = snapshot(plan, seen or Observation(), at=NOW, **more)
    return click.unstyle("\n".join(plan_lines(shown, now=NOW)))


def test_everything_a_plan_can_say():
    place = [Place(host="attic", title=f"tv/{letter}", bytes=1 << 30) for letter in "abcd"]
    drop = Drop(host="black", title="tv/z", bytes=5)
    plan = Plan(
        steps=(
            Step(place[0]),
            Step(place[1], Decision.QUEUE, "attic takes two at once"),
            Step(place[2], Decision.WAIT, "failed twice", NOW + 90),
            Step(drop, Decision.HOLD, "waits for approval"),
            Step(place[3], Decision.REFUSE, "it would be the last copy"),
        ),
        holds=(Hold("more than 5 % of black", "trim 1 title", (drop.id,)),),
        statuses={FLOOR: {"met": 40, "titles": 52}},
        beyond=(7, 3 << 30),
    )
    seen = Observation(
        hosts={
            "attic": HostEvidence("attic", reached=True),
            "black": HostEvidence(
                "black", reached=False, reason="ConnectionRefused", message="connection refused"
            ),
        },
        running={place[0].id: Running(place[0], Progress("copying", 1 << 29, 1 << 30))},
    )
    assert text(plan, seen, looked={"attic": NOW - 5, "black": NOW - 7200}) == (
        "Now, in this order:\n"
        "  + copy 'tv/a' from box to attic (running: 50 %)\n"
        "\n"
        "Then, when there is room for it:\n"
        "  + copy 'tv/b' from box to attic\n"
        "      attic takes two at once\n"
        "\n"
        "  … and 7 more actions (3.0 GiB) after these\n"
        "\n"
        "Waits:\n"
        "  + copy 'tv/c' from box to attic\n"
        "      failed twice, not before 2027-01-15 08:01:30 (in 1m30s)\n"
        "\n"
        "Held, until a person says so:\n"
        "  ? trim 1 title\n"
        "      more than 5 % of black\n"
        f"      release it with: telarchy approve {plan.holds[0].hash}\n"
        "        - move 'tv/z' on black to its trash\n"
        "\n"
        "Cannot be done:\n"
        "  + copy 'tv/d' from box to attic\n"
        "      it would be the last copy\n"
        "\n"
        "Evidence is 5s to 2h old; oldest: black (2h).\n"
        "No answer from black (connection refused).\n"
        "\n"
        "Plan: 2 copies (2.0 GiB), 7 more later; 1 waiting; 1 held; 1 refused; floor 'series-twice' 40/52 met"
    )


def test_nothing_to_do():
    assert text(Plan()) == "Nothing to do: everything is as declared."
    assert (
        text(Plan(unsettled=("floor/a",)))
        == "Nothing can be done now, though not all is as declared: floor/a."
    )


def test_a_long_plan_is_cut_and_the_rest_counted():
    steps = tuple(Step(Place(host="attic", title=str(n), bytes=10)) for n in range(5))
    shown = snapshot(Plan(steps=steps), Observation(), at=NOW, steps=2)
    assert (len(shown["steps"]), shown["beyond"]) == (2, {"count": 3, "bytes": 30})


def test_what_does_not_mend_by_itself_is_told_with_its_reason():
    def ready(status: str, reason: str, message: str) -> dict[str, Any]:
        return {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message}]}

    plan = Plan(
        statuses={
            Ref("CustodyFloor", "default", "a"): ready("False", "Lacking", "0 of 3 titles; no room"),
            Ref("CustodyFloor", "default", "b"): ready("False", "Copying", "1 of 3 titles"),
            Ref("Host", "default", "c"): ready("True", "Reachable", ""),
        },
        unsettled=("custodyfloor/a",),
    )
    assert text(plan).startswith(
        "Not as declared:\n  ! custodyfloor/a: 0 of 3 titles; no room\n\nNothing can be done"
    )


def test_a_plan_without_steps_does_not_contradict_the_trouble_that_it_names():
    stuck = {
        "type": "Ready",
        "status": "False",
        "reason": "VolumeTrouble",
        "message": "/srv cannot be written to",
    }
    shown = text(Plan(statuses={Ref("Host", "default", "c"): {"conditions": [stuck]}}))
    assert shown == (
        "Not as declared:\n  ! host/c: /srv cannot be written to\n\nNothing to do: all else is as declared."
    )


def test_what_was_tried_in_vain_is_told_with_its_last_failure():
    step = Step(Place(host="attic", title="a", bytes=10), Decision.WAIT, "later", NOW + 5)
    seen = Observation(attempts={step.action.id: Attempt(2, "RsyncMissing", "attic has no rsync", NOW + 5)})
    shown = snapshot(Plan(steps=(step, Step(Place(host="attic", title="b", bytes=10)))), seen, at=NOW)
    assert failed_lines(shown) == [f"failed 2 times: {step.action}: attic has no rsync"]


def test_of_many_floors_the_short_ones_are_told_first_and_the_rest_counted():
    floors = [{"name": f"f{n}", "met": 1, "titles": 1} for n in range(500)]
    assert floors_told(floors)[-1] == "494 more floors, all met"
    floors[300]["titles"] = 2
    assert floors_told(floors)[0] == "floor 'f300' 1/2 met"
    assert floors_told(floors[:6])[-1] == "floor 'f5' 1/1 met"


def test_a_floor_that_is_short_and_left_alone_is_not_called_as_declared():
    """Of a suspended fleet, or of a floor that is only observed."""
    shown = text(Plan(statuses={Ref("CustodyFloor", "default", "films"): {"met": 3, "titles": 4}}))
    assert shown == "Nothing to do: all that is acted on is as declared (floor 'films' 3/4 met)."
