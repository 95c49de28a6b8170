"""From a plan to what a person reads: whole statuses with times and generations, and events on transitions only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from telarchy.core.plan import Event, Plan
from telarchy.core.words import rfc3339
from telarchy.core.world import World
from telarchy.resources.meta import MAX_MESSAGE, Ref

Status = dict[str, Any]


class Coarse(int):
    """A number that always moves a little (free bytes), for a status: shown in whole steps, and left as it was last
    reported until it is clearly another. Without that, a value that happens to lie at the edge of a step would be
    written again and again."""

    exact: int
    step: int

    def __new__(cls, exact: int, step: int) -> Coarse:
        made = super().__new__(cls, exact // step * step)
        made.exact, made.step = exact, step
        return made

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override]  # for copies; int's own gives its value
        return self.exact, self.step

    def after(self, before: object) -> int:
        """What to report when this was reported before: half a step beyond its own on either side is the same."""
        if isinstance(before, int) and before - self.step / 2 <= self.exact < before + self.step * 3 / 2:
            return before
        return int(self)


def steady(now: Any, before: Any) -> Any:
    """A status with its coarse numbers settled, each compared with what stood in its place."""
    if isinstance(now, Coarse):
        return now.after(before)
    if isinstance(now, dict):
        known = before if isinstance(before, Mapping) else {}
        for key, value in now.items():
            if type(value) in _DEEPER and (settled := steady(value, known.get(key))) is not value:
                now = {**now, key: settled}
    elif isinstance(now, list):
        earlier = before if isinstance(before, (list, tuple)) else ()
        for index, value in enumerate(now):
            if type(value) in _DEEPER:
                settled = steady(value, earlier[index] if index < len(earlier) else None)
                if settled is not value:
                    now = [*now[:index], settled, *now[index + 1 :]]
    return now


_DEEPER = (Coarse, dict, list)


class Record(Protocol):
    """Where statuses and events are kept: the embedded store, or the API server."""

    def status(self, ref: Ref) -> Status | None: ...
    def write_statuses(self, statuses: Mapping[Ref, Mapping[str, Any]], now: float) -> list[Ref]: ...
    def record_events(self, events: Iterable[Event], now: float) -> None: ...
    def approved(self, now: float) -> frozenset[str]: ...


def finish(plan: Plan, world: World, record: Record, now: float) -> tuple[dict[Ref, Status], list[Event]]:
    """Complete the plan's statuses and tell what changed since the recorded ones."""
    statuses: dict[Ref, Status] = {}
    events: list[Event] = list(plan.events)
    for ref, resource in world.resources.items():
        part = plan.statuses.get(ref)
        if part is not None:
            statuses[ref] = _complete(dict(part), record.status(ref), resource.metadata.generation, now)
    for ref, resource in world.departing.items():
        part = _departing(plan.statuses.get(ref) or {}, plan.lingering.get(ref, ""))
        statuses[ref] = _complete(part, record.status(ref), resource.metadata.generation, now)
    for ref, problems in world.stalled.items():
        if ref in world.departing:
            continue
        words = "; ".join(str(problem) for problem in problems) or "the manifest is not valid"
        before = record.status(ref)
        generation = (before or {}).get("observedGeneration", 0)
        kept = {key: value for key, value in (before or {}).items() if key != "conditions"}
        # An object that still runs on its last good version keeps the conditions of that version besides.
        conditions = list((statuses.get(ref) or {}).get("conditions", []))
        conditions = [one for one in conditions if one["type"] not in ("Ready", "Stalled")]
        conditions += [
            {"type": "Ready", "status": "False", "reason": "InvalidManifest", "message": words},
            {"type": "Stalled", "status": "True", "reason": "InvalidManifest", "message": words},
        ]
        base = statuses.get(ref) or kept
        statuses[ref] = _complete(base | {"conditions": conditions}, before, generation, now)
    for ref, status in statuses.items():
        events += _transitions(ref, record.status(ref), status)
    return statuses, events


def _departing(part: Mapping[str, Any], left: str) -> Status:
    """What is said of a deleted resource, in the room's own words where it has any."""
    conditions = list(part.get("conditions", []))
    if not any(one["type"] == "Ready" for one in conditions):
        message = left or "it was deleted, and nothing of it is left on hosts"
        conditions.append({"type": "Ready", "status": "False", "reason": "Releasing", "message": message})
    return {**part, "conditions": conditions}


def _complete(status: Status, before: Status | None, generation: int, now: float) -> Status:
    status = steady(status, before)
    known = {one["type"]: one for one in (before or {}).get("conditions", [])}
    conditions = []
    for one in status.get("conditions", []):
        earlier = known.get(one["type"])
        same = earlier is not None and earlier["status"] == one["status"]
        since = earlier["lastTransitionTime"] if same and earlier is not None else rfc3339(now)
        message = one.get("message", "")
        message = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
        conditions.append(
            one | {"message": message, "lastTransitionTime": since, "observedGeneration": generation}
        )
    return status | {"observedGeneration": generation, "conditions": conditions}


def is_calm(ready: Mapping[str, Any]) -> bool:
    """Whether a Ready condition tells of nothing that a person might have to see to."""
    return ready["status"] == "True" or ready["reason"] in _UNDER_WAY


_UNDER_WAY = frozenset(
    {
        "Copying",
        "Draining",
        "NoSource",
        "Observing",
        "Probing",
        "Progressing",
        "Queued",
        "Releasing",
        "Waiting",
    }
)
_AWAITED = frozenset({"Drained"})  # conditions besides Ready that a person waits for


def _transitions(ref: Ref, before: Status | None, now: Status) -> Iterable[Event]:
    """An event when Ready changes its word, and when its reason changes to something that is not in order; and when a
    condition that is waited for does."""
    earlier = {one["type"]: one for one in (before or {}).get("conditions", [])}
    for one in now.get("conditions", []):
        if one["type"] != "Ready" and one["type"] not in _AWAITED:
            continue
        old = earlier.get(one["type"])
        moved = old is None or old["status"] != one["status"]
        if moved or (one["status"] != "True" and old is not None and old["reason"] != one["reason"]):
            yield Event(
                ref, one["reason"], one["message"] or one["reason"], "Normal" if is_calm(one) else "Warning"
            )
