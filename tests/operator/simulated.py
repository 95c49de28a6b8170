"""A fleet in memory under either runtime: the real plans of hosts and custody, and hosts that do as they are told.

Every declared host is up (or one is missing), every root holds titles for every floor, a copy takes a moment, and
time jumps to where something happens. So an example fleet of ten machines goes through weeks in a second, and what
the two runtimes make of it can be compared word by word. Streams play in real time, on the hosts of `livehosts.py`.

    python -m tests.operator.simulated --namespace N …      an operator with these rooms
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from telarchy.cli.operator import log_to_stderr
from telarchy.core.action import Action
from telarchy.core.capability import Capability, Report, Wake
from telarchy.core.clock import SteadyClock
from telarchy.core.observation import HostEvidence, Observation
from telarchy.core.plan import Plan
from telarchy.core.world import World
from telarchy.custody.actions import Copy, Verify
from telarchy.custody.plan import plan_custody
from telarchy.hosts.plan import plan_hosts
from telarchy.links.secrets import FileSecrets
from telarchy.resources.host import Host
from telarchy.runtime.engine import Rooms
from telarchy.runtime.kubernetes.fleet import FleetOptions
from telarchy.runtime.kubernetes.login import connection
from telarchy.runtime.kubernetes.operator import OperatorOptions, run_operator
from telarchy.streaming.capability import Streaming
from tests.operator.livehosts import LiveHosts
from tests.unit.custody.fleet import MemoryInRam
from tests.world import GIB, NOW, Seen, files, seen, stock

DAY = 86400.0
NOON = 4 * 3600.0  # NOW is eight o'clock in the morning
JUMPS = 12  # in a row, in which nothing began: then nothing will
SECRETS = {"TELARCHY_SECRET_DOOR_CAMERA_URL": "rtsp://door.example/main"}  # what the examples name


@dataclass
class Simulation:
    """The hosts and their clock. `missing`: the last host by name does not answer."""

    missing: bool = False
    now: float = NOW
    idle: int = 0
    seen: Seen = field(default_factory=lambda: seen())
    at_rest: bool = False
    live: LiveHosts = field(default_factory=LiveHosts)

    def configure(self, world: World) -> None:
        resources = list(world.resources.values())
        if not world.complete or resources == self.seen.resources:
            return
        self.seen = seen(*resources)
        stock(self.seen)
        hosts = world.of(Host)
        if self.missing and hosts:
            self.seen.miss(hosts[-1].name, 60.0)
            self.live.missing = hosts[-1].name
        self.idle, self.at_rest = 0, False

    def pass_time(self, plan: Plan) -> bool:
        """After a round: on to the next moment at which something happens. True when there is one."""
        if self.at_rest or not self.seen.resources or any(str(one.decision) == "Start" for one in plan.steps):
            return False
        self.idle += 1
        if plan.steps and plan.wake_at is not None and self.idle < JUMPS:  # something waits for its time
            self.now = max(plan.wake_at, self.now + 1)
        else:  # every run ends at the same time of day, whatever order its copies ended in
            self.now = NOW + NOON + DAY * (1 + (self.now - NOW) // DAY)
            self.at_rest = True
        return True

    async def do(self, action: Action) -> None:
        await asyncio.sleep(0.001)
        self.idle = 0
        if isinstance(action, Copy):
            manifest = files(GIB, 2 * GIB, read_at=self.now)
            self.seen.put(action.host, action.title, manifest, root=action.root, at=self.now)
        elif isinstance(action, Verify):
            held = self.seen.volumes[action.volume]
            manifest = files(GIB, 2 * GIB, read_at=self.now)
            self.seen.put(held.host, action.title, manifest, root=held.root, at=self.now)


class SimulatedHosts(Capability):
    """Whether hosts answer, as the simulation has it."""

    name = "hosts"
    cut_off = False

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def configure(self, world: World) -> None:
        self._simulation.configure(world)

    def evidence(self) -> dict[str, HostEvidence]:
        return dict(self._simulation.seen.hosts)

    def plan(self, world: World, seen: Observation, now: float) -> Plan:
        made = plan_hosts(world, seen, self._simulation.now)
        return Plan(made.steps, made.statuses, made.events, unsettled=made.unsettled)

    async def watch(self, wake: Wake) -> None:
        await asyncio.Event().wait()


class SimulatedCustody(SimulatedHosts):
    """Custody's own plan, on what the simulation holds."""

    name = "custody"

    def configure(self, world: World) -> None:
        return None

    def section(self) -> Any:
        return self._simulation.seen.observation().sections["custody"]

    def free_space(self) -> Any:
        return self._simulation.seen.observation().free

    def plan(self, world: World, seen: Observation, now: float) -> Plan:
        self._made = plan_custody(world, seen, self._simulation.now)
        made = self._made
        return Plan(made.steps, made.statuses, made.events, made.holds, made.beyond, made.unsettled)

    def planned(self, plan: Plan) -> bool:
        return self._simulation.pass_time(self._made)

    async def act(self, action: Action, report: Report) -> None:
        await self._simulation.do(action)


def rooms(simulation: Simulation) -> Rooms:
    hosts = SimulatedHosts(simulation)
    secrets = FileSecrets(None, SECRETS)
    streaming = Streaming(simulation.live, secrets, MemoryInRam(), SteadyClock(), namespace="home")
    nothing: Callable[..., list[str]] = lambda *_: []  # noqa: E731
    return Rooms(capabilities=(hosts, SimulatedCustody(simulation), streaming), hosts=hosts, why=nothing)


@click.command()
@click.option("--namespace", "namespaces", multiple=True)
@click.option("--identity", default="")
@click.option("--kubeconfig", type=Path)
@click.option("--state", type=Path, required=True)
@click.option("--liveness", default="")
@click.option("--missing", is_flag=True)
def main(
    namespaces: tuple[str, ...],
    identity: str,
    kubeconfig: Path | None,
    state: Path,
    liveness: str,
    missing: bool,
) -> None:
    log_to_stderr("info")
    fleets = FleetOptions(state, identity, rooms=lambda _: rooms(Simulation(missing)))
    options = OperatorOptions(fleets, namespaces=namespaces, liveness=liveness, writes_per_second=1000.0)
    asyncio.run(run_operator(lambda: connection(kubeconfig), options))


if __name__ == "__main__":
    main()
