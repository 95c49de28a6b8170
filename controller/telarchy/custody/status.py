"""What custody reports: counts, the worst titles with reasons, capacity, volumes, and conditions. Pure.

Nothing in a status moves by itself: transfers are told in tenths, times only change with states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from telarchy.core.hosts import HostState
from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Step
from telarchy.core.words import listing, plural, printable, rfc3339
from telarchy.custody.actions import Copy
from telarchy.custody.census import FloorCount
from telarchy.custody.evidence import VolumeState
from telarchy.custody.mounts import DECLARE_IT
from telarchy.custody.weighing import TitleState
from telarchy.resources.custodyfloor import WORST
from telarchy.resources.meta import Ref

if TYPE_CHECKING:
    from telarchy.custody.plan import Deliberation


COUNTED = {
    TitleState.MET: "met",
    TitleState.LACKING: "lacking",
    TitleState.COPYING: "copying",
    TitleState.BADLY_PLACED: "badlyPlaced",
    TitleState.UNRECOVERABLE: "unrecoverable",
    TitleState.UNKNOWN: "unknown",
}
_SHOWN_STATE = {state: word[0].upper() + word[1:] for state, word in COUNTED.items()}


@dataclass(frozen=True)
class Round:
    """One stretch of work on a floor, as its status lists it. Times in seconds since the epoch."""

    started_at: float
    finished_at: float | None
    titles: int
    met: int
    lacking: int
    copied: int
    bytes: int
    digest: str

    def to_status(self) -> dict[str, Any]:
        shown = {
            "startedAt": rfc3339(self.started_at),
            "titles": self.titles,
            "met": self.met,
            "lacking": self.lacking,
            "copied": self.copied,
            "bytes": self.bytes,
            "digest": self.digest,
        }
        if self.finished_at is not None:
            shown["finishedAt"] = rfc3339(self.finished_at)
        return shown


def condition(kind: str, status: bool | None, reason: str, message: str) -> dict[str, Any]:
    """A condition without its times, which the reporter adds."""
    word = "Unknown" if status is None else "True" if status else "False"
    return {"type": kind, "status": word, "reason": reason, "message": message}


def floor_statuses(
    done: Deliberation, seen: Observation, rounds: Mapping[str, tuple[Round, ...]]
) -> dict[Ref, dict[str, Any]]:
    """Statuses by ref, whole. `rounds`: by name of the floor."""
    return {
        count.terms.ref: _floor_status(done, seen, index, count, rounds.get(count.terms.ref.name, ()))
        for index, count in enumerate(done.census.floors)
    }


def _floor_status(
    done: Deliberation, seen: Observation, index: int, count: FloorCount, rounds: tuple[Round, ...]
) -> dict[str, Any]:
    counts = {word: int(count.counts[state]) for state, word in COUNTED.items()}
    for floor, title in done.copies.copying:
        if floor == index and count.state[title] in (
            TitleState.LACKING,
            TitleState.BADLY_PLACED,
            TitleState.UNKNOWN,
        ):
            counts[COUNTED[TitleState(int(count.state[title]))]] -= 1
            counts["copying"] += 1
    titles = sum(counts.values())
    worst = list(_worst(done, index, count))
    terms = count.terms
    return {
        "copies": terms.copies,
        "alwaysOn": terms.always_on,
        "titles": titles,
        **counts,
        "bytesToMove": count.bytes_to_move,
        "worst": worst,
        "history": [one.to_status() for one in rounds],
        "conditions": _floor_conditions(done, count, counts, titles, worst),
    }


def _floor_conditions(
    done: Deliberation, count: FloorCount, counts: Mapping[str, int], titles: int, worst: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    terms = count.terms
    asked = plural(terms.copies, "copy", "copies")
    if terms.always_on:
        asked += f" ({terms.always_on} always on)"
    short = titles - counts["met"]
    met = f"{counts['met']:,} of {plural(titles, 'title')} with {asked}"
    working = any(step.ref == terms.ref and step.decision is Decision.START for step in done.steps)
    waiting = any(
        step.ref == terms.ref and step.decision in (Decision.QUEUE, Decision.WAIT) for step in done.steps
    )
    stuck = next((_named(one) for one in worst if one["reason"] not in _PASSING), "")
    parts = [met] + [f"{counts[key]:,} {_WORDS[key]}" for key in _WORDS if counts[key]]
    summary = ", ".join(parts)
    if terms.suspended:
        ready = condition("Ready", short == 0, "Suspended", f"{summary}; suspended")
    elif (done.blocked_by or not done.terms.complete) and (short or not titles):
        # Before everything was looked at nothing is beyond recovery.
        so_far = ", ".join(part for part in parts if not part.endswith(_WORDS["unrecoverable"]))
        ready = condition("Ready", None, "Observing", f"{done.not_now}; so far {so_far}")
    elif short and short == counts["unknown"] and (unseen := not_looked_at_yet(done)):
        # A controller that just started knows from the record what should be there, and has yet to see it.
        ready = condition("Ready", None, "Observing", f"looking at {listing(unseen)}; so far {summary}")
    elif short == 0 and titles == 0:
        ready = condition(
            "Ready", True, "NoTitles", "no title matches yet; the floor holds for the first that does"
        )
    elif short == 0:
        ready = condition("Ready", True, "FloorMet", met)
    elif counts["unrecoverable"]:
        ready = condition("Ready", False, "Unrecoverable", summary)
    elif not terms.enforce:
        ready = condition("Ready", False, "Drifted", f"{summary}; mode is Observe, so nothing is done")
    elif counts["copying"] or working:
        ready = condition("Ready", False, "Copying", summary)
    elif done.not_now:
        ready = condition("Ready", False, "Waiting", f"{summary}; {done.not_now}")
    elif waiting and not stuck:
        ready = condition("Ready", False, "Queued", summary)
    elif counts["lacking"] + counts["badlyPlaced"]:
        ready = condition("Ready", False, "Lacking", f"{summary}; {stuck}" if stuck else summary)
    else:
        ready = condition("Ready", None, "Unknown", f"{summary}; {stuck}" if stuck else summary)
    blocked = bool(short and stuck and not working and not waiting)
    found = [
        ready,
        condition("Reconciling", working or waiting, "Progressing" if working or waiting else "Idle", ""),
        condition("Stalled", blocked, "Blocked" if blocked else "NotStalled", stuck if blocked else ""),
    ]
    if not terms.enforce:
        found.append(condition("Drifted", short > 0, "Drifted" if short else "InSync", summary))
    if terms.suspended:
        found.append(condition("Suspended", True, "Suspended", "spec.suspend is set here or on the Fleet"))
    return found


def _named(one: Mapping[str, Any]) -> str:
    """What is wrong with a title, with its name."""
    message = str(one["message"])
    return message if one["title"] in message else f"{one['title']}: {message}"


def not_looked_at_yet(done: Deliberation) -> list[str]:
    """Volumes that nobody has looked at since this controller started, on hosts that may well answer."""
    return sorted(
        f"{volume.host}/{volume.root}"
        for volume in done.custody.volumes.values()
        if volume.state is VolumeState.UNKNOWN
        and volume.host in done.terms.hosts
        and done.terms.hosts[volume.host].state in (HostState.UP, HostState.UNKNOWN)
    )


_WORDS = {
    "copying": "copying",
    "lacking": "lacking",
    "badlyPlaced": "badly placed",
    "unrecoverable": "unrecoverable",
    "unknown": "unknown",
}
_PASSING = frozenset({"Copying", "Queued", "BackOff", "Waiting", "BehindHorizon"})


def _worst(done: Deliberation, index: int, count: FloorCount) -> Iterator[dict[str, Any]]:
    """Up to 20 titles: those that cannot be helped, then the most urgent ones."""
    by_title: dict[str, Step] = {}
    for step in done.steps:
        title = getattr(step.action, "title", "")
        if title:
            by_title.setdefault(title, step)
    chosen = count.with_state(TitleState.UNRECOVERABLE, WORST)
    chosen += count.order[:WORST].tolist()
    chosen += count.with_state(TitleState.UNKNOWN, WORST)
    names = done.census.catalogue.names
    for title in list(dict.fromkeys(chosen))[:WORST]:
        name = names.name(title)
        state = TitleState(int(count.state[title]))
        if (index, title) in done.copies.copying:
            state = TitleState.COPYING
        reason, message, at = explain_title(done, index, title, by_title.get(name))
        shown = {"title": printable(name), "state": _SHOWN_STATE[state], "reason": reason, "message": message}
        if at is not None:
            shown["nextAttempt"] = rfc3339(at)
        yield shown


def explain_title(
    done: Deliberation, index: int, title: int, step: Step | None
) -> tuple[str, str, float | None]:
    """(reason, message, next attempt) for one title under one floor: why it is not as declared."""
    if step is not None and step.decision is Decision.START:
        return ("Copying" if isinstance(step.action, Copy) else step.action.verb, str(step.action), None)
    if step is not None and step.decision is Decision.QUEUE:
        return "Queued", step.reason, None
    if step is not None and step.decision is Decision.WAIT:
        return ("BackOff" if step.not_before else "Waiting"), step.reason, step.not_before
    if step is not None:
        return str(step.decision), step.reason, None
    if (index, title) in done.copies.blocked:
        return "NoTarget", done.copies.blocked[index, title], None
    count = done.census.floors[index]
    view, _ = done.census.verdict(index, title)
    if view.conflict:
        return (
            "Conflict",
            in_words(done, view.conflict) + "; keep the right one and move the other away",
            None,
        )
    if not view.holders:
        return "NoCopy", "no declared host has it any more; put it back, or approve to forget it", None
    if all(one.damaged for one in view.holders):
        hosts = listing(sorted({one.standing.host for one in view.holders}))
        return (
            "Damaged",
            f"every copy fails its digest ({hosts}); it stays where it is, replace the file",
            None,
        )
    if count.state[title] == TitleState.UNKNOWN and all(one.live for one in view.holders):
        places = sorted({f"{one.standing.host}" for one in view.holders if one.borrowed})
        return (
            "MountBelowRoot",
            f"it cannot be told whether the copy on {listing(places)} is one of its own: it lies where something is "
            f"mounted below the media root; {DECLARE_IT}",
            None,
        )
    if count.state[title] == TitleState.UNKNOWN:
        doubtful = sorted({f"{one.standing.host}" for one in view.holders if not one.live})
        volumes = done.custody.volumes
        why = [volumes[one.volume].message for one in view.holders if not one.live and one.volume in volumes]
        tail = f" ({next((one for one in why if one), '')})" if any(why) else ""
        return (
            "HolderUnknown",
            f"it cannot be told while {listing(doubtful)} does not show its copy{tail}",
            None,
        )
    if done.not_now:
        return "Waiting", done.not_now, None
    if not count.terms.acts:
        reason = "Suspended" if count.terms.suspended else "Observed"
        return reason, f"nothing is done: {count.terms.rests}", None
    return "BehindHorizon", "more urgent titles come first", None


def in_words(done: Deliberation, text: str) -> str:
    """Volume ids in a message become `host/root`."""
    for key, volume in done.custody.volumes.items():
        text = text.replace(key, f"{volume.host}/{volume.root}")
    return text
