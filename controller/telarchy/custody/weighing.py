"""One title under one floor: who has it, what that counts for, what is missing. Pure, and the readable truth.

The census does the same sums in columns for a million titles; this is the version a person can follow, and
the one that `telarchy why` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from telarchy.custody.catalogue import DAMAGED, Catalogue
from telarchy.custody.manifest import compare, fingerprint_number
from telarchy.custody.mounts import concerns
from telarchy.custody.terms import FloorTerms


class Weight(IntEnum):
    """What a volume's word is worth now."""

    GONE = 0  # its host is down for longer than its grace
    UNKNOWN = 1  # unmounted, another disk, or nobody could ask: it may well hold what it held
    WAITING = 2  # its host is missing inside its grace, or under maintenance: counted, and not used
    LIVE = 3  # seen now


class TitleState(IntEnum):
    """How a title stands under a floor. Every title is in exactly one."""

    MET = 0
    LACKING = 1
    COPYING = 2  # lacking, and a copy is on its way
    BADLY_PLACED = 3  # enough copies, too few of them where they should be
    UNRECOVERABLE = 4  # no declared volume has it, or no good copy is left
    UNKNOWN = 5  # it cannot be told, and so nothing is done


@dataclass(frozen=True, order=True)
class Standing:
    """A volume as one floor counts it. `counts`: allowed by the floor and not being drained.

    borrowed:  folders in it where something is mounted that may be another volume's
    hidden:    folders in it that nobody can look into now
    """

    host: str
    domain: str
    weight: Weight
    always_on: bool
    counts: bool
    borrowed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def place_of(self, volume: str) -> str:
        """What its copies count as: a volume, in a failure domain."""
        return f"{volume} {self.domain}"


@dataclass(frozen=True, slots=True)
class Holder:
    """One volume's share of a title. `missing` and `damaged` are paths; complete means neither.

    borrowed:  it lies where something is mounted that may be another volume's, so that it may be another's copy
    hidden:    nobody can look at it now, or at a part of it
    """

    volume: str
    standing: Standing
    bytes: int
    files: int
    verified: int
    since: int
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    borrowed: bool = False
    hidden: bool = False

    @property
    def complete(self) -> bool:
        return not self.missing and not self.damaged

    @property
    def live(self) -> bool:
        """Whether it can be read now. For what that counts, see `weight`."""
        return self.standing.weight is Weight.LIVE and not self.hidden

    @property
    def weight(self) -> Weight:
        """What it counts for. One that may be another one seen twice, or is out of sight, is neither counted nor made
        again."""
        unsure = self.borrowed or self.hidden
        return min(self.standing.weight, Weight.UNKNOWN) if unsure else self.standing.weight


@dataclass(frozen=True, slots=True)
class TitleView:
    """A title and all its holders. `fingerprint` of the reference, 16 hex digits; `conflict` says why it is unclear."""

    number: int
    holders: tuple[Holder, ...]
    bytes: int
    files: int
    fingerprint: str
    conflict: str = ""


def view_of(
    catalogue: Catalogue, title: int, standings: Mapping[str, Standing], rows: Mapping[str, int] | None = None
) -> TitleView:
    """Gather the holders of a title on volumes that have a standing, by volume key.

    `rows`: where it stands on which volume, as `Catalogue.holders` says, for who has asked already.
    """
    rows = catalogue.holders(title) if rows is None else rows
    rows = {volume: at for volume, at in rows.items() if volume in standings}
    odd = catalogue.irregular.get(title)
    if odd is None:
        holders = tuple(_holder(catalogue, volume, at, standings) for volume, at in sorted(rows.items()))
        if not holders:
            return TitleView(title, (), 0, 0, "")
        first = catalogue.holdings[holders[0].volume]
        print_of = int(first.fingerprint[rows[holders[0].volume]])
        return TitleView(
            title, holders, max(one.bytes for one in holders), holders[0].files, f"{print_of:016x}"
        )
    variants = compare({volume: manifest for volume, manifest in odd.items() if volume in rows})
    holders = tuple(
        _holder(
            catalogue,
            volume,
            at,
            standings,
            missing=variants.partial.get(volume, ()),
            damaged=variants.damaged.get(volume, ()),
        )
        for volume, at in sorted(rows.items())
    )
    size = sum(one.size for one in variants.reference) or max((one.bytes for one in holders), default=0)
    return TitleView(
        title,
        holders,
        size,
        len(variants.reference),
        f"{fingerprint_number(variants.reference):016x}",
        variants.conflict,
    )


def _holder(
    catalogue: Catalogue,
    volume: str,
    at: int,
    standings: Mapping[str, Standing],
    missing: tuple[str, ...] = (),
    damaged: tuple[str, ...] = (),
) -> Holder:
    held, standing = catalogue.holdings[volume], standings[volume]
    name = catalogue.names.name(int(held.title[at])) if standing.borrowed or standing.hidden else ""
    if held.flags[at] & DAMAGED and not damaged:
        damaged = ("?",)
    return Holder(
        volume,
        standing,
        int(held.bytes[at]),
        int(held.files[at]),
        int(held.verified[at]),
        int(held.since[at]),
        missing,
        damaged,
        concerns(name, standing.borrowed),
        concerns(name, standing.hidden),
    )


@dataclass(frozen=True, slots=True)
class Weighing:
    """The verdict.

    need:         copies to make now; `steady_need`: how many of them on always-on hosts
    lack:         copies that are lacking by count, whether or not there is a live one to copy from;
    steady_lack:  the same on always-on hosts
    """

    state: TitleState
    need: int = 0
    steady_need: int = 0
    level: int = 2
    live: int = 0
    surplus: bool = False
    lack: int = 0
    steady_lack: int = 0


def weigh(view: TitleView, terms: FloorTerms) -> Weighing:
    """Count domains, not copies; count what waits, never what is gone; do nothing on what is unknown."""
    if not view.holders:
        return Weighing(TitleState.UNRECOVERABLE, level=5)
    if view.conflict:
        return Weighing(TitleState.UNKNOWN)
    counted = [one for one in view.holders if one.complete and one.standing.counts]

    def domains(least: Weight, *, steady: bool = False) -> int:
        return len(
            {
                one.standing.domain
                for one in counted
                if one.weight >= least and (one.standing.always_on or not steady)
            }
        )

    live, sure, maybe = domains(Weight.LIVE), domains(Weight.WAITING), domains(Weight.UNKNOWN)
    steady_sure, steady_maybe = domains(Weight.WAITING, steady=True), domains(Weight.UNKNOWN, steady=True)
    surplus = terms.max_copies is not None and live > terms.max_copies
    if sure >= terms.copies and steady_sure >= terms.always_on:
        return Weighing(TitleState.MET, live=live, surplus=surplus)
    badly = sure >= terms.copies and steady_maybe < terms.always_on
    if not badly and maybe >= terms.copies and steady_maybe >= terms.always_on:
        return Weighing(TitleState.UNKNOWN, live=live, surplus=surplus)
    lack, steady_lack = max(0, terms.copies - maybe), max(0, terms.always_on - steady_maybe)
    if not any(one.live and not one.damaged for one in view.holders):
        lost = all(one.damaged for one in view.holders)
        state = TitleState.UNRECOVERABLE if lost else TitleState.UNKNOWN
        return Weighing(state, 0, 0, 5, live, surplus, lack, steady_lack)
    level = 3 if badly else 0 if live <= 1 else 1 if live * 3 < terms.copies else 2
    state = TitleState.BADLY_PLACED if badly else TitleState.LACKING
    return Weighing(state, max(lack, steady_lack), steady_lack, level, live, surplus, lack, steady_lack)
