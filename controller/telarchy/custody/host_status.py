"""What custody reports of hosts and of the fleet: volumes, capacity, transfers, what is held. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from telarchy.core.observation import Observation
from telarchy.core.report import Coarse
from telarchy.core.words import format_span, listing, plural, printable, quoted
from telarchy.custody.actions import Copy
from telarchy.custody.draining import drained
from telarchy.custody.evidence import VolumeSeen, VolumeState
from telarchy.custody.mounts import DECLARE_IT
from telarchy.custody.status import COUNTED, condition
from telarchy.resources.meta import Ref

if TYPE_CHECKING:
    from telarchy.custody.plan import Deliberation

MOST_HELD = 64
MOST_TRANSFERS = 10


def host_statuses(
    done: Deliberation, seen: Observation, floors: Iterable[Mapping[str, Any]]
) -> dict[Ref, dict[str, Any]]:
    """Parts of the statuses of Hosts and the Fleet. `floors`: the statuses of all floors."""
    found: dict[Ref, dict[str, Any]] = {}
    if done.terms.fleet_ref is not None:
        words = [*COUNTED.values(), "titles"]
        found[done.terms.fleet_ref] = _fleet_status(
            done, {word: sum(one[word] for one in floors) for word in words}
        )
    by_host: dict[str, list[tuple[str, VolumeSeen]]] = {name: [] for name in done.terms.hosts}
    for key, volume in sorted(done.custody.volumes.items(), key=lambda pair: pair[1].root):
        by_host.setdefault(volume.host, []).append((key, volume))
    for name in done.terms.hosts:
        found[Ref("Host", done.terms.namespace, name)] = _host_status(done, seen, name, by_host[name])
    return found


def _host_status(
    done: Deliberation, seen: Observation, host: str, seen_there: Sequence[tuple[str, VolumeSeen]]
) -> dict[str, Any]:
    volumes, free, total, reserve, known = [], 0, 0, 0, False
    for key, volume in seen_there:
        root = done.terms.roots.get((volume.host, volume.root))
        if root is None:
            continue
        held = done.census.catalogue.holdings.get(key)
        shown: dict[str, Any] = {
            "root": volume.root,
            "id": volume.id,
            "state": str(volume.state),
            "path": volume.path,
            "titles": 0 if held is None else len(held),
            "bytes": 0 if held is None else held.total_bytes,
        }
        if volume.free is not None and volume.total is not None:
            known = True
            shown |= {"free": coarse(volume.free), "total": volume.total}
            free, total = free + volume.free, total + volume.total
            reserve += root.kept_free(volume.total)
        volumes.append(shown)
    status: dict[str, Any] = {"volumes": volumes, "transfers": _transfers(done, seen, host)}
    if known:
        status["capacity"] = {"free": coarse(free), "total": total, "reserve": reserve}
    troubles = [_trouble(volume) for _, volume in seen_there if _in_trouble(volume)]
    borrowed = _borrowed(done, seen_there)
    status["conditions"] = [
        condition(
            "VolumesMounted",
            not troubles,
            "VolumeTrouble" if troubles else "Mounted",
            "; ".join(troubles),
        )
    ]
    if borrowed:
        status["conditions"].append(condition("CopiesInDoubt", True, "MountBelowRoot", "; ".join(borrowed)))
    there = done.terms.hosts[host]
    if there.draining:
        gone, reason, message = drained(done, host)
        status["conditions"].append(condition("Drained", gone, reason, message))
        if gone and there.up:
            status["conditions"].append(condition("Ready", True, reason, message))
    if troubles and there.up:  # whether a host that is away is ready is not ours to say
        status["conditions"].append(condition("Ready", False, "VolumeTrouble", "; ".join(troubles)))
    return status


def _borrowed(done: Deliberation, volumes: Sequence[tuple[str, VolumeSeen]]) -> list[str]:
    """What of these volumes does not count as their own, a line each."""
    found = []
    for key, volume in volumes:
        held, titles = done.census.catalogue.holdings.get(key), done.census.borrowed.get(key)
        count = 0 if held is None or titles is None else int(np.isin(held.title, titles).sum())
        if count:
            where = listing([quoted(one) for one in volume.borrowed])
            found.append(
                f"{plural(count, 'title')} in {volume.path} may be another host's, and "
                f"{'count' if count > 1 else 'counts'} as unknown: something is mounted at {where}; {DECLARE_IT}"
            )
    return found


def _in_trouble(volume: VolumeSeen) -> bool:
    if volume.state is VolumeState.UNKNOWN:
        return bool(volume.message)
    return volume.state not in (VolumeState.MOUNTED, VolumeState.NEW)


def _trouble(volume: VolumeSeen) -> str:
    said = volume.message or str(volume.state)
    return said if volume.path in said else f"{volume.path}: {said}"


def coarse(free: int) -> Coarse:
    """Free bytes in steps of 16 MiB, so that a log line written on a host is not a change of status."""
    return Coarse(free, 1 << 24)


def _transfers(done: Deliberation, seen: Observation, host: str) -> list[dict[str, Any]]:
    found = []
    for running in seen.running.values():
        copy = running.action
        if not isinstance(copy, Copy) or host not in (copy.host, copy.source_host):
            continue
        progress = running.progress
        total = progress.total or copy.bytes
        tenths = progress.bytes * 10 // total if total else 0
        shown: dict[str, Any] = {
            "title": printable(copy.title),
            "from": copy.source_host,
            "to": copy.host,
            "bytes": total * tenths // 10,
            "total": total,
            "phase": progress.phase,
        }
        if progress.rate:
            # in steps of an eighth of its size at the most: a line to another house moves less than a MiB a second
            shown["rate"] = Coarse(int(progress.rate), 1 << max(0, int(progress.rate).bit_length() - 4))
            if progress.eta is not None:
                shown["eta"] = format_span(math.ceil(progress.eta / 10) * 10)
        found.append(shown)
    found.sort(key=lambda one: (one["title"], one["to"]))
    return found[:MOST_TRANSFERS]


def _fleet_status(done: Deliberation, totals: Mapping[str, int]) -> dict[str, Any]:
    free = total = custody = 0
    for volume in done.custody.volumes.values():
        host = done.terms.hosts.get(volume.host)
        root = done.terms.roots.get((volume.host, volume.root))
        if host is None or root is None or volume.free is None or host.consumer:
            continue
        usable = max(0, volume.free - root.kept_free(volume.total))
        free, total = free + usable, total + (volume.total or 0)
        if host.always_on:
            custody += int(usable * host.uptime)
    held = [
        {
            "hash": hold.hash,
            "reason": hold.reason,
            "summary": f"{hold.summary}: telarchy approve {hold.hash}",
            "actions": len(hold.action_ids),
            "bytes": hold.bytes,
        }
        for hold in done.upkeep.holds[:MOST_HELD]
    ]
    return {
        "custody": dict(totals),
        "capacity": {"free": coarse(free), "total": total, "custody": coarse(custody)},
        "brake": {"engaged": done.terms.brake.engaged, "reason": done.terms.brake.reason},
        "held": held,
    }
