"""Which source an edge takes. Pure.

Away from a source that plays nothing at once; back to a better one only when it has been in order for a while, and
never more often than the edge's owner allows. Never to a source that is behind what viewers have already got: a
player that sees numbers go back stops. An encoder that was restarted is behind for good by what it missed, though; so
on the calm way back, and there only, as much is forgiven as players hold in stock.

What a source reports of itself does not tell whether an edge can fetch from it. Where the edge's host has tried the
line, one that is cut is left once, and a better source is none before it answers there. One that answers and brings
nothing, and one of which nobody can tell, are tried again later each time, so that viewers are not moved to and fro.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from telarchy.core.words import format_span, plural
from telarchy.streaming.evidence import Choice
from telarchy.streaming.health import PLAYABLE, StreamState

CATCHING_UP_SECONDS = 1.0
FORGIVEN_SEGMENTS = 2  # players hold three in stock
LASTED_SECONDS = 60.0  # that a source was fetched from besides the clear time, for it to count as reached
NOTED_SECONDS = 10.0  # that one failed is noted no more often
LEAST_PATIENCE = 5.0  # seconds, where one that failed more than once is concerned
MOST_PATIENCE = 900.0  # seconds, if the clear time itself is no longer


@dataclass(frozen=True)
class SourceView:
    """A source as one edge may see it, for one stream.

    last:     the newest media sequence number that it plays; None while not known
    lag:      how far behind the present it plays, seconds
    load:     share of what it may send that it does send, 0..1
    why:      why it is in this state, in words; ""
    failing:  why the edge itself gets nothing from it, whatever it reports; ""
    """

    name: str
    priority: int
    state: StreamState
    last: int | None = None
    lag: float = 0.0
    load: float = 0.0
    why: str = ""
    failing: str = ""

    @property
    def trouble(self) -> str:
        """Why it cannot be played from."""
        return self.failing or f"{self.name} is {self.state}" + (f": {self.why}" if self.why else "")

    @property
    def plays(self) -> bool:
        return self.state in PLAYABLE and not self.failing

    @property
    def rank(self) -> tuple[int, bool, int, int, str]:
        """Less is better. Coarse, so that no second decides; the name settles what is equal."""
        troubled = self.state is not StreamState.HEALTHY
        return (self.priority, troubled, round(self.lag / 4.0), round(self.load * 4.0), self.name)


@dataclass(frozen=True)
class Terms:
    """Seconds: how long a better source must have been in order, and the least time between two switches."""

    clear_after: float = 60.0
    min_switch_interval: float = 30.0


@dataclass(frozen=True)
class Chosen:
    """The choice (and why that: `Choice.why`), why it is no better one, and when time alone may change it."""

    choice: Choice | None
    why: str = ""
    changes_at: float | None = None


def choose(
    before: Choice | None, sources: Sequence[SourceView], at: int | None, terms: Terms, now: float
) -> Chosen:
    """The source of this moment.

    before:  the choice so far
    at:      newest media sequence number that viewers of the edge have got; None when nobody watches
    """
    if not sources:
        return Chosen(None, "no source is declared for it")
    by_name = {one.name: one for one in sources}
    current = by_name.get(before.source) if before is not None else None
    able = sorted((one for one in sources if one.plays), key=lambda one: one.rank)
    if before is None or current is None:
        return _first(able, sources, at, now)
    if not current.plays:
        return _leave(before, current, able, at, terms, now)
    return _maybe_better(before, current, sources, able, at, terms, now)


def _first(able: Sequence[SourceView], sources: Sequence[SourceView], at: int | None, now: float) -> Chosen:
    """There is no choice yet, or the one there was is no longer declared."""
    fit = [one for one in able if _not_behind(one, at)]
    if fit:
        return Chosen(Choice(fit[0].name, now))
    # An edge is set up before its sources play: the one that would be taken is as good a guess as any.
    guess = able[0] if able else min(sources, key=lambda one: one.rank)
    return Chosen(Choice(guess.name, now), "" if able else "no source plays yet")


def _leave(
    before: Choice, current: SourceView, able: Sequence[SourceView], at: int | None, terms: Terms, now: float
) -> Chosen:
    failed = _with(before, current, terms, now)
    stays = replace(before, better="", better_since=None, failed=failed)
    fit = [one for one in able if _not_behind(one, at)]
    rested = fit
    if current.failing:  # as the others may have been a moment ago
        rested = [one for one in fit if now >= _rests(before, one.name, terms.min_switch_interval)]
    if rested:
        return Chosen(Choice(rested[0].name, now, why=current.trouble, failed=failed))
    if fit:
        until = min(_rests(before, one.name, terms.min_switch_interval) for one in fit)
        return Chosen(stays, f"{current.failing}; {fit[0].name} failed too, and is tried again later", until)
    if able:
        why = f"{able[0].name} is behind what viewers already got"
        return Chosen(stays, why, now + CATCHING_UP_SECONDS)
    return Chosen(stays, f"{current.trouble}; no other source plays")


def _with(before: Choice, current: SourceView, terms: Terms, now: float) -> dict[str, tuple[float, float]]:
    """What is remembered of sources that failed this edge, when the current one plays nothing: how often without a
    break, and when they did last."""
    failed = {name: (times, at) for name, (times, at) in before.failed.items()}
    times, at = failed.get(current.name, (0, 0.0))
    if now - max(at, before.since) >= terms.clear_after + LASTED_SECONDS:
        failed.pop(current.name, None)
        times, at = 0, 0.0
    if current.failing:
        counted = times > 0 and at >= before.since
        if not counted or now - at >= NOTED_SECONDS:
            failed[current.name] = (times if counted else times + 1, now)
    return failed


def failures(before: Choice, source: str) -> int:
    """How often in a row a source gave the edge nothing."""
    return int(before.failed.get(source, (0, 0))[0])


def _longer(span: float, times: int) -> float:
    """Twice as long each time from the second on."""
    if times < 2:
        return span
    return min(max(span, MOST_PATIENCE), max(span, LEAST_PATIENCE) * 2.0 ** min(times - 1, 16))


def patience(before: Choice, source: str, terms: Terms) -> float:
    """Seconds for which a better source must have been in order: more each time that it gave the edge nothing."""
    return _longer(terms.clear_after, failures(before, source))


def _rests(before: Choice, source: str, span: float) -> float:
    """Until when a source that failed is no way out of another one that does."""
    times, at = before.failed.get(source, (0, 0))
    return at + _longer(span, int(times)) if times else 0.0


def _maybe_better(
    before: Choice,
    current: SourceView,
    sources: Sequence[SourceView],
    able: Sequence[SourceView],
    at: int | None,
    terms: Terms,
    now: float,
) -> Chosen:
    better = [one for one in able if _is_better(one, current)]
    if not better:
        barred = [one for one in sources if one.failing and _is_better(one, current)]
        said = min(barred, key=lambda one: one.rank).failing if barred else ""
        return Chosen(replace(before, better="", better_since=None), said)
    best = better[0]
    since = before.better_since if before.better == best.name else None
    since = now if since is None else since
    waiting = replace(before, better=best.name, better_since=since)
    ripe = max(since + patience(before, best.name, terms), before.since + terms.min_switch_interval)
    if now < ripe:
        again = failures(before, best.name)
        said = f"; it brought nothing {plural(again, 'time')} before" if again else ""
        needed = format_span(max(patience(before, best.name, terms), terms.min_switch_interval))
        return Chosen(
            waiting, f"{best.name} is better, and is taken when it has stayed so for {needed}{said}", ripe
        )
    if not _not_behind(best, None if at is None else at - FORGIVEN_SEGMENTS):
        return Chosen(waiting, f"{best.name} is behind what viewers already got", now + CATCHING_UP_SECONDS)
    why = f"{best.name} is better, and has been in order for {format_span(now - since)}"
    return Chosen(Choice(best.name, now, why=why, failed=before.failed))


def _is_better(other: SourceView, current: SourceView) -> bool:
    """Whether `current`, which plays, is worth leaving for `other`: for one in order only, and between equals only
    when this one is not. Load and lag decide where to go, never whether: they would follow the edge around."""
    if other.name == current.name or other.state is not StreamState.HEALTHY:
        return False
    if other.priority != current.priority:
        return other.priority < current.priority
    return current.state is not StreamState.HEALTHY


def _not_behind(source: SourceView, at: int | None) -> bool:
    return at is None or (source.last is not None and source.last >= at)


def reaches(start: str, sources: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Every endpoint that `start` takes streams from, directly or through others."""
    found: set[str] = set()
    ahead = list(sources.get(start, ()))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += sources.get(name, ())
    return frozenset(found)


def without_loops(sources: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The sources of each endpoint, without those that (through others) take from the endpoint itself.

    Manifests with a loop are refused; this is for what comes together while they are being edited.
    """
    return {
        name: tuple(one for one in given if one != name and name not in reaches(one, sources))
        for name, given in sources.items()
    }
