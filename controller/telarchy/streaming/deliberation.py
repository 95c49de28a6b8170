"""One round of thought about streams: what runs, what is found, what is to be done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from telarchy.core.observation import Observation
from telarchy.core.plan import Decision
from telarchy.core.world import World
from telarchy.resources.stream import Stream
from telarchy.streaming.actions import PutService
from telarchy.streaming.claiming import plan_claims
from telarchy.streaming.evidence import Choice, Generation
from telarchy.streaming.findings import Found, find, maker_of, playable, stream_on
from telarchy.streaming.lifecycle import Turn, advance, ages, identity, sequence_of
from telarchy.streaming.steps import Steps, plan_steps
from telarchy.streaming.terms import Place, Terms, terms_of
from telarchy.streaming.wanted import Renderer, Wanted


@dataclass(frozen=True)
class Deliberation:
    """Everything that one round produced.

    turns:     by stream
    past:      by stream: when each generation that lies somewhere ended
    """

    terms: Terms
    turns: Mapping[str, Turn]
    past: Mapping[str, Mapping[str, float]]
    found: Found
    wanted: Mapping[str, Wanted]
    steps: Steps = field(default_factory=Steps)

    def generation(self, stream: str) -> Generation | None:
        turn = self.turns.get(stream)
        return turn.now if turn is not None else None

    def active(self, stream: str) -> str:
        turn = self.turns.get(stream)
        return turn.active.id if turn is not None and turn.active is not None else ""

    @property
    def choices(self) -> Mapping[str, Choice]:
        return {
            f"{edge}/{stream}": chosen.choice
            for (edge, stream), chosen in self.found.chosen.items()
            if chosen.choice is not None
        }


def deliberate(world: World, seen: Observation, now: float, render: Renderer) -> Deliberation:
    """Think. `render` makes services of what is declared (`wanted.render`)."""
    terms = terms_of(world, seen, now)
    turns = {name: _turn(terms, stream, now) for name, stream in terms.streams.items()}
    active = {name: turn.active.id if turn.active is not None else "" for name, turn in turns.items()}
    past = {name: _past(terms, stream, turns[name], now) for name, stream in terms.streams.items()}
    found = find(terms, active, now)
    choices = {at: chosen.choice.source for at, chosen in found.chosen.items() if chosen.choice is not None}
    wanted = {
        name: render(terms, place, active, choices)
        for name, place in terms.places.items()
        if not place.external
    }
    steps = plan_steps(terms, wanted, found, active, past, seen, now)
    plan_claims(steps, terms, seen, now)
    turns = {name: _failing(turn, name, wanted, steps, seen) for name, turn in turns.items()}
    return Deliberation(terms, turns, past, found, wanted, steps)


def made_of(stream: Stream) -> str:
    """What makes a new generation necessary: what viewers have would no longer fit."""
    spec = stream.spec
    way = next(
        name for name in ("rtmp", "srt", "pull", "file", "test") if getattr(spec.ingest, name) is not None
    )
    return identity(
        {
            "renditions": [one.model_dump(mode="json", by_alias=True) for one in spec.renditions],
            "audio": spec.audio.model_dump(mode="json", by_alias=True),
            "segment": spec.segment.model_dump(mode="json", by_alias=True),
            "preset": spec.encoder.preset,
            "ingest": [
                way,
                spec.ingest.pull.url if spec.ingest.pull is not None else "",
                spec.ingest.file.title if spec.ingest.file is not None else "",
            ],
        }
    )


def _turn(terms: Terms, stream: Stream, now: float) -> Turn:
    before = terms.seen.generations.get(stream.name)
    if stream.spec.suspend or terms.suspended or not terms.world.complete:
        return Turn(before)
    origins = terms.origins(stream)
    if before is None and stream.spec.running and not origins:
        return Turn(None, waits="no MediaEndpoint of role Origin selects it")
    own = [place for place in origins if not place.external]
    if own and len(own) == len(origins) and all(place.others for place in own):
        first = own[0]  # what it makes of it is its owner's affair, and so is the number of its generation
        return Turn(before, waits=f"waits for {first.name}: {first.others}")
    lying = {one for place in origins for one in _lying(place, stream.name)}
    # What only lies there, without an encoder, has ended.
    playing = {
        seen.generation
        for place in origins
        if not place.unknown
        and maker_of(place, stream.name) is not None
        and (seen := stream_on(place, stream.name)) is not None
    }
    unseen = [
        place.name
        for place in origins
        if not place.external and not place.held and place.seen is None and place.state in ("Up", "Unknown")
    ]
    made = made_of(stream)
    return advance(
        before,
        stream.name,
        made,
        running=stream.spec.running,
        now=now,
        lying=lying,
        playing=max(playing, key=sequence_of, default=""),
        playable=before is not None and any(playable(place, stream, before.id) for place in origins),
        failed=before.failed if before is not None else "",
        unseen=unseen[0] if unseen else "",
    )


def _lying(place: Place, stream: str) -> tuple[str, ...]:
    seen = stream_on(place, stream)
    return seen.generations if seen is not None else ()


def _past(terms: Terms, stream: Stream, turn: Turn, now: float) -> dict[str, float]:
    """When each generation ended, of those that lie anywhere, or may."""
    known = dict(terms.seen.past.get(stream.name, {}))
    if turn.now is not None and turn.now.ended is not None:
        known.setdefault(turn.now.id, turn.now.ended)
    places = terms.of(stream)
    lying = {one for place in places for one in _lying(place, stream.name)}
    active = turn.active.id if turn.active is not None else ""
    found = ages(known, lying, active, now, turn.ended)
    if any(place.unknown for place in places if not place.external):
        return found
    return {one: at for one, at in found.items() if one in lying or one in turn.ended}


def _failing(turn: Turn, stream: str, wanted: Mapping[str, Wanted], steps: Steps, seen: Observation) -> Turn:
    """With the reason why a generation that never played cannot be begun: its services cannot be put anywhere."""
    active = turn.active
    if active is None or active.live is not None:
        return turn
    reasons = [
        attempt.message
        for step in steps.found
        if isinstance(step.action, PutService)
        and step.action.stream == stream
        and step.decision in (Decision.WAIT, Decision.REFUSE, Decision.START)
        and (attempt := seen.attempts.get(step.action.id)) is not None
    ]
    reasons += [
        reason
        for one in wanted.values()
        for service, reason in one.blocked.items()
        if one.stream_of.get(service) == stream
    ]
    failed = reasons[0] if reasons else ""
    return turn if failed == active.failed else replace(turn, now=replace(active, failed=failed))
