"""HostWatch on real links: a pool, an sshd, and its plug."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.unit.links.loopback import Sshd

from telarchy.core.world import World
from telarchy.hosts.observe import HostWatch
from telarchy.links.pool import LinkPool
from telarchy.links.secrets import FileSecrets
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host


class Kept(dict[str, Any]):
    def put(self, key: str, value: Any) -> None:
        self[key] = value


def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "telarchy.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


async def until(watch: HostWatch, reached: bool) -> None:
    while watch.evidence()["black"].reached is not reached:
        await asyncio.sleep(0.02)


async def test_a_host_goes_and_comes_back(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "secrets/login").mkdir(parents=True)
    (tmp_path / "secrets/login/key").write_bytes(sshd.key.read_bytes())
    ssh = {
        "endpoints": [str(sshd.endpoint)],
        "hostKey": sshd.public,
        "identity": {"secretRef": {"name": "login", "key": "key"}},
    }
    world = World.from_resources(
        [
            Fleet.model_validate(resource("Fleet", "home", {"probes": {"every": "2s", "timeout": "5s"}})),
            Host.model_validate(resource("Host", "black", {"class": "Server", "connection": {"ssh": ssh}})),
            Host.model_validate(resource("Host", "here", {"class": "Server", "connection": {"local": {}}})),
        ]
    )
    pool = LinkPool(FileSecrets(tmp_path / "secrets", {}))
    watch = HostWatch(pool, Kept())
    watch.configure(world)
    watching = asyncio.create_task(watch.watch(lambda: None))
    await until(watch, True)
    seen = watch.evidence()["black"]
    assert seen.endpoint == str(sshd.endpoint)
    while not watch.evidence()["black"].versions:
        await asyncio.sleep(0.02)
    sshd.stop()
    await until(watch, False)
    assert watch.evidence()["black"].reason == "ConnectionRefused"
    assert watch.evidence()["here"].reached and not watch.cut_off
    sshd.start()
    await until(watch, True)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await pool.close()
