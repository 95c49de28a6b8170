"""Who is obligated to keep a title alive: the rolling baton of the data model. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from telarchy.custody.weighing import Holder


def custodians_of(holders: Sequence[Holder], count: int, *, always_on: int = 1) -> tuple[Holder, ...]:
    """The `count` most recent eligible holders, one per failure domain, `always_on` slots kept for hosts that are.

    Eligible is a complete copy that counts. Most recent first; the baton rolls on to whoever got the title
    last, since old holders are the ones that fill up and retire.
    """
    eligible = sorted(
        (one for one in holders if one.complete and one.standing.counts),
        key=lambda one: (-one.since, one.volume),
    )
    chosen: list[Holder] = []

    def choose(candidates: Sequence[Holder], most: int) -> None:
        for one in candidates:
            if len(chosen) < most and all(one.standing.domain != other.standing.domain for other in chosen):
                chosen.append(one)

    # Slots for always-on hosts first: their number is the floor's, whoever else is more recent.
    choose([one for one in eligible if one.standing.always_on], min(always_on, count))
    choose(eligible, count)
    return tuple(sorted(chosen, key=lambda one: (-one.since, one.volume)))
