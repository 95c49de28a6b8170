"""A stream's runs: from `running: true` to an explicit stop, whatever comes in between. Pure.

A generation has a folder of its own, and what viewers have of it never changes under them. It outlives a publisher
that goes, a process that dies and a host that restarts; another begins when what is made changes (renditions,
segments, audio), or when the stream was stopped and started.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from telarchy.streaming.evidence import Generation

_ID = re.compile(r"g([0-9]{1,9})-([0-9a-f]{8})", re.ASCII)


@dataclass(frozen=True)
class Turn:
    """What became of a stream's generation in this round.

    now:     the latest one; None when there never was one, or none can be begun yet
    ended:   ids that ended in this round
    began, went_live: whether `now` did so in this round
    waits:   why none could be begun; "" when there is nothing to wait for
    """

    now: Generation | None
    ended: tuple[str, ...] = ()
    began: bool = False
    went_live: bool = False
    waits: str = ""

    @property
    def active(self) -> Generation | None:
        """The one that is to be played."""
        return self.now if self.now is not None and self.now.ended is None else None


def identity(made_of: object) -> str:
    """8 hex digits over what a generation is made of (JSON-ready)."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:8]


def sequence_of(generation: str) -> int:
    """The number in `g7-0a1b2c3d`; 0 for a folder that is called otherwise."""
    found = _ID.fullmatch(generation)
    return int(found[1]) if found else 0


def advance(
    before: Generation | None,
    stream: str,
    made_of: str,
    *,
    running: bool,
    now: float,
    lying: Iterable[str] = (),
    playing: str = "",
    playable: bool = False,
    failed: str = "",
    unseen: str = "",
) -> Turn:
    """One round of a stream that may be acted on.

    made_of:   the `identity` of what is declared
    lying:     generations that lie on hosts
    playing:   the newest generation that a host makes now, for a controller that has lost its memory
    playable:  whether a viewer can play the active generation somewhere
    failed:    why the session of the active generation cannot be created; "" when nothing failed
    unseen:    an origin that was not looked at yet; "" when all were, or cannot be
    """
    if not running:
        if before is None or before.ended is not None:
            return Turn(before)
        return Turn(replace(before, ended=now), ended=(before.id,))
    if before is not None and before.ended is None and before.identity == made_of:
        return _go_on(before, playable=playable, failed=failed, now=now)
    if before is None:
        if unseen:
            return Turn(None, waits=f"waits for a first look at {unseen}")
        number = _ID.fullmatch(playing)
        if number is not None and number[2] == made_of:
            found = Generation(playing, stream, int(number[1]), made_of, now, live=now if playable else None)
            return Turn(found)
    highest = max([sequence_of(one) for one in lying], default=0)
    sequence = max(highest, before.sequence if before is not None else 0) + 1
    fresh = Generation(f"g{sequence}-{made_of}", stream, sequence, made_of, now)
    ended = (before.id,) if before is not None and before.ended is None else ()
    return Turn(fresh, ended=ended, began=True)


def _go_on(before: Generation, *, playable: bool, failed: str, now: float) -> Turn:
    if before.live is None and playable:
        return Turn(replace(before, live=now, failed=""), went_live=True)
    if before.live is None and failed != before.failed:
        return Turn(replace(before, failed=failed))
    return Turn(before)


def ages(
    known: dict[str, float], lying: Iterable[str], active: str, now: float, ended: Iterable[str] = ()
) -> dict[str, float]:
    """When each generation that lies on hosts ended: known since before, or else noticed now."""
    return {one: known.get(one, now) for one in {*lying, *ended, *known} if one and one != active}


def expired(ended: dict[str, float], retention: float, now: float) -> tuple[tuple[str, ...], float | None]:
    """Generations to be removed by now (oldest first), and when the next one will be. `retention` in seconds."""
    due = sorted(
        (one for one, at in ended.items() if now - at >= retention), key=lambda one: (sequence_of(one), one)
    )
    later = [at + retention for at in ended.values() if now - at < retention]
    return tuple(due), min(later, default=None)
