"""What must hold of every plan, whatever the fleet: the rules, determinism, and counts that agree with themselves."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from telarchy.core.observation import Observation
from telarchy.core.plan import Plan
from telarchy.core.world import World
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.census import Census
from telarchy.custody.evidence import CustodySeen
from telarchy.custody.invariants import Look, violations
from telarchy.custody.plan import CensusMemo, deliberate, plan_custody
from telarchy.custody.weighing import view_of, weigh


def check(world: World, seen: Observation, now: float, memo: CensusMemo, **options: int) -> Plan:
    """Plan, and hold the plan against everything it must be. Returns it."""
    plan = plan_custody(world, seen, now, memo=memo, **options)
    said = violations(Look(world, seen, now, plan))
    assert not said, said
    again = plan_custody(_shuffled_world(world), shuffled(seen), now, **options)
    assert again.steps == plan.steps
    assert again.statuses == plan.statuses
    assert again.holds == plan.holds
    assert (again.wake_at, again.beyond, again.unsettled) == (plan.wake_at, plan.beyond, plan.unsettled)
    assert memo.census is not None
    fresh = deliberate(world, seen, now).census
    same_counts(memo.census, fresh)
    counts_agree_with_weigh(fresh)
    return plan


def shuffled(seen: Observation, seed: int = 1) -> Observation:
    """The same evidence with every mapping in another order."""
    chance = random.Random(seed)

    def other(mapping):
        pairs = list(mapping.items())
        chance.shuffle(pairs)
        return dict(pairs)

    custody: CustodySeen = seen.sections["custody"]
    # The columns are the same; the mappings around them come in another order.
    catalogue = Catalogue(
        names=custody.catalogue.names,
        holdings=other(custody.catalogue.holdings),
        manifests=custody.catalogue.manifests,
        patterns=custody.catalogue.patterns,
    )
    section = replace(custody, catalogue=catalogue, volumes=other(custody.volumes))
    return replace(
        seen,
        hosts=other(seen.hosts),
        free=other(seen.free),
        running=other(seen.running),
        attempts=other(seen.attempts),
        sections={"custody": section},
    )


def _shuffled_world(world: World) -> World:
    pairs = list(world.resources.items())
    random.Random(2).shuffle(pairs)
    return replace(world, resources=dict(pairs))


def same_counts(followed: Census, fresh: Census) -> None:
    """A census that followed changes one by one equals one that was made from scratch."""
    size = len(fresh.catalogue.names)
    for one, other in zip(followed.floors, fresh.floors, strict=True):
        assert one.member[:size].tolist() == other.member.tolist()
        members = np.flatnonzero(other.member)
        assert one.state[members].tolist() == other.state[members].tolist()
        assert one.need[members].tolist() == other.need[members].tolist()
        assert one.order.tolist() == other.order.tolist()
        assert one.keys.tolist() == other.keys.tolist()
        assert one.counts.tolist() == other.counts.tolist()
        assert one.bytes_to_move == other.bytes_to_move
        assert one.surplus == other.surplus


def counts_agree_with_weigh(census: Census) -> None:
    """What is counted in columns is what `weigh` says title by title."""
    for (terms, standings), count in zip(census.inputs, census.floors, strict=True):
        for title in np.flatnonzero(count.member).tolist():
            weighed = weigh(view_of(census.catalogue, title, dict(standings)), terms)
            assert (int(count.state[title]), int(count.need[title])) == (weighed.state, weighed.need)
            assert (title in count.surplus) == weighed.surplus
