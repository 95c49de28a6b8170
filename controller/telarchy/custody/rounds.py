"""A floor's history: each stretch of work from the first lacking title to the last one met. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from telarchy.core.action import stable_id
from telarchy.custody.status import Round
from telarchy.resources.custodyfloor import HISTORY


def advance(rounds: tuple[Round, ...], status: Mapping[str, Any], now: float) -> tuple[Round, ...]:
    """The history after a plan with this floor status: a round opens when titles lack, closes when none does.

    Only counts that moved make a new value, so that an unchanged world leaves the history as it is.
    """
    open_round = rounds[0] if rounds and rounds[0].finished_at is None else None
    working = status["lacking"] + status["copying"] + status["badlyPlaced"] > 0
    if open_round is None:
        if not working:
            return rounds
        started = _counted(Round(now, None, 0, 0, 0, 0, 0, ""), status)
        return (started, *rounds)[:HISTORY]
    current = _counted(open_round, status)
    if not working:
        current = replace(current, finished_at=now)
    return rounds if current == open_round else (current, *rounds[1:])


def copied(rounds: tuple[Round, ...], size: int) -> tuple[Round, ...]:
    """One more copy of `size` bytes was made."""
    if not rounds:
        return rounds
    return (replace(rounds[0], copied=rounds[0].copied + 1, bytes=rounds[0].bytes + size), *rounds[1:])


def _counted(one: Round, status: Mapping[str, Any]) -> Round:
    titles, met = int(status["titles"]), int(status["met"])
    lacking = titles - met
    return replace(one, titles=titles, met=met, lacking=lacking, digest=stable_id(titles, met)[:12])
