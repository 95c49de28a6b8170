"""When a host counts as up, missing, or gone, and when the fault is more likely ours. Pure.

Rule 5 of custody, and every other capability's too: repair is calm. A host that misses probes is suspected
first and gone only after the grace of its class; and if too many are missing at once, nobody is gone: the
controller is the one cut off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from telarchy.core.observation import HostEvidence


class HostState(StrEnum):
    """What a plan may assume of a host."""

    UP = "Up"
    SUSPECT = "Suspect"  # missing, inside its grace
    DOWN = "Down"  # missing for longer than its grace
    UNKNOWN = "Unknown"  # not probed yet, or the controller is cut off
    MAINTENANCE = "Maintenance"  # announced until a time: neither missed nor used, whether it answers or not


def host_state(
    evidence: HostEvidence | None,
    *,
    grace: float,
    now: float,
    maintenance_until: float | None = None,
    cut_off: bool = False,
) -> tuple[HostState, float | None]:
    """The state of one host, and the time at which it changes by itself (None if only evidence can).

    `grace`, `now` and `maintenance_until` in seconds (`now` and `maintenance_until` since the epoch). A host
    that is late from its maintenance has its whole grace from then on: it was not missed before.
    """
    # Before it goes too: what is begun on it then is cut off in the middle.
    if maintenance_until is not None and now < maintenance_until:
        return HostState.MAINTENANCE, maintenance_until
    if evidence is not None and evidence.reached:
        return HostState.UP, None
    if evidence is None or evidence.reached is None or cut_off:
        return HostState.UNKNOWN, None
    missed = evidence.missing_for
    if maintenance_until is not None:
        missed = min(missed, now - maintenance_until)
    if missed >= grace:
        return HostState.DOWN, None
    return HostState.SUSPECT, now + (grace - missed)


@dataclass(frozen=True)
class Brake:
    """Whether the fleet brake is on: no repair and no removal while it is."""

    engaged: bool = False
    reason: str = ""
    starting: bool = False  # only because nobody has answered yet


def fleet_brake(custodians: Iterable[tuple[str, HostState]], *, min_up_percent: int, cut_off: bool) -> Brake:
    """Engage when fewer than `min_up_percent` of the custodians are up.

    One missing host never engages it, however small the fleet: with three machines, one is a third, and a
    floor that cannot be restored after a single loss would be no floor. Hosts under maintenance are left out.
    """
    if cut_off:
        return Brake(True, "the controller itself is cut off: no host and no canary answers")
    states = [(name, state) for name, state in custodians if state is not HostState.MAINTENANCE]
    missing = sorted(name for name, state in states if state is not HostState.UP)
    unprobed = sorted(name for name, state in states if state is HostState.UNKNOWN)
    if len(missing) > 1 and (len(states) - len(missing)) * 100 < min_up_percent * len(states):
        if unprobed == missing:
            return Brake(True, f"waiting for a first answer of {', '.join(missing[:5])}", starting=True)
        up = len(states) - len(missing)
        return Brake(
            True,
            f"only {up} of {len(states)} custodians are up, fewer than {min_up_percent} %: "
            f"no repair until they return (missing: {', '.join(missing[:5])})",
        )
    return Brake()
