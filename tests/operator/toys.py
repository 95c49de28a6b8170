"""`telarchy operator` with a toy room instead of the real ones, and with a Lease that is quickly lost.

What is tested with it is the door: what comes in from the cluster and what goes back, whatever the rooms do.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from telarchy.cli.operator import log_to_stderr
from telarchy.core.observation import HostEvidence
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host
from telarchy.runtime.kubernetes.fleet import FleetOptions
from telarchy.runtime.kubernetes.lease import LeaseTimes
from telarchy.runtime.kubernetes.listing import RELIST_SECONDS
from telarchy.runtime.kubernetes.login import connection
from telarchy.runtime.kubernetes.operator import OperatorOptions, run_operator
from telarchy.runtime.kubernetes.statuses import WRITES_PER_SECOND
from tests.unit.runtime.toyroom import Toys

TIMES = LeaseTimes(duration=3, renew=0.6, retry=0.3, margin=1.0)


class Box(Toys):
    """Also reports on the Fleet, holds what a Fleet labelled `hold` wants, and breaks down where a host is a bomb."""

    def configure(self, world):
        super().configure(world)
        if any(one.name == "bomb" for one in world.of(Host)):
            raise RuntimeError("the bomb went off")
        self.hold = any(one.metadata.labels.get("hold") for one in world.of(Fleet))
        if len(world.resources) > 100:
            self.titles = ()  # nothing to do: what is looked at is the door

    def evidence(self):
        return {name: HostEvidence(name, reached=True) for name in self.hosts}

    def plan(self, world, seen, now):
        made = super().plan(world, seen, now)
        held = [
            {"hash": one.hash, "summary": one.summary, "actions": len(one.action_ids)} for one in made.holds
        ]
        asleep = any(one.spec.suspend for one in world.of(Fleet))
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Suspended" if asleep else "Kept",
            "message": "kept",
        }
        statuses = dict(made.statuses) | {
            one.ref: {"conditions": [ready], "held": held} for one in world.of(Fleet)
        }
        steps = () if asleep else made.steps
        return type(made)(steps=steps, statuses=statuses, holds=made.holds, wake_at=made.wake_at)


@click.command()
@click.option("--namespace", "namespaces", multiple=True)
@click.option("--identity")
@click.option("--kubeconfig", type=Path)
@click.option("--state", type=Path)
@click.option("--liveness")
@click.option("--large", is_flag=True, help="The real times of Lease and lists, and quick writes.")
def main(namespaces, identity, kubeconfig, state, liveness, large):
    log_to_stderr("info")
    times, relist, rate = (LeaseTimes(), RELIST_SECONDS, 1000.0) if large else (TIMES, 2.0, WRITES_PER_SECOND)
    fleets = FleetOptions(state, identity, times, rooms=lambda _: Box().rooms())
    options = OperatorOptions(
        fleets,
        namespaces=namespaces,
        liveness=liveness,
        relist=relist,
        knock=0.5,
        writes_per_second=rate,
    )
    asyncio.run(run_operator(lambda: connection(kubeconfig), options))


if __name__ == "__main__":
    main()
