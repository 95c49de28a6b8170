"""What one title gets in this round: copies kept, places found, sources chosen, or the reason why none. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from telarchy.core.action import stable_id
from telarchy.core.hosts import HostState
from telarchy.core.observation import Attempt, Observation
from telarchy.core.plan import Decision, Step
from telarchy.core.words import format_span
from telarchy.custody.actions import Copy
from telarchy.custody.census import Census, FloorCount
from telarchy.custody.evidence import CustodySeen, JobSeen
from telarchy.custody.healing import gave_up, heals_in_place
from telarchy.custody.placement import (
    Ledger,
    Placing,
    Target,
    choose_source,
    needed_bytes,
    running_copies,
    spoken,
)
from telarchy.custody.terms import FloorTerms, Terms
from telarchy.custody.weighing import Standing, TitleView, Weighing, Weight
from telarchy.custody.windows import in_window

NO_SOURCE = "no live host has a good copy to give"
RESTLESS = "it changed while it was copied; it is tried again when it may have come to rest"

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

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self.planned += 1
        self.planned_bytes += step.action.bytes

    def take_back(self, length: int) -> None:
        """Drop the steps after the first `length`."""
        for step in self.steps[length:]:
            self.planned -= 1
            self.planned_bytes -= step.action.bytes
        del self.steps[length:]


class Choosing:
    """What planning one title needs to know of the round, and what the round has given away so far."""

    def __init__(
        self,
        terms: Terms,
        seen: Observation,
        custody: CustodySeen,
        census: Census,
        ledger: Ledger,
        inputs: list[FloorInput],
        now: float,
        not_now: str,
        held: Collection[str],
    ) -> None:
        self.held = held
        self.terms, self.seen, self.custody, self.census = terms, seen, custody, census
        self.ledger, self.inputs, self.now, self.not_now = ledger, inputs, now, not_now
        self.open_window, self.opens_at = in_window(terms.fleet.transfers.windows, now)
        self.under_way = running_copies(seen)
        self.given_up = frozenset(key for key, attempt in seen.attempts.items() if gave_up(attempt))
        self.jobs: dict[str, list[tuple[str, JobSeen]]] = {}  # by title: volume, copy job
        for key, volume in sorted(custody.volumes.items()):
            for job in volume.jobs:
                if job.verb == Copy.verb:
                    self.jobs.setdefault(job.title, []).append((key, job))
        # Floors with the least choice go first: what serves them may serve the others too.
        self.order = sorted(range(len(inputs)), key=lambda at: (len(inputs[at][0].terms.allowed), at))
        self._charge()

    def _charge(self) -> None:
        """What is under way has its bytes and slots before anything else is given away."""
        for copy in self.under_way.values():
            staged = max((job.bytes for job in self._jobs_of(copy.title, copy.volume)), default=0)
            self.ledger.take(copy, already_there=staged)
            self.ledger.take_slots(copy)
        for jobs in self.jobs.values():
            for key, job in jobs:
                if _alive(job) and job.action not in self.under_way:
                    self.ledger.free[key] = self.ledger.room(key) - max(0, job.total - job.bytes)
                    if job.state == "Running":  # what is staged moves nothing any more
                        self.ledger.moving += 1
                        self.ledger.incoming[self.custody.volumes[key].host] += 1

    def _jobs_of(self, title: str, volume: str) -> list[JobSeen]:
        return [job for key, job in self.jobs.get(title, ()) if key == volume]

    def titles_in_flight(self) -> set[int]:
        """Ids of titles that a copy is under way of, here or on a host."""
        names = {one.title for one in self.under_way.values()}
        names |= {title for title, jobs in self.jobs.items() if any(_alive(job) for _, job in jobs)}
        numbers = (self.census.catalogue.names.find(name) for name in names)
        return {number for number in numbers if number is not None}

    def plan_title(self, plan: CopyPlan, title: int) -> int:
        """Plan what every floor wants of it. Returns how many steps start, or wait for nothing of their own."""
        name = self.census.catalogue.names.name(title)
        first = len(plan.steps)
        promised: list[Target] = []  # what this plan gives the title, over all floors that want it
        for index in self.order:
            count, _ = self.inputs[index]
            if count.terms.acts and title < len(count.member) and count.member[title]:
                self._plan_for(plan, index, title, name, promised)
        mine = plan.steps[first:]
        if any(step.decision is Decision.START for step in mine):
            for index, (count, _) in enumerate(self.inputs):
                if title < len(count.member) and count.member[title] and count.need[title]:
                    plan.copying.add((index, title))
        own = (Decision.WAIT, Decision.REFUSE)
        return sum(step.decision not in own or step.action.id not in self.seen.attempts for step in mine)

    def _plan_for(
        self,
        plan: CopyPlan,
        index: int,
        title: int,
        name: str,
        promised: list[Target],
    ) -> None:
        floor = self.inputs[index][0].terms
        view, weighed = self.census.verdict(index, title)
        short = _Short(view, weighed)
        for target in promised:
            if target.host.name in floor.allowed:
                short.count(target)
        for copy in self._kept(name, view, floor, promised, short):
            target = Target(self.ledger.volumes[copy.volume], self.terms.hosts[copy.host])
            if short.helped_by(target):
                short.count(target)
                promised.append(target)
                plan.add(Step(copy, Decision.START, ref=floor.ref))
                plan.copying.add((index, title))
        if not weighed.need:
            return
        healing = self._healing(view, name) - short.have
        if healing and short.lack > 0:
            short.lack -= len(healing)
            if short.lack <= 0:
                plan.blocked.setdefault((index, title), "a damaged file is set aside first")
        while short.lack > 0 or short.steady_lack > 0:
            best, reason = self._target(view, name, floor, promised, short)
            if best is None:
                plan.blocked[index, title] = reason
                break
            step = self._step(plan, view, name, floor, weighed, best)
            short.count(best)
            promised.append(best)
            plan.add(step)
            if step.decision is Decision.START:
                plan.copying.add((index, title))

    def _healing(self, view: TitleView, name: str) -> set[str]:
        """Failure domains where a damaged copy is healed where it lies: they are given to no other host."""
        return {
            one.standing.domain
            for one in view.holders
            if one.damaged
            and heals_in_place(
                view,
                one,
                self.custody.volumes[one.volume],
                self.terms.hosts[one.standing.host],
                name,
                self.seen.attempts,
                self.held,
            )
        }

    def _target(
        self, view: TitleView, name: str, floor: FloorTerms, promised: Sequence[Target], short: _Short
    ) -> tuple[Target | None, str]:
        """The best place for one more copy, or why there is none."""
        why_not = ""
        # Where no always-on host can take it, any other is better than none, as long as copies are lacking.
        for steady in (True, False) if short.steady_lack >= max(short.lack, 1) else (False,):
            if not steady and short.lack <= 0:
                break
            placing = Placing(
                view,
                name,
                floor,
                self.ledger,
                promised=promised,
                steady=steady,
                staged=self._staged(name),
                shunned=self._shunned(view, name),
            )
            found = False
            for target in placing.targets():
                if choose_source(view, target, self.ledger) is not None:
                    return target, ""
                found = True
            why_not = why_not or (NO_SOURCE if found else _no_target(placing.reasons()))
        return None, why_not

    def _staged(self, name: str) -> dict[str, int | None]:
        """Volumes that receive this title now (None), or hold a part of it in their staging folder (bytes)."""
        found: dict[str, int | None] = {
            key: None if _alive(job) else job.bytes for key, job in self.jobs.get(name, ())
        }
        found.update((one.volume, None) for one in self.under_way.values() if one.title == name)
        return found

    def _shunned(self, view: TitleView, name: str) -> frozenset[str]:
        """Volumes that refused this title, or failed it again and again: another is tried before them."""
        if not self.given_up:
            return frozenset()
        return frozenset(
            key for key in self.ledger.volumes if copy_id(name, key, view.fingerprint) in self.given_up
        )

    def _kept(
        self, name: str, view: TitleView, floor: FloorTerms, promised: Sequence[Target], short: _Short
    ) -> list[Copy]:
        """Running copies of this title that are still good, the ones to keep first. A missed probe stops none:
        the copy itself may be what keeps the line busy. Nor does a title that changed meanwhile: a season with one
        episode more gets that one next, and if it was a file that changed, the copy itself finds out."""
        kept = []
        there = {one.volume.key for one in promised}
        gone = (HostState.DOWN, HostState.MAINTENANCE)
        for copy in self.under_way.values():
            host, source = self.terms.hosts.get(copy.host), self.terms.hosts.get(copy.source_host)
            if copy.title != name or copy.volume in there:
                continue
            if copy.volume not in self.ledger.volumes or host is None or source is None:
                continue
            if host.suspended or host.draining or host.cordoned or host.state in gone or source.state in gone:
                continue
            if copy.host in floor.allowed:
                kept.append(copy)

        def order(copy: Copy) -> tuple[object, ...]:
            steady = self.terms.hosts[copy.host].always_on
            done = self.seen.running[copy.id].progress.bytes
            return (short.steady_lack > 0 and not steady, -done, copy.id)

        return sorted(kept, key=order)

    def _step(
        self, plan: CopyPlan, view: TitleView, name: str, floor: FloorTerms, weighed: Weighing, target: Target
    ) -> Step:
        attempt = self.seen.attempts.get(copy_id(name, target.volume.key, view.fingerprint))
        source = choose_source(view, target, self.ledger, tried=attempt.count if attempt is not None else 0)
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
        late = _not_yet(attempt, self.now)
        jobs = self._jobs_of(name, copy.volume)
        if copy.id in self.under_way:  # its source went away: let it find out, or be found again
            return Step(self.under_way[copy.id], Decision.START, ref=floor.ref)
        # Another controller's job is not ours to attach to.
        if any(_alive(job) and job.action == copy.id for job in jobs) and not self.custody.fenced:
            if late is not None:
                return self._waits(plan, copy, floor, late)
            self.ledger.outgoing[copy.source_host] += 1
            return Step(copy, Decision.START, ref=floor.ref)
        self.ledger.take(copy, already_there=max((job.bytes for job in jobs), default=0))
        if late is not None:
            return self._waits(plan, copy, floor, late)
        return self._new(plan, copy, floor, weighed, target)

    def _new(self, plan: CopyPlan, copy: Copy, floor: FloorTerms, weighed: Weighing, target: Target) -> Step:
        if self.not_now:
            return Step(copy, Decision.WAIT, self.not_now, ref=floor.ref)
        if (at := self.custody.restless.get(copy.title, 0.0)) > self.now:
            plan.wake_at = min(at, plan.wake_at or at)
            return Step(copy, Decision.WAIT, RESTLESS, at, floor.ref)
        if not self.open_window and weighed.level > 0:
            if self.opens_at is not None:
                plan.wake_at = min(self.opens_at, plan.wake_at or self.opens_at)
            return Step(copy, Decision.WAIT, "outside the transfer windows", self.opens_at, floor.ref)
        if not target.volume.id:
            return Step(copy, Decision.QUEUE, "its volume is adopted first", ref=floor.ref)
        if not self.ledger.volumes[copy.source_volume].id:
            return Step(copy, Decision.QUEUE, "the volume it comes from is adopted first", ref=floor.ref)
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


class _Short:
    """What a title still lacks under one floor, while this plan gives it copies.

    lack, steady_lack:  copies to find, in all and on always-on hosts
    have, steadily:     failure domains with a copy that counts, and those with one on an always-on host
    """

    def __init__(self, view: TitleView, weighed: Weighing) -> None:
        whole = [one for one in view.holders if one.complete and one.standing.counts]
        whole = [one for one in whole if one.standing.weight > Weight.GONE]
        self.lack, self.steady_lack = weighed.lack, weighed.steady_lack
        self.have = {one.standing.domain for one in whole}
        self.steadily = {one.standing.domain for one in whole if one.standing.always_on}

    def helped_by(self, target: Target) -> bool:
        domain = target.host.domain
        more = self.lack > 0 and domain not in self.have
        return more or (self.steady_lack > 0 and target.host.always_on and domain not in self.steadily)

    def count(self, target: Target) -> None:
        domain = target.host.domain
        self.lack -= domain not in self.have
        self.have.add(domain)
        if target.host.always_on:
            self.steady_lack -= domain not in self.steadily
            self.steadily.add(domain)


@lru_cache(maxsize=1 << 16)
def copy_id(title: str, volume: str, fingerprint: str) -> str:
    """The id of the copy of this title to this volume, without making it."""
    return stable_id(Copy.capability, Copy.verb, title, volume, fingerprint)


def _alive(job: JobSeen) -> bool:
    """Whether the job still does something, or has everything ready. What failed or was lost is started anew."""
    return job.state in ("Running", "Staged")


def _not_yet(attempt: Attempt | None, now: float) -> Attempt | None:
    """The last failure, while it still holds the action back."""
    if attempt is None or (attempt.not_before is not None and attempt.not_before <= now):
        return None
    return attempt


def _no_target(reasons: Counter[str]) -> str:
    if reasons:
        return f"nowhere to put another copy: {spoken(reasons)}"
    return "nowhere to put another copy: every allowed host has one, or shares a failure domain with one that has"
