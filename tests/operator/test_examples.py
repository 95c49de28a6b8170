"""Every fleet under `examples/`, unchanged, under the operator and under the loop that runs alone: the same statuses.

The hosts are simulated (`simulated.py`, `livehosts.py`), the same for both; the plans, the loop, the statuses and the
ways in and out are the real ones. `test_whole.py` does it with real folders, `test_live.py` with a real stream.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.runtime.standalone import RunOptions, controller
from tests.operator.client import until
from tests.operator.processes import ROOT
from tests.operator.simulated import Simulation, rooms

EXAMPLES = sorted(one for one in (ROOT / "examples").iterdir() if one.is_dir())
# Moments, and how often something changed on the way.
TIMES = {
    *("lastTransitionTime", "since", "nextAttempt", "history", "lastHandledReconcileAt"),
    *("startedAt", "liveSince", "startSeconds", "sourceSince", "age", "lag", "speed"),
}
Statuses = dict[tuple[str, str], Any]


class AsKubectl(yaml.SafeLoader):
    """A time that is written without quotes is text to kubectl."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [one for one in found if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def timeless(status: Any) -> Any:
    if isinstance(status, Mapping):
        return {key: timeless(value) for key, value in sorted(status.items()) if key not in TIMES}
    if isinstance(status, list):
        return [timeless(one) for one in status]
    return status


@asynccontextmanager
async def alone(example: Path, state: Path, simulation: Simulation) -> AsyncIterator[Callable[[], Statuses]]:
    """A loop that runs alone, once its copies are made. What it yields tells the statuses of this moment."""
    async with controller(RunOptions(state, str(example)), rooms=rooms(simulation)) as running:
        engine = running.engine
        tasks = [asyncio.create_task(one) for one in (engine.follow_source(), engine.reconciler.run())]

        async def at_rest() -> bool:
            return simulation.at_rest and not engine.reconciler.executor.running

        def doing() -> Any:
            return [(str(one.action), str(one.decision), one.reason) for one in engine.reconciler.plan.steps]

        def told() -> Statuses:
            found = running.answers.resources()
            statuses = {(one["kind"], one["metadata"]["name"]): timeless(one["status"]) for one in found}
            for one in of("Fleet", statuses).values():
                del one["source"]  # a cluster's desired state is the cluster's
            return statuses

        try:
            await until(at_rest, "the fleet is at rest", 60, doing)
            await asyncio.sleep(0.5)  # the last round is told
            yield told
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def of(kind: str, statuses: Statuses) -> dict[str, Any]:
    return {name: status for (one, name), status in statuses.items() if one == kind}


def wrong(statuses: Statuses, manifests: list[dict[str, Any]], missing: bool) -> list[str]:
    """What is not said as it should be of an example whose hosts are all there, or of one that misses its last."""
    declared = {(one["kind"], one["metadata"]["name"]): one["spec"] for one in manifests}
    found = [str(one) for one in declared.keys() - statuses.keys()]
    found += [str(one) for one, status in statuses.items() if "observedGeneration" not in status]
    if sorted({one["state"] for one in of("Host", statuses).values()}) != (
        ["Suspect", "Up"] if missing and len(of("Host", statuses)) > 1 else ["Suspect" if missing else "Up"]
    ):
        found.append("hosts")
    found += [name for name, one in of("CustodyFloor", statuses).items() if not one["titles"]]
    gone = max((name for kind, name in declared if kind == "Host")) if missing else ""
    makers = [
        spec["hostRef"]
        for (kind, _), spec in declared.items()
        if kind == "MediaEndpoint" and spec["role"] == "Origin" and spec["hostRef"] != gone
    ]
    for name, one in of("Stream", statuses).items():
        runs = declared["Stream", name].get("running", True)
        wanted = ("Live" if makers else "Starting") if runs else "Ended"
        if one["phase"] != wanted:
            found.append(f"{name} is {one['phase']} and not {wanted}")
    for name, one in of("MediaEndpoint", statuses).items():
        wanted = "Unknown" if declared["MediaEndpoint", name]["hostRef"] == gone else "Healthy"
        if one["state"] != wanted:
            found.append(f"{name} is {one['state']} and not {wanted}")
    return found


@pytest.mark.parametrize("missing", [False, True], ids=["all-up", "one-missing"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)
async def test_both_runtimes_say_the_same_of_an_example(api, operators, tmp_path, example, missing):
    manifests = [
        one
        for path in sorted(example.glob("*.yaml"))
        for one in yaml.load_all(path.read_text(), AsKubectl)
        if one
    ]
    for one in manifests:
        await api.apply(one["kind"], spec=one["spec"], **one["metadata"])
    running = await operators.start(
        "op-a", *(["--missing"] if missing else []), module="tests.operator.simulated"
    )
    shutil.copytree(example, tmp_path / "fleet")
    said: Statuses = {}
    async with alone(tmp_path / "fleet", tmp_path / "alone", Simulation(missing)) as told:

        async def the_same() -> bool:
            for kind, name in wanted:
                said[kind, name] = timeless((await api.get(kind, name)).get("status"))
            return said == told() and not wrong(said, manifests, missing)

        def different() -> Any:
            now = told()
            return wrong(now, manifests, missing), {
                key: (said[key], now[key]) for key in now if said.get(key) != now[key]
            }

        wanted = told()
        assert len(wanted) == len(manifests)
        await until(the_same, "the operator says the same", 60, different)
    assert await running.stop() == 0
