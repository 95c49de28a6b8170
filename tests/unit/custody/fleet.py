"""A fleet of local directories for tests: real links, real scripts, real rsync; only the machines are one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from telarchy.core.action import Action
from telarchy.core.clock import SteadyClock
from telarchy.core.observation import Progress
from telarchy.core.world import World
from telarchy.custody.actions import AdoptVolume, Copy, Quarantine, Verify
from telarchy.custody.capability import Custody
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.evidence import VolumeSeen
from telarchy.custody.lease import Controller
from telarchy.custody.manifest import Manifest, fingerprint
from telarchy.links.pool import LinkPool
from telarchy.links.routes import Routes
from telarchy.links.secrets import FileSecrets
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host
from tests.unit.custody.volumes import Volume

API = "telarchy.dev/v1alpha1"


class MemoryInRam:
    """The store's memory, without a store."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.held.get(key, default)

    def put(self, key: str, value: Any, now: float | None = None) -> bool:
        changed = self.held.get(key) != value
        self.held[key] = value
        return changed

    def forget(self, key: str) -> None:
        self.held.pop(key, None)

    def under(self, prefix: str) -> dict[str, Any]:
        return {key: value for key, value in self.held.items() if key.startswith(prefix)}


class LocalFleet:
    """Hosts a, b, c… with one root each under `path`, and one controller."""

    def __init__(self, path: Path, letters: str = "ab", *, sentinels: bool = True) -> None:
        self.path = path
        self.volumes = {letter: Volume(path / letter, letter, sentinel=sentinels) for letter in letters}
        self.memory = MemoryInRam()
        self.catalogue = Catalogue()
        self.progress: list[Progress] = []
        self.spec: dict[str, Any] = {}
        self.host_specs: dict[str, dict[str, Any]] = {}
        self.select = ["tv/*/*", "films/*"]
        self.floor_spec: dict[str, Any] = {}
        self.custody = self.controller()

    def world(self) -> World:
        hosts = [
            Host.model_validate(
                {
                    "apiVersion": API,
                    "kind": "Host",
                    "metadata": {"name": letter},
                    "spec": {
                        "class": "Server",
                        "alwaysOn": True,
                        "connection": {"local": {}},
                        "mediaRoots": [{"name": "main", "path": volume.root, "reserve": "0"}],
                        **self.host_specs.get(letter, {}),
                    },
                }
            )
            for letter, volume in self.volumes.items()
        ]
        fleet = Fleet.model_validate(
            {"apiVersion": API, "kind": "Fleet", "metadata": {"name": "home"}, "spec": self.spec}
        )
        floor = CustodyFloor.model_validate(
            {
                "apiVersion": API,
                "kind": "CustodyFloor",
                "metadata": {"name": "all"},
                "spec": {"select": {"paths": self.select}, "copies": 2, "alwaysOn": 1, **self.floor_spec},
            }
        )
        return World.from_resources([fleet, floor, *hosts])

    def controller(self, number: int = 1, memory: MemoryInRam | None = None, *, name: str = "") -> Custody:
        """Another controller of the same fleet: the same one again with its number, or a rival with another."""
        world = self.world()
        pool = LinkPool(FileSecrets(self.path / "secrets"))
        pool.configure(world.of(Host))
        custody = Custody(
            pool,
            Routes(pool, fleet="home", folder=self.path / "routes"),
            self.catalogue if number == 1 else Catalogue(),
            (memory or self.memory) if number == 1 else MemoryInRam(),
            SteadyClock(),
            Controller(f"controller{number}", name or f"desk {number}"),
            lambda: None,
        )
        custody.configure(world)
        return custody

    async def look(self) -> Mapping[str, VolumeSeen]:
        await self.custody.observe()
        return self.custody.section().volumes

    async def act(self, action: Action) -> None:
        self.custody.section()
        await self.custody.act(action, self.progress.append)

    def manifest(self, letter: str, title: str) -> Manifest:
        return self.catalogue.manifest(self.volumes[letter].id, title)

    def copy(self, title: str, source: str = "a", target: str = "b") -> Copy:
        manifest = self.manifest(source, title)
        return Copy(
            host=target,
            root="main",
            volume=self.volumes[target].id,
            bytes=sum(one.size for one in manifest),
            title=title,
            source_host=source,
            source_root="main",
            source_volume=self.volumes[source].id,
            fingerprint=fingerprint(manifest),
            files=len(manifest),
        )

    def verify(self, title: str, letter: str = "a") -> Verify:
        size = sum(one.size for one in self.manifest(letter, title))
        return Verify(host=letter, root="main", volume=self.volumes[letter].id, title=title, bytes=size)

    def quarantine(self, title: str, letter: str, keeper: str, *paths: str) -> Quarantine:
        """Set these files of a title (all of them) aside, where another host has them as well."""
        held = self.manifest(letter, title)
        return Quarantine(
            host=letter,
            root="main",
            volume=self.volumes[letter].id,
            title=title,
            paths=paths or tuple(one.path for one in held),
            keepers=(self.volumes[keeper].id,),
        )

    def adopt(self, letter: str, replaces: str = "") -> AdoptVolume:
        volume = self.volumes[letter]
        return AdoptVolume(
            host=letter,
            root="main",
            volume=volume.id or f"{letter}/main",
            path=volume.root,
            replaces=replaces,
        )


@asynccontextmanager
async def running(custody: Custody) -> AsyncIterator[asyncio.Event]:
    """The watch of a controller, with an event that is set when it would plan again."""
    woken = asyncio.Event()
    task = asyncio.create_task(custody.watch(woken.set))
    try:
        yield woken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
