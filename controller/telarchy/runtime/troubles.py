"""What is not as declared although nothing is left to do about it: a person has to see to it, or it mends by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from telarchy.core.plan import Plan
from telarchy.core.report import is_calm
from telarchy.core.world import World
from telarchy.resources.host import Host
from telarchy.resources.meta import Ref

DECLARED = (
    "Maintenance",
    "Suspended",
    "Expired",
)  # not in order, because a manifest says that it is to be so
AWAY = ("TimedOut", "NoRoute", "NameNotResolved", "ConnectionRefused", "ConnectionLost", "Missing", "Down")


@dataclass(frozen=True)
class Trouble:
    """A resource, and why it is not as declared."""

    ref: Ref
    message: str


def troubles_of(plan: Plan, world: World | None = None) -> list[Trouble]:
    """By resource. `world`: who is declared to be always on; others that are away are as declared."""
    return list(_troubles(plan, world))


def _troubles(plan: Plan, world: World | None) -> Iterator[Trouble]:
    may_go = {host.ref for host in world.of(Host) if not host.spec.always_on} if world is not None else set()
    for ref, status in sorted(plan.statuses.items()):
        for one in status.get("conditions", []):
            if one["type"] != "Ready" or is_calm(one) or one["reason"] in DECLARED:
                continue
            if ref in may_go and one["reason"] in AWAY:
                continue
            yield Trouble(ref, one["message"] or one["reason"])
