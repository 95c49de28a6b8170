"""Which copies to make now: the most urgent titles first, within bytes, slots, windows and back-offs. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from telarchy.core.hosts import HostState
from telarchy.core.observation import Attempt, Observation
from telarchy.core.plan import Decision, Step
from telarchy.core.words import format_span
from telarchy.custody.actions import Copy
from telarchy.custody.census import Census, FloorCount
from telarchy.custody.evidence import CustodySeen
from telarchy.custody.placement import (
    Ledger,
    Target,
    choose_source,
    needed_bytes,
    rank_targets,
    running_copies,
    spoken,
)
from telarchy.custody.terms import FloorTerms, Terms
from telarchy.custody.weighing import Standing, TitleState, TitleView, Weighing, view_of, weigh
from telarchy.resources.fleet import TransferWindow

LOOK_AHEAD = 32  # titles looked at per step of horizon, before giving up on finding one that can start

FloorInput = tuple[FloorCount, Mapping[str, Standing]]


@dataclass
class CopyPlan:
    """Steps for copies, and what became of titles that got none.

    copying:  (floor index, title id) of titles with a copy that starts or runs
    blocked:  (floor index, title id) -> why no copy can be planned
    planned:  copies planned, and their bytes
    """

    steps: list[Step] = field(default_factory=list)
    copying: set[tuple[int, int]] = field(default_factory=set)
    blocked: dict[tuple[int, int], str] = field(default_factory=dict)
    planned: int = 0
    planned_bytes: int = 0
    wake_at: float | None = None


def plan_copies(
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    ledger: Ledger,
    now: float,
    *,
    horizon: int,
    not_now: str = "",
) -> CopyPlan:
    """`not_now`: why no copy may start at present (brake, suspension, another controller); running ones go on."""
    plan = CopyPlan()
    inputs: list[FloorInput] = [
        (count, dict(standings)) for count, (_, standings) in zip(census.floors, census.inputs, strict=True)
    ]
    under_way = running_copies(seen)
    on_hosts = _jobs(custody)
    open_window, opens_at = in_window(terms.fleet.transfers.windows, now)
    context = _Context(
        terms, seen, census, ledger, inputs, under_way, on_hosts, now, not_now, open_window, opens_at
    )

    first = sorted(_titles_in_flight(census, under_way, on_hosts))
    done: set[int] = set()
    looked = 0
    for title in _most_urgent(first, inputs):
        if title in done:
            continue
        done.add(title)
        looked += 1
        if len(plan.steps) >= horizon or looked > horizon * LOOK_AHEAD:
            break
        context.plan_title(plan, title)
    return plan


def _titles_in_flight(
    census: Census, under_way: Mapping[str, Copy], on_hosts: Mapping[tuple[str, str], int]
) -> set[int]:
    names = {one.title for one in under_way.values()} | {title for title, _ in on_hosts}
    numbers = (census.catalogue.names.find(name) for name in names)
    return {number for number in numbers if number is not None}


def _jobs(custody: CustodySeen) -> dict[tuple[str, str], int]:
    """(title, volume) -> bytes written so far, for every copy job that stands on a volume."""
    return {
        (job.title, key): job.bytes
        for key, volume in custody.volumes.items()
        for job in volume.jobs
        if job.verb == Copy.verb
    }


def _most_urgent(first: Sequence[int], inputs: Sequence[FloorInput]) -> Iterator[int]:
    """Titles in flight keep their slots; then all floors' queues, merged by urgency."""
    yield from first
    queues = [
        zip(_in_pieces(count.keys), _in_pieces(count.order), strict=True)
        for count, _ in inputs
        if count.terms.acts
    ]
    for _, title in heapq.merge(*queues):
        yield title


def _in_pieces(column: object, size: int = 1024) -> Iterator[int]:
    # A queue may be 200,000 long and is rarely read beyond its first hundred.
    length = len(column)  # type: ignore[arg-type]
    for start in range(0, length, size):
        yield from column[start : start + size].tolist()  # type: ignore[index]


@dataclass
class _Context:
    terms: Terms
    seen: Observation
    census: Census
    ledger: Ledger
    inputs: list[FloorInput]
    under_way: Mapping[str, Copy]
    on_hosts: Mapping[tuple[str, str], int]
    now: float
    not_now: str
    open_window: bool
    opens_at: float | None

    def plan_title(self, plan: CopyPlan, title: int) -> None:
        name = self.census.catalogue.names.name(title)
        promised: list[Target] = []  # what this plan gives the title, over all floors that want it
        for index, (count, standings) in enumerate(self.inputs):
            floor = count.terms
            if not floor.acts or title >= len(count.member) or not count.member[title]:
                continue
            view = view_of(self.census.catalogue, title, standings)
            weighed = weigh(view, floor)
            counted = {one.host.domain for one in promised if one.host.name in floor.allowed}
            steady = {
                one.host.domain for one in promised if one.host.name in floor.allowed and one.host.always_on
            }
            # A damaged file is set aside and healed where it lay: its place is not given to another host.
            healing = {
                one.standing.domain
                for one in view.holders
                if one.damaged
                and one.live
                and one.standing.counts
                and weighed.state is not TitleState.UNRECOVERABLE
            }
            need = weighed.need - len(counted) - len(healing)
            steady_need = weighed.steady_need - len(steady)
            if need <= 0 < len(healing):
                plan.blocked.setdefault((index, title), "a damaged file is set aside first")
            room = max(need, weighed.short - len(counted))
            for copy in self._kept(name, view, floor):
                if room <= 0:
                    break
                room -= 1
                host = self.terms.hosts[copy.host]
                promised.append(Target(self.ledger.volumes[copy.volume], host))
                need, steady_need = need - 1, steady_need - host.always_on
                self.ledger.take(copy, already_there=self.on_hosts.get((name, copy.volume), 0))
                self.ledger.take_slots(copy)
                plan.steps.append(Step(copy, Decision.START, ref=floor.ref))
                plan.planned, plan.planned_bytes = plan.planned + 1, plan.planned_bytes + copy.bytes
                plan.copying.add((index, title))
            in_flight = {volume for (job_title, volume) in self.on_hosts if job_title == name}
            in_flight |= {one.volume for one in self.under_way.values() if one.title == name}
            for _ in range(max(need, steady_need)):
                targets, reasons = rank_targets(
                    view,
                    name,
                    floor,
                    self.ledger,
                    taken_domains={one.host.domain for one in promised},
                    steady=steady_need >= need,
                    in_flight=in_flight,
                )
                target = next(
                    (one for one in targets if choose_source(view, one, self.ledger) is not None), None
                )
                if target is None:
                    plan.blocked[index, title] = _no_target(view, floor, reasons, targets)
                    break
                step = self._step(plan, view, name, floor, weighed, target)
                promised.append(target)
                need -= 1
                steady_need -= target.host.always_on
                plan.steps.append(step)
                plan.planned += 1
                plan.planned_bytes += step.action.bytes
                if step.decision is Decision.START:
                    plan.copying.add((index, title))
        for index, (count, _) in enumerate(self.inputs):
            wants = title < len(count.member) and count.member[title] and count.need[title]
            mine = plan.steps[-len(promised) :] if promised else []
            if wants and any(step.decision is Decision.START for step in mine):
                plan.copying.add((index, title))

    def _kept(self, name: str, view: TitleView, floor: FloorTerms) -> Iterator[Copy]:
        """Running copies of this title that are still good. A missed probe stops none: the copy itself may
        be what keeps the line busy."""
        for copy in self.under_way.values():
            host, source = self.terms.hosts.get(copy.host), self.terms.hosts.get(copy.source_host)
            if (
                copy.title != name
                or copy.fingerprint != view.fingerprint
                or copy.volume not in self.ledger.volumes
            ):
                continue
            if host is None or source is None or copy.host not in floor.allowed:
                continue
            gone = (HostState.DOWN, HostState.MAINTENANCE)
            if host.suspended or host.draining or host.cordoned or host.state in gone or source.state in gone:
                continue
            yield copy

    def _step(
        self, plan: CopyPlan, view: TitleView, name: str, floor: FloorTerms, weighed: Weighing, target: Target
    ) -> Step:
        source = choose_source(view, target, self.ledger)
        if source is None:
            raise AssertionError("a target is only chosen where a source exists")
        holder = next((one for one in view.holders if one.volume == target.volume.key), None)
        origin = self.ledger.volumes[source.volume]
        copy = Copy(
            host=target.host.name,
            root=target.volume.root,
            volume=target.volume.key,
            bytes=needed_bytes(view, holder),
            title=name,
            source_host=source.standing.host,
            source_root=origin.root,
            source_volume=source.volume,
            fingerprint=view.fingerprint,
            files=len(target.missing) or view.files,
            partial=bool(target.missing),
        )
        running = self.under_way.get(copy.id)
        if running is not None and self._still_good(running, view):
            copy = running
        self.ledger.take(copy, already_there=self.on_hosts.get((name, copy.volume), 0))
        if running is not None or (name, copy.volume) in self.on_hosts:
            attempt = self.seen.attempts.get(copy.id) if running is None else None
            late = _not_yet(attempt, self.now)
            if late is not None:
                return self._waits(plan, copy, floor, late)
            self.ledger.take_slots(copy)
            return Step(copy, Decision.START, ref=floor.ref)
        return self._new(plan, copy, floor, weighed, target)

    def _still_good(self, running: Copy, view: TitleView) -> bool:
        return any(
            one.volume == running.source_volume and one.live and not one.damaged for one in view.holders
        )

    def _new(self, plan: CopyPlan, copy: Copy, floor: FloorTerms, weighed: Weighing, target: Target) -> Step:
        late = _not_yet(self.seen.attempts.get(copy.id), self.now)
        if late is not None:
            return self._waits(plan, copy, floor, late)
        if self.not_now:
            return Step(copy, Decision.WAIT, self.not_now, ref=floor.ref)
        if not self.open_window and weighed.level > 0:
            if self.opens_at is not None:
                plan.wake_at = min(self.opens_at, plan.wake_at or self.opens_at)
            return Step(copy, Decision.WAIT, "outside the transfer windows", self.opens_at, floor.ref)
        if not target.volume.id:
            return Step(copy, Decision.QUEUE, "its volume is adopted first", ref=floor.ref)
        full = self.ledger.slots_free(copy.source_host, copy.host)
        if full:
            return Step(copy, Decision.QUEUE, full, ref=floor.ref)
        self.ledger.take_slots(copy)
        return Step(copy, Decision.START, ref=floor.ref)

    def _waits(self, plan: CopyPlan, copy: Copy, floor: FloorTerms, attempt: Attempt) -> Step:
        if attempt.not_before is None:
            return Step(copy, Decision.REFUSE, attempt.message, ref=floor.ref)
        plan.wake_at = min(attempt.not_before, plan.wake_at or attempt.not_before)
        wait = format_span(attempt.not_before - self.now)
        reason = f"{attempt.message} (attempt {attempt.count}; again in {wait})"
        return Step(copy, Decision.WAIT, reason, attempt.not_before, floor.ref)


def _not_yet(attempt: Attempt | None, now: float) -> Attempt | None:
    """The last failure, while it still holds the action back."""
    if attempt is None or (attempt.not_before is not None and attempt.not_before <= now):
        return None
    return attempt


def _no_target(view: TitleView, floor: FloorTerms, reasons: Counter[str], targets: Sequence[Target]) -> str:
    if targets:
        return "no live host has a good copy to give"
    if reasons:
        return f"nowhere to put another copy: {spoken(reasons.most_common())}"
    return "nowhere to put another copy: every allowed host has one, or shares a failure domain with one that has"


def in_window(windows: Sequence[TransferWindow], now: float) -> tuple[bool, float | None]:
    """Whether transfers may start now and, if not, when the next window opens (seconds since the epoch)."""
    if not windows:
        return True, None
    openings = []
    for window in windows:
        here = datetime.fromtimestamp(now, _zone(window.time_zone))
        minute = here.hour * 60 + here.minute
        start, end = _minutes(window.start), _minutes(window.end)
        inside = start <= minute < end if start < end else minute >= start or minute < end
        if inside:
            return True, None
        openings.append(now + ((start - minute) % 1440) * 60 - here.second)
    return False, min(openings)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:  # `validate` warns about it; a typo must not stop the rest
        return ZoneInfo("UTC")


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
