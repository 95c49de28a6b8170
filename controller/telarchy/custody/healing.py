"""How a damaged copy is set aside so that it can be healed where it lies. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from telarchy.core.observation import Attempt
from telarchy.custody.actions import Quarantine
from telarchy.custody.evidence import VolumeSeen, VolumeState
from telarchy.custody.terms import HostTerms
from telarchy.custody.weighing import Holder, TitleView

TRIES_BEFORE_ELSEWHERE = 2  # failures of one action before another way is gone


def gave_up(attempt: Attempt | None) -> bool:
    """Whether an action was refused, or failed again and again, so that another way is better."""
    return attempt is not None and (attempt.not_before is None or attempt.count >= TRIES_BEFORE_ELSEWHERE)


def quarantine_of(view: TitleView, damaged: Holder, volume: VolumeSeen, title: str) -> Quarantine | None:
    """Set aside as many of the damaged files as have good live copies together; None while none has one.

    A file of which nothing better is live stays where it is: it is the last copy, however bad (rule 1).
    """
    wrong = set(damaged.damaged)
    good: dict[str, frozenset[str]] = {}
    for one in view.holders:
        if one.live and one.volume != damaged.volume:
            good[one.volume] = frozenset(wrong - {*one.missing, *one.damaged})
    # Whoever has most of them is asked for those; what is left gets its turn when they are healed.
    paths = max((good[volume] for volume in sorted(good)), key=len, default=frozenset())
    if not paths or "?" in paths:
        return None
    return Quarantine(
        host=volume.host,
        root=volume.root,
        volume=damaged.volume,
        title=title,
        paths=tuple(sorted(paths)),
        keepers=tuple(sorted(volume for volume, has in good.items() if has >= paths)),
    )


def heals_in_place(
    view: TitleView,
    damaged: Holder,
    volume: VolumeSeen,
    host: HostTerms,
    title: str,
    attempts: Mapping[str, Attempt],
    held: Collection[str],
) -> bool:
    """Whether a damaged copy will be whole again where it lies, so that no other place need be found for it.

    Not where the disk takes no writing, where the host receives nothing, where setting aside failed before, or where it
    waits for a person (`held`, ids of actions): waiting would leave the title short for as long as nobody mends the
    host.
    """
    if not (damaged.live and damaged.standing.counts and host.receives and host.max_in > 0):
        return False
    if volume.state is not VolumeState.MOUNTED:
        return False
    quarantine = quarantine_of(view, damaged, volume, title)
    return quarantine is not None and not gave_up(attempts.get(quarantine.id)) and quarantine.id not in held
