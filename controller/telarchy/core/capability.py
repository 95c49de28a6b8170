"""What a room must offer to be driven by the loop: look, think, do. The same three pieces in every room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from telarchy.core.action import Action
from telarchy.core.observation import Observation, Progress
from telarchy.core.plan import Plan
from telarchy.core.world import World

Report = Callable[[Progress], None]
Wake = Callable[[], None]


class Capability(Protocol):
    """A room: custody, hosts, streaming…

    `plan` is pure. `observe` and `watch` only look: they never change anything on a host. `act` runs one
    action that the plan decided to start; calling it again for an action that already runs on a host attaches
    to that job instead of starting another. Cancelling the task of `act` stops the job on the host, unless
    `detach` was called before: then the job goes on, and the next controller finds it.

    A room whose resources have something on hosts (a service, not titles) undoes it when they leave the world, by
    comparing hosts with the world: a source that runs alone says no more than that. `Plan.lingering` names what is
    left, and what may be left where nobody can look. A spec that has `deletionPolicy` (`resources.meta`) says whether
    to undo at all; as the manifest is gone by then, it is to be noted on the host together with what was put there.
    """

    name: str

    def configure(self, world: World) -> None:
        """Take note of a new world (hosts to reach, roots to scan, patterns that make titles). No I/O."""

    def section(self) -> Any:
        """The current evidence, as it goes into `Observation.sections[name]`."""

    def free_space(self) -> Mapping[str, int]:
        """Bytes free by host name, reserves included, as far as this room has looked; {} for most rooms."""
        return {}

    def plan(self, world: World, seen: Observation, now: float) -> Plan:
        """Decide. No I/O, no clock, no randomness: the same input gives the same plan."""
        ...

    def planned(self, plan: Plan) -> bool:
        """This round's plan was made and is being carried out: keep what the next one reports (history).
        True when that changed what would be reported."""
        return False

    async def observe(self, *, read_only: bool = False) -> None:
        """Look once at everything, as fresh as can be had; returns when done. One dead host delays nothing
        longer than its probe timeout. `read_only`: leave no trace on hosts (for `telarchy plan`)."""

    async def watch(self, wake: Wake) -> None:
        """Go on looking at the declared cadence until cancelled; call `wake` when evidence changed."""

    async def act(self, action: Action, report: Report) -> None:
        """Do it. Raises ActionFailed, HostUnreachable or SafetyRefusal; returns when it is done and recorded."""

    def detach(self) -> None:
        """The controller is about to stop: from now on a cancelled `act` leaves its job running."""
        return None

    async def close(self) -> None:
        """Let go of connections and flush what is not stored yet. Jobs on hosts go on."""
