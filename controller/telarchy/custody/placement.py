"""Where a copy goes and where it comes from. Pure, deterministic, and sticky: adding a host moves nothing.

Free bytes and transfer slots are reserved here, at plan time (custody rule 7): a plan never promises a volume
more than it has, whatever else the same plan puts there.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from telarchy.core.observation import Observation
from telarchy.core.words import format_bytes, listing
from telarchy.custody.actions import Copy, Verify
from telarchy.custody.evidence import VolumeSeen, VolumeState
from telarchy.custody.terms import FloorTerms, HostTerms, Terms
from telarchy.custody.weighing import Holder, TitleView, Weight


@dataclass
class Ledger:
    """What is still to be given away in this plan: bytes per volume, slots per host and for the fleet."""

    terms: Terms
    volumes: Mapping[str, VolumeSeen]
    free: dict[str, int] = field(default_factory=dict)
    incoming: Counter[str] = field(default_factory=Counter)
    outgoing: Counter[str] = field(default_factory=Counter)
    reading: Counter[str] = field(default_factory=Counter)
    moving: int = 0

    @classmethod
    def of(cls, terms: Terms, volumes: Mapping[str, VolumeSeen]) -> Ledger:
        ledger = cls(terms, volumes)
        for key, volume in volumes.items():
            root = terms.roots.get((volume.host, volume.root))
            if volume.free is None or root is None:
                continue
            ledger.free[key] = volume.free - root.kept_free(volume.total)
        return ledger

    def room(self, volume: str) -> int:
        """Bytes that may still be promised on a volume; none where nobody could look."""
        return self.free.get(volume, 0)

    def slots_free(self, source: str, target: str) -> str:
        """Why a transfer cannot start now, "" when it can. Arguments are host names."""
        limits, hosts = self.terms.fleet.transfers, self.terms.hosts
        if self.moving >= limits.max_parallel:
            return f"all {limits.max_parallel} transfer slots of the fleet are taken"
        if self.incoming[target] >= hosts[target].max_in:
            return f"{target} already receives {self.incoming[target]}"
        if self.outgoing[source] >= hosts[source].max_out:
            return f"{source} already sends {self.outgoing[source]}"
        return ""

    def take(self, copy: Copy, *, already_there: int = 0) -> None:
        """Reserve the bytes of a copy; `already_there` were written before and are not free any more."""
        self.free[copy.volume] = self.room(copy.volume) - max(0, copy.bytes - already_there)

    def take_slots(self, copy: Copy) -> None:
        self.moving += 1
        self.incoming[copy.host] += 1
        self.outgoing[copy.source_host] += 1

    def take_reading(self, verify: Verify) -> None:
        self.reading[verify.host] += 1


def rendezvous(title: str, volume: str, weight: float) -> float:
    """Weighted rendezvous score (higher wins): -w / ln(u), u a hash of (title, volume) in (0, 1).

    Every title ranks the volumes in its own order, in proportion to their weights; a volume that comes or
    goes changes only the titles that it wins or held (Thaler and Ravishankar 1998; weights after Resch).
    """
    raw = title.encode("utf-8", "surrogateescape") + b"\0" + volume.encode("utf-8", "surrogateescape")
    number = int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")
    uniform = (number + 0.5) / 2.0**64
    return -max(weight, 1e-9) / math.log(uniform)


@dataclass(frozen=True)
class Target:
    """A volume that could receive the title; `missing` are the paths it lacks where it has a part already."""

    volume: VolumeSeen
    host: HostTerms
    missing: tuple[str, ...] = ()


def rank_targets(
    view: TitleView,
    title: str,
    floor: FloorTerms,
    ledger: Ledger,
    *,
    promised: Sequence[Target] = (),
    steady: bool = False,
    staged: Mapping[str, int | None] | None = None,
    shunned: Collection[str] = (),
) -> tuple[list[Target], Counter[str]]:
    """Volumes that may receive a copy, best first, and how often each reason kept one out.

    promised:  what the same plan gives the title already
    steady:    only always-on hosts will do; one in a domain where the title is on a lesser host is no bar
    staged:    volumes that receive this very title (None), or hold a part of it in staging (bytes)
    shunned:   volumes that failed it before: taken when there is no other
    """
    staged = staged or {}
    by_volume = {one.volume: one for one in view.holders}
    # A copy that does not count (drained, left out by the floor, gone with its host) keeps no place taken.
    present = [one for one in view.holders if one.standing.counts and one.standing.weight > Weight.GONE]
    present = [one for one in present if one.complete or one.damaged or not one.live]
    occupied = {one.standing.domain: False for one in present}
    occupied |= {one.standing.domain: True for one in present if one.standing.always_on}
    for one in promised:
        if one.host.name in floor.allowed:
            occupied[one.host.domain] = one.host.always_on or occupied.get(one.host.domain, False)
    doubled = {one.standing.domain for one in view.holders if one.complete}
    there = {one.volume.key for one in promised}
    reasons: Counter[str] = Counter()
    ranked: list[tuple[tuple[object, ...], Target]] = []
    for key, volume in ledger.volumes.items():
        host = ledger.terms.hosts.get(volume.host)
        if host is None or (volume.host, volume.root) not in ledger.terms.roots:
            continue
        holder = by_volume.get(key)
        if key in there or (holder is not None and not holder.missing):
            continue
        if host.domain in occupied and (occupied[host.domain] or not steady):
            continue
        why_not = _unfit(volume, host, floor, steady=steady)
        size = needed_bytes(view, holder)
        already = staged.get(key, 0)
        if not why_not and already is not None and ledger.room(key) < size - already:
            why_not = f"less than {format_bytes(size)} free above the reserve"
        if why_not:
            reasons[f"{volume.host}: {why_not}"] += 1
            continue
        weight = max(ledger.room(key), 1) * max(host.uptime, 0.05) ** 2
        order = (
            already is not None,
            key in shunned,
            host.domain in occupied,
            key not in staged,
            holder is None,
            host.domain in doubled,
            title not in volume.quarantined,
            host.name not in floor.preferred,
            not host.always_on,
            -rendezvous(title, key, weight),
            key,
        )
        ranked.append((order, Target(volume, host, holder.missing if holder else ())))
    ranked.sort(key=lambda pair: pair[0])
    return [target for _, target in ranked], reasons


def _unfit(volume: VolumeSeen, host: HostTerms, floor: FloorTerms, *, steady: bool) -> str:
    if host.name not in floor.allowed:
        return "a Consumer holds no copies" if host.consumer else "the floor's selectors leave it out"
    if not host.up:
        return f"it is {host.state.lower()}"
    if host.suspended:
        return "it is suspended"
    if host.draining:
        return "it is being drained"
    if host.cordoned:
        return "it is cordoned"
    if steady and not host.always_on:
        return "it is not always on"
    if host.max_in == 0:
        return "its transfers.maxIn is 0"
    if volume.state not in (VolumeState.MOUNTED, VolumeState.NEW):
        return f"its volume {volume.root} is {volume.state}"
    return ""


def needed_bytes(view: TitleView, holder: Holder | None) -> int:
    """Bytes to move to this holder; a partial one needs the rest only."""
    return max(0, view.bytes - holder.bytes) if holder is not None and holder.missing else view.bytes


def choose_source(view: TitleView, target: Target, ledger: Ledger, *, tried: int = 0) -> Holder | None:
    """The holder to copy from: live, undamaged, with all that is missing if any has it; near, idle, verified first.

    None when no live holder has anything that the target lacks. `tried`: how often this copy failed before;
    holders that are as complete as the best take turns, since the fault may lie with the source.
    """
    wanted = set(target.missing)

    def lacks(holder: Holder) -> int:
        gaps = set(holder.missing)
        return len(wanted & gaps) if wanted else len(gaps)

    hosts = ledger.terms.hosts
    fit = [
        one
        for one in view.holders
        if one.live
        and not one.damaged
        and one.volume != target.volume.key
        and one.standing.host in hosts
        and not hosts[one.standing.host].suspended
        and hosts[one.standing.host].max_out > 0
        and (lacks(one) < len(wanted) if wanted else True)
    ]

    def order(holder: Holder) -> tuple[object, ...]:
        host = hosts[holder.standing.host]
        return (
            lacks(holder),
            ledger.outgoing[host.name] >= host.max_out,
            host.name != target.host.name,
            not (host.site and host.site == target.host.site),
            host.local != target.host.local,
            ledger.outgoing[host.name],
            holder.verified == 0,
            -host.uptime,
            holder.volume,
        )

    fit.sort(key=order)
    equal = [one for one in fit if lacks(one) == lacks(fit[0])]
    return equal[tried % len(equal)] if equal else None


def spoken(reasons: Counter[str]) -> str:
    """The reasons that kept volumes out, for a person; the commonest first, in an order of its own."""
    return listing(sorted(reasons, key=lambda reason: (-reasons[reason], reason)), most=3)


def running_copies(seen: Observation) -> dict[str, Copy]:
    """Copies under way in this controller, by action id."""
    return {key: one.action for key, one in seen.running.items() if isinstance(one.action, Copy)}
