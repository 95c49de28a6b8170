"""What is said about hosts: reachable or not, duties, uptime. Nothing to do, only to tell. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telarchy.core.hosts import HostState, fleet_brake, host_state
from telarchy.core.observation import HostEvidence, Observation
from telarchy.core.plan import Plan
from telarchy.core.words import format_span, plural, rfc3339
from telarchy.core.world import World
from telarchy.resources.duties import assign_duties
from telarchy.resources.fleet import Fleet, FleetSpec
from telarchy.resources.host import Host
from telarchy.resources.meta import MAX_MESSAGE, Ref

_ENROL_FIRST = ("HostKeyUnknown", "HostKeyChanged", "AuthenticationFailed")


def plan_hosts(world: World, seen: Observation, now: float) -> Plan:
    """Statuses of every Host, and the hosts' part of the Fleet's."""
    hosts = world.of(Host)
    fleets = world.of(Fleet)
    policy = fleets[0].spec if fleets else FleetSpec()
    duties = assign_duties(hosts, dict(seen.free))
    statuses: dict[Ref, dict[str, Any]] = {}
    states: list[tuple[Host, HostState]] = []
    moments = []
    for host in hosts:
        evidence = seen.hosts.get(host.name)
        state, changes_at = _state(host, policy, evidence, seen, now)
        states.append((host, state))
        if changes_at is not None:
            moments.append(changes_at)
        statuses[host.ref] = _status(host, state, evidence, changes_at, now) | {
            "duties": [{"name": duty.name, "rule": duty.rule} for duty in duties.get(host.name, ())]
        }
    if fleets:
        statuses[fleets[0].ref] = _fleet(policy, states, seen, world)
    return Plan(statuses=statuses, wake_at=min(moments, default=None))


def _state(
    host: Host, policy: FleetSpec, evidence: HostEvidence | None, seen: Observation, now: float
) -> tuple[HostState, float | None]:
    span = policy.grace.for_class(host.spec.host_class)
    return host_state(
        evidence,
        grace=span.seconds if span is not None else 0.0,
        now=now,
        maintenance_until=host.spec.maintenance.until.timestamp() if host.spec.maintenance else None,
        cut_off=seen.cut_off and host.spec.connection.local is None,
    )


def _status(
    host: Host, state: HostState, evidence: HostEvidence | None, changes_at: float | None, now: float
) -> dict[str, Any]:
    reached = evidence.reached if evidence is not None else None
    status: dict[str, Any] = {
        "reachable": "Unknown" if reached is None else "True" if reached else "False",
        "endpoint": evidence.endpoint if evidence is not None else "",
        "state": "Draining" if state is HostState.UP and host.spec.drain else str(state),
        "conditions": [_ready(host, state, evidence, changes_at, now)],
    }
    if evidence is not None:
        status["uptimeScore"] = f"{evidence.uptime:.2f}"
        if evidence.versions:
            status["versions"] = dict(evidence.versions)
    if host.spec.suspend:
        status["conditions"].append(_condition("Suspended", True, "Suspended", "spec.suspend is set"))
    return status


def _ready(
    host: Host, state: HostState, evidence: HostEvidence | None, changes_at: float | None, now: float
) -> dict[str, Any]:
    said = evidence.message if evidence is not None else ""
    reason = evidence.reason if evidence is not None else ""
    if state is HostState.UP:
        if host.spec.drain:
            return _condition(
                "Ready", True, "Draining", "its copies are rebuilt elsewhere; nothing new comes here"
            )
        if host.spec.cordon:
            return _condition("Ready", True, "Cordoned", "nothing new comes here")
        local = host.spec.connection.local is not None
        where = "on this machine" if local else f"at {evidence.endpoint}" if evidence is not None else ""
        return _condition("Ready", True, "Reachable", where)
    if state is HostState.MAINTENANCE:
        return _condition("Ready", False, "Maintenance", f"announced to be away until {_until(host)}")
    if state is HostState.UNKNOWN:
        return _condition("Ready", None, reason or "Probing", said or "no answer yet")
    if reason in _ENROL_FIRST:
        return _condition("Ready", False, reason, said)
    if state is HostState.SUSPECT:
        # The moment of the change and not the time left: a status does not count down.
        grace = f"; its copies count as gone after its grace of {format_span(_grace_left(evidence, changes_at, now))}"
        return _condition("Ready", False, reason or "Missing", said + grace)
    return _condition("Ready", False, reason or "Down", f"{said}; missing for longer than its grace")


def _until(host: Host) -> str:
    return rfc3339(host.spec.maintenance.until.timestamp()) if host.spec.maintenance is not None else ""


def _grace_left(evidence: HostEvidence | None, changes_at: float | None, now: float) -> float:
    missing = evidence.missing_for if evidence is not None else 0.0
    return (changes_at - now if changes_at is not None else 0.0) + missing


def _fleet(
    policy: FleetSpec, states: Sequence[tuple[Host, HostState]], seen: Observation, world: World
) -> dict[str, Any]:
    up = sum(state is HostState.UP for _, state in states)
    missing = [host.name for host, state in states if state not in (HostState.UP, HostState.MAINTENANCE)]
    steady = [(host.name, state) for host, state in states if host.spec.always_on]
    brake = fleet_brake(
        steady or [(host.name, state) for host, state in states if host.spec.host_class != "Consumer"],
        min_up_percent=policy.brakes.min_up_percent,
        cut_off=seen.cut_off,
    )
    if policy.suspend:
        ready = _condition(
            "Ready", False, "Suspended", "the fleet is suspended: it is observed, and nothing is done"
        )
    elif brake.starting:
        ready = _condition("Ready", None, "Probing", brake.reason)
    elif brake.engaged:
        ready = _condition("Ready", False, "BrakeEngaged", brake.reason)
    else:
        away = f", missing: {', '.join(missing)}" if missing else ""
        ready = _condition("Ready", True, "Running", f"{up} of {plural(len(states), 'host')} up{away}")
    if not world.followed:
        ready["message"] += f"; {world.source}"
    status: dict[str, Any] = {"hosts": {"total": len(states), "up": up}, "conditions": [ready]}
    if world.source:
        status["source"] = {"revision": world.revision, "message": world.source[:MAX_MESSAGE]}
    return status


def _condition(kind: str, status: bool | None, reason: str, message: str) -> dict[str, Any]:
    word = "Unknown" if status is None else "True" if status else "False"
    return {"type": kind, "status": word, "reason": reason, "message": message}
