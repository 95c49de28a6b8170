"""Everything but copying: adopt volumes, read copies again, set damage aside, trim surplus, sweep. Pure.

What takes something away is planned only where nothing is unknown, and then it is still only a wish: `act`
proves it again at the moment of acting (custody rule 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from telarchy.core.action import Action
from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Hold, Step
from telarchy.core.words import plural
from telarchy.custody.actions import AdoptVolume, CancelJob, ExpireTrash, Forget, Quarantine, Trim, Verify
from telarchy.custody.census import Census, FloorCount
from telarchy.custody.custodians import custodians_of
from telarchy.custody.evidence import CustodySeen, VolumeState
from telarchy.custody.placement import Ledger
from telarchy.custody.terms import FloorTerms, Terms
from telarchy.custody.titles import Pattern
from telarchy.custody.weighing import Holder, TitleState, TitleView, view_of, weigh

FRESH_SECONDS = 24 * 3600  # a reading this recent may stand in a proof for removal
MOST_TRIMS = 200  # per plan
MOST_FORGOTTEN = 1000  # per hold


@dataclass
class Upkeep:
    """Steps besides copies, the changes that wait for a person, and why surplus titles are left alone."""

    steps: list[Step] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    frozen: dict[int, str] = field(default_factory=dict)
    due: int = 0  # verifications due beyond the ones planned
    due_bytes: int = 0
    wake_at: float | None = None

    def wake(self, at: float | None) -> None:
        if at is not None:
            self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def gate(self, seen: Observation, now: float, action: Action, start: Step) -> Step:
        """`start`, unless the last failure holds the action back."""
        attempt = seen.attempts.get(action.id)
        if attempt is None or action.id in seen.running:
            return start
        if attempt.not_before is None:
            return Step(action, Decision.REFUSE, attempt.message, ref=start.ref)
        if attempt.not_before > now:
            self.wake(attempt.not_before)
            return Step(action, Decision.WAIT, attempt.message, attempt.not_before, start.ref)
        return start


def plan_adoptions(
    up: Upkeep, terms: Terms, seen: Observation, custody: CustodySeen, now: float, not_now: str
) -> None:
    """A root without a sentinel gets one; a root whose volume is gone gets another only by a person's word."""
    for volume in custody.volumes.values():
        host = terms.hosts.get(volume.host)
        if host is None or not host.up or host.suspended:
            continue
        if volume.state is VolumeState.NEW:
            adopt = AdoptVolume(host=volume.host, root=volume.root, volume=volume.key, path=volume.path)
            start = Step(adopt, Decision.WAIT, not_now) if not_now else Step(adopt)
            up.steps.append(up.gate(seen, now, adopt, start))
        elif volume.state in (VolumeState.MISSING, VolumeState.WRONG_ID) and volume.id:
            adopt = AdoptVolume(
                host=volume.host, root=volume.root, volume=volume.key, path=volume.path, replaces=volume.id
            )
            if adopt.id in seen.approved and not not_now:
                up.steps.append(up.gate(seen, now, adopt, Step(adopt)))
            else:
                up.holds.append(
                    Hold(
                        f"volume {volume.id[:8]} is not at {volume.path} on {volume.host}: {volume.message}",
                        f"mount it again, or approve to give it up and use what stands at {volume.path} now",
                        (adopt.id,),
                    )
                )


def plan_verifications(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    ledger: Ledger,
    now: float,
) -> None:
    """Copies whose last reading is too old, the oldest first, one at a time on each host."""
    every = _verify_spans(census)
    if every is None:
        return
    names = census.catalogue.names
    for running in seen.running.values():
        if isinstance(running.action, Verify):
            ledger.take_reading(running.action)
    for key, volume in sorted(custody.volumes.items()):
        held = census.catalogue.holdings.get(key)
        host = terms.hosts.get(volume.host)
        if held is None or not len(held) or host is None or not host.up or host.suspended:
            continue
        if volume.state is not VolumeState.MOUNTED:
            continue
        # What is being read is read to its end, whatever has become due meanwhile.
        started = {one.action.id: one.action for one in seen.running.values() if _reads(one.action, key)}
        up.steps += [Step(action) for action in started.values()]
        span = every[held.title]
        # Up to a fifth earlier, by id, so that what was copied in one evening is not read in one evening.
        early = 1.0 - 0.2 * ((held.title.astype(np.uint64) * np.uint64(2654435761)) % np.uint64(1024)) / 1024
        due_at = np.where(held.verified > 0, held.verified + span * early, 0.0)
        due_at = np.where((span > 0) & ((held.flags & 1) == 0), due_at, np.inf)
        due = np.flatnonzero(due_at <= now)
        coming = due_at[due_at > now]
        if len(coming) and np.isfinite(soonest := float(coming.min())):
            up.wake(soonest)
        if not len(due):
            continue
        oldest = due[np.argsort(due_at[due], kind="stable")]
        total = int(held.bytes[due].sum())
        for row in oldest[: 2 + len(started)].tolist():
            verify = Verify(
                host=volume.host,
                root=volume.root,
                volume=key,
                bytes=int(held.bytes[row]),
                title=names.name(int(held.title[row])),
            )
            if verify.id in started:
                continue
            total -= verify.bytes
            if terms.suspended:
                step = Step(verify, Decision.WAIT, "the fleet is suspended")
            elif ledger.reading[volume.host]:
                step = Step(verify, Decision.QUEUE, f"{volume.host} already reads one title")
            else:
                step = up.gate(seen, now, verify, Step(verify))
            if step.decision is Decision.START:
                ledger.take_reading(verify)
            up.steps.append(step)
        up.due += max(0, len(due) - 2)
        up.due_bytes += total


def _reads(action: Action, volume: str) -> bool:
    return isinstance(action, Verify) and action.volume == volume


def _verify_spans(census: Census) -> npt.NDArray[np.float64] | None:
    """Per title id: the shortest `verify.every` of its floors in seconds, 0 for none. None when no floor has one."""
    spans = None
    for count in census.floors:
        every = count.terms.verify_every
        if every is None or not count.terms.acts:
            continue
        if spans is None:
            spans = np.zeros(len(count.member), np.float64)
        mine = np.where(count.member, every, 0.0)
        spans = np.where((spans > 0) & (mine > 0), np.minimum(spans, mine), np.maximum(spans, mine))
    return spans


def plan_quarantines(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    now: float,
    not_now: str,
) -> None:
    """Damaged files are set aside where a good copy of them is live; a last copy stays where it is."""
    for title in sorted(census.catalogue.irregular):
        for count, (_, pairs) in zip(census.floors, census.inputs, strict=True):
            if title >= len(count.member) or not count.member[title] or not count.terms.acts:
                continue
            view = view_of(census.catalogue, title, dict(pairs))
            for one in view.holders:
                volume = custody.volumes.get(one.volume)
                host = terms.hosts.get(one.standing.host)
                if not one.damaged or not one.live or volume is None or host is None or host.suspended:
                    continue
                keepers = _good_for(view, one)
                if not keepers:
                    continue
                action = Quarantine(
                    host=volume.host,
                    root=volume.root,
                    volume=one.volume,
                    title=census.catalogue.names.name(title),
                    paths=one.damaged,
                    keepers=tuple(keeper.volume for keeper in keepers),
                )
                if volume.state is not VolumeState.MOUNTED:
                    step = Step(action, Decision.WAIT, f"the volume is {volume.state}", ref=count.terms.ref)
                elif not_now:
                    step = Step(action, Decision.WAIT, not_now, ref=count.terms.ref)
                else:
                    step = up.gate(seen, now, action, Step(action, ref=count.terms.ref))
                up.steps.append(step)
            break  # one floor's word is enough


def _good_for(view: TitleView, damaged: Holder) -> list[Holder]:
    wrong = set(damaged.damaged)
    return [
        one
        for one in view.holders
        if one.live and one.volume != damaged.volume and not wrong & {*one.missing, *one.damaged}
    ]


def plan_trims(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    now: float,
    not_now: str,
) -> None:
    """Surplus above `maxCopies`: the oldest holders go, the custodians stay. Held when it is many at once."""
    wanted: dict[str, list[Step]] = {}
    taken: set[int] = set()
    for count, (_, pairs) in zip(census.floors, census.inputs, strict=True):
        if not count.surplus or not count.terms.acts or count.terms.max_copies is None:
            continue
        standings = dict(pairs)
        for title in sorted(count.surplus)[:MOST_TRIMS]:
            view = view_of(census.catalogue, title, standings)
            why_not = not_now or _freeze(terms, census, count, view, title, now, up)
            if why_not or title in taken:
                up.frozen.setdefault(title, why_not)
                continue
            taken.add(title)
            for step in _trim_steps(terms, seen, custody, census, count.terms, view, now):
                wanted.setdefault(step.action.host, []).append(step)
    for host in sorted(wanted):
        _brake_mass_change(up, terms, seen, custody, census, host, wanted[host], now)


def _freeze(
    terms: Terms, census: Census, count: FloorCount, view: TitleView, title: int, now: float, up: Upkeep
) -> str:
    """Why a surplus title is left alone for now, "" when it may be trimmed."""
    if view.conflict:
        return f"its copies differ: {view.conflict}"
    if any(one.damaged or one.missing for one in view.holders):
        return "one of its copies is not whole"
    if doubtful := sorted({one.standing.host for one in view.holders if not one.live}):
        return f"nothing is removed while {', '.join(doubtful)} cannot be asked"
    ripe = max(one.since for one in view.holders) + terms.fleet.trim.cooldown.seconds
    if ripe > now:
        up.wake(ripe)
        return "it has been surplus for less than the cool-down"
    name = census.catalogue.names.name(title)
    for other, (_, pairs) in zip(census.floors, census.inputs, strict=True):
        if other is count:
            continue
        if title < len(other.member) and other.member[title]:
            left = weigh(view_of(census.catalogue, title, dict(pairs)), other.terms)
            if left.state is not TitleState.MET or left.live <= max(
                other.terms.copies, count.terms.max_copies or 0
            ):
                return f"{other.terms.ref} needs every copy of it"
        elif _overlaps(name, other.terms):
            return f"{other.terms.ref} counts a part of it, or what it is a part of"
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


def _trim_steps(
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    floor: FloorTerms,
    view: TitleView,
    now: float,
) -> list[Step]:
    limit = floor.max_copies or 0
    keepers = custodians_of(view.holders, max(limit, floor.copies))
    if sum(one.standing.always_on for one in keepers) < floor.always_on:
        return []
    name = census.catalogue.names.name(view.number)
    stale = [one for one in keepers if one.verified < now - FRESH_SECONDS]
    if stale:
        # A removal stands on copies that were read within the day; reading comes first.
        verifies = [_verify_of(one, custody, name) for one in stale]
        return [Step(one, ref=floor.ref) for one in verifies]
    steps: list[Step] = []
    kept = {one.standing.domain for one in keepers}
    for one in view.holders:
        volume = custody.volumes[one.volume]
        host = terms.hosts[one.standing.host]
        if (
            one in keepers
            or not one.standing.counts
            or host.suspended
            or volume.state is not VolumeState.MOUNTED
        ):
            continue
        if (
            one.standing.domain in kept
            and one.standing.always_on
            and not any(k.standing.always_on for k in keepers)
        ):
            continue
        trim = Trim(
            host=one.standing.host,
            root=volume.root,
            volume=one.volume,
            bytes=one.bytes,
            title=name,
            fingerprint=view.fingerprint,
            keepers=tuple(sorted(keeper.volume for keeper in keepers)),
            floor=floor.copies,
            always_on=floor.always_on,
        )
        steps.append(Step(trim, ref=floor.ref))
    return steps


def _verify_of(holder: Holder, custody: CustodySeen, title: str) -> Verify:
    volume = custody.volumes[holder.volume]
    return Verify(host=volume.host, root=volume.root, volume=holder.volume, bytes=holder.bytes, title=title)


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
    limit = mass_change_limit(terms, titles)
    removals = [step for step in steps if step.action.removes]
    free = [step for step in removals if step.action.id in seen.approved or step.action.id in seen.running]
    asked = [step for step in removals if step not in free]
    up.steps += [up.gate(seen, now, step.action, step) for step in steps if not step.action.removes]
    up.steps += [up.gate(seen, now, step.action, step) for step in free]
    if not asked:
        return
    gone = sum(volume.removed for volume in volumes)
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


def plan_forgetting(up: Upkeep, seen: Observation, census: Census, not_now: str) -> None:
    """Titles that no declared host has any more stay on the record until a person gives them up."""
    lost: set[int] = set()
    for count in census.floors:
        lost.update(
            title
            for title in count.with_state(TitleState.UNRECOVERABLE, MOST_FORGOTTEN)
            if not census.catalogue.holders(title)
        )
    if not lost or not_now:
        return
    names = [census.catalogue.names.name(title) for title in sorted(lost)]
    actions = [Forget(host="", title=name) for name in names]
    for action in actions:
        if action.id in seen.approved:
            up.steps.append(Step(action))
    held = [action for action in actions if action.id not in seen.approved]
    if held:
        up.holds.append(
            Hold(
                f"no declared host has {plural(len(held), 'title')} any more ({held[0].title!r}…)",
                f"approve to forget {plural(len(held), 'title')}; put the files back to keep them",
                tuple(action.id for action in held),
            )
        )


def plan_sweeping(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    now: float,
    not_now: str,
) -> None:
    """Expired trash goes, where every title in it stands well; jobs that nothing wants any more are stopped."""
    keep = terms.fleet.trash.keep.seconds
    for key, volume in sorted(custody.volumes.items()):
        host = terms.hosts.get(volume.host)
        if host is None or not host.up or host.suspended or volume.state is not VolumeState.MOUNTED:
            continue
        ages = [keep - one.age for one in volume.trash if one.age < keep]
        up.wake(now + min(ages) if ages else None)
        ripe = tuple(
            one.entry for one in volume.trash if one.age >= keep and _stands_well(one.titles, census)
        )
        if ripe and not not_now:
            expire = ExpireTrash(host=volume.host, root=volume.root, volume=key, entries=ripe)
            up.steps.append(up.gate(seen, now, expire, Step(expire)))


def _stands_well(titles: Iterable[str], census: Census) -> bool:
    for title in titles:
        number = census.catalogue.names.find(title)
        for count in census.floors:
            member = number is not None and number < len(count.member) and count.member[number]
            if member and count.state[number] != TitleState.MET:
                return False
    return True


def plan_cancellations(
    up: Upkeep, terms: Terms, seen: Observation, custody: CustodySeen, wanted: Mapping[str, Step]
) -> None:
    """Jobs that run on a host though this plan does not want them. Only called when the plan is sure of itself."""
    for key, volume in sorted(custody.volumes.items()):
        host = terms.hosts.get(volume.host)
        if host is None or not host.up or volume.state is not VolumeState.MOUNTED:
            continue
        for job in volume.jobs:
            if job.state == "Running" and job.action not in wanted and job.action not in seen.running:
                up.steps.append(
                    Step(CancelJob(host=volume.host, root=volume.root, volume=key, job=job.action))
                )
