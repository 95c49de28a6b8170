"""A capability in a few lines: toys that are to lie on hosts. The runtime's tests need a room, but none of ours."""

import asyncio
from dataclasses import dataclass, field
from typing import ClassVar

from telarchy.core.action import Action
from telarchy.core.capability import Capability
from telarchy.core.observation import HostEvidence, Observation, Progress
from telarchy.core.plan import Decision, Hold, Plan, Step
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.host import Host
from telarchy.runtime.engine import Rooms


@dataclass(frozen=True, kw_only=True)
class Place(Action):
    """Put one toy on a host."""

    verb: ClassVar[str] = "Copy"
    capability: ClassVar[str] = "toys"

    title: str
    source_host: str = "box"

    def identity(self):
        return (self.title, self.host)

    def __str__(self):
        return f"copy {self.title!r} from {self.source_host} to {self.host}"


@dataclass
class Toys(Capability):
    """Every floor wants `titles` toys on every host. Placing one takes `seconds`. `stuck`: what hosts complain of."""

    name: str = "toys"
    titles: tuple[str, ...] = ("films/a", "films/b")
    seconds: float = 0.01
    size: int = 1000
    hold: bool = False
    stuck: str = ""
    placed: set[str] = field(default_factory=set)
    looks: int = 0
    looked_read_only: bool = False
    closed: bool = False
    hosts: tuple[str, ...] = ()
    cut_off: bool = False

    def configure(self, world):
        self.hosts = tuple(one.name for one in world.of(Host))

    def section(self):
        return frozenset(self.placed)

    def free_space(self):
        return dict.fromkeys(self.hosts, 1 << 40)

    def evidence(self):
        return {name: HostEvidence(name, reached=True) for name in self.hosts}

    def plan(self, world, seen, now):
        floors = world.of(CustodyFloor)
        wanted = [
            Place(host=host, title=title, bytes=self.size) for title in self.titles for host in self.hosts
        ]
        missing = [one for one in wanted if one.id not in seen.sections["toys"]] if floors else []
        decision = Decision.HOLD if self.hold else Decision.START
        approved = seen.approved
        steps = tuple(
            Step(one, Decision.START if one.id in approved else decision, ref=floors[0].ref)
            for one in missing
        )
        ready = {
            "type": "Ready",
            "status": "False" if missing else "True",
            "reason": "Copying" if missing else "Met",
            "message": f"{len(missing)} toys are missing" if missing else "every toy is in its place",
        }
        statuses = {
            one.ref: {"titles": len(wanted), "met": len(wanted) - len(missing), "conditions": [ready]}
            for one in floors
        }
        up = {"type": "Ready", "status": "True", "reason": "Up", "message": "answers"}
        if self.stuck:
            up |= {"status": "False", "reason": "VolumeTrouble", "message": self.stuck}
        for host in world.of(Host):
            capacity = {"free": 123 << 30, "total": 4 << 40}
            statuses[host.ref] = {"state": "Up", "capacity": capacity, "conditions": [up]}
        held = [step.action.id for step in steps if step.decision is Decision.HOLD]
        holds = (
            (Hold("many at once", f"place {len(held)} toys", tuple(held), ref=floors[0].ref),) if held else ()
        )
        return Plan(steps=steps, statuses=statuses, holds=holds, wake_at=now + 90)

    async def observe(self, *, read_only=False):
        self.looks += 1
        self.looked_read_only = read_only

    async def watch(self, wake):
        await asyncio.Event().wait()

    async def act(self, action, report):
        for part in range(1, 11):
            done = action.bytes * part // 10
            rate = action.bytes / max(self.seconds, 0.001)
            report(Progress("copying", done, action.bytes, rate, (action.bytes - done) / rate))
            await asyncio.sleep(self.seconds / 10)
        self.placed.add(action.id)

    async def close(self):
        self.closed = True

    def rooms(self):
        return Rooms(
            capabilities=(self,),
            hosts=self,
            why=self.why,
            looked=lambda: dict.fromkeys(self.hosts, 0.0),
            recall=lambda kept, approved: Observation(sections={"toys": self.section()}),
        )

    def why(self, topic, name, world, seen, now):
        return [f"{topic} {name}: {len(seen.sections['toys'])} toys are placed"]
