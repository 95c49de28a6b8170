"""Why something is as it is, and what happens next: the planner's own thoughts in words. Pure.

The same deliberation that makes the plan answers here, so an explanation cannot differ from what is done.
"""

from __future__ import annotations

from collections.abc import Iterator

from telarchy.core.hosts import HostState
from telarchy.core.observation import Observation
from telarchy.core.plan import Decision, Step
from telarchy.core.words import format_bytes, format_span, listing, plural, printable, quoted, rfc3339
from telarchy.core.world import World
from telarchy.custody.custodians import custodians_of
from telarchy.custody.draining import drained
from telarchy.custody.names import TitleNames
from telarchy.custody.plan import CensusMemo, Deliberation, deliberate
from telarchy.custody.status import COUNTED, explain_title, in_words
from telarchy.custody.weighing import Holder, TitleState, Weight, view_of, weigh
from telarchy.errors import ConfigError
from telarchy.resources.duties import assign_duties
from telarchy.resources.host import Host

MOST_SUGGESTED = 5

_WEIGHT_WORDS = {
    Weight.LIVE: "seen now",
    Weight.WAITING: "its host is missing inside its grace: counted",
    Weight.UNKNOWN: "cannot be looked at: neither counted nor replaced",
    Weight.GONE: "its host is gone: not counted",
}


def why(
    subject: str, name: str, world: World, seen: Observation, now: float, *, memo: CensusMemo | None = None
) -> list[str]:
    """Lines that explain a `title`, `host` or `floor`. Raises ConfigError when there is none of that name."""
    done = deliberate(world, seen, now, memo=memo)
    if subject == "title":
        return list(_title(done, name, now))
    if subject == "host":
        return list(_host(done, world, seen, name, now))
    if subject == "floor":
        return list(_floor(done, name, now))
    raise ConfigError(f"cannot explain {subject!r}: ask about a title, a host or a floor")


def _title(done: Deliberation, name: str, now: float) -> Iterator[str]:
    name = name.strip("/")
    catalogue = done.census.catalogue
    title = catalogue.names.find(name)
    if title is None:
        title = _as_printed(catalogue.names, name)
    if title is None or not catalogue.names.mark_sets:
        raise ConfigError(_unknown_title(done, name))
    standings = dict(done.census.inputs[0][1]) if done.census.inputs else {}
    view = view_of(catalogue, title, standings)
    name = catalogue.names.name(title)
    size = (
        f"{format_bytes(view.bytes)} in {plural(view.files, 'file')}" if view.holders else "no copy is known"
    )
    yield f"{printable(name)}: {'its copies differ' if view.conflict else size}"
    step = next((one for one in done.steps if getattr(one.action, "title", None) == name), None)
    found = False
    for index, count in enumerate(done.census.floors):
        if title >= len(count.member) or not count.member[title]:
            continue
        found = True
        terms = count.terms
        view = view_of(catalogue, title, dict(done.census.inputs[index][1]))
        state = TitleState.COPYING if (index, title) in done.copies.copying else weigh(view, terms).state
        unlooked = state is TitleState.UNRECOVERABLE and bool(done.blocked_by)
        if unlooked:  # it may lie where nobody has looked yet
            state = TitleState.UNKNOWN
        asked = plural(terms.copies, "copy", "copies")
        yield f"{terms.ref} asks for {asked}, {terms.always_on} always on: {COUNTED[state]}"
        for holder in view.holders:
            yield "  " + _holder_line(done, holder, now, "its own version" if view.conflict else "complete")
        keepers = custodians_of(view.holders, terms.copies)
        if keepers:
            yield f"  custodians: {listing([one.standing.host for one in keepers])}"
        reason = ""
        if state is not TitleState.MET:
            reason, message, at = explain_title(done, index, title, step)
            if unlooked:
                reason, message, at = (
                    "Observing",
                    f"waiting for a first look at {listing(done.blocked_by)}",
                    None,
                )
            when = f"; next attempt {rfc3339(at)} (in {format_span(at - now)})" if at is not None else ""
            yield f"  {reason}: {message}{when}"
        if done.upkeep.frozen.get(title):
            yield f"  surplus stays: {done.upkeep.frozen[title]}"
        if view.conflict and reason != "Conflict":
            yield f"  {in_words(done, view.conflict)}"
    if not found:
        yield "no floor selects it; its copies stay as they are"


def _as_printed(names: TitleNames, typed: str) -> int | None:
    """The title whose name is printed as it was typed: what no terminal can show is pasted as it was shown."""
    if "\\" not in typed:
        return None
    return next((number for number in range(len(names)) if printable(names.name(number)) == typed), None)


def _unknown_title(done: Deliberation, name: str) -> str:
    names = done.census.catalogue.names
    low = name.lower()
    near = []
    for number in range(len(names)):
        if low in names.name(number).lower():
            near.append(printable(names.name(number)))
            if len(near) >= MOST_SUGGESTED:
                break
    hint = f"; did you mean {listing(near)}?" if near else ""
    return f"no title {printable(name)!r} has been seen under any floor{hint}"


def _holder_line(done: Deliberation, one: Holder, now: float, whole: str) -> str:
    volume = done.custody.volumes.get(one.volume)
    where = f"{volume.host}/{volume.root}" if volume is not None else one.volume
    host = done.terms.hosts.get(one.standing.host)
    if one.damaged:
        what = f"damaged: {listing([path or 'the file' for path in one.damaged])}"
    elif one.missing:
        what = f"partial: lacks {listing(list(one.missing))}"
    else:
        read = (
            f"verified {format_span(now - one.verified)} ago"
            if one.verified
            else "present by size, not yet read"
        )
        what = f"{whole}, {read}"
    if not one.standing.counts:
        drained = host is not None and host.draining
        counted = (
            "not counted: being drained" if drained else "not counted: the floor's selectors leave it out"
        )
    elif one.borrowed and one.weight is not Weight.GONE:
        counted = "it lies where something is mounted, and may be another copy seen twice: neither counted nor replaced"
    else:
        counted = _WEIGHT_WORDS[one.weight]
    return f"{where}: {what}; {counted}"


def _host(done: Deliberation, world: World, seen: Observation, name: str, now: float) -> Iterator[str]:
    host = done.terms.hosts.get(name)
    if host is None:
        raise ConfigError(
            f"no host {quoted(name)} is declared (declared: {listing(sorted(done.terms.hosts), 10) or 'none'})"
        )
    evidence = seen.hosts.get(name)
    said = f": {evidence.message}" if evidence is not None and evidence.message else ""
    word = "in maintenance" if host.state is HostState.MAINTENANCE else str(host.state).lower()
    yield f"{name} is {word}{said}"
    if host.state is HostState.MAINTENANCE and host.changes_at is not None:
        yield f"  announced until {rfc3339(host.changes_at)}: its copies count, and nothing is done on it"
    if host.state is HostState.SUSPECT and host.changes_at is not None:
        yield f"  its copies count until {rfc3339(host.changes_at)}, then they are made again elsewhere"
    if host.state is HostState.DOWN:
        yield "  its copies count no more; they count again the moment it answers, and nothing is removed then"
    if evidence is not None and evidence.endpoint:
        yield f"  answers at {evidence.endpoint}"
    for flag, meaning in (
        (host.draining, "is being drained: its copies are made again elsewhere, nothing new comes here"),
        (host.cordoned, "is cordoned: nothing new comes here"),
        (host.suspended, "is suspended: it is observed and nothing is done on it"),
        (host.consumer, "is a Consumer: it holds no copies for the fleet and has no duty"),
    ):
        if flag:
            yield f"  {meaning}"
    if host.draining:
        yield f"  {drained(done, name)[2]}"
    for duty in assign_duties(world.of(Host), dict(seen.free)).get(name, ()):
        yield f"  duty {duty.name}: {duty.rule}"
    for key, volume in sorted(done.custody.volumes.items()):
        if volume.host != name:
            continue
        held = done.census.catalogue.holdings.get(key)
        free = f", {format_bytes(volume.free)} free" if volume.free is not None else ""
        trouble = f": {volume.message}" if volume.message else ""
        yield f"  {volume.root} at {volume.path}: {volume.state}, {plural(len(held or ()), 'title')}{free}{trouble}"
    for step in done.steps:
        if step.action.host == name or getattr(step.action, "source_host", None) == name:
            yield "  " + _step_line(step)


def _floor(done: Deliberation, name: str, now: float) -> Iterator[str]:
    for index, count in enumerate(done.census.floors):
        terms = count.terms
        if terms.ref.name != name:
            continue
        yield (
            f"{terms.ref} asks for {plural(terms.copies, 'copy', 'copies')}, {terms.always_on} always on, "
            f"of {', '.join(terms.select)}"
        )
        shown = [
            f"{int(count.counts[state]):,} {word}" for state, word in COUNTED.items() if count.counts[state]
        ]
        yield "  " + (", ".join(shown) or "no title matches yet")
        if done.not_now:
            yield f"  nothing new is started: {done.not_now}"
        if not terms.acts:
            yield f"  nothing is done: {terms.rests}"
        steps = [step for step in done.steps if step.ref == terms.ref]
        for step in steps[:20]:
            yield "  " + _step_line(step)
        if len(steps) > 20:
            yield f"  and {len(steps) - 20} more"
        names = done.census.catalogue.names
        blocked = [
            (title, why_not) for (floor, title), why_not in done.copies.blocked.items() if floor == index
        ]
        for title, why_not in blocked[:20]:
            yield f"  {printable(names.name(title))}: {why_not}"
        for hold in done.upkeep.holds:
            if hold.ref in (terms.ref, None):
                yield f"  held: {hold.reason}; {hold.summary}: telarchy approve {hold.hash}"
        return
    known = listing([count.terms.ref.name for count in done.census.floors], 10)
    raise ConfigError(f"no floor {quoted(name)} is declared (declared: {known or 'none'})")


def _step_line(step: Step) -> str:
    if step.decision is Decision.START:
        return f"now: {step.action}"
    when = f" (not before {rfc3339(step.not_before)})" if step.not_before is not None else ""
    return f"{str(step.decision).lower()}: {step.action}: {step.reason}{when}"
