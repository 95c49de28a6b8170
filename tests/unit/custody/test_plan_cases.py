"""Plan cases as data: `tests/plans/<case>/` holds what is declared, what was seen, and what the plan must say.

`TELARCHY_UPDATE_CASES=1` writes `plan.txt` anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.core.observation import Attempt, Progress, Running
from telarchy.core.plan import Plan
from telarchy.core.words import format_span
from telarchy.custody.invariants import Look, violations
from telarchy.custody.manifest import FileSeen
from telarchy.custody.plan import plan_custody
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.loader import load_paths
from telarchy.resources.quantities import Duration, Quantity
from tests.world import NOW, JobSeen, Seen, TrashSeen, VolumeState, seen

CASES = Path(__file__).parents[2] / "plans"


def span(text: object) -> float:
    return float(Duration(str(text)).seconds)


def size(text: object) -> int:
    return Quantity(str(text)).bytes


def read_case(folder: Path) -> Seen:
    """Everything is up, mounted and roomy unless `observed.yaml` says otherwise."""
    loaded = load_paths([folder / "fleet.yaml"])
    assert not loaded.problems, [str(one) for one in loaded.problems]
    observed: dict[str, Any] = yaml.safe_load((folder / "observed.yaml").read_text()) or {}
    of = seen(*(one.resource for one in loaded.resources))
    of.cut_off, of.fenced = observed.get("cutOff", False), observed.get("fenced", "")
    for name, one in (observed.get("hosts") or {}).items():
        if one.get("unprobed"):
            del of.hosts[name]
        elif "missingFor" in one:
            of.miss(name, span(one["missingFor"]))
    for place, one in (observed.get("volumes") or {}).items():
        host, _, root = place.partition("/")
        fields: dict[str, Any] = {key: size(one[key]) for key in ("free", "total") if key in one}
        fields |= {key: one[key] for key in ("message", "removed", "found") if key in one}
        if "state" in one:
            fields["state"] = VolumeState(one["state"])
        if one.get("unscanned"):
            fields["scanned"] = None
        if "missingFor" in one:
            fields["missing_for"] = span(one["missingFor"])
        fields["jobs"] = tuple(JobSeen(**job) for job in one.get("jobs", ()))
        fields["trash"] = tuple(
            TrashSeen(trash["entry"], span(trash["age"]), tuple(trash["titles"]))
            for trash in one.get("trash", ())
        )
        of.set_volume(host, root=root or "main", **fields)
        if one.get("adopted") is False:
            key = of.key(host, root or "main")
            volume = of.volumes.pop(key)
            of.volumes[f"{volume.host}/{volume.root}"] = type(volume)(**{**vars(volume), "id": ""})
            of.catalogue.rename_volume(key, f"{volume.host}/{volume.root}")
    for place, titles in (observed.get("titles") or {}).items():
        host, _, root = place.partition("/")
        for title, one in titles.items():
            _put(of, host, root or "main", title, one)
    return of


def _put(of: Seen, host: str, root: str, title: str, one: dict[str, Any]) -> None:
    """`files` is path: size, or a size for a title that is itself a file; `read` is how long ago; `since` too."""
    listed = one["files"] if isinstance(one["files"], dict) else {"": one["files"]}
    read_at = NOW - span(one["read"]) if "read" in one else 0.0
    made = []
    for path, length in sorted(listed.items()):
        digest = one.get("digests", {}).get(path, f"{path}-{length}") if read_at else ""
        made.append(FileSeen(path, size(length), 1_700_000_000_000_000_000, digest, read_at))
    of.put(host, title, tuple(made), root=root, at=NOW - span(one.get("since", "30d")))
    if "damaged" in one:
        of.catalogue.record_digests(of.key(host, root), title, {}, one["damaged"], read_at or NOW)


def remember(of: Seen, folder: Path) -> None:
    """Attempts, running actions and approvals are written by the action's own words: they need a first plan."""
    observed = yaml.safe_load((folder / "observed.yaml").read_text()) or {}
    for key in ("running", "failed", "approved", "onHost"):
        known = plan_custody(of.world, of.observation(), NOW)
        by_words = {str(step.action): step.action for step in known.steps}
        for one in observed.get(key, ()):
            words = one if isinstance(one, str) else one["action"]
            if key == "approved" and words == "everything held":
                of.approved.update(two for hold in known.holds for two in hold.action_ids)
                continue
            action = by_words[words]
            if key == "running":
                of.running[action.id] = Running(action, Progress("transferring", 1))
            elif key == "failed":
                again = None if one.get("refused") else NOW + span(one["againIn"])
                of.attempts[action.id] = Attempt(one.get("count", 1), "Failed", one["message"], again)
            elif key == "onHost":
                job = JobSeen(
                    action.id, action.verb, action.title, one["state"], size(one["bytes"]), action.bytes
                )
                of.set_volume(action.host, root=action.root, jobs=(job,))
    of.fenced = observed.get("thenFenced", of.fenced)
    later = observed.get("thenHosts") or {}
    for name, one in later.items():
        of.miss(name, span(one["missingFor"]))


def told(of: Seen, made: Plan) -> str:
    """A plan as a person reads it."""
    lines = []
    for step in made.steps:
        when = f" (in {format_span(step.not_before - NOW)})" if step.not_before is not None else ""
        lines.append(f"{step.decision} {step.action}" + (f": {step.reason}" if step.reason else "") + when)
    lines = lines or ["nothing to do"]
    for hold in made.holds:
        lines.append(f"HELD {hold.reason}; {hold.summary}")
    for one in sorted(of.world.of(CustodyFloor), key=lambda one: one.name):
        status = made.statuses[one.ref]
        for condition in status["conditions"]:
            if condition["type"] == "Ready":
                lines.append(
                    f"{one.ref}: {condition['status']} {condition['reason']}: {condition['message']}"
                )
        for title in status["worst"]:
            lines.append(f"  {title['title']} {title['state']}, {title['reason']}: {title['message']}")
    if made.wake_at is not None:
        lines.append(f"next look at the clock in {format_span(made.wake_at - NOW)}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", sorted(one.name for one in CASES.iterdir() if one.is_dir()))
def test_the_plan_is_as_written(name: str) -> None:
    folder = CASES / name
    of = read_case(folder)
    remember(of, folder)
    observation = of.observation()
    made = plan_custody(of.world, observation, NOW)
    assert violations(Look(of.world, observation, NOW, made)) == []
    expected = folder / "plan.txt"
    if os.environ.get("TELARCHY_UPDATE_CASES"):
        expected.write_text(told(of, made))
    assert told(of, made) == expected.read_text()


def test_there_are_cases() -> None:
    assert len([one for one in CASES.iterdir() if (one / "plan.txt").exists()]) >= 20
