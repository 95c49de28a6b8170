"""What to do about what was seen: steps in order of urgency, statuses to report, events to tell.

A plan holds no wish that is not explained: each step says whether it starts now and, if not, why and when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from telarchy.core.action import Action, stable_id
from telarchy.resources.meta import Ref


class Decision(StrEnum):
    """What the loop does with a step now."""

    START = "Start"  # begin it; if it runs already, let it run
    QUEUE = "Queue"  # wanted, waits for a slot or for bytes of budget
    WAIT = "Wait"  # wanted, not before `not_before` (back-off, window, grace)
    HOLD = "Hold"  # waits for a person: `telarchy approve HASH`
    REFUSE = "Refuse"  # a safety rule forbids it; shown, never tried


@dataclass(frozen=True)
class Step:
    """An action and what is to become of it now. `not_before` is in seconds since the epoch."""

    action: Action
    decision: Decision = Decision.START
    reason: str = ""
    not_before: float | None = None
    ref: Ref | None = None  # the resource that wants it

    def to_dict(self) -> dict[str, Any]:
        shown = self.action.to_dict() | {"decision": str(self.decision)}
        if self.reason:
            shown["reason"] = self.reason
        if self.not_before is not None:
            shown["notBefore"] = self.not_before
        if self.ref is not None:
            shown["for"] = str(self.ref)
        return shown


@dataclass(frozen=True)
class Hold:
    """A change too large to make unasked. Approving the hash releases exactly these actions."""

    reason: str
    summary: str
    action_ids: tuple[str, ...]
    bytes: int = 0
    ref: Ref | None = None

    @property
    def hash(self) -> str:
        return stable_id("hold", *sorted(self.action_ids))[:12]


@dataclass(frozen=True)
class Event:
    """Something a person may want to read later. Deduplicated on (ref, reason, message)."""

    ref: Ref
    reason: str  # one CamelCase word
    message: str
    type: str = "Normal"  # Normal | Warning


@dataclass(frozen=True)
class Plan:
    """The whole answer of one round.

    statuses:   ref -> partial status (camelCase, JSON-ready); parts of several capabilities are merged,
                `conditions` by their type, `held` changes by their hash
    beyond:     (count, bytes) of further actions that stand behind the horizon of this plan
    unsettled:  names of resources that are not as declared, though nothing may be left to do about it now
    wake_at:    the next moment at which time alone may change the plan, seconds since the epoch
    lingering:  what resources that are not declared any more still have on hosts, or may have (unknown is not
                absent), as a sentence each. One that departs is let go once no room names it here
    """

    steps: tuple[Step, ...] = ()
    statuses: Mapping[Ref, Mapping[str, Any]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    holds: tuple[Hold, ...] = ()
    beyond: tuple[int, int] = (0, 0)
    unsettled: tuple[str, ...] = ()
    wake_at: float | None = None
    lingering: Mapping[Ref, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Everything declared is so: nothing to do, nothing waits, nothing is lacking."""
        return not self.steps and self.beyond == (0, 0) and not self.unsettled and not self.lingering


_NAMED_BY = {"conditions": "type", "held": "hash"}  # lists of what has a name, by which it is one


def merge(plans: Iterable[Plan]) -> Plan:
    """One plan out of several capabilities' plans, in the order given."""
    plans = list(plans)
    statuses: dict[Ref, dict[str, Any]] = {}
    for plan in plans:
        for ref, status in plan.statuses.items():
            _merge_status(statuses.setdefault(ref, {}), status)
    moments = [plan.wake_at for plan in plans if plan.wake_at is not None]
    return Plan(
        steps=tuple(step for plan in plans for step in plan.steps),
        statuses=statuses,
        events=tuple(event for plan in plans for event in plan.events),
        holds=tuple(hold for plan in plans for hold in plan.holds),
        beyond=(sum(plan.beyond[0] for plan in plans), sum(plan.beyond[1] for plan in plans)),
        unsettled=tuple(name for plan in plans for name in plan.unsettled),
        wake_at=min(moments, default=None),
        lingering=_joined(plan.lingering for plan in plans),
    )


def _joined(parts: Iterable[Mapping[Ref, str]]) -> dict[Ref, str]:
    found: dict[Ref, list[str]] = {}
    for part in parts:
        for ref, sentence in part.items():
            found.setdefault(ref, []).append(sentence)
    return {ref: "; ".join(sentences) for ref, sentences in found.items()}


def _merge_status(into: dict[str, Any], part: Mapping[str, Any]) -> None:
    for key, value in part.items():
        if (by := _NAMED_BY.get(key)) is not None:
            known = {one[by]: one for one in into.get(key, [])}
            known.update({one[by]: one for one in value})
            into[key] = list(known.values())
        elif isinstance(value, Mapping) and isinstance(into.get(key), Mapping):
            inner = dict(into[key])
            _merge_status(inner, value)
            into[key] = inner
        else:
            into[key] = value
