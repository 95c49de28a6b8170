"""Random days of a fleet with streams: nothing is taken away for want of evidence, and calm brings what is declared."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from telarchy.core.plan import Decision
from telarchy.streaming.actions import Prune, PutService, StreamingAction
from tests.unit.streaming.stage import INTERVAL, Stage, edge, key, origin, ssh_host, stream

HOSTS = ["black", "box", "vps"]
LADDERS = [
    [{"name": "720p", "height": 720, "videoBitrate": "2M"}],
    [{"name": "720p", "height": 720, "videoBitrate": "3M"}],
]
seconds = st.floats(0.5, 90.0)


class Days(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.stage = Stage(
            *(ssh_host(one) for one in HOSTS),
            origin("a"),
            origin("b", on="box"),
            edge(sources=("a", "b")),
            stream(),
            key(),
        )
        self.running, self.ladder, self.declared, self.edge = True, 0, True, True
        self.origin_on = "black"
        self.off_since = {}
        self.watch(self.stage.settle)

    def watch(self, live):
        """Let the stage live, and look at every action as it is taken."""
        real = self.stage._do

        def looked(action):
            self.look_at(action)
            real(action)

        self.stage._do = looked
        try:
            live()
        finally:
            del self.stage._do

    def look_at(self, action):
        assert isinstance(action, StreamingAction)
        assert self.stage.complete, "nothing is done before everything was read"
        if action.host in self.stage.off:  # but for what was begun on a report of a moment ago
            assert self.stage.now - self.off_since[action.host] <= 3 * INTERVAL, "nobody answers there"
        done = self.stage.thought.done
        if isinstance(action, Prune):
            assert done.active(action.stream) not in action.generations, "what plays stays"
        if isinstance(action, PutService) and action.stream:
            assert action.generation == done.active(action.stream)
        if action.removes:
            place = done.terms.places.get(action.endpoint)
            elsewhere = place is not None and (place.host_name, place.base) != (action.host, action.base)
            assert place is None or elsewhere or not place.unknown, "unknown is not absent"

    def redeclare(self):
        if self.declared:
            self.stage.declare(
                stream(running=self.running, renditions=LADDERS[self.ladder], retention="30s"), key()
            )

    @rule(seconds=seconds)
    def pass_time(self, seconds):
        self.watch(lambda: self.stage.run(seconds, step=5.0))

    @rule(host=st.sampled_from(HOSTS))
    def pull_or_plug(self, host):
        self.stage.off ^= {host}
        self.off_since[host] = self.stage.now
        self.watch(lambda: self.stage.run(3))

    @rule(at=st.sampled_from(["a", "b"]))
    def publish_or_part(self, at):
        if ("a", "garden") in self.stage.publishers and at == "a":
            self.stage.part(at="a")
        elif ("b", "garden") in self.stage.publishers and at == "b":
            self.stage.part(at="b")
        else:
            self.stage.publish(at=at)
        self.watch(lambda: self.stage.run(2))

    @rule(running=st.booleans(), ladder=st.sampled_from([0, 1]))
    def edit(self, running, ladder):
        self.running, self.ladder = running, ladder
        self.redeclare()
        self.watch(lambda: self.stage.run(2))

    @rule()
    def delete_or_declare(self):
        if self.declared:
            self.stage.delete(stream(), key())
        self.declared = not self.declared
        self.redeclare()
        self.watch(lambda: self.stage.run(2))

    @rule()
    def delete_or_declare_the_edge(self):
        if self.edge:
            self.stage.delete(edge())
        else:
            self.stage.declare(edge(sources=("a", "b")))
        self.edge = not self.edge
        self.watch(lambda: self.stage.run(2))

    @rule(host=st.sampled_from(["black", "vps"]))
    def move_an_origin(self, host):
        self.origin_on = host
        self.stage.declare(origin("a", on=host))
        self.watch(lambda: self.stage.run(2))

    @rule(seconds=seconds)
    def read_half(self, seconds):
        self.stage.complete = False
        self.watch(lambda: self.stage.run(min(seconds, 5.0)))
        self.stage.complete = True

    @rule(at=st.sampled_from(["a", "b"]))
    def freeze_or_thaw(self, at):
        self.stage.frozen ^= {(at, "garden")}
        self.watch(lambda: self.stage.run(5))

    @rule(source=st.sampled_from(["a", "b"]), tries=st.booleans())
    def cut_or_mend_a_line(self, source, tries):
        self.stage.tries = tries
        self.stage.cut ^= {("edge", source)}
        self.watch(lambda: self.stage.run(5))

    @rule()
    def calm(self):
        """Everything is plugged in and somebody publishes: then it is as declared."""
        stage = self.stage
        stage.off.clear()
        stage.frozen.clear()
        stage.cut.clear()
        stage.tries = True
        stage.memory = replace(stage.memory, choices={})  # what a bad day taught lasts for many minutes
        for at in ("a", "b"):
            stage.publishers[at, "garden"] = "garden-obs"
        self.watch(lambda: stage.run(200, step=8.0))
        assert not [one for one in stage.plan.steps if one.decision is Decision.START], stage.shape()
        assert stage.plan.lingering == {}
        expected = {f"a@{self.origin_on}", "b@box", *(["edge@vps"] if self.edge else [])}
        assert set(stage.there) == expected
        ladders = {at for at, one in stage.there.items() if "ladder-garden" in one.services}
        if self.declared and self.running:
            assert stage.status("Stream", "garden")["phase"] == "Live"
            assert stage.ready("Stream", "garden") == ("True", "Playing")
            assert ladders == {f"a@{self.origin_on}", "b@box"}
            if self.edge:
                assert stage.status("MediaEndpoint", "edge")["source"] == "a"
            for at in ladders:
                seen = stage.there[at].streams["garden"]
                assert seen.generations == (seen.generation,), "what ended is gone after its time"
        else:
            assert not ladders
        if not self.declared:
            assert all("garden" not in stage.there[at].streams for at in expected - {"edge@vps"})

    @invariant()
    def statuses_hold_no_seconds(self):
        if hasattr(self, "stage") and self.stage.thought is not None:
            assert len({str(one) for one in self.stage.plan.statuses}) == len(self.stage.plan.statuses)


TestDays = Days.TestCase
TestDays.settings = settings(
    max_examples=12, stateful_step_count=15
)  # each step is minutes of a fleet's life
