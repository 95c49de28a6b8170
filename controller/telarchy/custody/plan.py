"""Custody's plan: what to do so that every floor holds, in order of urgency, and why the rest waits. Pure.

The order of thought, once a round:

1. read the terms (hosts, floors, brake) and weigh every volume: live, waiting, unknown, gone
2. count every title under every floor (`census`)
3. decide whether anything may be done at all: brake, suspension, another controller, not all seen yet
4. quarantine; copies, most urgent first; then verification, trimming, sweeping
5. say it: statuses, holds, the next moment at which time alone changes something
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from telarchy.core.hosts import HostState
from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Plan, Step
from telarchy.core.words import listing
from telarchy.core.world import World
from telarchy.custody import upkeep
from telarchy.custody.actions import Copy
from telarchy.custody.census import Census
from telarchy.custody.choosing import CopyPlan
from telarchy.custody.copies import plan_copies
from telarchy.custody.evidence import CustodySeen, VolumeSeen, VolumeState
from telarchy.custody.host_status import host_statuses
from telarchy.custody.placement import Ledger
from telarchy.custody.status import Round, floor_statuses
from telarchy.custody.terms import FloorTerms, Terms, terms_of
from telarchy.custody.trimming import plan_trims
from telarchy.custody.weighing import Standing, Weight

HORIZON = 64  # copies planned ahead; enough to fill every slot many times over, few enough to plan in a blink

UNSEEN_PATIENCE_SECONDS = 15 * 60.0  # as the grace of a server

READABLE = frozenset({VolumeState.MOUNTED, VolumeState.READ_ONLY, VolumeState.NEW})


@dataclass
class CensusMemo:
    """Keeps the last census, so that a round after a small change costs little. Never changes a result."""

    census: Census | None = None

    def take(
        self, custody: CustodySeen, inputs: Sequence[tuple[FloorTerms, Mapping[str, Standing]]]
    ) -> Census:
        last = self.census
        if last is None or not last.fits(custody.catalogue, inputs) or not last.refresh():
            last = self.census = Census(custody.catalogue, inputs)
        return last


@dataclass(frozen=True)
class Deliberation:
    """Everything that one round of thought produced; `why` explains from it."""

    terms: Terms
    custody: CustodySeen
    census: Census
    copies: CopyPlan
    upkeep: upkeep.Upkeep
    not_now: str
    blocked_by: tuple[str, ...]
    steps: tuple[Step, ...] = field(default_factory=tuple)


def plan_custody(
    world: World,
    seen: Observation,
    now: float,
    *,
    memo: CensusMemo | None = None,
    horizon: int = HORIZON,
    rounds: Mapping[str, tuple[Round, ...]] | None = None,
) -> Plan:
    """The plan of this round. `rounds`: earlier rounds of each floor, for its status."""
    return report(deliberate(world, seen, now, memo=memo, horizon=horizon), seen, now, rounds or {})


def deliberate(
    world: World, seen: Observation, now: float, *, memo: CensusMemo | None = None, horizon: int = HORIZON
) -> Deliberation:
    """Steps 1 to 4."""
    terms = terms_of(world, seen, now)
    custody: CustodySeen = seen.sections["custody"]
    inputs = [(floor, standings_of(floor, terms, custody)) for floor in terms.floors]
    census = (memo or CensusMemo()).take(custody, inputs)
    unseen = unseen_roots(terms, custody)
    not_now = why_not_now(terms, custody, unseen)
    ledger = Ledger.of(terms, custody.volumes)

    up = upkeep.Upkeep()
    upkeep.plan_adoptions(
        up, terms, seen, custody, now, custody.fenced or ("suspended" if terms.suspended else "")
    )
    upkeep.plan_quarantines(up, terms, seen, custody, census, now, not_now)
    held = frozenset(step.action.id for step in up.steps if step.decision is Decision.HOLD)
    copies = plan_copies(
        terms, seen, custody, census, ledger, now, horizon=horizon, not_now=not_now, held=held
    )
    plan_trims(up, terms, seen, custody, census, ledger, now, not_now)
    looked = not custody.fenced and not unseen
    upkeep.plan_verifications(up, terms, seen, custody, census, ledger, now, start=looked)
    if looked:
        upkeep.plan_forgetting(up, seen, census, not_now)
    upkeep.plan_sweeping(up, terms, seen, custody, census, now, not_now)

    first = [step for step in up.steps if step.action.verb in ("AdoptVolume", "Quarantine")]
    later = [step for step in up.steps if step.action.verb not in ("AdoptVolume", "Quarantine")]
    wanted: dict[str, Step] = {}
    for step in (*first, *copies.steps, *later):
        wanted.setdefault(step.action.id, step)
    if not not_now:  # titles with a job are looked at first, so what is not wanted here is not wanted
        up.steps.clear()
        upkeep.plan_cancellations(up, terms, seen, custody, wanted, now, all_planned=copies.planned < horizon)
        wanted.update((step.action.id, step) for step in up.steps)
    return Deliberation(terms, custody, census, copies, up, not_now, unseen, tuple(wanted.values()))


def standings_of(floor: FloorTerms, terms: Terms, custody: CustodySeen) -> dict[str, Standing]:
    """How this floor weighs each volume that is declared."""
    found = {}
    for key, volume in custody.volumes.items():
        host = terms.hosts.get(volume.host)
        if host is None or (volume.host, volume.root) not in terms.roots:
            continue
        found[key] = Standing(
            host=host.name,
            domain=host.domain,
            weight=weight_of(volume, floor.state_of(host.name), floor.volume_grace),
            always_on=host.always_on,
            counts=host.name in floor.allowed and not host.draining,
            borrowed=volume.borrowed,
            hidden=volume.hidden,
        )
    return found


def weight_of(volume: VolumeSeen, state: HostState, grace: float | None) -> Weight:
    """Rule 4: what cannot be looked at is unknown; it is gone only with its host, or by the owner's own rule.

    grace: seconds that the floor gives a missing volume of a host that is up; None: for ever
    """
    if state is not HostState.DOWN and volume.state is VolumeState.NEW and not volume.adoptable:
        return Weight.UNKNOWN  # two such roots may be one folder
    if state is HostState.UP:
        if volume.state in READABLE:
            return Weight.LIVE
        gone = grace is not None and volume.state is VolumeState.MISSING and volume.missing_for >= grace
        return Weight.GONE if gone else Weight.UNKNOWN
    if state is HostState.DOWN:
        return Weight.GONE
    if state is HostState.UNKNOWN or volume.state not in (*READABLE, VolumeState.UNKNOWN):
        return Weight.UNKNOWN
    return Weight.WAITING


def unseen_roots(terms: Terms, custody: CustodySeen) -> tuple[str, ...]:
    """Roots that are there to be looked at and were not scanned yet: what is on them would be copied for nothing.

    A root that was looked for in vain for as long as its host would be missed holds up nobody any longer: what
    is known to lie on it is unknown (rule 4), and the rest of the fleet goes on.
    """
    scanned = {(one.host, one.root): one for one in custody.volumes.values()}
    waiting = []
    for (host, root), _ in sorted(terms.roots.items()):
        if terms.hosts[host].consumer or terms.hosts[host].state not in (HostState.UP, HostState.UNKNOWN):
            continue
        volume = scanned.get((host, root))
        if volume is not None and volume.missing_for >= UNSEEN_PATIENCE_SECONDS:
            continue
        if volume is None or (volume.scanned is None and volume.state in (*READABLE, VolumeState.UNKNOWN)):
            waiting.append(f"{host}/{root}")
    return tuple(waiting)


def why_not_now(terms: Terms, custody: CustodySeen, unseen: tuple[str, ...]) -> str:
    """Why nothing new may be done, "" when it may."""
    if not terms.complete:
        return "not every manifest has been read yet"
    if terms.suspended:
        return "the fleet is suspended"
    if custody.fenced:
        return custody.fenced
    if terms.brake.engaged:
        return terms.brake.reason
    if unseen:
        return f"waiting for a first look at {listing(unseen)}"
    return ""


def report(
    done: Deliberation, seen: Observation, now: float, rounds: Mapping[str, tuple[Round, ...]]
) -> Plan:
    """Step 5."""
    census, copies = done.census, done.copies
    acting = [count for count in census.floors if count.terms.acts]
    wanted = sum(count.copies_wanted for count in acting)
    wanted_bytes = sum(count.bytes_to_move for count in acting)
    blocked = len(copies.blocked)
    # Floors that share titles would be counted twice: what lies behind the horizon is an upper bound then.
    full = copies.planned + blocked < sum(len(count.order) for count in acting)
    beyond = (
        (max(0, wanted - copies.planned - blocked), max(0, wanted_bytes - copies.planned_bytes))
        if full
        else (0, 0)
    )
    moments = [done.copies.wake_at, done.upkeep.wake_at]
    moments += [host.changes_at for host in done.terms.hosts.values()]
    moments += [floor.changes_at for floor in done.terms.floors]
    moments += _volumes_given_up(done, now)
    moments += [one.toolless_until for one in done.custody.volumes.values() if one.toolless_until]
    statuses = floor_statuses(done, seen, rounds)
    statuses |= host_statuses(done, seen, list(statuses.values()))
    unsettled = [
        str(floor.ref)
        for floor in done.terms.floors
        if any(
            one["type"] == "Ready" and one["status"] != "True" for one in statuses[floor.ref]["conditions"]
        )
        and not floor.suspended
    ]
    return Plan(
        steps=done.steps,
        statuses=statuses,
        unsettled=(*unsettled, *done.blocked_by),
        holds=tuple(done.upkeep.holds),
        beyond=(beyond[0] + done.upkeep.due, beyond[1] + done.upkeep.due_bytes),
        wake_at=min((at for at in moments if at is not None), default=None),
    )


def _volumes_given_up(done: Deliberation, now: float) -> Iterator[float]:
    """When missing volumes of hosts that are up will count as gone, where the owner's rule says so."""
    spans = {floor.volume_grace for floor in done.terms.floors if floor.volume_grace is not None}
    for volume in done.custody.volumes.values():
        host = done.terms.hosts.get(volume.host)
        if host is not None and host.up and volume.state is VolumeState.MISSING:
            yield from (now + span - volume.missing_for for span in spans if span > volume.missing_for)


def copying_now(steps: tuple[Step, ...]) -> list[Copy]:
    """Copies that start or run in this plan."""
    return [
        step.action for step in steps if step.decision is Decision.START and isinstance(step.action, Copy)
    ]
