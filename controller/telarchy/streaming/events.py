"""What a person may want to read later about streams: told once, when it happens. Pure.

What was told last is part of the evidence, so that neither a round that changes nothing nor a restart tells it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from telarchy.core.plan import Event
from telarchy.resources.stream import Stream
from telarchy.streaming.deliberation import Deliberation
from telarchy.streaming.endpoint_status import crash_loops, running_on
from telarchy.streaming.evidence import Generation
from telarchy.streaming.findings import maker_of, stream_on
from telarchy.streaming.health import is_overrun, pace_words
from telarchy.streaming.leftovers import Leftover, leftovers
from telarchy.streaming.status import source_of, upscaled
from telarchy.streaming.steps import out_of_space, to_retire
from telarchy.streaming.terms import Place

LEFT = "left/"


@dataclass
class Told:
    """Events of this round, what has been told with them, by subject, and what stays on hosts for now."""

    events: list[Event] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    left: list[Leftover] = field(default_factory=list)


def tell(done: Deliberation, now: float) -> Told:
    """Compare with what was told before."""
    news = Told()
    before = done.terms.seen.told
    for stream in done.terms.streams.values():
        _of_stream(news, before, done, stream, now)
    for place in done.terms.places.values():
        if place.external:
            continue
        loops = None if place.unknown else ", ".join(crash_loops(place))
        if _begins(news, before, f"crash/{place.name}", loops):
            text = f"{loops} ends again and again; it is tried again, at most once a minute"
            news.events.append(Event(place.ref, "CrashLoop", text, "Warning"))
        if (
            _begins(news, before, f"owner/{place.name}", None if place.unknown else place.others)
            and place.others
        ):
            news.events.append(Event(place.ref, "ForeignOwner", place.others, "Warning"))
        short = None if place.unknown else out_of_space(place)
        if _begins(news, before, f"space/{place.name}", short) and short:
            news.events.append(Event(place.ref, "OutOfSpace", short, "Warning"))
        for stream in running_on(done, place):
            _of_pace(news, before, place, stream, now)
    _choices(news, done)
    if not done.terms.world.complete:
        news.told |= {subject: one for subject, one in before.items() if subject.startswith(LEFT)}
        return news
    news.left = list(leftovers(done.terms, to_retire(done.terms), now))
    for left in news.left:
        if _begins(news, before, f"{LEFT}{left.key}", left.words):
            news.events.append(Event(left.ref, "LeftBehind", left.words, "Warning"))
    return news


def _of_stream(news: Told, before: Mapping[str, str], done: Deliberation, stream: Stream, now: float) -> None:
    turn = done.turns[stream.name]
    for gone in turn.ended:
        news.events.append(Event(stream.ref, "GenerationEnded", f"{gone} ended"))
    if turn.began and turn.now is not None:
        news.events.append(Event(stream.ref, "GenerationStarted", f"{turn.now.id} was started"))
    if turn.went_live and turn.now is not None:
        news.events.append(Event(stream.ref, "Live", f"{turn.now.id} can be played"))
    subject = f"source/{stream.name}"
    source, known = source_of(done, stream), before.get(subject, "")
    news.told[subject] = known if source == "Unknown" else source
    live = turn.active is not None and turn.active.live is not None and not turn.went_live
    if live and known and source not in ("Unknown", known):
        lost = source == "Absent"
        news.events.append(
            Event(stream.ref, "SourceLost", "nothing comes in any more; its generation stays", "Warning")
            if lost
            else Event(stream.ref, "SourceReturned", "something comes in again")
        )
    _note_arrival(news, before, turn.active, source, now)
    said = upscaled(done, stream)
    if _begins(news, before, f"upscaled/{stream.name}", said) and said:
        news.events.append(Event(stream.ref, "Upscaled", said, "Warning"))


def _of_pace(news: Told, before: Mapping[str, str], place: Place, stream: Stream, now: float) -> None:
    """An encoder that cannot do what is asked of it, and one that can again."""
    seen, maker = stream_on(place, stream.name), maker_of(place, stream.name)
    subject = f"pace/{place.name}/{stream.name}"
    known = news.told[subject] = before.get(subject, "")
    if place.unknown or place.seen is None or seen is None:
        return
    if is_overrun(seen, min(now, place.seen.reported)):
        if not known:
            text = f"{stream.name}: {pace_words(seen, maker)}"
            news.events.append(Event(place.ref, "TooSlow", text, "Warning"))
        news.told[subject] = "yes"
    elif known and seen.speed is not None and not seen.lagging:
        news.events.append(Event(place.ref, "KeepsUp", f"{stream.name} is made in real time again"))
        news.told[subject] = ""


def _note_arrival(
    news: Told, before: Mapping[str, str], active: Generation | None, source: str, now: float
) -> None:
    """When something first came in for a generation: from there its start is measured."""
    if active is None:
        return
    subject = f"input/{active.stream}"
    known = before.get(subject, "")
    if known.startswith(f"{active.id} "):
        news.told[subject] = known
    elif source == "Present":
        news.told[subject] = f"{active.id} {now:.3f}"


def _begins(news: Told, before: Mapping[str, str], subject: str, value: str | None) -> bool:
    """Whether something begins to be so. `value`: "" when it is not, None while nobody knows."""
    known = before.get(subject, "")
    news.told[subject] = known if value is None else "yes" if value else ""
    return bool(value) and not known


def _choices(news: Told, done: Deliberation) -> None:
    moves: dict[tuple[str, str, str, str], list[str]] = {}
    for (edge, stream), chosen in done.found.chosen.items():
        before = done.terms.seen.choices.get(f"{edge}/{stream}")
        if before is not None and chosen.choice is not None and before.source != chosen.choice.source:
            move = (edge, before.source, chosen.choice.source, chosen.choice.why)
            moves.setdefault(move, []).append(stream)
    for (edge, left, taken, why), streams in moves.items():
        place = done.terms.places[edge]
        said = f"{', '.join(streams)}: from {left} to {taken}" + (f": {why}" if why else "")
        news.events.append(Event(place.ref, "SwitchedSource", said))
