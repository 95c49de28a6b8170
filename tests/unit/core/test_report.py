"""Numbers in statuses that always move a little."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.core.plan import Plan
from telarchy.core.report import Coarse, finish, steady
from telarchy.core.world import World
from telarchy.errors import Problem
from tests.unit.core.test_loop import Journal
from tests.world import host

STEP = 1 << 24


@pytest.mark.parametrize(
    ("exact", "before", "said"),
    [
        (5 * STEP + 7, None, 5 * STEP),
        (5 * STEP + 7, 5 * STEP, 5 * STEP),
        (5 * STEP - 1, 5 * STEP, 5 * STEP),  # just below the edge
        (6 * STEP, 5 * STEP, 5 * STEP),  # just above it
        (4 * STEP + STEP // 2 - 1, 5 * STEP, 4 * STEP),
        (6 * STEP + STEP // 2, 5 * STEP, 6 * STEP),
        (0, 3 * STEP, 0),
        (5, "five", 0),
    ],
)
def test_what_is_said_after_what(exact: int, before: object, said: int) -> None:
    found = Coarse(exact, STEP).after(before)
    assert found == said and type(found) is int


@given(st.integers(0, 1 << 50), st.lists(st.integers(-(STEP // 2), STEP // 2), max_size=20))
def test_noise_of_less_than_half_a_step_is_reported_once(around: int, noise: list[int]) -> None:
    said = [int(Coarse(around, STEP))]
    for one in noise:
        said.append(Coarse(max(0, around + one // 2), STEP).after(said[-1]))
    assert set(said) == {said[0]}


def test_numbers_are_settled_wherever_they_stand_and_nothing_else_is_touched() -> None:
    edge = 3 * STEP
    now = {
        "capacity": {"free": Coarse(edge - 1, STEP), "total": 9},
        "volumes": [{"free": Coarse(edge, STEP)}, {"a": 1}],
    }
    before = {"capacity": {"free": edge, "total": 9}, "volumes": [{"free": edge - STEP}]}
    assert steady(now, before) == {
        "capacity": {"free": edge, "total": 9},
        "volumes": [{"free": edge - STEP}, {"a": 1}],
    }
    assert type(now["capacity"]["free"]) is Coarse, "a plan is not changed"  # type: ignore[index]
    assert steady(now, None)["capacity"]["free"] == edge - STEP
    assert copy.deepcopy(now) == now
    plain = {"titles": 3, "worst": [{"title": "a"}], "conditions": []}
    assert steady(plain, {"titles": 2}) is plain


def test_free_bytes_at_an_edge_write_no_statuses() -> None:
    one, record = host("attic"), Journal()
    world = World.from_resources([one])
    for free in (5 * STEP, 5 * STEP - 4096, 5 * STEP + 4096, 5 * STEP - 1):
        plan = Plan(statuses={one.ref: {"capacity": {"free": Coarse(free, STEP)}}})
        statuses, _ = finish(plan, world, record, 0.0)  # type: ignore[arg-type]
        record.write_statuses(statuses, 0.0)
    assert len(record.writes) == 1
    assert json.loads(json.dumps(record.statuses[one.ref]))["capacity"] == {"free": 5 * STEP}


def test_what_cannot_be_used_as_written_says_where_it_stands() -> None:
    one, record = host("attic"), Journal()
    problem = Problem("spec.class: must be Server, not Servr", "fleet/attic.yaml", 5, 10)
    statuses, _ = finish(Plan(), World(stalled={one.ref: (problem,)}), record, 0.0)  # type: ignore[arg-type]
    said = {each["type"]: each["message"] for each in statuses[one.ref]["conditions"]}
    assert said == dict.fromkeys(("Ready", "Stalled"), f"fleet/attic.yaml:5:10: {problem.message}")
