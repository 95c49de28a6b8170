"""What an API server and its network do on bad days: watches break, writes are refused, history is forgotten."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.operator.client import until
from tests.operator.test_objects import FLOOR, HOST, root, until_quiet


async def some_fleet(api, namespace=""):
    await api.apply("Fleet", "home", {}, namespace=namespace)
    await api.apply("Host", "attic", HOST | root("attic"), namespace=namespace)
    await api.apply("CustodyFloor", "films", FLOOR, namespace=namespace)


async def start_and_settle(api, operators):
    """An operator of which the fleet is kept as declared."""
    await some_fleet(api)
    running = await operators.start()
    await api.until_ready("CustodyFloor", "films")
    return running


async def lose_the_hosts(gate, times=10_000):
    """Every watch breaks, and for so many questions nobody knows of Hosts. Returns what refuses."""
    gone = gate.refuse("GET", "/hosts$", 404, times)
    await gate.cut_watches()
    return gone


async def test_a_broken_watch_is_resumed_and_misses_nothing(api, gate, operators):
    running = await start_and_settle(api, operators)
    for number in range(3):
        assert await gate.cut_watches() > 0
        await api.apply("Host", f"h{number}", HOST | root(f"h{number}"))
        await api.until_ready("Host", f"h{number}")
    gate.closed = True  # an API server that restarts: everything is refused
    await gate.cut_watches()
    await asyncio.sleep(1.0)
    await api.delete("Host", "h0")
    await api.apply("Host", "h3", HOST | root("h3"))
    gate.closed = False
    await api.until_ready("Host", "h3", seconds=30)

    async def forgotten() -> bool:
        floor = await api.get("CustodyFloor", "films")
        return floor["status"].get("titles") == 8  # two each on attic, h1, h2, h3

    await until(forgotten, "the deletion is noticed", 30)
    assert running.process.returncode is None


async def test_what_was_deleted_while_history_was_forgotten_is_noticed_by_the_next_list(api, gate, operators):
    if api.storage is None:
        pytest.skip("compaction cannot be asked of a real API server")
    await some_fleet(api)
    await api.apply("Host", "cellar", HOST | root("cellar"))
    await operators.start()
    await api.until_ready("CustodyFloor", "films")
    gate.closed = True
    await gate.cut_watches()
    await api.delete("Host", "cellar")
    await api.apply("CustodyFloor", "other", FLOOR)
    api.storage.forget_history()  # the watch cannot be resumed: 410 Gone
    gate.closed = False
    await api.until_ready("CustodyFloor", "other", seconds=30)

    async def noticed() -> bool:
        return (await api.get("CustodyFloor", "films"))["status"]["titles"] == 2

    await until(noticed, "the host is gone")


async def test_a_list_that_fails_is_reported_and_restarts_nothing(api, gate, operators):
    await some_fleet(api)
    running = await operators.start()
    await running.until_listed()
    gate.refuse("GET", "/hosts$", 503, 10_000)

    async def reported() -> bool:
        status, said = await running.health()
        return status == 200 and any("hosts" in one for one in said["unreachable"])

    await until(reported, "it is said that hosts cannot be listed, and that no restart would mend it")


async def test_status_writes_survive_a_storm_of_refusals(api, gate, operators):
    await some_fleet(api)
    conflicts = gate.refuse("PATCH", "/status$", 409, 6)
    busy = gate.refuse("PATCH", "/status$", 429, 6, Retry_After="1")
    broken = gate.refuse("PATCH", "/status$", 500, 3)
    running = await operators.start()
    for kind, name in (("Fleet", "home"), ("Host", "attic"), ("CustodyFloor", "films")):
        await api.until_ready(kind, name, seconds=40)
    assert (conflicts.answered, busy.answered, broken.answered) == (6, 6, 3)
    await until_quiet(gate)
    before = gate.writes.copy()
    await asyncio.sleep(2)
    assert gate.writes == before
    assert "telarchy_status_refused_total" in await running.metrics()


async def test_a_status_that_is_refused_for_good_is_not_tried_for_ever(api, gate, operators):
    await some_fleet(api)
    invalid = gate.refuse("PATCH", "/hosts/attic/status$", 422, 10_000)
    running = await operators.start()
    await api.until_ready("CustodyFloor", "films")
    await asyncio.sleep(2)
    assert invalid.answered == 1
    figures = await running.metrics()
    assert f'telarchy_status_refused_total{{namespace="{api.namespace}"}} 1.0' in figures


async def test_a_killed_leader_is_followed_by_the_one_that_stands_by(api, gate, operators):
    await some_fleet(api)
    first = await operators.start("op-a")
    await api.until_ready("CustodyFloor", "films")
    second = await operators.start("op-b")
    await second.until_listed()
    lease = await api.lease()
    assert lease["spec"]["holderIdentity"] == "op-a"
    assert await first.leads(api.namespace) and not await second.leads(api.namespace)
    await first.kill()
    await api.apply("Host", "cellar", HOST | root("cellar"))
    await api.until_ready("Host", "cellar", seconds=3 + 5)
    assert await second.leads(api.namespace)
    taken = (await api.lease())["spec"]
    assert taken["holderIdentity"] == "op-b"
    assert taken["leaseTransitions"] == lease["spec"].get("leaseTransitions", 0) + 1
    assert f'telarchy_fencing_epoch{{namespace="{api.namespace}"}} {taken["leaseTransitions"] + 1}.0' in (
        await second.metrics()
    )


async def test_a_leader_that_cannot_renew_stops_before_another_may_begin(api, gate, operators):
    running = await start_and_settle(api, operators)
    refusal = gate.refuse("PUT", "/leases/telarchy$", 503, 10_000)

    async def stopped() -> bool:
        return not await running.leads(api.namespace)

    await until(stopped, "it stops acting", 3)
    refusal.times = 0

    async def leads() -> bool:
        return await running.leads(api.namespace)

    await until(leads, "it takes the Lease again", 10)


async def test_a_lease_that_another_takes_is_let_go_at_once(api, operators):
    running = await start_and_settle(api, operators)
    lease = await api.lease()
    stamp = "2030-01-01T00:00:00.000000Z"
    lease["spec"] |= {"holderIdentity": "somebody", "renewTime": stamp, "leaseTransitions": 7}
    path = f"/apis/coordination.k8s.io/v1/namespaces/{api.namespace}/leases/telarchy"
    await api.call("PUT", path, lease)

    async def stopped() -> bool:
        return not await running.leads(api.namespace)

    await until(stopped, "it stops acting", 3)

    async def leads() -> bool:
        return await running.leads(api.namespace)

    await until(leads, "it takes over from the one that does not renew, whatever its clock says", 10)
    assert (await api.lease())["spec"]["leaseTransitions"] == 8


async def test_a_lease_that_somebody_deletes_is_lost_and_made_anew(api, gate, operators):
    """Not with its namespace: then another operator could make one, so this one may not go on."""
    running = await start_and_settle(api, operators)
    first = (await api.lease())["metadata"]["uid"]
    await api.call("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{api.namespace}/leases/telarchy")

    async def anew() -> bool:
        try:
            return bool((await api.lease())["metadata"]["uid"] != first) and await running.leads(
                api.namespace
            )
        except aiohttp.ClientResponseError:
            return False

    await until(anew, "there is another Lease, and it acts again", 60, running.log.read_text)
    assert "nobody holds the Lease" in running.log.read_text()
    await api.apply("Host", "cellar", HOST | root("cellar"))
    await api.until_ready("Host", "cellar")


async def test_one_broken_fleet_disturbs_no_other(api, operators):
    other = await api.new_namespace()
    operators.namespaces.append(other)
    await some_fleet(api)
    await api.apply("Host", "bomb", HOST | root("bomb"))  # a bug in a room, as soon as it hears of this
    running = await operators.start()
    await some_fleet(api, other)
    await api.until_ready("CustodyFloor", "films", namespace=other)

    async def failing() -> bool:
        _, said = await running.health()
        return said["fleets"][api.namespace]["failures"] > 0

    await until(failing, "the broken fleet is told")
    await api.apply("Host", "cellar", HOST | root("cellar"), namespace=other)
    await api.until_ready("Host", "cellar", namespace=other)
    assert await running.leads(other)
    await api.delete("Host", "bomb")
    await api.until_ready("CustodyFloor", "films", seconds=30)


async def test_all_namespaces_and_none_by_name(api, operators):
    other = await api.new_namespace()
    await some_fleet(api)
    await some_fleet(api, other)
    running = await operators.start(all_namespaces=True)
    await api.until_ready("CustodyFloor", "films")
    await api.until_ready("CustodyFloor", "films", namespace=other)
    late = await api.new_namespace()
    await some_fleet(api, late)
    await api.until_ready("Host", "attic", namespace=late)
    await running.until_listed()
    assert f'telarchy_complete{{namespace="{late}"}} 1.0' in await running.metrics()


async def test_a_namespace_that_may_not_be_read_is_left_out_until_it_may(api, gate, operators):
    other = await api.new_namespace()
    operators.namespaces.append(other)
    refusal = gate.refuse("GET", f"/namespaces/{other}/", 403, 10_000)
    await some_fleet(api)
    await some_fleet(api, other)
    running = await operators.start()
    await api.until_ready("CustodyFloor", "films")
    assert f"{other} is left out" in running.log.read_text()
    status, said = await running.health()
    assert status == 200 and list(said["leftOut"]) == [other]
    refusal.times = 0  # somebody granted the right
    await api.until_ready("CustodyFloor", "films", namespace=other)
    await api.apply("Host", "cellar", HOST | root("cellar"))
    await api.until_ready("Host", "cellar")  # the first one is acted on as before
    assert (await running.health())[1]["leftOut"] == {}
    assert await running.stop() == 0


@pytest.mark.parametrize("everywhere", [False, True], ids=["named", "all"])
async def test_rights_that_are_not_there_at_all_are_waited_for(api, gate, operators, everywhere):
    refusal = gate.refuse("GET", "/apis/telarchy.dev/", 403, 1_000_000)
    await some_fleet(api)
    running = await operators.start(all_namespaces=everywhere)

    async def waits() -> bool:
        status, said = await running.health()
        return status == 200 and any("refused by the test" in one for one in said["waitingFor"])

    await until(waits, "it says what it waits for, and counts as alive", 30, running.log.read_text)
    assert "nothing may be read with these rights" in running.log.read_text()
    refusal.times = 0  # somebody granted them
    await api.until_ready("CustodyFloor", "films", seconds=40)
    assert (await running.health())[1]["waitingFor"] == []
    assert await running.stop() == 0


async def test_crds_that_are_taken_away_are_waited_for(api, gate, operators):
    running = await start_and_settle(api, operators)
    gone = await lose_the_hosts(gate)

    async def waits() -> bool:
        status, said = await running.health()
        return status == 200 and said.get("waitingFor") == ["hosts.telarchy.dev"]

    await until(waits, "it says what it waits for", 30, running.log.read_text)
    gone.times = 0
    await api.apply("Host", "cellar", HOST | root("cellar"))
    await api.until_ready("Host", "cellar", seconds=30)
    gone.times = 10_000
    await gate.cut_watches()
    await until(waits, "it says so again", 30, running.log.read_text)
    assert await running.stop() == 0, "SIGTERM ends the waiting"


async def test_a_watch_that_breaks_while_another_only_waits_is_begun_anew(api, gate, operators):
    """An API server that restarts does not know our kinds for a moment, and of some only says that it is busy. kopf
    ended then only in part, and for ever: what waits to ask again takes being cancelled for a pause."""
    running = await start_and_settle(api, operators)
    busy = gate.refuse("GET", "/streams$", 503, 10_000)
    gone = await lose_the_hosts(gate)

    async def broken() -> bool:
        return "watching ended" in running.log.read_text()

    await asyncio.sleep(2)
    busy.times = gone.times = 0
    await until(broken, "it is said that the watch broke", 60, running.log.read_text)
    await api.apply("Host", "cellar", HOST | root("cellar"))
    await api.until_ready("Host", "cellar", seconds=60)
    assert "Traceback" not in running.log.read_text()
    assert await running.stop() == 0


async def test_sigterm_is_heard_while_a_broken_watch_ends(api, gate, operators):
    running = await start_and_settle(api, operators)
    gone = await lose_the_hosts(gate, times=1)

    async def met() -> bool:
        return gone.answered == 1

    await until(met, "a watch broke")
    await asyncio.sleep(1)
    assert await running.stop() == 0
