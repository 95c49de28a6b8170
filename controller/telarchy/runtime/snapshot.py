"""A round as JSON-ready data: what `plan` prints, what the live view shows, what is left when nobody runs.

The same function serves `telarchy plan`, the control socket and the store, so the three cannot tell different
stories.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telarchy.core.observation import Observation, Progress
from telarchy.core.plan import Hold, Plan, Step
from telarchy.core.world import World
from telarchy.runtime.troubles import troubles_of

STEPS_KEPT = 2000  # of a plan in the store and over the socket; the rest is counted


def snapshot(
    plan: Plan,
    seen: Observation,
    *,
    at: float,
    complete: bool = True,
    revision: str = "",
    looked: Mapping[str, float] | None = None,
    steps: int | None = STEPS_KEPT,
    world: World | None = None,
) -> dict[str, Any]:
    """What a round saw and decided.

    at:        when the plan was made, seconds since the epoch
    complete:  desired state was read; before that, nothing is settled
    looked:    when each host's evidence was last brought up to date, likewise
    steps:     how many steps to list at most; the others are added to `beyond`
    world:     what was declared; without it, every host that is away is a trouble
    """
    listed = plan.steps if steps is None else plan.steps[:steps]
    left_out = plan.steps[len(listed) :]
    return {
        "at": at,
        "revision": revision,
        "settled": plan.settled and complete,
        "unsettled": list(plan.unsettled),
        "wakeAt": plan.wake_at,
        "steps": [_step(step, seen) for step in listed],
        "beyond": {
            "count": plan.beyond[0] + len(left_out),
            "bytes": plan.beyond[1] + sum(step.action.bytes for step in left_out),
        },
        "holds": [_hold(hold) for hold in plan.holds],
        "floors": [
            {"name": ref.name, "met": status.get("met", 0), "titles": status.get("titles", 0)}
            for ref, status in sorted(plan.statuses.items())
            if "met" in status and "titles" in status
        ],
        "troubles": [
            {"name": str(trouble.ref), "message": trouble.message} for trouble in troubles_of(plan, world)
        ],
        "cutOff": seen.cut_off,
        "hosts": {
            name: {
                "reached": evidence.reached,
                "missingFor": round(evidence.missing_for),
                "endpoint": evidence.endpoint,
                "reason": evidence.reason,
                "message": evidence.message,
                "looked": (looked or {}).get(name),
            }
            for name, evidence in sorted(seen.hosts.items())
        },
    }


def _step(step: Step, seen: Observation) -> dict[str, Any]:
    shown = step.to_dict() | {"removes": step.action.removes}
    running = seen.running.get(step.action.id)
    if running is not None:
        shown["running"] = _progress(running.progress)
    attempt = seen.attempts.get(step.action.id)
    if attempt is not None:
        shown["attempts"] = {"count": attempt.count, "reason": attempt.reason, "message": attempt.message}
    return shown


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "phase": progress.phase,
        "bytes": progress.bytes,
        "total": progress.total,
        "rate": progress.rate,
        "eta": progress.eta,
    }


def _hold(hold: Hold) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "hash": hold.hash,
        "reason": hold.reason,
        "summary": hold.summary,
        "bytes": hold.bytes,
        "actions": list(hold.action_ids),
    }
    if hold.ref is not None:
        shown["for"] = str(hold.ref)
    return shown
