"""The loop with a room of wood: when it thinks, what it starts and cancels, and what it remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from telarchy.core.action import Action
from telarchy.core.loop import Debounce, Reconciler
from telarchy.core.observation import Progress
from telarchy.core.plan import Decision, Plan, Step
from telarchy.core.world import World
from telarchy.errors import ActionFailed, SafetyRefusal
from tests.world import fleet


@dataclass(frozen=True, kw_only=True)
class Work(Action):
    verb: ClassVar[str] = "Work"
    capability: ClassVar[str] = "wood"
    name: str = "w"

    def identity(self) -> tuple[object, ...]:
        return (self.name,)

    def __str__(self) -> str:
        return f"work {self.name}"


@dataclass
class Room:
    """Does what its test says."""

    name: str = "wood"
    wanted: list[str] = field(default_factory=list)
    think: Callable[[], None] = lambda: None
    doing: Callable[[Action], Any] | None = None
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    watches: int = 0
    decision: Decision = Decision.START
    status: dict[str, Any] = field(default_factory=dict)
    detached: bool = False
    plans: int = 0
    attempts: dict[str, Any] = field(default_factory=dict)
    blind: bool = False

    def configure(self, world: World) -> None: ...

    def section(self) -> object:
        if self.blind:
            raise RuntimeError("no eyes")
        return None

    def free_space(self) -> dict[str, int]:
        return {}

    def plan(self, world: World, seen: Any, now: float) -> Plan:
        self.plans += 1
        self.think()
        self.attempts = dict(seen.attempts)
        steps = []
        for name in self.wanted:
            action = Work(host="a", name=name)
            last = seen.attempts.get(action.id)
            late = last is not None and (last.not_before is None or last.not_before > now)
            steps.append(Step(action, Decision.WAIT if late else self.decision, "late" if late else ""))
        return Plan(tuple(steps), dict.fromkeys(world.resources, self.status))

    def planned(self, plan: Plan) -> bool:
        return False

    async def observe(self, *, read_only: bool = False) -> None: ...

    async def watch(self, wake: Callable[[], None]) -> None:
        self.watches += 1
        await asyncio.Event().wait()

    async def act(self, action: Action, report: Any) -> None:
        self.begun.append(action.name)
        try:
            if self.doing is not None:
                await self.doing(action)
        except asyncio.CancelledError:
            self.ended.append(f"{action.name} {'left' if self.detached else 'cancelled'}")
            raise
        self.ended.append(action.name)

    def detach(self) -> None:
        self.detached = True

    async def close(self) -> None: ...


class Journal:
    """Keeps what is written, in lists."""

    def __init__(self) -> None:
        self.statuses: dict[Any, Any] = {}
        self.writes: list[Any] = []
        self.events: list[Any] = []
        self.crashes: list[str] = []
        self.outcomes: list[tuple[str, str]] = []

    def status(self, ref: Any) -> Any:
        return self.statuses.get(ref)

    def write_statuses(self, statuses: Any, now: float) -> list[Any]:
        changed = [ref for ref, one in statuses.items() if self.statuses.get(ref) != one]
        self.writes += [(ref, statuses[ref]) for ref in changed]
        self.statuses.update(statuses)
        return changed

    def record_events(self, events: Any, now: float) -> None:
        self.events += events

    def approved(self, now: float) -> frozenset[str]:
        return frozenset()

    def finished(self, step: Step, outcome: Any, seconds: float, trace: str = "") -> None:
        self.outcomes.append((step.action.name, outcome[0]))

    def crashed(self, name: str, trace: str) -> None:
        self.crashes.append(name)


def loop_of(*rooms: Room, idle: float = 0.01, most: float = 0.1) -> tuple[Reconciler, Journal]:
    journal = Journal()
    hosts = SimpleNamespace(cut_off=False, evidence=dict)
    made = Reconciler(capabilities=rooms, hosts=hosts, journal=journal, debounce=Debounce(idle, most))
    made.set_world(World.from_resources([fleet()], revision="1"))
    return made, journal


async def turn(loop: Reconciler, times: int = 1) -> None:
    for _ in range(times):
        loop.round()
        await asyncio.sleep(0.002)


async def forever(_: Action) -> None:
    await asyncio.Event().wait()


async def test_a_burst_is_one_round_once_it_is_quiet_and_never_put_off_longer_than_most() -> None:
    room = Room()
    loop, _ = loop_of(room, idle=0.05, most=0.2)
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.15)
    before = room.plans
    for _ in range(3):
        loop.wake()
        await asyncio.sleep(0.01)
    assert room.plans == before
    await asyncio.sleep(0.15)
    assert room.plans == before + 1
    started = asyncio.get_running_loop().time()
    while room.plans == before + 1 and asyncio.get_running_loop().time() < started + 2:
        loop.wake()
        await asyncio.sleep(0.01)
    assert 0.15 < asyncio.get_running_loop().time() - started < 1.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_was_told_and_not_yet_thought_about_is_not_settled() -> None:
    loop, _ = loop_of(Room(), idle=0.2, most=1.0)
    task = asyncio.create_task(loop.run())
    while not loop.settled:
        await asyncio.sleep(0.01)
    loop.wake()
    await asyncio.sleep(0.05)  # it waits for quiet
    assert not loop.settled
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_room_that_cannot_think_stops_no_other_and_keeps_what_it_runs() -> None:
    def fault() -> None:
        raise RuntimeError("a bug")

    sick, well = Room("wood", ["w"], doing=forever), Room("stone")
    loop, journal = loop_of(sick, well)
    await turn(loop)
    assert sick.begun == ["w"]
    sick.think = fault
    await turn(loop, 3)
    assert well.plans == 4 and sick.ended == [] and journal.crashes == ["wood"]
    assert not loop.settled
    sick.think = lambda: None
    sick.wanted = []
    await turn(loop, 2)
    assert sick.ended == ["w cancelled"]


async def test_a_room_without_eyes_is_left_out() -> None:
    sick, well = Room("wood", blind=True), Room("stone")
    loop, journal = loop_of(sick, well)
    await turn(loop, 2)
    assert (sick.plans, well.plans, journal.crashes) == (0, 2, ["wood"])


async def test_of_what_a_room_with_a_fault_has_in_its_care_nobody_says_that_it_is_as_declared() -> None:
    sick, well = Room("wood"), Room("stone")
    loop, _ = loop_of(sick, well)
    await turn(loop)
    assert loop.plan.settled

    def fault() -> None:
        raise RuntimeError("no wood")

    for _ in range(2):
        sick.think = fault
        await turn(loop)
        assert not loop.plan.settled and not loop.settled
        assert loop.plan.unsettled == ("wood cannot plan (RuntimeError: no wood)",)
        sick.think = lambda: None
        await turn(loop)
        assert loop.plan.settled


async def test_a_watch_that_fails_is_told_and_the_loop_goes_on() -> None:
    class Blind(Room):
        async def watch(self, wake: Callable[[], None]) -> None:
            raise RuntimeError("a bug")

    loop, journal = loop_of(Blind())
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.1)
    assert journal.crashes == ["wood"] and not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_wanted_runs_once_and_is_cancelled_when_it_is_not() -> None:
    room = Room(wanted=["w"], doing=forever)
    loop, journal = loop_of(room)
    await turn(loop, 3)
    assert room.begun == ["w"]
    room.wanted = []
    await turn(loop)
    assert room.ended == ["w cancelled"] and journal.outcomes == [("w", "Cancelled")]
    assert loop.executor.running == {}


async def test_an_action_cancelled_before_its_first_step_can_start_again() -> None:
    room = Room(wanted=["w"], doing=forever)
    loop, _ = loop_of(room)
    loop.round()
    room.wanted = []
    loop.round()
    await asyncio.sleep(0.002)
    assert loop.executor.running == {} and room.begun == []
    room.wanted = ["w"]
    await turn(loop)
    assert room.begun == ["w"]


async def test_held_actions_do_not_start() -> None:
    room = Room(wanted=["w"], decision=Decision.HOLD)
    loop, _ = loop_of(room)
    await turn(loop)
    assert room.begun == []
    room.decision = Decision.START
    await turn(loop)
    assert room.begun == ["w"]


@pytest.mark.parametrize(
    ("again", "error"), [(True, ActionFailed("no")), (False, SafetyRefusal("last-copy", "no"))]
)
async def test_failures_are_remembered_with_a_back_off_and_refusals_until_the_world_changes(
    again, error
) -> None:
    async def fail(_: Action) -> None:
        raise error

    room = Room(wanted=["w"], doing=fail)
    loop, journal = loop_of(room)
    await turn(loop, 4)
    assert room.begun == ["w"]
    attempt = next(iter(loop.executor.attempts.values()))
    assert (attempt.count, attempt.not_before is not None) == (1, again)
    assert journal.outcomes == [("w", "Failed" if again else "Refused")]
    loop.set_world(World.from_resources([fleet()], revision="1"))
    await turn(loop, 2)
    assert room.begun == ["w"]  # the same revision: nothing is forgiven
    loop.set_world(World.from_resources([fleet()], revision="2"))
    await turn(loop)
    assert room.begun == ["w", "w"]


async def test_back_off_doubles_and_success_forgets_it() -> None:
    results = [ActionFailed("no"), ActionFailed("no"), None]

    async def act(_: Action) -> None:
        if (result := results.pop(0)) is not None:
            raise result

    room = Room(wanted=["w"], doing=act)
    loop, _ = loop_of(room)
    waits = []
    for _ in range(2):
        await turn(loop)
        key, attempt = next(iter(loop.executor.attempts.items()))
        waits.append(round(attempt.not_before - loop.clock.now()))
        loop.executor.attempts[key] = type(attempt)(attempt.count, "Failed", "no", 0.0)
    await turn(loop)
    assert waits == [5, 10] and loop.executor.attempts == {}


async def test_statuses_are_written_on_change_and_keep_the_time_of_their_last_transition() -> None:
    def ready(status: str, message: str) -> dict[str, Any]:
        return {"conditions": [{"type": "Ready", "status": status, "reason": "R", "message": message}]}

    room = Room(status=ready("False", "one"))
    loop, journal = loop_of(room)
    clock = iter(range(1_000_000, 9_000_000, 1000))
    loop.clock.now = lambda: float(next(clock))
    await turn(loop, 3)
    assert len(journal.writes) == 1 and len(journal.events) == 1
    first = journal.writes[0][1]["conditions"][0]["lastTransitionTime"]
    room.status = ready("False", "two")
    await turn(loop)
    assert journal.writes[1][1]["conditions"][0]["lastTransitionTime"] == first
    room.status = ready("True", "two")
    await turn(loop)
    assert journal.writes[2][1]["conditions"][0]["lastTransitionTime"] > first
    assert len(journal.events) == 2


async def test_stopping_leaves_jobs_to_the_next_controller() -> None:
    room = Room(wanted=["w"], doing=forever)
    loop, _ = loop_of(room)
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert room.ended == ["w left"]


async def test_how_far_work_is_gets_into_statuses_without_other_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telarchy.core.executor.PROGRESS_SECONDS", 0.05)
    told = asyncio.Event()
    room = Room(wanted=["w"])
    loop, _ = loop_of(room)

    async def act(action: Action, report: Callable[[Progress], None]) -> None:
        for done in range(1000):
            report(Progress("transferring", done, 100_000))
            await asyncio.sleep(0)
        report(Progress("transferring", 50_000, 100_000))
        told.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(room, "act", act)
    running = asyncio.create_task(loop.run())
    await told.wait()
    await asyncio.sleep(0.2)
    seen = [one.progress.bytes for one in loop.observation().running.values()]
    assert seen == [50_000]
    assert 2 <= room.plans <= 4, (
        "one round for a start, one for the step in progress; none for what no status shows"
    )
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_room_that_stumbles_over_its_own_plan_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stumbling, sound = Room(name="glass", wanted=[]), Room(wanted=["w"])

    def planned(plan: Plan) -> bool:
        raise RuntimeError("it slipped")

    monkeypatch.setattr(stumbling, "planned", planned)
    loop, journal = loop_of(stumbling, sound)
    await turn(loop, 2)
    assert sound.begun == ["w", "w"], "it is started in each round, since it ends at once"
    assert journal.crashes == ["glass's memory"]
