"""Random days of edges and streams: no flapping, no loops, the best source after the clear time, orderly lives."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telarchy.streaming.choice import (
    FORGIVEN_SEGMENTS,
    MOST_PATIENCE,
    SourceView,
    Terms,
    choose,
    reaches,
    without_loops,
)
from telarchy.streaming.evidence import Choice, Generation
from telarchy.streaming.health import PLAYABLE, StreamState
from telarchy.streaming.lifecycle import advance, ages, expired, identity, sequence_of

MOST_MOVES_AN_HOUR = (
    60  # of faults that come, go and change sides every ten minutes; one that stays costs fewer
)
MOST_MOVES_WHILE_CUT = 22  # in the first hour, without a clear time; with the usual one 13
NAMES = ["a", "b", "c", "d"]
START = 1_795_228_800.0
states = st.sampled_from(list(StreamState))
terms = st.builds(
    Terms,
    clear_after=st.sampled_from([0.0, 10.0, 60.0]),
    min_switch_interval=st.sampled_from([0.0, 30.0, 90.0]),
)


@st.composite
def views(draw, name):
    return SourceView(
        name,
        draw(st.integers(1, 3)),
        draw(states),
        draw(st.one_of(st.none(), st.integers(95, 105))),
        lag=draw(st.floats(0, 30)),
        load=draw(st.floats(0, 1)),
        failing="nothing comes of it" if draw(st.integers(0, 5)) == 0 else "",
    )


class Edge(RuleBasedStateMachine):
    """An edge whose sources come and go while time passes."""

    @initialize(terms=terms, count=st.integers(1, 4), data=st.data())
    def begin(self, terms, count, data):
        self.terms, self.now, self.at = terms, START, None
        self.sources = {name: data.draw(views(name)) for name in NAMES[:count]}
        self.choice: Choice | None = None
        self.moves: list[tuple[float, str, str, bool]] = []
        self.think()

    def think(self):
        before = self.choice
        done = choose(before, list(self.sources.values()), self.at, self.terms, self.now)
        again = choose(done.choice, list(self.sources.values()), self.at, self.terms, self.now)
        if self.terms.clear_after:
            assert again.choice.source == done.choice.source, "the same moment decides the same"
        assert done.changes_at is None or done.changes_at > self.now
        if before is not None and done.choice is not None and before.source != done.choice.source:
            left = self.sources.get(before.source)
            forced = left is None or not left.plays
            taken = self.sources[done.choice.source]
            if left is not None:
                assert taken.plays
                least = None if self.at is None else self.at - (0 if forced else FORGIVEN_SEGMENTS)
                assert least is None or (taken.last is not None and taken.last >= least), "numbers went back"
            if not forced:
                assert self.now - before.since >= self.terms.min_switch_interval, "switched too soon"
                if self.terms.clear_after:
                    assert before.better == taken.name
                    assert self.now - before.better_since >= self.terms.clear_after, "went back too soon"
                assert taken.state is StreamState.HEALTHY
            self.moves.append((self.now, before.source, taken.name, forced))
        self.choice = done.choice
        self.due = done.changes_at

    @rule(seconds=st.floats(0.1, 120.0))
    def pass_time(self, seconds):
        end = self.now + seconds
        while self.due is not None and self.due <= end and self.due < self.now + 1000:
            self.now = self.due
            self.think()
            if self.due is not None and self.due - self.now < 1.5:
                break
        self.now = max(self.now, end)
        self.think()

    @rule(data=st.data())
    def change(self, data):
        name = data.draw(st.sampled_from(sorted(self.sources)))
        self.sources[name] = data.draw(views(name))
        self.think()

    @rule(at=st.one_of(st.none(), st.integers(95, 105)))
    def play_on(self, at):
        self.at = at if at is None or self.at is None else max(self.at, at)
        self.think()

    @precondition(lambda self: len(self.sources) > 1)
    @rule(data=st.data())
    def undeclare(self, data):
        del self.sources[data.draw(st.sampled_from(sorted(self.sources)))]
        self.think()

    @rule()
    def calm(self):
        """Nothing changes for as long as anything may take: then it is the best."""
        for name, one in self.sources.items():
            self.sources[name] = replace(one, last=105)
        for _ in range(20):
            self.now += max(self.terms.clear_after, self.terms.min_switch_interval, MOST_PATIENCE / 15) + 1
            self.think()
        playing = [one for one in self.sources.values() if one.plays]
        healthy = [one for one in playing if one.state is StreamState.HEALTHY]
        current = self.sources[self.choice.source]
        if playing:
            assert current.plays
        if healthy:
            assert current.priority <= min(one.priority for one in healthy)
            same = [one for one in healthy if one.priority == current.priority]
            assert current.state is StreamState.HEALTHY or not same
        settled = self.choice.source
        for _ in range(20):
            self.now += 50
            self.think()
            assert self.choice.source == settled, "it flaps though nothing changes"

    @invariant()
    def a_source_is_left_at_once(self):
        if not hasattr(self, "choice"):
            return
        current = self.sources.get(self.choice.source)
        fit = [
            one
            for one in self.sources.values()
            if one.plays and (self.at is None or (one.last is not None and one.last >= self.at))
        ]
        if current is not None and fit and self.at is None and not self.choice.failed:
            assert current.plays

    def teardown(self):
        for earlier, later in zip(getattr(self, "moves", []), getattr(self, "moves", [])[1:], strict=False):
            if not later[3]:
                assert later[0] - earlier[0] >= self.terms.min_switch_interval


TestEdge = Edge.TestCase


@given(
    terms=terms,
    begins=st.integers(0, 300),
    lasts=st.integers(1, 3000),
    seen_after=st.integers(0, 20),
    viewers=st.booleans(),
)
def test_a_line_that_is_cut_for_one_edge_and_mended_is_one_move_away_and_one_back(
    terms, begins, lasts, seen_after, viewers
):
    choice, moves = Choice("a", START), []
    for second in range(begins + lasts + 300):
        cut = begins + seen_after <= second < begins + lasts
        newest = 100 + second // 2
        sources = [
            SourceView("a", 1, StreamState.HEALTHY, newest, failing="no answer of a" if cut else ""),
            SourceView("b", 2, StreamState.HEALTHY, newest),
        ]
        before, now = choice.source, START + second
        choice = choose(choice, sources, newest if viewers else None, terms, now).choice
        assert choice is not None
        if choice.source != before:
            moves.append((second, choice.source))
            assert choice.why
    if lasts <= seen_after:
        assert moves == []
    else:
        mended = begins + lasts
        back = max(mended + terms.clear_after, begins + seen_after + terms.min_switch_interval)
        assert moves == [(begins + seen_after, "b"), (back, "a")]


def moves_of(faults, terms, told):
    """When an edge moves in three hours. It notices within ten seconds that a source gives it nothing; `told`: also of
    one that it does not use. The faults (names of sources that give nothing) follow each other, ten minutes each."""
    choice, moves = Choice("a", START - 3600), []
    for second in range(0, 3 * 3600, 5):
        failing, now = faults[second // 600 % len(faults)], START + second
        sources = [
            SourceView(name, at, StreamState.HEALTHY, failing="nothing" if lacks else "")
            for at, name in enumerate("ab", start=1)
            for lacks in [name in failing and (told or (choice.source == name and now - choice.since >= 10))]
        ]
        before = choice.source
        choice = choose(choice, sources, None, terms, now).choice
        if choice.source != before:
            moves.append(second)
    return moves


@given(st.lists(st.sampled_from(["", "a", "b", "ab"]), min_size=1, max_size=6), terms, st.booleans())
def test_edges_are_not_moved_to_and_fro_whatever_fails_for_hours(faults, terms, told):
    moves = moves_of(faults, terms, told)
    for hour in range(3):
        count = sum(3600 * hour <= second < 3600 * (hour + 1) for second in moves)
        assert count <= (12 if told else MOST_MOVES_AN_HOUR), moves


@given(terms, st.sampled_from(["a", "ab"]), st.booleans())
def test_a_line_that_stays_cut_is_tried_ever_later(terms, cut, told):
    moves = moves_of([cut], terms, told)
    if told:
        assert len(moves) <= 1, "it is known to be cut"
        return
    for hour, most in enumerate((MOST_MOVES_WHILE_CUT, 8, 8)):
        assert sum(3600 * hour <= second < 3600 * (hour + 1) for second in moves) <= most, moves


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4, unique=True), max_size=6
    )
)
def test_no_endpoint_takes_from_itself_through_others(sources):
    kept = without_loops(sources)
    assert all(name not in reaches(name, kept) for name in kept)
    if all(name not in reaches(name, sources) for name in sources):
        assert kept == {name: tuple(given) for name, given in sources.items()}


def test_only_what_can_be_played_is_a_source():
    assert StreamState.STALE not in PLAYABLE and StreamState.UNKNOWN not in PLAYABLE


class Life(RuleBasedStateMachine):
    """A stream that is edited, stopped, started, lost and forgotten."""

    @initialize()
    def begin(self):
        self.now, self.running, self.made_of = START, True, identity("first")
        self.generation: Generation | None = None
        self.ended: dict[str, float] = {}
        self.lying: set[str] = set()
        self.used: list[str] = []
        self.over: set[str] = set()  # what ended
        self.made = ""  # what an encoder on a host makes
        self.playable, self.failed = False, ""
        self.think()

    def think(self, **more):
        before = self.generation
        turn = advance(
            before,
            "garden",
            self.made_of,
            running=self.running,
            now=self.now,
            lying=self.lying,
            playing=self.made,
            playable=self.playable,
            failed=self.failed,
            **more,
        )
        after = self.generation = turn.now
        active = turn.active.id if turn.active else ""
        self.ended = ages(self.ended, self.lying, active, self.now, turn.ended)
        if turn.began:
            assert after.id not in self.used, "an id never comes twice"
            assert all(sequence_of(after.id) > sequence_of(one) for one in self.lying)
            self.used.append(after.id)
            self.lying.add(after.id)
            self.playable, self.failed = False, ""
        self.over |= set(turn.ended)
        self.made = active if after is not None else self.made
        assert active not in self.over, "what ended is never revived"
        assert turn.began or before is None or active in ("", before.id), "another one is begun, and only so"
        assert not turn.ended or before.id in turn.ended
        if turn.went_live:
            assert active and before.live is None and after.live == self.now, "once in its life"
        if after is not None:
            assert not (after.live and after.failed), "only a start fails"
            assert after.ended is None or after.ended >= (after.live or after.started)
        if before is not None and after is not None and before.id == after.id:
            assert before.ended is None or after.ended == before.ended, "what ended stays ended"
            assert before.live is None or after.live == before.live
        if not self.running:
            assert turn.active is None
        elif not more.get("unseen"):
            assert turn.active is not None and turn.active.identity == self.made_of

    @rule()
    def stop(self):
        self.running, self.playable = False, False
        self.think()

    @rule()
    def start(self):
        self.running = True
        self.think()

    @rule(what=st.sampled_from(["first", "second", "third"]))
    def edit(self, what):
        self.made_of = identity(what)
        self.think()

    @rule(playable=st.booleans())
    def plays(self, playable):
        before = self.generation
        self.playable = playable and self.running
        self.think()
        assert self.generation is None or before is None or self.generation.id == before.id, (
            "survives its source"
        )

    @rule()
    def a_whole_life(self):
        """Started, live, without its source and with it again, stopped; and started anew, which is another one."""
        self.start()
        self.plays(True)
        life = self.generation
        assert life.live is not None and life.failed == ""
        for playable in (False, True, False):
            self.now += 400
            self.playable = playable
            self.think()
            assert self.generation == life, "neither a source that is lost nor one that returns changes it"
        self.fails("NoSpace")
        assert self.generation == life, "only a start fails"
        self.stop()
        assert (self.generation.id, self.generation.live, self.generation.ended) == (
            life.id,
            life.live,
            self.now,
        )
        self.now += 1
        self.think()
        assert self.generation.ended == self.now - 1, "it ends once"
        self.start()
        assert self.generation.id != life.id and self.generation.live is None

    @rule(failed=st.sampled_from(["", "PortTaken", "CheckFailed"]))
    def fails(self, failed):
        self.failed = failed
        self.think()
        if self.generation is None or self.generation.live is not None or self.generation.ended is not None:
            return
        assert self.generation.failed == failed

    @rule()
    def forget(self):
        """The controller's memory is lost; what lies on hosts is not."""
        was = self.generation
        self.generation, self.ended = None, {}
        self.used = sorted(self.lying)  # of what was removed, nobody knows any more
        self.over &= self.lying
        self.think(unseen="black")
        assert self.generation is None
        self.think()
        if self.running and was is not None and was.ended is None:
            assert self.generation.id == was.id, "what is made now goes on"

    @rule(seconds=st.floats(1, 4000), retention=st.sampled_from([60.0, 3600.0]))
    def prune(self, seconds, retention):
        self.now += seconds
        self.think()
        gone, _ = expired(self.ended, retention, self.now)
        active = self.generation.id if self.generation and self.generation.ended is None else ""
        assert active not in gone
        for one in gone:
            assert self.now - self.ended[one] >= retention
            self.lying.discard(one)
            del self.ended[one]
        if self.generation is None:
            self.used = sorted(self.lying)
            self.over &= self.lying


TestLife = Life.TestCase
