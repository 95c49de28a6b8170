"""Everything but copying: adopt volumes, read copies again, set damage aside, trim surplus, sweep. Pure.

What takes something away is planned only where nothing is unknown, and then it is still only a wish: `act`
proves it again at the moment of acting (custody rule 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from telarchy.core.action import Action
from telarchy.core.hosts import HostState
from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Hold, Step
from telarchy.core.words import plural, quoted
from telarchy.custody.actions import AdoptVolume, CancelJob, ExpireTrash, Forget, Verify
from telarchy.custody.catalogue import Holdings
from telarchy.custody.census import Census
from telarchy.custody.evidence import CustodySeen, VolumeSeen, VolumeState
from telarchy.custody.healing import quarantine_of
from telarchy.custody.placement import Ledger
from telarchy.custody.readings import Due
from telarchy.custody.terms import Terms
from telarchy.custody.weighing import TitleState, Weight, view_of, weigh

MOST_FORGOTTEN = 1000  # per hold
VERIFICATIONS_AHEAD = 2  # shown per volume: the one that is read, and the next


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
    for _, volume in sorted(custody.volumes.items()):
        host = terms.hosts.get(volume.host)
        if host is None or not host.up or host.suspended:
            continue
        if volume.state is VolumeState.NEW:
            adopt = AdoptVolume(host=volume.host, root=volume.root, volume=volume.key, path=volume.path)
            start = Step(adopt, Decision.WAIT, not_now) if not_now else Step(adopt)
            up.steps.append(up.gate(seen, now, adopt, start))
        elif volume.state in (VolumeState.MISSING, VolumeState.WRONG_ID) and volume.id:
            adopt = AdoptVolume(
                host=volume.host,
                root=volume.root,
                volume=volume.key,
                path=volume.path,
                replaces=volume.id,
                returns=volume.returns,
            )
            if adopt.id in seen.approved and not not_now:
                up.steps.append(up.gate(seen, now, adopt, Step(adopt)))
            else:
                up.holds.append(
                    Hold(
                        f"it is not there ({volume.message}); if it can be mounted again, do that instead",
                        f"give up volume {volume.id[:8]} and use what stands at {volume.path} on {volume.host} now",
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
    *,
    start: bool = True,
) -> None:
    """Copies whose last reading is too old, the oldest first, one at a time on each host.

    What is being read is read to its end, whatever has become due meanwhile and whether or not a probe was
    missed. `start`: whether new readings may begin.
    """
    for running in sorted(seen.running.values(), key=lambda one: one.action.id):
        reader, away = terms.hosts.get(running.action.host), (HostState.DOWN, HostState.MAINTENANCE)
        if isinstance(running.action, Verify) and reader is not None and not terms.suspended:
            ledger.take_reading(running.action)
            if not reader.suspended and reader.state not in away:
                up.steps.append(Step(running.action))
    if not start or not any(count.terms.verify_every and count.terms.acts for count in census.floors):
        return
    names = census.catalogue.names
    for key, volume in sorted(custody.volumes.items()):
        held = census.catalogue.holdings.get(key)
        host = terms.hosts.get(volume.host)
        if held is None or not len(held) or host is None or not host.up or host.suspended:
            continue
        if volume.state is not VolumeState.MOUNTED:
            continue
        due = census.readings.due(census.floors, key, held, now)
        if math.isfinite(due.next_at):
            up.wake(due.next_at)
        if not due.count:
            continue
        left = due.bytes
        planned = 0
        for row in _rows_to_read(due, held, seen, volume, census):
            verify = Verify(
                host=volume.host,
                root=volume.root,
                volume=key,
                bytes=int(held.bytes[row]),
                title=names.name(int(held.title[row])),
            )
            step = up.gate(seen, now, verify, Step(verify))
            if terms.suspended:
                step = Step(verify, Decision.WAIT, "the fleet is suspended")
            elif step.decision is Decision.START and verify.id not in seen.running:
                if ledger.reading[volume.host]:
                    step = Step(verify, Decision.QUEUE, f"{volume.host} already reads one title")
                else:
                    ledger.take_reading(verify)
            left -= verify.bytes
            up.steps.append(step)
            # What waits after a failure must not keep the others from being read.
            planned += step.decision in (Decision.START, Decision.QUEUE) or terms.suspended
            if planned >= VERIFICATIONS_AHEAD:
                break
        up.due += max(0, due.count - VERIFICATIONS_AHEAD)
        up.due_bytes += left


def _rows_to_read(
    due: Due, held: Holdings, seen: Observation, volume: VolumeSeen, census: Census
) -> Iterator[int]:
    """What a host reads already, for an earlier controller; then the longest overdue."""
    reading = {job.title for job in volume.jobs if job.verb == Verify.verb and job.state == "Running"}
    numbers = sorted(
        number for title in reading if (number := census.catalogue.names.find(title)) is not None
    )
    begun = [row for number in numbers if (row := held.row(number)) is not None]
    hidden = set(census.hidden.get(volume.key, np.zeros(0, np.int32)).tolist())
    yield from (row for row in begun if row in due)
    first = due.oldest(VERIFICATIONS_AHEAD + len(begun) + len(seen.attempts) + len(hidden))
    yield from (row for row in first if row not in begun and int(held.title[row]) not in hidden)


def plan_quarantines(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    now: float,
    not_now: str,
) -> None:
    """Damaged files are set aside where a good copy of them is live; a last copy stays where it is.

    When many titles of one host fail at once, it is the memory or the record that is bad rather than the
    disk, and a person looks first (rule 6).
    """
    wanted: dict[str, list[Step]] = {}
    for title in sorted(census.catalogue.irregular):
        for index, count in enumerate(census.floors):
            if title >= len(count.member) or not count.member[title] or not count.terms.acts:
                continue
            view, _ = census.verdict(index, title)
            for one in view.holders:
                volume = custody.volumes.get(one.volume)
                host = terms.hosts.get(one.standing.host)
                if not one.damaged or not one.live or volume is None or host is None or host.suspended:
                    continue
                action = quarantine_of(view, one, volume, census.catalogue.names.name(title))
                if action is None:
                    continue
                if volume.state is not VolumeState.MOUNTED:
                    step = Step(action, Decision.WAIT, f"the volume is {volume.state}", ref=count.terms.ref)
                elif not_now:
                    step = Step(action, Decision.WAIT, not_now, ref=count.terms.ref)
                else:
                    step = up.gate(seen, now, action, Step(action, ref=count.terms.ref))
                wanted.setdefault(volume.host, []).append(step)
            break  # one floor's word is enough
    for name, steps in sorted(wanted.items()):
        before = sum(volume.set_aside for volume in custody.volumes.values() if volume.host == name)
        up.steps += _held_if_many(up, terms, seen, name, steps, before)


def _held_if_many(
    up: Upkeep, terms: Terms, seen: Observation, host: str, steps: list[Step], before: int
) -> list[Step]:
    """`before`: titles set aside within the day: a host reads one after the other, and so they fail."""
    limit, free = terms.fleet.brakes.max_change_titles, seen.approved | seen.running.keys()
    asked = [
        step.action.id for step in steps if step.decision is Decision.START and step.action.id not in free
    ]
    if len(steps) + before <= limit or not asked:
        return steps
    at_once = f", and {before} did within the last day" if before else " at once"
    hold = Hold(
        f"{plural(len(steps), 'title')} on {host} fail their digests{at_once}; more than {limit} "
        "wait for a person, since it may be the memory or the record that is bad",
        f"move the damaged files of {plural(len(asked), 'title')} on {host} to quarantine",
        tuple(asked),
        ref=steps[0].ref,
    )
    up.holds.append(hold)
    reason = f"held: `telarchy approve {hold.hash}`"
    return [
        Step(step.action, Decision.HOLD, reason, ref=step.ref) if step.action.id in asked else step
        for step in steps
    ]


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
                f"no declared host has {plural(len(held), 'title')} any more ({quoted(held[0].title)}…)",
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
            one.entry
            for one in volume.trash
            if one.age >= keep and one.titles and _stands_well(one.titles, census)
        )
        if ripe and not not_now:
            expire = ExpireTrash(host=volume.host, root=volume.root, volume=key, entries=ripe)
            up.steps.append(up.gate(seen, now, expire, Step(expire)))


def _stands_well(titles: Iterable[str], census: Census) -> bool:
    """Whether every title stands without what lies in the trash: met by copies that are live now, all of them seen. One
    that no floor selects stays as it is."""
    for title in titles:
        number = census.catalogue.names.find(title)
        if number is None or not any(
            number < len(count.member) and count.member[number] for count in census.floors
        ):
            return False
        for count, (_, pairs) in zip(census.floors, census.inputs, strict=True):
            if number >= len(count.member) or not count.member[number]:
                continue
            view = view_of(census.catalogue, number, dict(pairs))
            weighed = weigh(view, count.terms)
            unsure = any(one.weight is Weight.UNKNOWN for one in view.holders)
            if weighed.state is not TitleState.MET or weighed.live < count.terms.copies or unsure:
                return False
    return True


def plan_cancellations(
    up: Upkeep,
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    wanted: Mapping[str, Step],
    now: float,
    *,
    all_planned: bool,
) -> None:
    """Jobs that stand on a host though this plan does not want them: stopped, and their folders removed.

    Also those that ended: a controller that died between the commit and the tidying leaves one behind. Only
    called when the plan is sure of itself; what was staged stays a day. `all_planned`: no title waits behind
    the horizon, so that what ended and is not wanted here is not wanted later either.
    """
    for key, volume in sorted(custody.volumes.items()):
        host = terms.hosts.get(volume.host)
        if host is None or not host.up or volume.state is not VolumeState.MOUNTED:
            continue
        for job in volume.jobs:
            ended = job.state not in ("Running", "Staged")
            if ended and not all_planned:
                continue
            if job.action not in wanted and job.action not in seen.running:
                cancel = CancelJob(host=volume.host, root=volume.root, volume=key, job=job.action)
                up.steps.append(up.gate(seen, now, cancel, Step(cancel)))
