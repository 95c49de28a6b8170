"""Objects in, statuses out: apply, edit, delete, invalid, suspended, forced."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.operator.client import until

HOST = {"class": "Server", "alwaysOn": True, "connection": {"local": {}}}
FLOOR = {"select": {"paths": ["films/*"]}, "copies": 1, "alwaysOn": 0}


def root(name):
    return {"mediaRoots": [{"name": "main", "path": f"/srv/{name}"}]}


async def until_quiet(gate, seconds=1.0):
    """Until nothing was written for a moment."""
    while True:
        before = gate.writes.copy()
        await asyncio.sleep(seconds)
        if gate.writes == before:
            return


async def test_applied_objects_become_ready(api, operators):
    await api.apply("Fleet", "home", {})
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("CustodyFloor", "films", FLOOR)
    running = await operators.start()
    floor = await api.until_ready("CustodyFloor", "films")
    assert floor["status"]["observedGeneration"] == floor["metadata"]["generation"] == 1
    assert floor["status"]["met"] == 2
    host = await api.until_ready("Host", "attic")
    assert host["status"]["state"] == "Up"
    assert (await api.until_ready("Fleet", "home"))["status"]["observedGeneration"] == 1
    await running.until_listed()
    status, said = await running.health()
    assert status == 200 and said["status"] == "ok", said
    figures = await running.metrics()
    assert f'telarchy_complete{{namespace="{api.namespace}"}} 1.0' in figures
    assert f'telarchy_leading{{namespace="{api.namespace}"}} 1.0' in figures
    assert f'kind="CustodyFloor",namespace="{api.namespace}",ready="True"' in figures
    assert await running.stop() == 0
    assert "holderIdentity" not in (await api.lease())["spec"]


async def test_edits_and_deletions_are_followed(api, operators):
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("CustodyFloor", "films", FLOOR)
    await operators.start()
    await api.until_ready("CustodyFloor", "films")
    await api.apply("CustodyFloor", "films", FLOOR | {"copies": 2})
    floor = await api.until_ready("CustodyFloor", "films", status="False")  # one host cannot hold two copies
    assert floor["status"]["observedGeneration"] == 2
    await api.apply("Host", "cellar", HOST | root("cellar"))
    floor = await api.until_ready("CustodyFloor", "films")
    assert floor["status"]["titles"] == 4
    await api.delete("Host", "cellar")
    await api.until_ready("CustodyFloor", "films", status="False")
    await api.delete("CustodyFloor", "films")
    await api.apply("CustodyFloor", "films", FLOOR)  # another object of the same name
    floor = await api.until_ready("CustodyFloor", "films")
    assert floor["metadata"]["generation"] == 1 == floor["status"]["observedGeneration"]


async def test_nothing_is_written_when_nothing_changes(api, gate, operators):
    await api.apply("Fleet", "home", {})
    await api.apply("Host", "attic", HOST | root("attic"))
    running = await operators.start()
    await api.until_ready("Host", "attic")
    await api.until_ready("Fleet", "home")
    await until_quiet(gate)
    before = gate.writes.copy()
    assert before == {"PATCH fleets/status": 1, "PATCH hosts/status": 1, "POST events": 2}
    for number in range(3):
        await api.annotate("Fleet", "home", note=str(number))  # not ours to follow
    await asyncio.sleep(2.0)
    assert gate.writes == before
    assert await running.stop() == 0
    again = await operators.start("op-b")  # a new operator finds everything said already

    async def thought() -> bool:
        return await again.rounds(api.namespace) > 0

    await until(thought, "the new operator ended a round")
    await asyncio.sleep(1.5)
    assert gate.writes == before


async def test_an_object_that_only_the_models_refuse_is_stalled_in_its_last_good_version(api, operators):
    """The CRD cannot know calendars; the models do."""
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("Fleet", "home", {})
    await operators.start()
    await api.until_ready("Host", "attic")
    good = await api.until_ready("Fleet", "home")
    window = {"start": "01:00", "end": "06:00", "timeZone": "Mars/Olympus_Mons"}
    try:
        await api.apply("Fleet", "home", {"transfers": {"windows": [window]}})
    except aiohttp.ClientResponseError as error:
        pytest.fail(f"the manifest is refused for another reason: {error.message}")

    async def stalled() -> bool:
        return (await api.condition("Fleet", "home", "Stalled")).get("status") == "True"

    await until(stalled, "the Fleet is stalled")
    fleet = await api.get("Fleet", "home")
    one = await api.condition("Fleet", "home", "Stalled")
    assert "Mars/Olympus_Mons" in one["message"]
    assert (
        fleet["status"]["observedGeneration"]
        == fleet["metadata"]["generation"]
        > good["metadata"]["generation"]
    )

    async def told() -> bool:
        return any(event["reason"] == "InvalidManifest" for event in await api.events("home"))

    await until(told, "an event says so")
    await api.apply("Fleet", "home", {})
    await api.until_ready("Fleet", "home")
    assert not await api.condition("Fleet", "home", "Stalled")


async def test_a_problem_between_objects_stands_on_the_object_in_the_words_of_validate(
    api, operators, tmp_path
):
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("CustodyFloor", "films", FLOOR | {"copies": 3})
    await operators.start()

    async def stalled() -> bool:
        return bool(await api.condition("CustodyFloor", "films", "Stalled"))

    await until(stalled, "the floor is stalled")
    said = (await api.condition("CustodyFloor", "films", "Stalled"))["message"]
    assert (
        said == "no set of hosts can meet this floor: it asks for 3 copies on different failure domains, and "
        "only attic can hold one"
    )
    await api.apply("CustodyFloor", "films", FLOOR)
    await api.until_ready("CustodyFloor", "films")


async def test_events_are_posted_on_transitions_only(api, gate, operators):
    await api.apply("Host", "attic", HOST | root("attic"))
    await operators.start()
    await api.until_ready("Host", "attic")

    async def told() -> bool:
        return len(await api.events("attic")) == 1

    await until(told, "one event")
    await asyncio.sleep(2.0)
    (event,) = await api.events("attic")
    host = await api.get("Host", "attic")
    assert event["involvedObject"]["uid"] == host["metadata"]["uid"]
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "Up", 1)
    assert event["reportingComponent"] == "telarchy"
    assert gate.writes["POST events"] == 1


async def test_reconcile_at_forces_a_round_and_is_echoed(api, operators):
    await api.apply("Fleet", "home", {})
    running = await operators.start()
    await api.until_ready("Fleet", "home")
    before = await running.rounds(api.namespace)
    await api.annotate("Fleet", "home", reconcile_at="2026-11-20T22:00:00Z")

    async def echoed() -> bool:
        status = (await api.get("Fleet", "home"))["status"]
        return status.get("lastHandledReconcileAt") == "2026-11-20T22:00:00Z"

    await until(echoed, "the request is echoed")
    assert await running.rounds(api.namespace) > before


async def test_a_held_change_is_released_by_an_annotation(api, operators):
    await api.apply("Fleet", "home", {}, labels={"hold": "yes"})
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("CustodyFloor", "films", FLOOR)
    await operators.start()

    async def held() -> bool:
        return bool((await api.get("Fleet", "home"))["status"].get("held"))

    await until(held, "a change is held")
    (hold,) = (await api.get("Fleet", "home"))["status"]["held"]
    assert (await api.condition("CustodyFloor", "films", "Ready"))["status"] == "False"
    await api.annotate("Fleet", "home", approve=f"{hold['hash']}@2026-01-01T00:00:00Z")
    await asyncio.sleep(1.0)  # given too long ago to count
    assert (await api.condition("CustodyFloor", "films", "Ready"))["status"] == "False"
    await api.annotate("Fleet", "home", approve=hold["hash"])
    await api.until_ready("CustodyFloor", "films")
    assert not (await api.get("Fleet", "home"))["status"].get("held")
