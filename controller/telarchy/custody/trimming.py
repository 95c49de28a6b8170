"""Culling copies above `maxCopies`: which go, which must stay, and when a person decides. Pure.

What is planned here is still only a wish: `act` proves it again at the moment of acting (custody rule 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Hold, Step
from telarchy.core.words import plural
from telarchy.custody.actions import Copy, Trim, Verify
from telarchy.custody.census import Census, FloorCount
from telarchy.custody.custodians import custodians_of
from telarchy.custody.evidence import CustodySeen, VolumeState
from telarchy.custody.placement import Ledger
from telarchy.custody.proof import FRESH_SECONDS
from telarchy.custody.terms import FloorTerms, Terms
from telarchy.custody.titles import Pattern
from telarchy.custody.upkeep import Upkeep
from telarchy.custody.weighing import Holder, Standing, TitleState, TitleView, Weight, view_of, weigh

MOST_TRIMS = 200  # titles per plan
MOST_LOOKED_AT = 10 * MOST_TRIMS  # titles that look ripe by their columns, and may turn out not to be
BORROWED = (
    "one of its copies lies where something is mounted below a media root, and may be another one seen twice"
)


def plan_trims(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    ledger: Ledger,
    now: float,
    not_now: str,
) -> None:
    """Surplus above `maxCopies`: the oldest holders go, the custodians stay. Held when it is many at once."""
    if not_now:
        return
    for running in seen.running.values():
        if isinstance(running.action, Verify):
            ledger.take_reading(running.action)
    wanted: dict[str, list[Step]] = {}
    moving = _in_flight(seen, custody)
    taken: set[int] = set()
    for count, (_, pairs) in zip(census.floors, census.inputs, strict=True):
        if not count.surplus or not count.terms.acts or count.terms.max_copies is None:
            continue
        trimmed = 0
        for title in _ripe(up, terms, custody, census, count, dict(pairs), now):
            if title in taken or trimmed >= MOST_TRIMS:
                continue
            taken.add(title)
            steps, why_not = _trim_steps(terms, seen, custody, census, ledger, count, title, moving, now)
            if why_not:
                up.frozen.setdefault(title, why_not)
            trimmed += bool(steps)
            for step in steps:
                wanted.setdefault(step.action.host, []).append(step)
    for host in sorted(wanted):
        _brake_mass_change(up, terms, seen, custody, census, host, wanted[host], now)
    up.steps[:] = _one_of_each_title(up.steps, seen)


def _one_of_each_title(steps: Sequence[Step], seen: Observation) -> Iterator[Step]:
    """Copies of one title go one after the other: each removal counts on the others as they are."""
    leaving = {one.action.title for one in seen.running.values() if isinstance(one.action, Trim)}
    for step in steps:
        trim = step.action
        if isinstance(trim, Trim) and step.decision is Decision.START and trim.id not in seen.running:
            if trim.title in leaving:
                yield Step(trim, Decision.QUEUE, "another copy of it goes first", ref=step.ref)
                continue
            leaving.add(trim.title)
        yield step


def _in_flight(seen: Observation, custody: CustodySeen) -> frozenset[str]:
    """Titles that are being copied, here or on a host: their sources must stay."""
    here = {one.action.title for one in seen.running.values() if isinstance(one.action, Copy)}
    there = {
        job.title
        for volume in custody.volumes.values()
        for job in volume.jobs
        if job.verb == Copy.verb and job.state in ("Running", "Staged")
    }
    return frozenset(here | there)


def _ripe(
    up: Upkeep,
    terms: Terms,
    custody: CustodySeen,
    census: Census,
    count: FloorCount,
    standings: Mapping[str, Standing],
    now: float,
) -> Iterator[int]:
    """Surplus titles past their cool-down of which every holder is live. The rest gets its reason in `up.frozen`.

    By columns, since a library full of young surplus must not keep the ripe part of it from being seen.
    """
    ids = np.array(sorted(count.surplus), np.int32)
    latest, doubtful = np.zeros(len(ids), np.int64), np.zeros(len(ids), bool)
    borrowed = np.zeros(len(ids), bool)
    counted = custody.counted.get(count.terms.surplus_key, {}) if custody.counted is not None else None
    for volume, standing in standings.items():
        held = census.catalogue.holdings.get(volume)
        if held is None or not len(held):
            continue
        at = np.minimum(np.searchsorted(held.title, ids), len(held) - 1)
        here = held.title[at] == ids
        since = held.since[at]
        if counted is not None and standing.counts:
            since = np.maximum(since, int(now - counted.get(standing.place_of(volume), 0.0)))
        latest = np.where(here, np.maximum(latest, since), latest)
        doubtful |= here & (standing.weight != Weight.LIVE)
        if volume in census.hidden:
            doubtful |= here & np.isin(ids, census.hidden[volume])
        if volume in census.borrowed:
            borrowed |= here & np.isin(ids, census.borrowed[volume])
    up.frozen.update(dict.fromkeys(ids[borrowed].tolist(), BORROWED))
    ids, latest, doubtful = ids[~borrowed], latest[~borrowed], doubtful[~borrowed]
    ripe_at = latest + terms.fleet.trim.cooldown.seconds
    young = ids[(ripe_at > now) & ~doubtful]
    if len(young):
        up.wake(float(ripe_at[(ripe_at > now) & ~doubtful].min()))
    up.frozen.update(dict.fromkeys(young.tolist(), "it has been surplus for less than the cool-down"))
    unsure = sorted({one.host for one in standings.values() if one.weight is not Weight.LIVE or one.hidden})
    up.frozen.update(
        dict.fromkeys(ids[doubtful].tolist(), f"nothing is removed while {', '.join(unsure)} cannot be asked")
    )
    yield from ids[(ripe_at <= now) & ~doubtful].tolist()[:MOST_LOOKED_AT]


def _trim_steps(
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    ledger: Ledger,
    count: FloorCount,
    title: int,
    moving: frozenset[str],
    now: float,
) -> tuple[list[Step], str]:
    """Steps that cull one title, or why it is left alone. What any floor needs of it stays."""
    name, floor = census.catalogue.names.name(title), count.terms
    if name in moving:
        return [], "a copy of it is under way"
    keepers: dict[str, Holder] = {}
    view: TitleView | None = None
    copies = always_on = 0
    for other, (_, pairs) in zip(census.floors, census.inputs, strict=True):
        mine = title < len(other.member) and bool(other.member[title])
        if not mine:
            if _overlaps(name, other.terms):
                return [], f"{other.terms.ref} counts a part of it, or what it is a part of"
            continue
        seen_so = view_of(census.catalogue, title, dict(pairs))
        if why_not := _not_sound(seen_so, other.terms):
            return [], why_not
        wanted = max(other.terms.copies, other.terms.max_copies or other.terms.copies)
        keep = custodians_of(seen_so.holders, wanted, always_on=other.terms.always_on)
        keepers.update((one.volume, one) for one in keep)
        copies, always_on = max(copies, other.terms.copies), max(always_on, other.terms.always_on)
        if other is count:
            view = seen_so
    if view is None:
        return [], "no floor counts it"
    if resting := sorted(
        {one.standing.host for one in keepers.values() if terms.hosts[one.standing.host].suspended}
    ):
        return [], f"nothing counts on {', '.join(resting)}, which is suspended"
    domains = {one.standing.domain for one in keepers.values()}
    victims = [
        one
        for one in view.holders
        if one.standing.counts
        and one.standing.domain not in domains
        and not terms.hosts[one.standing.host].suspended
        and custody.volumes[one.volume].state is VolumeState.MOUNTED
    ]
    if not victims:
        return [], "the floors need every copy of it"
    stale = [one for one in keepers.values() if abs(now - one.verified) > FRESH_SECONDS]
    stale += [one for one in victims if not one.verified]
    if stale:
        # A removal stands on copies that were read within the day, and takes none that never was; reading comes first.
        return [_read_first(one, custody, ledger, seen, name, floor) for one in stale], ""
    return [_trim(one, custody, name, view, keepers, floor, copies, always_on) for one in victims], ""


def _not_sound(view: TitleView, floor: FloorTerms) -> str:
    """Why nothing of a title may go as far as one floor is concerned, "" when something may."""
    if view.conflict:
        return f"its copies differ: {view.conflict}"
    if any(not one.complete for one in view.holders):
        return "one of its copies is not whole"
    if doubtful := sorted({one.standing.host for one in view.holders if not one.live}):
        return f"nothing is removed while {', '.join(doubtful)} cannot be asked"
    if any(one.borrowed for one in view.holders):
        return BORROWED
    if weigh(view, floor).state is not TitleState.MET:
        return f"{floor.ref} needs every copy of it"
    return ""


def _overlaps(title: str, floor: FloorTerms) -> bool:
    parts = title.split("/")
    for pattern in map(Pattern, floor.select):
        if pattern.depth == len(parts):
            continue
        shared = min(pattern.depth, len(parts))
        if Pattern("/".join(pattern.components[:shared])).matches(parts[:shared]):
            return True
    return False


def _read_first(
    holder: Holder, custody: CustodySeen, ledger: Ledger, seen: Observation, title: str, floor: FloorTerms
) -> Step:
    volume = custody.volumes[holder.volume]
    verify = Verify(host=volume.host, root=volume.root, volume=holder.volume, bytes=holder.bytes, title=title)
    if verify.id in seen.running:
        return Step(verify, ref=floor.ref)
    if ledger.reading[volume.host]:
        return Step(verify, Decision.QUEUE, f"{volume.host} already reads one title", ref=floor.ref)
    ledger.take_reading(verify)
    return Step(verify, ref=floor.ref)


def _trim(
    victim: Holder,
    custody: CustodySeen,
    title: str,
    view: TitleView,
    keepers: Mapping[str, Holder],
    floor: FloorTerms,
    copies: int,
    always_on: int,
) -> Step:
    trim = Trim(
        host=victim.standing.host,
        root=custody.volumes[victim.volume].root,
        volume=victim.volume,
        bytes=victim.bytes,
        title=title,
        fingerprint=view.fingerprint,
        keepers=tuple(sorted(keepers)),
        floor=copies,
        always_on=always_on,
    )
    return Step(trim, ref=floor.ref)


def mass_change_limit(terms: Terms, titles: int) -> int:
    """Titles that may leave one host within a day without a person (custody rule 6): at least one."""
    brakes = terms.fleet.brakes
    return max(1, min(brakes.max_change_titles, titles * brakes.max_change_percent // 100))


def _brake_mass_change(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    host: str,
    steps: list[Step],
    now: float,
) -> None:
    volumes = [volume for volume in custody.volumes.values() if volume.host == host]
    titles = sum(len(census.catalogue.holdings.get(volume.key, ())) for volume in volumes)
    gone = sum(volume.removed for volume in volumes)
    limit = mass_change_limit(terms, titles + gone)  # a share of what the host had, not of what is left
    # What is on its way out is not counted as gone yet: copies that become surplus one by one are one change as well.
    gone += sum(isinstance(one.action, Trim) and one.action.host == host for one in seen.running.values())
    removals = [step for step in steps if step.action.removes]
    free = [step for step in removals if step.action.id in seen.approved or step.action.id in seen.running]
    asked = [step for step in removals if step not in free]
    up.steps += [up.gate(seen, now, step.action, step) for step in steps if not step.action.removes]
    up.steps += [up.gate(seen, now, step.action, step) for step in free]
    if not asked:
        return
    if len(asked) + gone <= limit:
        up.steps += [up.gate(seen, now, step.action, step) for step in asked]
        return
    hold = Hold(
        f"{plural(len(asked), 'title')} would leave {host} ({gone} left within the last day); "
        f"more than {limit} wait for a person",
        f"move {plural(len(asked), 'surplus copy', 'surplus copies')} on {host} to its trash",
        tuple(step.action.id for step in asked),
        sum(step.action.bytes for step in asked),
        asked[0].ref,
    )
    up.holds.append(hold)
    reason = f"held: `telarchy approve {hold.hash}`"
    up.steps += [Step(step.action, Decision.HOLD, reason, ref=step.ref) for step in asked]
