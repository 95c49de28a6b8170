"""A fleet in memory: declared hosts and floors, and what an observer would have seen. No I/O, no clock.

For plan cases, property tests and benchmarks. What only real machines can show is shown in `tests/lab`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from telarchy.core.action import Action
from telarchy.core.observation import Attempt, HostEvidence, Observation, Progress, Running
from telarchy.core.world import World
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.evidence import CustodySeen, JobSeen, TrashSeen, VolumeSeen, VolumeState
from telarchy.custody.manifest import FileSeen, Manifest
from telarchy.custody.terms import patterns_of
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host
from telarchy.resources.meta import Resource

NOW = 1_800_000_000.0
GIB = 1 << 30


def fleet(**spec: Any) -> Fleet:
    return Fleet.model_validate({"kind": "Fleet", "metadata": {"name": "home"}, "spec": spec})


def host(name: str, *, always_on: bool = True, labels: Mapping[str, str] | None = None, **spec: Any) -> Host:
    spec.setdefault("class", "Server")
    spec.setdefault("connection", {"local": {}})
    spec.setdefault("mediaRoots", [{"name": "main", "path": f"/srv/{name}", "reserve": "0"}])
    return Host.model_validate(
        {
            "kind": "Host",
            "metadata": {"name": name, "labels": dict(labels or {})},
            "spec": {"alwaysOn": always_on, **spec},
        }
    )


def floor(name: str = "all", paths: tuple[str, ...] = ("tv/*/*", "films/*"), **spec: Any) -> CustodyFloor:
    return CustodyFloor.model_validate(
        {
            "kind": "CustodyFloor",
            "metadata": {"name": name},
            "spec": {"select": {"paths": list(paths)}, **spec},
        }
    )


def files(*sizes: int, names: tuple[str, ...] = (), read_at: float = 0.0) -> Manifest:
    """A manifest of files with these sizes; with `read_at`, each has a digest made of its name and size."""
    made = []
    for index, size in enumerate(sizes):
        name = names[index] if names else f"e{index + 1:02}.mkv"
        digest = f"{abs(hash((name, size))):064x}"[-64:] if read_at else ""
        made.append(FileSeen(name, size, 1_700_000_000_000_000_000, digest, read_at))
    return tuple(made)


@dataclass
class Seen:
    """What an observer would hold, to be changed by a test and then frozen by `observation()`."""

    resources: list[Resource]
    catalogue: Catalogue = field(default_factory=Catalogue)
    hosts: dict[str, HostEvidence] = field(default_factory=dict)
    volumes: dict[str, VolumeSeen] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    approved: set[str] = field(default_factory=set)
    cut_off: bool = False
    fenced: str = ""
    restless: dict[str, float] = field(default_factory=dict)
    counted: dict[str, dict[str, float]] | None = None

    @property
    def world(self) -> World:
        return World.from_resources(self.resources)

    def put(
        self, host_name: str, title: str, manifest: Manifest, *, root: str = "main", at: float = NOW
    ) -> None:
        self.catalogue.patch_volume(self.key(host_name, root), {title: manifest}, at)

    def drop(self, host_name: str, title: str, *, root: str = "main") -> None:
        self.catalogue.patch_volume(self.key(host_name, root), {title: None}, NOW)

    def key(self, host_name: str, root: str = "main") -> str:
        return next(k for k, v in self.volumes.items() if (v.host, v.root) == (host_name, root))

    def set_volume(self, host_name: str, *, root: str = "main", **fields: Any) -> None:
        key = self.key(host_name, root)
        self.volumes[key] = VolumeSeen(**{**vars(self.volumes[key]), **fields})

    def miss(self, host_name: str, seconds: float) -> None:
        self.hosts[host_name] = HostEvidence(
            host_name, False, misses=3, missing_for=seconds, reason="TimedOut", message="no answer"
        )

    def answer(self, host_name: str) -> None:
        self.hosts[host_name] = HostEvidence(host_name, True, uptime=1.0)

    def start(self, action: Action, phase: str = "transferring") -> None:
        self.running[action.id] = Running(action, Progress(phase))

    def observation(self) -> Observation:
        self.catalogue.set_patterns(patterns_of(self.world))
        return Observation(
            hosts=dict(self.hosts),
            free={v.host: v.free for v in self.volumes.values() if v.free is not None},
            cut_off=self.cut_off,
            sections={
                "custody": CustodySeen(
                    self.catalogue, dict(self.volumes), self.fenced, dict(self.restless), self.counted
                )
            },
            running=dict(self.running),
            attempts=dict(self.attempts),
            approved=frozenset(self.approved),
        )


def seen(*resources: Resource, free: int = 1000 * GIB, total: int = 2000 * GIB) -> Seen:
    """Every declared host up, every root mounted, scanned and empty."""
    found = Seen(list(resources))
    found.catalogue.set_patterns(patterns_of(found.world))
    for one in resources:
        if not isinstance(one, Host):
            continue
        found.answer(one.name)
        for root in one.spec.media_roots:
            identity = f"{one.name}-{root.name}-id"
            found.volumes[identity] = VolumeSeen(
                one.name,
                root.name,
                root.path,
                id=identity,
                state=VolumeState.MOUNTED,
                free=free,
                total=total,
                scanned=NOW,
            )
            found.catalogue.add_volume(identity)
    return found


def stock(of: Seen, titles: int = 7) -> None:
    """Titles for every floor, each of them once, on one host or another."""
    holders = sorted(
        (one for one in of.resources if isinstance(one, Host) and one.spec.media_roots),
        key=lambda one: one.name,
    )
    for floor in sorted(
        (one for one in of.resources if isinstance(one, CustodyFloor)), key=lambda one: one.name
    ):
        for pattern in floor.spec.select.paths:
            for number in range(titles):
                holder = holders[number % len(holders)]
                root = holder.spec.media_roots[number % len(holder.spec.media_roots)].name
                title = pattern.replace("*", f"Title {number}")
                of.put(holder.name, title, files(GIB, 2 * GIB, read_at=NOW), root=root)


__all__ = [
    "GIB",
    "NOW",
    "JobSeen",
    "Seen",
    "TrashSeen",
    "VolumeState",
    "files",
    "fleet",
    "floor",
    "host",
    "seen",
    "stock",
]
