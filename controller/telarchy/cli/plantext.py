"""A plan in words: what will be done in which order, what waits for what, what is held, what cannot be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from telarchy.core.words import format_bytes, format_span, listing, plural

Step = Mapping[str, Any]

MARKS = {"Verify": ("~", "cyan"), "Quarantine": ("!", "yellow"), "CancelJob": ("x", "yellow")}
REMOVES = ("-", "red")
ADDS = ("+", "green")
NOUNS = {
    "Copy": ("copy", "copies"),
    "Verify": ("verification", "verifications"),
    "Trim": ("removal to trash", "removals to trash"),
    "Quarantine": ("quarantine", "quarantines"),
    "ExpireTrash": ("trash folder to empty", "trash folders to empty"),
    "AdoptVolume": ("volume to adopt", "volumes to adopt"),
    "CancelJob": ("job to cancel", "jobs to cancel"),
}
MOST_FAILED = 10  # told after a vain run
MOST_FLOORS = 6  # told in one line
STALE_SECONDS = 600.0  # evidence older than this is pointed out


def plan_lines(plan: Mapping[str, Any], *, now: float | None = None) -> list[str]:
    """The whole text, styled; click takes the styles out where there is no terminal."""
    now = time.time() if now is None else now
    steps: Sequence[Step] = plan["steps"]
    held_ids = {one for hold in plan["holds"] for one in hold["actions"]}
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step["decision"], []).append(step)
    lines: list[str] = []
    _group(lines, "Now, in this order:", groups.get("Start", []), now)
    _group(lines, "Then, when there is room for it:", groups.get("Queue", []), now)
    if plan["beyond"]["count"]:
        more = plural(plan["beyond"]["count"], "more action")
        size = f" ({format_bytes(plan['beyond']['bytes'])})" if plan["beyond"]["bytes"] else ""
        lines += [f"  … and {more}{size} after these", ""]
    _group(lines, "Waits:", groups.get("Wait", []), now)
    _held(lines, plan["holds"], [step for step in steps if step["id"] in held_ids])
    unnamed = [step for step in groups.get("Hold", []) if step["id"] not in held_ids]
    _group(lines, "Held:", unnamed, now)
    _group(lines, "Cannot be done:", groups.get("Refuse", []), now)
    lines += trouble_lines(plan)
    lines += _evidence(plan, now)
    if not steps and not plan["beyond"]["count"]:
        lines.append(_nothing(plan))
    else:
        lines.append(click.style(summary(plan), bold=True))
    return lines


def summary(plan: Mapping[str, Any]) -> str:
    """One line: counts by kind of action, what is held, how the floors stand."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    waiting = refused = 0
    for step in plan["steps"]:
        if step["decision"] in ("Start", "Queue"):
            counts[step["verb"]] += 1
            sizes[step["verb"]] += step.get("bytes", 0)
        waiting += step["decision"] == "Wait"
        refused += step["decision"] == "Refuse"
    parts = []
    for verb, count in counts.most_common():
        size = f" ({format_bytes(sizes[verb])})" if sizes[verb] else ""
        parts.append(plural(count, *NOUNS.get(verb, (verb,))) + size)
    if plan["beyond"]["count"]:
        parts.append(f"{plan['beyond']['count']:,} more later")
    asides = [f"{waiting} waiting"] if waiting else []
    asides += [f"{len(plan['holds'])} held"] if plan["holds"] else []
    asides += [f"{refused} refused"] if refused else []
    asides += floors_told(plan["floors"])
    return "Plan: " + "; ".join([", ".join(parts) or "nothing to do now", *asides])


def floors_told(floors: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the floors stand: those that are short first, and of many only some."""
    ordered = sorted(floors, key=lambda one: one["met"] >= one["titles"])
    told = [f"floor '{one['name']}' {one['met']:,}/{one['titles']:,} met" for one in ordered[:MOST_FLOORS]]
    if rest := ordered[MOST_FLOORS:]:
        short = sum(one["met"] < one["titles"] for one in rest)
        told.append(
            f"{plural(len(rest), 'more floor')}, {f'{short:,} of them not met' if short else 'all met'}"
        )
    return told


def _group(lines: list[str], title: str, steps: Sequence[Step], now: float) -> None:
    if not steps:
        return
    lines.append(click.style(title, bold=True))
    for step in steps:
        lines.append(f"  {_mark(step)} {step['summary']}{_progress(step)}")
        until = ""
        if step.get("notBefore") is not None:
            until = f"not before {_clock(step['notBefore'], now)}"
        if why := ", ".join(part for part in (step.get("reason", ""), until) if part):
            lines.append(click.style(f"      {why}", dim=True))
    lines.append("")


def _held(lines: list[str], holds: Sequence[Mapping[str, Any]], steps: Sequence[Step]) -> None:
    if not holds:
        return
    lines.append(click.style("Held, until a person says so:", bold=True))
    for hold in holds:
        lines.append(f"  {click.style('?', fg='yellow')} {hold['summary']}")
        lines.append(click.style(f"      {hold['reason']}", dim=True))
        lines.append(f"      release it with: telarchy approve {hold['hash']}")
        ids = set(hold["actions"])
        for step in [step for step in steps if step["id"] in ids]:
            lines.append(f"        {_mark(step)} {step['summary']}")
    lines.append("")


def trouble_lines(plan: Mapping[str, Any]) -> list[str]:
    """What is not as declared and does not mend by itself, with the reason."""
    troubles = plan.get("troubles", ())
    if not troubles:
        return []
    title = click.style("Not as declared:", bold=True)
    return [
        title,
        *(f"  {click.style('!', fg='yellow')} {one['name']}: {one['message']}" for one in troubles),
        "",
    ]


def how_much(plan: Mapping[str, Any]) -> str:
    """What a settled plan may call as declared: a host's disk can be in trouble while every floor is met, and a floor
    short that is suspended, or only observed."""
    if any(floor["met"] < floor["titles"] for floor in plan.get("floors", ())):
        return "all that is acted on"
    return "all else" if plan.get("troubles") else "everything"


def failed_lines(plan: Mapping[str, Any]) -> list[str]:
    """What was tried in vain and is tried again, with what went wrong the last time."""
    failed = [step for step in plan["steps"] if "attempts" in step]
    lines = [
        f"failed {plural(step['attempts']['count'], 'time')}: {step['summary']}: {step['attempts']['message']}"
        for step in failed[:MOST_FAILED]
    ]
    return lines + ([f"… and {len(failed) - MOST_FAILED} more that failed"] if failed[MOST_FAILED:] else [])


def _mark(step: Step) -> str:
    sign, colour = MARKS.get(step["verb"], REMOVES if step.get("removes") else ADDS)
    return click.style(sign, fg=colour)


def _progress(step: Step) -> str:
    running = step.get("running")
    if not running:
        return ""
    if running["total"]:
        return f" (running: {running['bytes'] * 100 // running['total']} %)"
    return f" (running: {running['phase']})"


def _clock(moment: float, now: float) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    return f"{stamp} (in {format_span(moment - now)})" if moment > now else stamp


def _evidence(plan: Mapping[str, Any], now: float) -> list[str]:
    """How fresh the evidence is, and whom it is missing of."""
    lines = []
    if plan["cutOff"]:
        lines.append("Nothing answers, not even the canaries: this machine itself is cut off.")
    looked, silent, stale = [], [], []
    for name, host in plan["hosts"].items():
        if host["looked"] is not None:
            looked.append(now - host["looked"])
            if now - host["looked"] > STALE_SECONDS:
                stale.append(f"{name} ({format_span(now - host['looked'])})")
        if host["reached"] is not True:
            silent.append(f"{name} ({host['message'] or host['reason'] or 'not asked yet'})")
    if looked:
        lines.append(
            f"Evidence is {_ages(looked)} old" + (f"; oldest: {listing(stale)}" if stale else "") + "."
        )
    if silent:
        lines.append(f"No answer from {listing(silent)}.")
    return [click.style(line, dim=True) for line in lines] + ([""] if lines else [])


def _ages(ages: Sequence[float]) -> str:
    least, most = format_span(min(ages)), format_span(max(ages))
    return least if least == most else f"{least} to {most}"


def _nothing(plan: Mapping[str, Any]) -> str:
    floors = "; ".join(floors_told(plan["floors"]))
    ending = f" ({floors})" if floors else ""
    if plan["settled"]:
        return click.style(f"Nothing to do: {how_much(plan)} is as declared{ending}.", bold=True)
    names = listing([str(name) for name in plan["unsettled"]])
    return click.style(f"Nothing can be done now, though not all is as declared: {names}{ending}.", bold=True)
