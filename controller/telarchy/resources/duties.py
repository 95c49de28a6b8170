"""Duties: what each host does for the fleet, computed from what the hosts are.

The rules are the data model's ("Duty-assignment rules"): deterministic, explained, never hand-set. They look
at the registry and not at who is up right now, so that a reboot moves nothing; only a change of the
declaration (or a disk that fills up) does. Whether a duty's holder *works* is the business of conditions.

* a Consumer never has a duty, whatever else it is; this is checked first
* `broadcast`: alwaysOn and PublicIP; exactly one, a Seedbox rather than a Broadcast VPS rather than a Server
* `f2fRelay`: the broadcast host, and every other always-on host reachable by WireGuard or PublicIP
* `publicSwarmFace`: one host; off the home address if any is, then a Seedbox first
* `custodyFloor`: alwaysOn, with media roots, and room above the reserve; unknown room does not take it away

Equal candidates are told apart by name, so that the order in which hosts are read decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from telarchy.resources.host import DutyName, Host

DUTIES: tuple[DutyName, ...] = ("custodyFloor", "publicSwarmFace", "f2fRelay", "broadcast")
# Who broadcasts and who faces the public swarm: what is made for it first, what comes and goes last.
CLASS_PREFERENCE = {"Seedbox": 0, "Broadcast": 1, "Server": 2, "Roamer": 3}


@dataclass(frozen=True, order=True)
class Duty:
    """A duty, and a sentence saying which rule gave it."""

    name: DutyName
    rule: str


Assignment = dict[str, tuple[Duty, ...]]


def assign_duties(hosts: Sequence[Host], free: Mapping[str, int | None]) -> Assignment:
    """Every host of one fleet → its duties, in the order of `DUTIES`.

    `free` is each host's free space in bytes over all its media roots, reserve included; a host that is
    missing there, or None, could not be asked.
    """
    given: dict[str, dict[DutyName, str]] = {host.name: {} for host in hosts}
    able = sorted((host for host in hosts if host.spec.host_class != "Consumer"), key=lambda host: host.name)
    for host in able:
        if (rule := _custody_rule(host, free.get(host.name))) is not None:
            given[host.name]["custodyFloor"] = rule
    if (face := _swarm_face(able)) is not None:
        given[face.name]["publicSwarmFace"] = _swarm_face_rule(face, able)
    speaker = _broadcaster(able)
    if speaker is not None:
        given[speaker.name]["broadcast"] = (
            f"always on with a public address; first among {_count(able, _may_broadcast)} by "
            "Seedbox, then Broadcast, then Server"
        )
        given[speaker.name]["f2fRelay"] = "the broadcast host relays between friends too"
    for host in able:
        if host is not speaker and _may_relay(host):
            given[host.name]["f2fRelay"] = f"always on and reachable by {host.spec.reachable}"
    return {
        host.name: tuple(Duty(name, given[host.name][name]) for name in DUTIES if name in given[host.name])
        for host in sorted(hosts, key=lambda host: host.name)
    }


def _custody_rule(host: Host, free: int | None) -> str | None:
    if not (host.spec.always_on and host.spec.media_roots):
        return None
    if free is None:
        return "always on, with media roots; its free space is unknown, which takes nothing away"
    return "always on, with media roots and room above the reserve" if free > reserve(host) else None


def reserve(host: Host) -> int:
    """Bytes the host keeps for others, over all its media roots."""
    return sum(root.reserve.bytes for root in host.spec.media_roots if root.reserve is not None)


def _may_broadcast(host: Host) -> bool:
    return host.spec.always_on and host.spec.reachable == "PublicIP"


def _may_relay(host: Host) -> bool:
    return host.spec.always_on and host.spec.reachable in ("WireGuard", "PublicIP")


def _broadcaster(able: Sequence[Host]) -> Host | None:
    return min(
        filter(_may_broadcast, able),
        key=lambda host: (CLASS_PREFERENCE[host.spec.host_class], host.name),
        default=None,
    )


def _swarm_face(able: Sequence[Host]) -> Host | None:
    return min(
        able,
        key=lambda host: (
            host.spec.on_home_ip,
            CLASS_PREFERENCE[host.spec.host_class] != 0,
            not host.spec.always_on,
            CLASS_PREFERENCE[host.spec.host_class],
            host.name,
        ),
        default=None,
    )


def _swarm_face_rule(face: Host, able: Sequence[Host]) -> str:
    if face.spec.on_home_ip:
        return f"no host is off the home address; first among {len(able)} by Seedbox, then always on"
    among = _count(able, lambda host: not host.spec.on_home_ip)
    return f"off the home address, so that home stays dark; first among {among} by Seedbox, then always on"


def _count(hosts: Sequence[Host], wanted: Callable[[Host], bool]) -> int:
    return sum(1 for host in hosts if wanted(host))


def duty_violations(
    hosts: Sequence[Host], free: Mapping[str, int | None], assigned: Mapping[str, Sequence[Duty]]
) -> list[str]:
    """What an assignment does against the rules, as sentences; empty if nothing.

    Written from the rules and not from `assign_duties`, to be checked against it.
    """
    by_name = {host.name: host for host in hosts}
    holders = {
        name: [h for h, duties in assigned.items() if name in {d.name for d in duties}] for name in DUTIES
    }
    wrong = [f"{name} is no host of this fleet" for name in assigned if name not in by_name]
    if wrong:
        return wrong
    consumers = {host.name for host in hosts if host.spec.host_class == "Consumer"}
    others = [host for host in hosts if host.name not in consumers]
    for host_name, duties in assigned.items():
        if host_name in consumers and duties:
            wrong.append(f"{host_name} is a Consumer and has a duty")
        if any(not duty.rule for duty in duties):
            wrong.append(f"{host_name} has a duty without a reason")
    wrong += _broadcast_violations(others, holders["broadcast"], by_name)
    faces = holders["publicSwarmFace"]
    if len(faces) != (1 if others else 0):
        wrong.append(f"{len(faces)} hosts face the public swarm")
    away = [host for host in others if not host.spec.on_home_ip]
    for face in faces:
        if away and by_name[face].spec.on_home_ip:
            wrong.append(
                f"{face} faces the public swarm from home, and {away[0].name} is off the home address"
            )
        seedboxes = [h for h in (away or others) if h.spec.host_class == "Seedbox"]
        if seedboxes and by_name[face].spec.host_class != "Seedbox":
            wrong.append(f"{face} faces the public swarm before the seedbox {seedboxes[0].name}")
    relays = {h.name for h in others if h.spec.always_on and h.spec.reachable in ("WireGuard", "PublicIP")}
    if set(holders["f2fRelay"]) != relays | set(holders["broadcast"]):
        wrong.append("f2fRelay is not the broadcast host and the always-on hosts reachable from outside")
    for host in others:
        room = free.get(host.name)
        floor = host.spec.always_on and bool(host.spec.media_roots) and (room is None or room > reserve(host))
        if floor != (host.name in holders["custodyFloor"]):
            wrong.append(f"{host.name} {'lacks' if floor else 'has'} the custody floor against the rule")
    return wrong


def _broadcast_violations(
    others: Sequence[Host], speakers: Sequence[str], by_name: Mapping[str, Host]
) -> list[str]:
    eligible = [host for host in others if host.spec.always_on and host.spec.reachable == "PublicIP"]
    if len(speakers) != (1 if eligible else 0):
        return [f"{len(speakers)} hosts broadcast, with {len(eligible)} eligible"]
    for speaker in speakers:
        host = by_name[speaker]
        if host not in eligible:
            return [f"{speaker} broadcasts and is not eligible"]
        best = min(CLASS_PREFERENCE[one.spec.host_class] for one in eligible)
        if CLASS_PREFERENCE[host.spec.host_class] != best:
            return [f"{speaker} broadcasts before a host of a preferred class"]
    return []
