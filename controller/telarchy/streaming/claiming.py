"""Marking endpoints' folders as ours: those that say nothing, and another's once a person released it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from telarchy.core.observation import Observation
from telarchy.core.owner import Holding, Owner, Standing
from telarchy.core.plan import Decision, Hold, Step
from telarchy.core.words import listing, plural
from telarchy.streaming.actions import TakeOver
from telarchy.streaming.ownership import others, standing_of
from telarchy.streaming.steps import Steps, decide
from telarchy.streaming.terms import Place, Terms

NAMED = 3  # endpoints in a sentence


def plan_claims(steps: Steps, terms: Terms, seen: Observation, now: float) -> None:
    """What is to be marked now, and what waits for a person because it is another controller's."""
    me = terms.seen.owner
    if me is None or not terms.world.complete:
        return
    asked: dict[str, list[tuple[Place, TakeOver]]] = {}
    for place in terms.places.values():
        there = place.seen
        if place.external or place.unknown or place.suspended or there is None or there.holding is None:
            continue
        standing = standing_of(there, me)
        if standing is Standing.FOREIGN and there.holding.id not in terms.seen.former:
            action = _take(place, me, there.holding)
            if action.id in seen.approved or action.id in seen.running:
                steps.found.append(decide(action, seen, now, place.ref))
            else:
                asked.setdefault(there.holding.id, []).append((place, action))
        elif _to_mark(place, there.holding, standing) and there.writable is not False:
            # For nobody's sake: it is no news, and no part of what is declared.
            steps.found.append(
                replace(decide(_take(place, me, there.holding), seen, now, place.ref), ref=None)
            )
    for several in asked.values():
        steps.holds.append(_hold(several, now, me))
        steps.found += _waiting(several, steps.holds[-1])


def hold_of(steps: Steps, place: Place) -> str:
    """The hash that releases the take-over of an endpoint; "" when none is held."""
    mine = {step.action.id for step in steps.of(place) if isinstance(step.action, TakeOver)}
    return next((hold.hash for hold in steps.holds if mine & set(hold.action_ids)), "")


def _to_mark(place: Place, holding: Holding, standing: Standing) -> bool:
    if standing in (Standing.UNCLAIMED, Standing.OUTDATED, Standing.FOREIGN):
        return True
    about = (place.endpoint.namespace, place.name, place.endpoint.spec.deletion_policy)
    return standing is Standing.OURS and (holding.namespace, holding.resource, holding.policy) != about


def _take(place: Place, me: Owner, holding: Holding) -> TakeOver:
    foreign = holding.id if holding.id != me.id else ""
    return TakeOver(
        host=place.host_name,
        endpoint=place.name,
        base=place.base,
        owner=me.id,
        term=me.term,
        policy=place.endpoint.spec.deletion_policy,
        replaces=foreign,
        since=holding.since if foreign else 0.0,
        of=holding.name if foreign else "",
    )


def _hold(several: list[tuple[Place, TakeOver]], now: float, me: Owner) -> Hold:
    first = several[0][0]
    names = [place.name for place, _ in several[:NAMED]]
    if len(several) > NAMED:
        names.append(f"{len(several) - NAMED} more")
    return Hold(
        f"{others(first.seen, me, first.host_name, now)}; release it only when that controller is gone for good, or "
        "has them in its manifests no longer",
        f"take over {plural(len(several), 'endpoint')} ({listing(names)})",
        tuple(action.id for _, action in several),
        ref=first.ref,
    )


def _waiting(several: list[tuple[Place, TakeOver]], hold: Hold) -> Iterator[Step]:
    for place, action in several:
        yield Step(action, Decision.HOLD, f"held: `telarchy approve {hold.hash}`", ref=place.ref)
