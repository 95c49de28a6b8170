"""Thousands of objects: how soon they are known, at what cost, and that silence follows.

Memory and writes are asserted always. Time is asserted only where nothing else runs: `TELARCHY_TEST_TIMED=1`, which
also makes it the full five thousand.
"""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.operator.client import until
from tests.operator.processes import rss_megabytes
from tests.operator.test_objects import FLOOR, HOST, root

TIMED = os.environ.get("TELARCHY_TEST_TIMED") == "1"
OBJECTS = int(os.environ.get("TELARCHY_TEST_OBJECTS", "5000" if TIMED else "1000"))
HOSTS = 20
READY_SECONDS = 15.0
MEGABYTES = 250.0

pytestmark = pytest.mark.timeout(900)


async def make_objects(api) -> None:
    gathered = asyncio.Semaphore(20)

    async def floor(name: str) -> None:
        async with gathered:
            await api.apply("CustodyFloor", name, FLOOR | {"select": {"paths": [f"films/{name}-*"]}})

    await asyncio.gather(*(floor(f"f{number:05}") for number in range(OBJECTS - HOSTS)))
    for number in range(HOSTS):
        await api.apply("Host", f"h{number}", HOST | root(f"h{number}"))


async def until_known(running, api) -> float:
    """Until every object was listed, parsed and planned with. Returns the seconds that took."""
    began = time.monotonic()

    async def known() -> bool:
        status, said = await running.health()
        return (
            bool(status and said["listed"])
            and f'namespace="{api.namespace}",ready="True"' in await running.metrics()
        )

    await until(known, "every object was planned with", 180, running.log.read_text)
    return time.monotonic() - began


async def test_thousands_of_objects(api, gate, operators):
    await make_objects(api)
    first = await operators.start("op-a", "--large")
    ready = await until_known(first, api)

    async def written() -> bool:
        _, said = await first.health()
        return said.get("queueDepth") == 0

    await until(written, "every status is written", 600)
    assert gate.writes["PATCH custodyfloors/status"] >= OBJECTS - HOSTS
    assert await first.stop() == 0
    before = gate.writes.copy()
    second = await operators.start("op-b", "--large")
    again = await until_known(second, api)
    await asyncio.sleep(3)
    assert gate.writes == before, "a new operator finds everything said already"
    rounds = await second.rounds(api.namespace)
    for number in range(3):
        await api.annotate("Host", "h0", reconcile_at=f"t{number}")
        await asyncio.sleep(1.5)
    assert await second.rounds(api.namespace) > rounds
    memory = rss_megabytes(second.process.pid)
    print(f"\n{OBJECTS} objects: ready after {ready:.1f} s and {again:.1f} s, {memory:.0f} MB")
    said = gate.writes - before
    assert said == {"PATCH hosts/status": said["PATCH hosts/status"]}, "but the echo of what was asked"
    assert memory < MEGABYTES
    assert not TIMED or max(ready, again) < READY_SECONDS
