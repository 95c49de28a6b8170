"""Every fleet under `examples/`, unchanged, under the operator and under the loop that runs alone: the same statuses.

The hosts are simulated (`simulated.py`), the same for both; the plans, the loop, the statuses and the ways in and
out are the real ones. `test_whole.py` does it with real folders.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.runtime.standalone import RunOptions, controller
from tests.operator.client import until
from tests.operator.processes import ROOT
from tests.operator.simulated import Simulation, rooms

# The simulation knows hosts and copies; streams need processes.
EXAMPLES = sorted(
    folder for folder in (ROOT / "examples").iterdir() if not folder.name.startswith(("live-", "README"))
)
# Moments, and how often something changed on the way.
TIMES = {"lastTransitionTime", "since", "nextAttempt", "history", "lastHandledReconcileAt"}


def timeless(status: Any) -> Any:
    if isinstance(status, Mapping):
        return {key: timeless(value) for key, value in sorted(status.items()) if key not in TIMES}
    if isinstance(status, list):
        return [timeless(one) for one in status]
    return status


async def alone(example: Path, state: Path, simulation: Simulation) -> dict[tuple[str, str], Any]:
    """The statuses of a loop that runs alone, once nothing changes any more."""
    async with controller(RunOptions(state, str(example)), rooms=rooms(simulation)) as running:
        engine = running.engine
        tasks = [asyncio.create_task(one) for one in (engine.follow_source(), engine.reconciler.run())]

        async def at_rest() -> bool:
            return simulation.at_rest and not engine.reconciler.executor.running

        def doing() -> Any:
            return [(str(one.action), str(one.decision), one.reason) for one in engine.reconciler.plan.steps]

        try:
            await until(at_rest, "the fleet is at rest", 60, doing)
            await asyncio.sleep(0.5)  # the last round is told
            found = running.answers.resources()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return {(one["kind"], one["metadata"]["name"]): timeless(one["status"]) for one in found}


@pytest.mark.parametrize("missing", [False, True], ids=["all-up", "one-missing"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)
async def test_both_runtimes_say_the_same_of_an_example(api, operators, tmp_path, example, missing):
    manifests = [
        one for path in sorted(example.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text()) if one
    ]
    for one in manifests:
        await api.apply(one["kind"], spec=one["spec"], **one["metadata"])
    running = await operators.start(
        "op-a", *(["--missing"] if missing else []), module="tests.operator.simulated"
    )
    shutil.copytree(example, tmp_path / "fleet")
    wanted = await alone(tmp_path / "fleet", tmp_path / "alone", Simulation(missing))
    assert len(wanted) == len(manifests)
    said: dict[tuple[str, str], Any] = {}

    async def the_same() -> bool:
        for kind, name in wanted:
            said[kind, name] = timeless((await api.get(kind, name)).get("status"))
        return said == wanted

    def different() -> Any:
        return {key: (said[key], wanted[key]) for key in wanted if said.get(key) != wanted[key]}

    await until(the_same, "the operator says the same", 60, different)
    floors = [status for (kind, _), status in wanted.items() if kind == "CustodyFloor"]
    assert floors and all(status["titles"] and "observedGeneration" in status for status in floors)
    hosts = [status["state"] for (kind, _), status in wanted.items() if kind == "Host"]
    assert sorted(set(hosts)) == (["Suspect", "Up"] if missing else ["Up"])
    assert await running.stop() == 0
