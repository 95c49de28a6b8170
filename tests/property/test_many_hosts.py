"""A thousand hosts in memory: the same plan twice, and the floors reached; and a host that comes back from repair."""

from telarchy.core.plan import Decision
from telarchy.custody.plan import CensusMemo, plan_custody
from tests.property.checks import check, shuffled
from tests.property.simulator import Blob, Simulator
from tests.world import fleet, floor, host


def a_thousand() -> Simulator:
    machines = [host(f"h{number:04}", labels={"site": f"s{number % 7}"}) for number in range(1000)]
    sim = Simulator([fleet(transfers={"maxParallel": 64}), *machines, floor()], {})
    for number in range(300):
        disk = sim.disks[f"h{number * 3:04}-main-id"]
        disk.titles[f"films/F{number:03}"] = {"a": Blob(f"F{number}", 3, 1)}
    sim.look()
    return sim


def test_a_thousand_hosts_plan_the_same_and_settle() -> None:
    sim, memo = a_thousand(), CensusMemo()
    for number in range(60):
        plan = plan_custody(sim.world, sim.observation(), sim.now, memo=memo)
        if number < 2:
            assert plan_custody(sim.world, shuffled(sim.observation()), sim.now).steps == plan.steps
            assert sum(step.decision is Decision.START for step in plan.steps) == 64
        if plan.settled:
            break
        sim.apply(plan)
        sim.advance()
    assert plan.settled and sim.done.count("Copy") == 300


def test_a_host_back_from_repair_loses_nothing_and_moves_nothing() -> None:
    sim = Simulator([fleet(), *(host(name) for name in "abcd"), floor(copies=2)], {})
    for number in range(5):
        for name in "ab":
            sim.disks[f"{name}-main-id"].titles[f"films/F{number}"] = {"a": Blob(f"F{number}", 3, 1)}
    sim.look()
    memo = CensusMemo()
    sim.host_down("a")
    sim.look()
    sim.pass_time(3600)
    for _ in range(40):
        plan = check(sim.world, sim.observation(), sim.now, memo)
        sim.apply(plan)
        sim.advance()
    assert plan.settled and sim.done == ["Copy"] * 5
    sim.up["a"] = True
    sim.look()
    for days in (0, 8, 40):
        sim.pass_time(days * 86400.0)
        sim.look()
        assert check(sim.world, sim.observation(), sim.now, memo).steps == ()
