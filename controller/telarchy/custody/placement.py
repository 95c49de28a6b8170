"""Where a copy goes and where it comes from. Pure, deterministic, and sticky: adding a host moves nothing.

Free bytes and transfer slots are reserved here, at plan time (custody rule 7): a plan never promises a volume
more than it has, whatever else the same plan puts there.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from telarchy.core.observation import Observation
from telarchy.core.words import format_bytes, listing
from telarchy.custody.actions import Copy, Verify
from telarchy.custody.evidence import VolumeSeen, VolumeState
from telarchy.custody.mounts import DECLARE_IT, concerns
from telarchy.custody.terms import FloorTerms, HostTerms, Terms
from telarchy.custody.weighing import Holder, TitleView, Weight
from telarchy.resources.meta import Ref


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
    _candidates: dict[tuple[Ref, bool], Candidates] = field(default_factory=dict)

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

    def declared(self) -> Iterator[tuple[str, VolumeSeen, HostTerms]]:
        """The volumes of declared hosts, by key."""
        for key, volume in sorted(self.volumes.items()):
            host = self.terms.hosts.get(volume.host)
            if host is not None and (volume.host, volume.root) in self.terms.roots:
                yield key, volume, host

    def candidates(self, floor: FloorTerms, *, steady: bool) -> Candidates:
        """The volumes that a floor may use; with `steady`, on always-on hosts alone."""
        known = self._candidates.get((floor.ref, steady))
        if known is None:
            known = self._candidates[floor.ref, steady] = Candidates.of(self, floor, steady=steady)
        return known

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


@lru_cache(maxsize=1024)
def lots(title: str, places: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """What this title draws for each volume: -1 / ln(u), u a hash of (title, place) in (0, 1).

    A volume's lot times its weight is its score in weighted rendezvous hashing, and the highest wins: every
    title ranks the volumes in its own order, in proportion to their weights, and a volume that comes or goes
    changes only the titles that it wins or held (Thaler and Ravishankar 1998; weights after Resch).
    """
    start = hashlib.blake2b(title.encode("utf-8", "surrogateescape") + b"\0", digest_size=8)
    drawn = []
    for place in places:
        both = start.copy()
        both.update(place.encode("utf-8", "surrogateescape"))
        uniform = (int.from_bytes(both.digest(), "big") + 0.5) / 2.0**64
        drawn.append(-1.0 / math.log(uniform))
    return np.array(drawn)


@dataclass(frozen=True)
class Target:
    """A volume that could receive the title; `missing` are the paths it lacks where it has a part already."""

    volume: VolumeSeen
    host: HostTerms
    missing: tuple[str, ...] = ()


class _Rank:
    """Bits of a candidate's rank, the weightiest first. A lower rank is better; equal ones go by their scores."""

    NOT_RECEIVING = 256  # it does not receive this very title already
    SHUNNED = 128
    OCCUPIED = 64  # its failure domain has the title on a lesser host
    NOT_STAGED = 32
    NO_PART = 16
    DOUBLED = 8  # its failure domain has the title whole
    NOT_QUARANTINED = 4  # it has no damaged file of this title set aside, to be replaced
    NOT_PREFERRED = 2
    NOT_STEADY = 1


@dataclass(frozen=True, eq=False)
class Candidates:
    """The volumes that one floor may put copies on, in columns: what no title changes is asked once per plan."""

    keys: tuple[str, ...]  # ascending
    # What lots are drawn by. Not the ids: those of new volumes are made up when they are adopted, and a plan that
    # was shown before would put the copies elsewhere than the run behind it.
    places: tuple[str, ...]
    at: Mapping[str, int]
    in_domain: Mapping[str, list[int]]
    mounts: tuple[int, ...]  # positions of volumes with something mounted in them
    quarantines: tuple[int, ...]  # positions of volumes that have set something aside
    rank: npt.NDArray[np.int64]
    trust: npt.NDArray[np.float64]

    @classmethod
    def of(cls, ledger: Ledger, floor: FloorTerms, *, steady: bool) -> Candidates:
        found = [
            (key, volume, host)
            for key, volume, host in ledger.declared()
            if not _unfit(volume, host, floor, steady=steady)
        ]
        in_domain: dict[str, list[int]] = {}
        for at, (_, _, host) in enumerate(found):
            in_domain.setdefault(host.domain, []).append(at)
        plain = _Rank.NOT_RECEIVING | _Rank.NOT_STAGED | _Rank.NO_PART | _Rank.NOT_QUARANTINED
        ranks = [
            plain
            + _Rank.NOT_PREFERRED * (host.name not in floor.preferred)
            + _Rank.NOT_STEADY * (not host.always_on)
            for _, _, host in found
        ]
        return cls(
            keys=tuple(key for key, _, _ in found),
            places=tuple(f"{volume.host}/{volume.root}" for _, volume, _ in found),
            at={key: at for at, (key, _, _) in enumerate(found)},
            in_domain=in_domain,
            mounts=tuple(at for at, (_, volume, _) in enumerate(found) if volume.mounts),
            quarantines=tuple(at for at, (_, volume, _) in enumerate(found) if volume.quarantined),
            rank=np.array(ranks, np.int64),
            trust=np.array([max(host.uptime, 0.05) ** 2 for _, _, host in found]),
        )


class Placing:
    """Where one more copy of a title may go under one floor.

    promised:  what the same plan gives the title already
    steady:    only always-on hosts will do; one in a domain where the title is on a lesser host is no bar
    staged:    volumes that receive this very title (None), or hold a part of it in staging (bytes)
    shunned:   volumes that failed it before: taken when there is no other
    """

    def __init__(
        self,
        view: TitleView,
        title: str,
        floor: FloorTerms,
        ledger: Ledger,
        *,
        promised: Sequence[Target] = (),
        steady: bool = False,
        staged: Mapping[str, int | None] | None = None,
        shunned: Collection[str] = (),
    ) -> None:
        self.view, self.title, self.floor, self.ledger, self.steady = view, title, floor, ledger, steady
        self.staged, self.shunned = staged or {}, shunned
        self.holders = {one.volume: one for one in view.holders}
        self.there = {one.volume.key for one in promised}
        # A copy that does not count (drained, left out by the floor, gone with its host) keeps no place taken.
        present = [one for one in view.holders if one.standing.counts and one.standing.weight > Weight.GONE]
        present = [one for one in present if one.complete or one.damaged or not one.live]
        self.occupied = {one.standing.domain: False for one in present}  # domain -> by an always-on host
        self.occupied |= {one.standing.domain: True for one in present if one.standing.always_on}
        for one in promised:
            if one.host.name in floor.allowed:
                domain = one.host.domain
                self.occupied[domain] = one.host.always_on or self.occupied.get(domain, False)

    def targets(self) -> Iterator[Target]:
        """Volumes that may receive the copy, best first."""
        fit = self.ledger.candidates(self.floor, steady=self.steady)
        room = np.array([self.ledger.free.get(key, 0) for key in fit.keys], np.int64)
        score = np.maximum(room, 1) * fit.trust * lots(self.title, fit.places)
        rank, free = fit.rank.copy(), room >= self.view.bytes
        for one in self.view.holders:
            if one.complete:
                for at in fit.in_domain.get(one.standing.domain, ()):
                    rank[at] |= _Rank.DOUBLED
        for domain in self.occupied:
            for at in fit.in_domain.get(domain, ()):
                rank[at] |= _Rank.OCCUPIED
                free[at] = free[at] and not self._taken(domain)
        for at in fit.quarantines:
            if self.title in self.ledger.volumes[fit.keys[at]].quarantined:
                rank[at] -= _Rank.NOT_QUARANTINED
        for key in self.shunned:
            if key in fit.at:
                rank[fit.at[key]] |= _Rank.SHUNNED
        for key in {*self.holders, *self.staged, *self.there}:
            if key in fit.at:
                at = fit.at[key]
                rank[at] -= _Rank.NO_PART * (key in self.holders) + _Rank.NOT_STAGED * (key in self.staged)
                rank[at] -= _Rank.NOT_RECEIVING * (self.staged.get(key, 0) is None)
                host = self.ledger.terms.hosts[self.ledger.volumes[key].host]
                free[at] = not self._has(key) and not self._taken(host.domain) and self._fits(key)
        for at in fit.mounts:
            free[at] = free[at] and not self._mounted(fit.keys[at])
        for at in np.lexsort((-score, rank)).tolist():  # stable: equal ones by key
            if free[at]:
                volume = self.ledger.volumes[fit.keys[at]]
                holder = self.holders.get(fit.keys[at])
                missing = holder.missing if holder is not None else ()
                yield Target(volume, self.ledger.terms.hosts[volume.host], missing)

    def reasons(self) -> Counter[str]:
        """How often each reason keeps a volume out that has no copy yet, or none that counts."""
        reasons: Counter[str] = Counter()
        for key, volume, host in self.ledger.declared():
            if self._has(key) and host.draining:
                reasons[f"{volume.host}: it has one, and is being drained"] += 1
            if self._has(key) or self._taken(host.domain):
                continue
            why_not = _unfit(volume, host, self.floor, steady=self.steady)
            if not why_not and self._mounted(key):
                why_not = f"it would lie on a file system that is mounted below {volume.path}; {DECLARE_IT}"
            if not why_not and not self._fits(key):
                size = needed_bytes(self.view, self.holders.get(key))
                why_not = f"less than {format_bytes(size)} free above the reserve"
            if why_not:
                reasons[f"{volume.host}: {why_not}"] += 1
        return reasons

    def _has(self, key: str) -> bool:
        """Whether the title is on this volume, or promised to it. A part of it does not count."""
        holder = self.holders.get(key)
        return key in self.there or (holder is not None and not holder.missing)

    def _taken(self, domain: str) -> bool:
        """Whether another copy in this failure domain would be one too many."""
        return domain in self.occupied and (self.occupied[domain] or not self.steady)

    def _mounted(self, key: str) -> bool:
        """Whether its place on this volume is not on the volume's own file system, so that nothing appears there."""
        mounts = self.ledger.volumes[key].mounts
        return bool(mounts) and concerns(self.title, mounts)

    def _fits(self, key: str) -> bool:
        already = self.staged.get(key, 0)
        if already is None:
            return True
        return self.ledger.room(key) >= needed_bytes(self.view, self.holders.get(key)) - already


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
    if volume.toolless_until:
        return "it has no rsync: install it there"
    if host.max_in == 0:
        return "its transfers.maxIn is 0"
    if volume.state not in (VolumeState.MOUNTED, VolumeState.NEW):
        return volume.message or f"its volume {volume.root} is {volume.state}"
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
            host.name,
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
