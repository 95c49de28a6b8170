"""Who is obligated to keep a title alive: the rolling baton of the data model. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from telarchy.custody.weighing import Holder


def custodians_of(holders: Sequence[Holder], count: int) -> tuple[Holder, ...]:
    """The `count` most recent eligible holders, one per failure domain, with one slot for an always-on host.

    Eligible is a complete copy that counts. Most recent first; the baton rolls on to whoever got the title
    last, since old holders are the ones that fill up and retire.
    """
    eligible = sorted(
        (one for one in holders if one.complete and one.standing.counts),
        key=lambda one: (-one.since, one.volume),
    )
    chosen: list[Holder] = []
    for one in eligible:
        if len(chosen) < count and all(one.standing.domain != other.standing.domain for other in chosen):
            chosen.append(one)
    if chosen and not any(one.standing.always_on for one in chosen):
        domains = {one.standing.domain for one in chosen[:-1]}
        steady = next(
            (one for one in eligible if one.standing.always_on and one.standing.domain not in domains), None
        )
        if steady is not None:
            chosen[-1] = steady
    return tuple(chosen)
