"""What is not as declared although nothing is left to do about it: a person has to see to it, or it mends by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from telarchy.core.plan import Plan
from telarchy.core.report import is_calm
from telarchy.core.world import World
from telarchy.resources.host import KIND, Host
from telarchy.resources.meta import Ref

# Not in order, because a manifest says that it is to be so.
DECLARED = ("Maintenance", "Suspended", "Expired")
AWAY = ("TimedOut", "NoRoute", "NameNotResolved", "ConnectionRefused", "ConnectionLost", "Missing", "Down")
GONE = "Missing"  # state of a volume that is not mounted, or whose folder is gone


@dataclass(frozen=True)
class Trouble:
    """A resource, and why it is not as declared.

    away:  it is a machine that does not answer, or has a disk that is not there. Machines come and go, and what is
           declared of titles is kept without it: a fleet can be settled around it
    """

    ref: Ref
    message: str
    away: bool = False


def troubles_of(plan: Plan, world: World | None = None) -> list[Trouble]:
    """By resource. `world`: who is declared to be always on; of others it is no trouble that they are away."""
    return list(_troubles(plan, world))


def in_the_way(plan: Plan) -> bool:
    """Whether a host is there and cannot do what it was declared for: its key has changed, a disk takes no writes…"""
    return any(trouble.ref.kind == KIND.name and not trouble.away for trouble in _troubles(plan, None))


def _troubles(plan: Plan, world: World | None) -> Iterator[Trouble]:
    may_go = {host.ref for host in world.of(Host) if not host.spec.always_on} if world is not None else set()
    for ref, status in sorted(plan.statuses.items()):
        for one in status.get("conditions", []):
            if one["type"] != "Ready" or is_calm(one) or one["reason"] in DECLARED:
                continue
            if ref in may_go and one["reason"] in AWAY:
                continue
            yield Trouble(ref, one["message"] or one["reason"], one["reason"] in AWAY or _gone(one, status))


def _gone(ready: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether all that is wrong with a host's volumes is that they are not there."""
    wrong = {volume["state"] for volume in status.get("volumes", ())} - {"Mounted", "New", "Unknown"}
    return ready["reason"] == "VolumeTrouble" and wrong == {GONE}
