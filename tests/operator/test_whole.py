"""The whole of it: the real rooms on folders that play hosts, under the operator and under the loop that runs alone."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operator.client import until
from tests.operator.processes import ROOT
from tests.operator.test_objects import until_quiet

MIB = 1 << 20
HOSTS = ("attic", "cellar")
OBJECTS = [("Fleet", "home"), ("Host", "attic"), ("Host", "cellar"), ("CustodyFloor", "films-twice")]
DISKS = ("PATCH fleets/status", "PATCH hosts/status")
MOMENTS = {"observedGeneration", "lastTransitionTime", "since", "eta", "rate", "nextAttempt", "history"}
PLACES = {"id", "epoch", "controller", "free", "total", "custody", "revision", "message", "source", "path"}

pytestmark = pytest.mark.timeout(240)


def make_hosts(folder: Path, size: int) -> None:
    """One film on the first host, of `size` bytes."""
    for host in HOSTS:
        (folder / host / "media").mkdir(parents=True)
    film = folder / HOSTS[0] / "media" / "films" / "Nosferatu (1922)"
    film.mkdir(parents=True)
    (film / "Nosferatu.mkv").write_bytes(random.Random(7).randbytes(size))


def manifests(folder: Path, bandwidth: str) -> list[dict[str, Any]]:
    def one(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }

    policy = {
        "custody": {"copies": 2, "alwaysOn": 1},
        "transfers": {"bandwidth": bandwidth},
        "probes": {"every": "1s", "timeout": "1s"},
        "scan": {"every": "1s"},
    }
    hosts = [
        one(
            "Host",
            name,
            {
                "class": "Server",
                "alwaysOn": True,
                "connection": {"local": {}},
                "mediaRoots": [{"name": "main", "path": str(folder / name / "media"), "reserve": 0}],
            },
        )
        for name in HOSTS
    ]
    floor = one("CustodyFloor", "films-twice", {"select": {"paths": ["films/*"]}, "copies": 2, "alwaysOn": 1})
    return [one("Fleet", "home", policy), *hosts, floor]


async def apply_all(api, found: list[dict[str, Any]]) -> None:
    for one in found:
        labels = one["metadata"].get("labels")
        await api.apply(
            one["kind"], one["metadata"]["name"], one["spec"], **({"labels": labels} if labels else {})
        )


def staged(folder: Path) -> int:
    """Bytes of the copy under way on the second host."""
    return sum(file.stat().st_size for file in folder.rglob("*Nosferatu*") if file.is_file())


async def test_killed_in_the_middle_of_a_copy_and_started_again(api, gate, operators, tmp_path):
    folder, size = tmp_path / "hosts", 24 * MIB
    make_hosts(folder, size)
    await apply_all(api, manifests(folder, "3Mi"))
    running = await operators.start("op-a", toys=False)

    async def halfway() -> bool:
        return staged(folder / "cellar") > size // 6

    await until(halfway, "some of the copy is there", 60, running.log.read_text)
    await running.kill()
    at_death = staged(folder / "cellar")
    assert at_death < size, "the copy was over too soon to prove anything"
    again = await operators.start("op-a", toys=False, state="op-a")
    floor = await api.until_ready("CustodyFloor", "films-twice", seconds=90)
    assert (floor["status"]["met"], floor["status"]["lacking"]) == (1, 0)
    copied = folder / "cellar" / "media" / "films" / "Nosferatu (1922)" / "Nosferatu.mkv"
    assert copied.read_bytes() == random.Random(7).randbytes(size)
    await until_quiet(gate, 2)
    before = await at_rest(api, gate)
    await asyncio.sleep(8)  # several scans and probes later
    assert await at_rest(api, gate) == before, "a fleet at rest writes nothing"
    assert await again.stop() == 0
    third = await operators.start("op-a", toys=False)
    await third.until_listed()
    await asyncio.sleep(6)
    assert await at_rest(api, gate) == before, "a restart finds everything said already"
    assert await third.stop() == 0
    events = [one["reason"] for one in await api.events("films-twice")]
    assert "CopyDone" in events


async def test_both_runtimes_report_the_same(api, operators, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        make_hosts(folder / "hosts", 2 * MIB)
    await apply_all(api, manifests(here / "hosts", "64Mi"))
    (there / "fleet").mkdir()
    alone = manifests(there / "hosts", "64Mi")
    (there / "fleet" / "all.yaml").write_text(yaml.safe_dump_all(alone))
    running = await operators.start(toys=False)
    await telarchy("run", "--source", there / "fleet", "--state", there / "state", "--until-settled")
    said = json.loads(await telarchy("get", "all", "-o", "json", "--state", there / "state"))
    await api.until_ready("CustodyFloor", "films-twice", seconds=60)
    await api.until_ready("Fleet", "home", seconds=30)
    for one in said["items"]:
        kind, name = one["kind"], one["metadata"]["name"]
        ours = (await api.get(kind, name))["status"]
        assert comparable(ours) == comparable(one["status"]), f"{kind} {name}"
    assert await running.stop() == 0


async def test_a_suspended_fleet_is_left_as_it_is_until_it_is_not(api, operators, tmp_path):
    folder = tmp_path / "hosts"
    make_hosts(folder, 1 * MIB)
    fleet, *others = manifests(folder, "64Mi")
    await apply_all(api, [{**fleet, "spec": fleet["spec"] | {"suspend": True}}, *others])
    running = await operators.start(toys=False)

    async def seen() -> bool:
        status = (await api.get("CustodyFloor", "films-twice"))["status"]
        return status.get("titles") == 1

    await until(seen, "the film is seen", 30, running.log.read_text)
    await asyncio.sleep(3)
    assert not staged(folder / "cellar"), "nothing was begun"
    ready = await api.condition("Fleet", "home", "Ready")
    assert ready["reason"] == "Suspended", ready
    await apply_all(api, [fleet])
    await api.until_ready("CustodyFloor", "films-twice", seconds=60)
    assert staged(folder / "cellar")
    assert await running.stop() == 0


async def at_rest(api, gate) -> tuple[Any, Any]:
    """What was written, without statuses in which only free bytes moved: this disk is not ours alone."""
    writes = {what: count for what, count in gate.writes.items() if what not in DISKS}
    return writes, [comparable((await api.get(kind, name))["status"]) for kind, name in OBJECTS]


async def telarchy(*words: object) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "telarchy",
        *map(str, words),
        cwd=ROOT / "controller",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


def comparable(status: Any) -> Any:
    """Without moments, and without what belongs to one machine or one folder."""
    if isinstance(status, Mapping):
        return {
            key: comparable(value) for key, value in sorted(status.items()) if key not in MOMENTS | PLACES
        }
    if isinstance(status, list):
        return [comparable(one) for one in status]
    return status
