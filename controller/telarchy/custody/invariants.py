"""The custody rules that may never break, as predicates that answer with sentences. Pure.

Each rule of the design has one, numbered as there; in brackets the invariant of the field notes that it covers.
Those on a `Look` judge a plan against the evidence it was made from, and share as little as can be with the
planner: they count with their own few lines, so that a wrong count is not judged by itself. Those on a `Change`
judge what an action did to what really lies on the disks; only a simulator or a test knows that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from telarchy.core.action import Action
from telarchy.core.hosts import HostState
from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Plan, Step
from telarchy.core.world import World
from telarchy.custody.actions import AdoptVolume, CancelJob, Copy, ExpireTrash, Quarantine, Trim, VolumeAction
from telarchy.custody.evidence import CustodySeen, VolumeSeen, VolumeState
from telarchy.custody.terms import FloorTerms, Terms, patterns_of, terms_of
from telarchy.custody.titles import TitlePatterns, selects
from telarchy.custody.weighing import TitleView, view_of
from telarchy.resources.duties import assign_duties, duty_violations
from telarchy.resources.host import Host
from telarchy.resources.meta import Ref

FRESH_SECONDS = 24 * 3600.0
READABLE = (VolumeState.MOUNTED, VolumeState.READ_ONLY, VolumeState.NEW)


@dataclass(frozen=True)
class Look:
    """One round: what was declared, what was seen, when, and the plan made of it."""

    world: World
    seen: Observation
    now: float
    plan: Plan

    @cached_property
    def terms(self) -> Terms:
        return terms_of(self.world, self.seen, self.now)

    @property
    def custody(self) -> CustodySeen:
        section: CustodySeen = self.seen.sections["custody"]
        return section

    @cached_property
    def starting(self) -> tuple[Step, ...]:
        """What the plan sets going now: not what runs already, here or on a host."""
        on_hosts = {
            job.action
            for volume in self.custody.volumes.values()
            for job in volume.jobs
            if job.state in ("Running", "Staged")
        }
        known = self.seen.running.keys() | on_hosts
        started = (step for step in self.plan.steps if step.decision is Decision.START)
        return tuple(step for step in started if step.action.id not in known)

    @cached_property
    def _patterns(self) -> TitlePatterns:
        return patterns_of(self.world)

    def floors_of(self, title: str) -> list[FloorTerms]:
        marks = self._patterns.marks(title)
        return [floor for floor in self.terms.floors if selects(marks, floor.select, floor.exclude)]

    def holders(self, title: str, floor: FloorTerms) -> dict[str, _Share]:
        """Every declared volume that was seen to have the title, as this floor may count it."""
        number = self.custody.catalogue.names.find(title)
        if number is None:
            return {}
        view = self._view(number)
        found = {}
        for one in view.holders:
            volume = self.custody.volumes[one.volume]
            host = self.terms.hosts[volume.host]
            state = floor.state_of(host.name)
            found[one.volume] = _Share(
                domain=host.domain,
                steady=host.always_on,
                whole=one.complete,
                counts=host.name in floor.allowed and not host.draining,
                live=state is HostState.UP and volume.state in READABLE and not one.hidden,
                gone=state is HostState.DOWN or (state is HostState.UP and _given_up(volume, floor)),
                verified=one.verified,
                damaged=one.damaged,
                missing=one.missing,
                own=not one.borrowed and not one.hidden,
            )
        return found

    def view(self, title: str) -> TitleView | None:
        number = self.custody.catalogue.names.find(title)
        return None if number is None else self._view(number)

    def _view(self, number: int) -> TitleView:
        from telarchy.custody.plan import standings_of  # the shape only; weights are judged here

        floor = self.terms.floors[0]
        return view_of(self.custody.catalogue, number, standings_of(floor, self.terms, self.custody))


def _given_up(volume: VolumeSeen, floor: FloorTerms) -> bool:
    """Missing for longer than this floor waits for a volume."""
    span, missing = floor.volume_grace, volume.state is VolumeState.MISSING
    return span is not None and missing and volume.missing_for >= span


@dataclass(frozen=True)
class _Share:
    domain: str
    steady: bool
    whole: bool
    counts: bool
    live: bool
    gone: bool
    verified: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    own: bool


FileKey = tuple[str, str]  # title, path in it


@dataclass(frozen=True)
class Ground:
    """What really lies on the disks, whoever can see it.

    good:  volumes on which a file's right bytes lie in their place
    kept:  volumes on which its right bytes lie anywhere: in place, in trash, in quarantine
    """

    good: Mapping[FileKey, frozenset[str]]
    kept: Mapping[FileKey, frozenset[str]]


@dataclass(frozen=True)
class Change:
    """The ground before and after one action of the controller."""

    action: Action
    before: Ground
    after: Ground


def last_copies_stay(look: Look) -> Iterator[str]:
    """Rule 1 [I1, I2, I3, I7]: what is removed stands, fresh and verified, on other domains, for every floor."""
    for step in look.starting:
        action = step.action
        if isinstance(action, Trim):
            yield from _trim_is_safe(look, action)
        elif isinstance(action, Quarantine):
            yield from _quarantine_is_safe(look, action)
        elif isinstance(action, ExpireTrash):
            yield from _expiry_is_safe(look, action)


def _trim_is_safe(look: Look, trim: Trim) -> Iterator[str]:
    floors = look.floors_of(trim.title)
    view = look.view(trim.title)
    if not floors or view is None or view.conflict:
        yield f"{trim}: no floor counts the title, or its copies differ"
        return
    trimmed = {
        one.action.volume
        for one in look.plan.steps
        if isinstance(one.action, Trim)
        and one.action.title == trim.title
        and one.decision in (Decision.START, Decision.HOLD)
    }
    for floor in floors:
        shares = look.holders(trim.title, floor)
        if any(not one.live for one in shares.values()):
            yield f"{trim}: some holder cannot be asked now"
        left = [shares[key] for key in trim.keepers if key in shares and key not in trimmed]
        left = [one for one in left if one.whole and one.counts and one.live and one.own]
        fresh = [one for one in left if one.verified >= look.now - FRESH_SECONDS]
        fresh = [one for one in fresh if one.domain != shares[trim.volume].domain]
        if len({one.domain for one in fresh}) < max(floor.copies, 1):
            yield f"{trim}: {floor.ref} would be left with {len(fresh)} fresh copies of {floor.copies}"
        if len({one.domain for one in fresh if one.steady}) < floor.always_on:
            yield f"{trim}: {floor.ref} would be left with too few always-on copies"


def _quarantine_is_safe(look: Look, action: Quarantine) -> Iterator[str]:
    shares = look.holders(action.title, look.floors_of(action.title)[0])
    for path in action.paths:
        good = [
            key
            for key, one in shares.items()
            if key != action.volume and one.live and path not in (*one.damaged, *one.missing)
        ]
        if not good:
            yield f"{action}: no good copy of {path!r} is live elsewhere"


def _expiry_is_safe(look: Look, action: ExpireTrash) -> Iterator[str]:
    titles = {
        title
        for one in look.custody.volumes[action.volume].trash
        if one.entry in action.entries
        for title in one.titles
    }
    for title in sorted(titles):
        for floor in look.floors_of(title):
            shares = look.holders(title, floor).values()
            live = {one.domain for one in shares if one.whole and one.live and one.counts and one.own}
            if len(live) < floor.copies:
                yield f"{action}: {title!r} has only {len(live)} of {floor.copies} copies live"


def copies_in_flight_do_not_count(look: Look) -> Iterator[str]:
    """Rule 2 [I4, I5]: a floor's `met` counts what lies complete on volumes, whatever is staged or running."""
    for floor in look.terms.floors:
        status = look.plan.statuses.get(floor.ref)
        if status is None:
            continue
        met = 0
        names = look.custody.catalogue.names
        for number in range(len(names)):
            title = names.name(number)
            if number not in names.forgotten and any(one is floor for one in look.floors_of(title)):
                met += _is_met(look, title, floor)
        if status["met"] != met:
            yield f"{floor.ref}: says {status['met']} titles are met, and it is {met}"


def _is_met(look: Look, title: str, floor: FloorTerms) -> bool:
    view = look.view(title)
    if view is None or view.conflict:
        return False
    unsure = (HostState.UNKNOWN,)
    sure: dict[str, bool] = {}
    for key, one in look.holders(title, floor).items():
        volume = look.custody.volumes[key]
        state = floor.state_of(volume.host)
        waiting = (
            state in (HostState.SUSPECT, HostState.MAINTENANCE)
            and state not in unsure
            and (volume.state in (*READABLE, VolumeState.UNKNOWN))
        )
        if one.whole and one.own and one.counts and (one.live or waiting):
            sure[one.domain] = sure.get(one.domain, False) or one.steady
    return len(sure) >= floor.copies and sum(sure.values()) >= floor.always_on


def unknown_is_not_absent(look: Look) -> Iterator[str]:
    """Rule 4 [I7, I10]: a copy is made only where it lacks even if everything unknown is still there."""
    for step in look.starting:
        action = step.action
        if isinstance(action, VolumeAction) and not isinstance(action, AdoptVolume):
            volume = look.custody.volumes.get(action.volume)
            fit = (VolumeState.MOUNTED, VolumeState.NEW, VolumeState.READ_ONLY)
            if volume is None or volume.state not in fit:
                yield f"{action}: its volume is not there"
        if not isinstance(action, Copy):
            continue
        wanted = False
        for floor in look.floors_of(action.title):
            perhaps: dict[str, bool] = {}
            for one in look.holders(action.title, floor).values():
                if one.whole and one.counts and not one.gone:
                    perhaps[one.domain] = perhaps.get(one.domain, False) or one.steady
            short = len(perhaps) < floor.copies or sum(perhaps.values()) < floor.always_on
            wanted = wanted or (floor.acts and short)
        if not wanted:
            yield f"{action}: no floor lacks it when what is unknown is taken to be there"


def repair_is_calm(look: Look) -> Iterator[str]:
    """Rule 5 [I9, I18]: nothing new under the brake or a suspension, and never more than the slots allow."""
    terms = look.terms
    moving = [step.action for step in look.starting if isinstance(step.action, Copy)]
    for step in look.starting:
        action = step.action
        braked = isinstance(action, Copy | Quarantine) or action.removes
        if braked and terms.brake.engaged:
            yield f"{action}: the brake is on ({terms.brake.reason})"
        if terms.suspended:
            yield f"{action}: the fleet is suspended"
        host = terms.hosts.get(action.host)
        stops = isinstance(action, CancelJob)  # what runs on a suspended host may be stopped
        if host is not None and not (host.up and (stops or not host.suspended)):
            yield f"{action}: {action.host} is suspended or not up"
        if isinstance(action, Copy) and host is not None and not host.receives:
            yield f"{action}: {action.host} receives nothing"
    going = [one.action for one in look.seen.running.values() if isinstance(one.action, Copy)]
    if moving and len(moving) + len(going) > terms.fleet.transfers.max_parallel:
        yield f"{len(moving)} copies start beside {len(going)}, more than {terms.fleet.transfers.max_parallel}"
    incoming = Counter(one.host for one in (*moving, *going))
    outgoing = Counter(one.source_host for one in (*moving, *going))
    for one in moving:
        if incoming[one.host] > terms.hosts[one.host].max_in:
            yield f"{one}: {one.host} would receive {incoming[one.host]} at once"
        if outgoing[one.source_host] > terms.hosts[one.source_host].max_out:
            yield f"{one}: {one.source_host} would send {outgoing[one.source_host]} at once"


def mass_changes_wait(look: Look) -> Iterator[str]:
    """Rule 6 [I8]: more than the smaller of 20 titles and 5 % of a host leave it only by a person's word."""
    brakes = look.terms.fleet.brakes
    unasked = Counter(
        step.action.host
        for step in look.starting
        if isinstance(step.action, Trim) and step.action.id not in look.seen.approved
    )
    for host, count in sorted(unasked.items()):
        volumes = [one for one in look.custody.volumes.values() if one.host == host]
        holdings = look.custody.catalogue.holdings
        gone = sum(one.removed for one in volumes)
        had = gone + sum(len(holdings[one.key]) for one in volumes if one.key in holdings)
        limit = max(1, min(brakes.max_change_titles, had * brakes.max_change_percent // 100))
        going = [one.action for one in look.seen.running.values() if isinstance(one.action, Trim)]
        gone += sum(one.host == host for one in going)
        if count + gone > limit:
            yield f"{count} titles would leave {host} unasked, after {gone} within the day; the limit is {limit}"


def room_is_reserved(look: Look) -> Iterator[str]:
    """Rule 7 [I12]: what starts now fits above the reserve, besides everything that is under way."""
    for key, volume in look.custody.volumes.items():
        coming = [step.action for step in look.starting if isinstance(step.action, Copy)]
        coming = [one for one in coming if one.volume == key]
        if not coming:
            continue
        staged = {job.title: job.bytes for job in volume.jobs if job.verb == Copy.verb}
        here = [one.action for one in look.seen.running.values() if isinstance(one.action, Copy)]
        here = [one for one in here if one.volume == key]
        asked = sum(max(0, one.bytes - staged.get(one.title, 0)) for one in (*coming, *here))
        room = (volume.free or 0) - look.terms.roots[volume.host, volume.root].kept_free(volume.total)
        if asked > room:
            yield f"{volume.host}/{volume.root}: {asked} bytes are promised where {room} are free"


def one_writer(look: Look) -> Iterator[str]:
    """Rule 8 [I14]: without the lease nothing is begun, and nobody else's job is taken over."""
    if look.custody.fenced:
        for step in look.plan.steps:
            if step.decision is Decision.START and step.action.id not in look.seen.running:
                yield f"{step.action}: another controller holds the lease"


def duties_are_computed(look: Look) -> Iterator[str]:
    """Rule 9: duties follow from the registry by the data model's rules, and copies go to custodians only."""
    hosts = look.world.of(Host)
    free = {host.name: look.seen.free.get(host.name) for host in hosts}
    yield from duty_violations(hosts, free, assign_duties(hosts, free))
    for step in look.plan.steps:
        if isinstance(step.action, Copy) and look.terms.hosts[step.action.host].consumer:
            yield f"{step.action}: a Consumer holds no copies"


def everything_is_explained(look: Look) -> Iterator[str]:
    """The plan's own manners: each action once, a reason for all that waits, a next moment that lies ahead."""
    for identity, count in Counter(step.action.id for step in look.plan.steps).items():
        if count > 1:
            yield f"action {identity} is planned {count} times"
    for step in look.plan.steps:
        if step.decision is not Decision.START and not step.reason:
            yield f"{step.decision} {step.action} without a reason"
        if step.not_before is not None and step.not_before <= look.now:
            yield f"{step.action} waits for a moment that has passed"
    if look.plan.wake_at is not None and look.plan.wake_at <= look.now:
        yield f"the plan wakes at {look.plan.wake_at}, which is not ahead of {look.now}"
    for ref, status in look.plan.statuses.items():
        yield from _says_why(ref, status)


def _says_why(ref: Ref, status: Mapping[str, object]) -> Iterator[str]:
    worst = status.get("worst", [])
    for one in worst if isinstance(worst, list) else []:
        if not one["reason"] or not one["message"]:
            yield f"{ref}: {one['title']} is not as declared, and nothing says why"


def nothing_is_unlinked(change: Change) -> Iterator[str]:
    """Rule 3 [I6]: what leaves its place is kept on the same volume, until trash expires."""
    if isinstance(change.action, ExpireTrash):
        return
    for file, before in change.before.kept.items():
        lost = before - change.after.kept.get(file, frozenset())
        if lost:
            yield f"{change.action}: the bytes of {file} are gone from {sorted(lost)}"


def no_good_copy_vanishes(change: Change) -> Iterator[str]:
    """Rules 1 and 2 [I1, I2, I15]: no action takes the last good copy of a file, or overwrites one."""
    removes = isinstance(change.action, Trim)
    for file, before in change.before.good.items():
        after = change.after.good.get(file, frozenset())
        if not after:
            yield f"{change.action}: no good copy of {file} is left in its place"
        if not removes and before - after:
            yield f"{change.action}: it harmed good bytes of {file} on {sorted(before - after)}"
    for file, kept in change.before.kept.items():
        if kept and not change.after.kept.get(file):
            yield f"{change.action}: the last right bytes of {file} are gone"


LOOK_RULES: tuple[Callable[[Look], Iterator[str]], ...] = (
    last_copies_stay,
    copies_in_flight_do_not_count,
    unknown_is_not_absent,
    repair_is_calm,
    mass_changes_wait,
    room_is_reserved,
    one_writer,
    duties_are_computed,
    everything_is_explained,
)
CHANGE_RULES: tuple[Callable[[Change], Iterator[str]], ...] = (nothing_is_unlinked, no_good_copy_vanishes)


def violations(what: Look | Change) -> list[str]:
    """Every sentence that some rule has to say, with the rule's name before it; [] when all is well."""
    if isinstance(what, Look):
        return [f"{rule.__name__}: {said}" for rule in LOOK_RULES for said in rule(what)]
    return [f"{rule.__name__}: {said}" for rule in CHANGE_RULES for said in rule(what)]
