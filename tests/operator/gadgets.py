"""A kind that puts something on hosts, and a room that undoes it: what streams will do, in a few lines.

A gadget is a file in a folder that plays the host. A file `away` in it plays a host that does not answer. What the
policy was when a gadget was put there stands in the file, since the manifest is gone when that is asked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import click
from pydantic import Field

from telarchy.cli.operator import log_to_stderr
from telarchy.core.action import Action
from telarchy.core.capability import Capability
from telarchy.core.plan import Plan, Step
from telarchy.resources.meta import DeletionPolicy, Kind, Ref, Resource, ResourceStatus, Spec
from telarchy.resources.registry import KINDS
from telarchy.runtime.engine import Rooms
from telarchy.runtime.kubernetes.fleet import FleetOptions
from telarchy.runtime.kubernetes.login import connection
from telarchy.runtime.kubernetes.operator import OperatorOptions, run_operator
from tests.operator.toys import TIMES

FOLDER = "TELARCHY_TEST_GADGETS"
AWAY = "away"


class GadgetSpec(Spec):
    """What is wanted."""

    deletion_policy: DeletionPolicy = Field(default="Release", description="Undo it, or leave it.")


class GadgetStatus(ResourceStatus):
    """What is there."""


class Gadget(Resource):
    """Something that stands on a host."""

    kind: Literal["Gadget"] = "Gadget"
    spec: GadgetSpec = Field(default_factory=GadgetSpec)
    status: GadgetStatus = Field(default_factory=GadgetStatus)


KIND = Kind(Gadget, "gadgets", "gadget", ("gad",))


@contextmanager
def registered() -> Iterator[None]:
    """As if it were one of ours."""
    KINDS[KIND.name] = KIND
    try:
        yield
    finally:
        del KINDS[KIND.name]


@dataclass(frozen=True, kw_only=True)
class Put(Action):
    verb: ClassVar[str] = "Put"
    capability: ClassVar[str] = "gadgets"
    name: str
    policy: str

    def identity(self):
        return (self.name, self.policy)


@dataclass(frozen=True, kw_only=True)
class Take(Action):
    verb: ClassVar[str] = "Take"
    capability: ClassVar[str] = "gadgets"
    removes: ClassVar[bool] = True
    name: str

    def identity(self):
        return (self.name,)


class Gadgets(Capability):
    """Compares the folder with the world, and nothing else."""

    name = "gadgets"
    cut_off = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def evidence(self):
        return {}

    def configure(self, world):
        return None

    def section(self):
        """What stands there by name, with its policy; None when nobody can look."""
        if (self._folder / AWAY).exists():
            return None
        return {one.name: one.read_text() for one in self._folder.iterdir()}

    def plan(self, world, seen, now):
        there, wanted = seen.sections[self.name], {one.name: one for one in world.of(Gadget)}
        if there is None:
            lingering = dict.fromkeys(world.departing, "the host does not answer")
            return Plan(lingering=lingering, wake_at=now + 0.2)
        steps, statuses, lingering = [], {}, {}
        for name, one in wanted.items():
            if there.get(name) != one.spec.deletion_policy:
                steps.append(Step(Put(host="box", name=name, policy=one.spec.deletion_policy), ref=one.ref))
            else:
                ready = {"type": "Ready", "status": "True", "reason": "Stands", "message": "it stands there"}
                statuses[one.ref] = {"conditions": [ready]}
        for name in there.keys() - wanted.keys():
            if there[name] == "Release" and world.complete:
                steps.append(Step(Take(host="box", name=name)))
                lingering[Ref("Gadget", world.namespace, name)] = "it still stands there"
        return Plan(tuple(steps), statuses, lingering=lingering, wake_at=now + 0.2)

    async def watch(self, wake):
        await asyncio.Event().wait()

    async def act(self, action, report):
        file = self._folder / action.name
        if isinstance(action, Put):
            file.write_text(action.policy)
        else:
            file.unlink(missing_ok=True)


def rooms(folder: Path) -> Rooms:
    room = Gadgets(folder)
    return Rooms(capabilities=(room,), hosts=room, why=lambda *_: [])


@click.command()
@click.option("--namespace", "namespaces", multiple=True)
@click.option("--identity")
@click.option("--kubeconfig", type=Path)
@click.option("--state", type=Path)
@click.option("--liveness")
def main(namespaces, identity, kubeconfig, state, liveness):
    log_to_stderr("info")
    folder = Path(os.environ[FOLDER])
    fleets = FleetOptions(state, identity, TIMES, rooms=lambda _: rooms(folder))
    options = OperatorOptions(fleets, namespaces=namespaces, liveness=liveness, relist=2.0)
    with registered():
        asyncio.run(run_operator(lambda: connection(kubeconfig), options))


if __name__ == "__main__":
    main()
