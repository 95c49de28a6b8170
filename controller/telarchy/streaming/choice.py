"""Which source an edge takes. Pure.

Away from a source that plays nothing at once; back to a better one only when it has been in order for a while, and
never more often than the edge's owner allows. Never to a source that is behind what viewers have already got: a
player that sees numbers go back stops. An encoder that was restarted is behind for good by what it missed, though; so
on the calm way back, and there only, as much is forgiven as players hold in stock.

Whether an edge can fetch from a source is known only while it does. One that reports itself well and gave the edge
nothing is tried again later each time, so that a cut line between the two does not move viewers to and fro.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from telarchy.streaming.evidence import Choice
from telarchy.streaming.health import PLAYABLE, StreamState

FAILURES = 2  # answers of a source that failed, before it is left
CATCHING_UP_SECONDS = 1.0
FORGIVEN_SEGMENTS = 2  # players hold three in stock
LASTED_SECONDS = 60.0  # that a source was fetched from besides the clear time, for it to count as reached
MOST_PATIENCE = 16.0  # clear times


@dataclass(frozen=True)
class SourceView:
    """A source as one edge may see it, for one stream.

    last:     the newest media sequence number that it plays; None while not known
    lag:      how far behind the present it plays, seconds
    load:     share of what it may send that it does send, 0..1
    failing:  the edge itself gets no answers from it, whatever it reports
    """

    name: str
    priority: int
    state: StreamState
    last: int | None = None
    lag: float = 0.0
    load: float = 0.0
    failing: bool = False

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
    """The choice, why it is no better one, and when time alone may change it."""

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
    return _maybe_better(before, current, able, at, terms, now)


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
    unreached, failures = _tried(before, current, terms, now)
    fit = [one for one in able if _not_behind(one, at)]
    if fit:
        return Chosen(Choice(fit[0].name, now, unreached=unreached, failures=failures))
    stays = replace(before, better="", better_since=None)
    if able:
        why = f"{able[0].name} is behind what viewers already got"
        return Chosen(stays, why, now + CATCHING_UP_SECONDS)
    return Chosen(stays, f"{current.name} plays nothing, and no other source does")


def _tried(before: Choice, left: SourceView, terms: Terms, now: float) -> tuple[str, int]:
    """What is remembered of a source that is left: whether it failed this edge, and how often without a break."""
    again = before.unreached == left.name
    lasted = now - before.since >= terms.clear_after + LASTED_SECONDS
    if left.failing:
        return left.name, before.failures + 1 if again and not lasted else 1
    return ("", 0) if again and lasted else (before.unreached, before.failures)


def patience(before: Choice, source: str, terms: Terms) -> float:
    """Seconds for which a better source must have been in order: more each time that it gave the edge nothing."""
    tries = before.failures - 1 if before.unreached == source else 0
    return float(terms.clear_after * min(MOST_PATIENCE, 2.0 ** max(0, min(tries, 8))))


def _maybe_better(
    before: Choice,
    current: SourceView,
    able: Sequence[SourceView],
    at: int | None,
    terms: Terms,
    now: float,
) -> Chosen:
    better = [one for one in able if _is_better(one, current)]
    if not better:
        return Chosen(replace(before, better="", better_since=None))
    best = better[0]
    since = before.better_since if before.better == best.name else None
    since = now if since is None else since
    waiting = replace(before, better=best.name, better_since=since)
    ripe = max(since + patience(before, best.name, terms), before.since + terms.min_switch_interval)
    if now < ripe:
        return Chosen(waiting, f"{best.name} is better, and is taken when it has stayed so", ripe)
    if not _not_behind(best, None if at is None else at - FORGIVEN_SEGMENTS):
        return Chosen(waiting, f"{best.name} is behind what viewers already got", now + CATCHING_UP_SECONDS)
    return Chosen(Choice(best.name, now, unreached=before.unreached, failures=before.failures))


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
