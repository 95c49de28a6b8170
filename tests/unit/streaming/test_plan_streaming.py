"""Streaming's plan on a stage in memory: stories told from the declaration to the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telarchy.core.plan import Decision
from telarchy.core.service import ServiceSeen, ServiceState
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.streaming.evidence import InputSeen
from telarchy.streaming.lifecycle import sequence_of
from telarchy.streaming.wanted import render
from tests.unit.streaming.stage import Stage, edge, key, origin, ssh_host, stream
from tests.world import host

BLACK, VPS, BOX = ssh_host("black"), ssh_host("vps"), ssh_host("box")


@pytest.fixture
def home() -> Stage:
    stage = Stage(BLACK, origin(), stream(), key())
    stage.settle()
    return stage


def test_a_stream_is_started_and_waits_for_its_publisher(home: Stage) -> None:
    assert set(home.there["origin@black"].services) == {"http", "rtmp", "ladder-garden"}
    home.run(3)
    assert home.status("Stream", "garden")["phase"] == "Starting"
    assert home.ready("Stream", "garden") == ("False", "NoSource")
    said = home.status("Stream", "garden")["conditions"][0]["message"]
    assert "rtmp://black.example/ingest" in said
    assert home.ready("MediaEndpoint", "origin") == ("True", "NoSource")
    assert home.plan.settled
    assert not any(step.decision is Decision.START for step in home.plan.steps)


def test_it_is_live_when_a_viewer_could_play_it(home: Stage) -> None:
    home.run(30)
    home.publish()
    home.run(3)
    status = home.status("Stream", "garden")
    assert (status["phase"], status["source"]) == ("Live", "Present")
    assert home.ready("Stream", "garden") == ("True", "Playing")
    assert float(status["startSeconds"]) <= 2.0
    assert status["endpoints"][0]["state"] == "Healthy"
    assert status["playbackPath"] == f"/live/garden/{status['generation']}/master.m3u8"
    assert ("stream/garden", "Live") in home.events


def test_a_publisher_without_a_picture_is_told_so(home: Stage) -> None:
    home.incoming = InputSeen("", 0, 0, 0.0, 128_000)
    home.frozen.add(("origin", "garden"))  # an encoder waits for pictures, and ends
    home.publish()
    home.run(30)
    assert home.status("MediaEndpoint", "origin")["state"] == "Stale"
    for kind, name in (("Stream", "garden"), ("MediaEndpoint", "origin")):
        said = next(one for one in home.status(kind, name)["conditions"] if one["type"] == "Ready")
        assert said["status"] == "False" and "no picture comes in" in said["message"]


@pytest.mark.parametrize("mode", ["Cache", "Relay"])
@pytest.mark.parametrize("begun", [True, False], ids=["played", "never played"])
def test_an_edge_whose_source_gives_nothing_is_stale_and_says_of_whom(mode: str, begun: bool) -> None:
    stage = Stage(BLACK, VPS, origin(), edge(mode=mode), stream(), key())
    if not begun:
        stage.frozen.add(("origin", "garden"))
    stage.publish()
    stage.run(40)
    stage.frozen.add(("origin", "garden"))
    for _ in range(45):
        if mode == "Relay":  # what copies ends, and is begun anew
            there = stage.there["edge@vps"]
            relay = ServiceSeen("relay-garden", ServiceState.RUNNING, starts=9, since=stage.now - 1)
            stage.there["edge@vps"] = replace(there, services={**there.services, relay.name: relay})
        stage.run(1)
    assert stage.status("MediaEndpoint", "edge")["state"] == "Stale"
    said = next(one for one in stage.status("MediaEndpoint", "edge")["conditions"] if one["type"] == "Ready")
    assert said["status"] == "False"
    assert "origin, which is Stale" in said["message"] or (mode == "Cache" and begun)


def test_viewers_are_led_to_varnish_when_it_is_there_and_away_before_it_goes() -> None:
    def at_edge(cache: str) -> MediaEndpoint:
        sources = {"origin": "http://black.example:8080"}
        return edge(sources=tuple(sources), cache=cache)

    def asks_varnish() -> bool:
        assert stage.thought is not None
        put = stage.thought.done.wanted["edge"].services["http"]
        return b"http.sock" in put.files["nginx.conf"]

    visible = stream(visibility="Public")
    first = origin(publicURL="http://black.example:8080")
    stage = Stage(BLACK, VPS, first, at_edge("Nginx"), visible, key(), renderer=render)
    stage.publish()
    stage.run(20)
    stage.fails["cache"] = "varnishd: not found"
    stage.declare(at_edge("Varnish"))
    stage.run(20)
    assert "cache" not in stage.there["edge@vps"].services and not asks_varnish(), "it serves as before"
    said = next(one for one in stage.status("MediaEndpoint", "edge")["conditions"] if one["type"] == "Ready")
    assert said["status"] == "False" and "varnishd: not found" in said["message"]
    stage.fails.clear()
    stage.run(60)
    assert "cache" in stage.there["edge@vps"].services and asks_varnish()
    stage.log.clear()
    stage.declare(at_edge("Nginx"))
    stage.run(5)
    assert [line.split(" of ")[0] for line in stage.log] == ["reload http", "stop cache"]


def test_a_built_in_endpoint_whose_port_is_taken_says_so_and_its_encoder_is_left_alone() -> None:
    here = host("here", connection={"local": {}})
    stage = Stage(here, origin(on="here"), stream(ingest={"test": {}}), renderer=render)
    why = "127.0.0.1:8080 cannot be listened on (Address already in use)"
    stage.memory = replace(stage.memory, unserved={"origin": why})
    stage.run(5)
    assert stage.status("MediaEndpoint", "origin")["state"] == "Stale"
    for kind, name in (("Stream", "garden"), ("MediaEndpoint", "origin")):
        said = next(one for one in stage.status(kind, name)["conditions"] if one["type"] == "Ready")
        assert said["status"] == "False" and why in said["message"]
    stage._play = lambda: None  # type: ignore[method-assign]  # where nobody serves, nobody sees a playlist
    there = stage.there["origin@here"]
    unseen = {name: replace(one, playlists={}) for name, one in there.streams.items()}
    stage.there["origin@here"] = replace(there, streams=unseen)
    stage.log.clear()
    stage.run(120)
    assert not stage.log, "it is not the encoder's fault"
    stage.memory = replace(stage.memory, unserved={})
    del stage._play
    stage.run(5)
    assert stage.ready("Stream", "garden") == ("True", "Playing")


def test_an_endpoint_whose_host_is_taken_out_first_says_so(home: Stage) -> None:
    home.publish()
    home.run(20)
    home.delete(BLACK)
    home.run(20)
    said = next(one for one in home.status("MediaEndpoint", "origin")["conditions"] if one["type"] == "Ready")
    assert (said["reason"], said["message"]) == ("NoHost", "its host black is not declared")
    assert home.there["origin@black"].services, "what runs there is left alone"


def test_what_was_judged_by_a_report_from_before_the_moment_is_judged_anew(home: Stage) -> None:
    home.frozen.add(("origin", "garden"))
    home.publish()
    home.run(10)
    assert home.status("MediaEndpoint", "origin")["state"] == "Starting"
    for _ in range(10):  # reports come a second before they are thought about, and nothing in them changes
        if home.status("MediaEndpoint", "origin")["state"] == "Stale":
            return
        assert home.plan.wake_at is not None, "it is Starting for ever"
        home.now = home.plan.wake_at - 1.0
        home._report()
        home.now += 1.0
        home.round()
    pytest.fail("it is Starting for ever")


@pytest.mark.parametrize("mode", ["Cache", "Relay"])
def test_an_edge_says_that_nobody_publishes_as_soon_as_its_source_does(mode: str) -> None:
    stage = Stage(BLACK, VPS, origin(), edge(mode=mode), stream(), key())
    stage.publish()
    stage.run(40)
    assert stage.status("MediaEndpoint", "edge")["state"] == "Healthy"
    stage.part()
    stage.run(5)
    assert stage.status("MediaEndpoint", "origin")["state"] == "NoSource"
    assert stage.status("MediaEndpoint", "edge")["state"] == "NoSource"


def test_a_rendition_larger_than_what_comes_in_is_said_and_plays(home: Stage) -> None:
    home.incoming = InputSeen("h264", 640, 360, 25.0, 1_000_000)
    home.publish()
    home.run(3)
    found = {one["type"]: one for one in home.status("Stream", "garden")["conditions"]}
    assert (found["Upscaled"]["status"], found["Upscaled"]["reason"]) == ("True", "RenditionLargerThanSource")
    assert "larger than what comes in (640x360)" in found["Upscaled"]["message"]
    assert found["Ready"]["status"] == "True"
    home.run(10)
    assert home.events.count(("stream/garden", "Upscaled")) == 1
    home.incoming = InputSeen("h264", 1920, 1080, 25.0, 5_000_000)
    home.run(3)
    found = {one["type"]: one for one in home.status("Stream", "garden")["conditions"]}
    assert found["Upscaled"]["status"] == "False"


def test_a_status_that_does_not_change_is_the_same(home: Stage) -> None:
    home.publish()
    home.run(10)
    before = home.plan.statuses
    for _ in range(30):
        home.run(1, step=0.37)
        assert home.plan.statuses == before
    assert home.plan.settled


def test_the_generation_outlives_its_publisher(home: Stage) -> None:
    home.publish()
    home.run(5)
    generation = home.status("Stream", "garden")["generation"]
    home.part()
    home.run(60)
    status = home.status("Stream", "garden")
    assert (status["phase"], status["source"], status["generation"]) == ("Live", "Absent", generation)
    assert home.ready("Stream", "garden") == ("False", "NoSource")
    assert home.events.count(("stream/garden", "SourceLost")) == 1
    home.publish()
    home.run(4)
    assert home.ready("Stream", "garden") == ("True", "Playing")
    assert home.status("Stream", "garden")["generation"] == generation
    assert home.events.count(("stream/garden", "SourceReturned")) == 1


def test_an_edited_ladder_is_a_new_generation_and_the_old_one_goes_after_its_time(home: Stage) -> None:
    home.publish()
    home.run(5)
    first = home.status("Stream", "garden")["generation"]
    home.declare(stream(renditions=[{"name": "720p", "height": 720, "videoBitrate": "1M"}], retention="1m"))
    home.run(5)
    second = home.status("Stream", "garden")["generation"]
    assert sequence_of(second) == sequence_of(first) + 1
    assert home.status("Stream", "garden")["phase"] == "Live"
    assert ("stream/garden", "GenerationEnded") in home.events
    assert set(home.there["origin@black"].streams["garden"].generations) == {first, second}
    home.run(50)
    assert first in home.there["origin@black"].streams["garden"].generations
    home.run(10)
    assert home.there["origin@black"].streams["garden"].generations == (second,)


def test_stopped_and_started_it_begins_anew(home: Stage) -> None:
    home.publish()
    home.run(5)
    first = home.status("Stream", "garden")["generation"]
    home.declare(stream(running=False))
    home.run(3)
    assert home.status("Stream", "garden")["phase"] == "Ended"
    assert home.ready("Stream", "garden") == ("True", "Stopped")
    assert set(home.there["origin@black"].services) == {"http", "rtmp"}
    home.declare(stream())
    home.run(5)
    assert sequence_of(home.status("Stream", "garden")["generation"]) == sequence_of(first) + 1


def test_a_lost_memory_goes_on_with_what_runs(home: Stage) -> None:
    home.publish()
    home.run(5)
    generation = home.status("Stream", "garden")["generation"]
    count = len(home.log)
    home.memory = replace(home.memory, generations={}, past={}, choices={}, told={})
    home.run(5)
    assert home.status("Stream", "garden")["generation"] == generation
    assert home.log[count:] == []


def test_a_lost_memory_does_not_revive_what_ended(home: Stage) -> None:
    home.publish()
    home.run(5)
    ended = home.status("Stream", "garden")["generation"]
    home.declare(stream(running=False))
    home.run(10)  # its segments still lie there, for the retention
    assert home.status("Stream", "garden")["phase"] == "Ended"
    home.memory = replace(home.memory, generations={}, past={}, told={})
    home.declare(stream())
    home.run(10)
    assert home.status("Stream", "garden")["phase"] == "Live"
    assert home.status("Stream", "garden")["generation"] != ended


def test_nothing_is_begun_before_a_first_look() -> None:
    stage = Stage(BLACK, origin(), stream(), key())
    assert stage.round() == 0
    assert stage.ready("Stream", "garden") == ("False", "Waiting")


def test_a_session_that_cannot_be_created_failed_and_is_tried_again() -> None:
    stage = Stage(BLACK, origin(), stream(), key())
    stage.fails["ladder-garden"] = "ffmpeg is not installed"
    stage.run(3)
    status = stage.status("Stream", "garden")
    assert status["phase"] == "Failed"
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    assert ready["reason"] == "StartFailed" and "ffmpeg is not installed" in ready["message"]
    step = next(step for step in stage.plan.steps if step.decision is Decision.WAIT)
    assert step.not_before is not None and step.not_before > stage.now
    stage.fails.clear()
    stage.run(10)
    stage.publish()
    stage.run(4)
    assert stage.status("Stream", "garden")["phase"] == "Live"


def test_unknown_is_not_absent(home: Stage) -> None:
    home.publish()
    home.run(5)
    home.off.add("black")
    count = len(home.log)
    home.run(60)
    assert home.log[count:] == []
    assert home.ready("MediaEndpoint", "origin") == ("Unknown", "Unknown")
    assert home.status("MediaEndpoint", "origin")["state"] == "Unknown"
    assert home.status("Stream", "garden")["phase"] == "Live"
    home.delete(stream(), key())
    home.run(10)
    assert home.log[count:] == []
    assert [str(ref) for ref in home.plan.lingering] == ["stream/garden"]


def test_nothing_is_removed_before_everything_was_read(home: Stage) -> None:
    home.complete = False
    home.delete(stream(), key(), origin())
    home.run(30)
    assert not any("stop" in line or "remove" in line for line in home.log)


def test_a_deleted_stream_leaves_nothing(home: Stage) -> None:
    home.publish()
    home.run(5)
    home.delete(stream(), key())
    home.run(5)
    there = home.there["origin@black"]
    assert set(there.services) == {"http", "rtmp"}
    assert there.streams == {}
    assert home.plan.lingering == {}


def test_an_orphan_is_left_as_it_is(home: Stage) -> None:
    home.publish()
    home.run(5)
    home.memory = replace(home.memory, orphans=frozenset({"garden"}))
    home.delete(stream(), key())
    home.run(5)
    assert "ladder-garden" in home.there["origin@black"].services
    assert home.there["origin@black"].streams["garden"].generations
    assert home.plan.lingering == {}


def test_a_deleted_endpoint_is_retired_once(home: Stage) -> None:
    home.delete(origin())
    home.run(5)
    assert home.there == {}
    assert sum("remove all" in line for line in home.log) == 1


def test_a_moved_endpoint_is_removed_where_it_was(home: Stage) -> None:
    home.declare(BOX, origin(on="box"))
    home.run(5)
    assert set(home.there) == {"origin@box"}


def test_an_endpoint_whose_host_is_away_is_removed_when_it_returns(home: Stage) -> None:
    home.off.add("black")
    home.delete(origin())
    home.run(30)
    assert "origin@black" in home.there
    assert [str(ref) for ref in home.plan.lingering] == ["mediaendpoint/origin"]
    home.off.clear()
    home.run(3)
    assert home.there == {}
    assert home.plan.lingering == {}


def test_a_suspended_stream_is_left_as_it_is(home: Stage) -> None:
    home.publish()
    home.run(5)
    count = len(home.log)
    home.declare(stream(suspend=True, renditions=[{"name": "a", "height": 360, "videoBitrate": "1M"}]))
    home.run(5)
    assert home.log[count:] == []
    assert home.status("Stream", "garden")["phase"] == "Suspended"


def test_a_cordoned_host_gets_nothing_new_and_keeps_what_it_has() -> None:
    stage = Stage(ssh_host("black", cordon=True), origin(), stream(), key())
    stage.run(3)
    assert stage.there == {}
    assert stage.ready("MediaEndpoint", "origin")[0] == "False"
    stage.declare(BLACK)
    stage.run(3)
    stage.declare(ssh_host("black", cordon=True))
    stage.declare(stream(renditions=[{"name": "720p", "height": 720, "videoBitrate": "1M"}]))
    stage.publish()
    stage.run(5)
    assert stage.status("Stream", "garden")["phase"] == "Live"


def test_ingest_is_not_restarted_under_a_publisher(home: Stage) -> None:
    home.publish()
    home.run(5)
    count = len(home.log)
    home.declare(origin(listen={"rtmp": 1936}))
    home.run(5)
    assert not any("rtmp" in line for line in home.log[count:])
    assert "until nobody publishes" in str(home.status("MediaEndpoint", "origin")["conditions"])
    home.part()
    home.run(3)
    assert any(line.startswith("restart rtmp") for line in home.log[count:])


def test_a_full_spool_is_told_and_starts_nothing() -> None:
    stage = Stage(BLACK, origin(), stream(), key())
    stage.settle()
    stage.there["origin@black"] = replace(stage.there["origin@black"], free=1 << 20, total=1 << 30)
    stage.declare(stream("yard"))
    stage.run(3)
    assert stage.ready("MediaEndpoint", "origin") == ("False", "OutOfSpace")
    assert stage.events.count(("mediaendpoint/origin", "OutOfSpace")) == 1
    assert "ladder-yard" not in stage.there["origin@black"].services


def test_what_lives_and_brings_nothing_forth_is_started_again(home: Stage) -> None:
    home.publish()
    home.run(5)
    home.frozen.add(("origin", "garden"))
    home.run(40)
    assert home.status("MediaEndpoint", "origin")["state"] == "Stale"
    assert not any("nothing comes of it" in line for line in home.log)  # its host has a watchdog of its own
    home.run(20)
    kicks = [line for line in home.log if "nothing comes of it" in line]
    assert len(kicks) == 1
    home.frozen.clear()
    home.run(5)
    assert home.ready("Stream", "garden") == ("True", "Playing")


def test_an_edge_moves_when_its_origin_dies_and_returns_calmly() -> None:
    stage = Stage(
        BLACK, BOX, VPS, origin("a"), origin("b", on="box"), stream(), key(), edge(sources=("a", "b"))
    )
    stage.publish(at="a")
    stage.publish(at="b")
    stage.run(10)
    assert stage.status("MediaEndpoint", "edge")["source"] == "a"
    assert stage.ready("MediaEndpoint", "edge") == ("True", "Serving")
    stage.off.add("black")
    stage.run(8)
    assert stage.status("MediaEndpoint", "edge")["source"] == "b"
    assert ("mediaendpoint/edge", "SwitchedSource") in stage.events
    assert stage.ready("MediaEndpoint", "edge") == ("True", "Serving")
    stage.off.clear()
    stage.run(55)
    assert stage.status("MediaEndpoint", "edge")["source"] == "b"
    stage.run(15)
    assert stage.status("MediaEndpoint", "edge")["source"] == "a"
    assert stage.events.count(("mediaendpoint/edge", "SwitchedSource")) == 2
    reloads = [line for line in stage.log if line.startswith("reload http of edge")]
    assert len(reloads) == 2


def test_an_edge_without_anything_to_play_has_no_source() -> None:
    stage = Stage(BLACK, VPS, origin(), stream(), key(), edge())
    stage.run(20)
    assert stage.status("MediaEndpoint", "edge")["state"] == "NoSource"
    stage.publish()
    stage.run(5)
    assert stage.status("MediaEndpoint", "edge")["state"] == "Healthy"


def test_a_test_picture_needs_nobody() -> None:
    stage = Stage(BLACK, origin(), stream(ingest={"test": {}}))
    stage.run(4)
    assert stage.status("Stream", "garden")["phase"] == "Live"
    assert stage.status("Stream", "garden")["source"] == "Present"


def test_a_stream_that_nobody_selects_says_so() -> None:
    stage = Stage(BLACK, origin(streamSelector={"matchLabels": {"a": "b"}}), stream())
    stage.run(2)
    assert stage.status("Stream", "garden")["phase"] == "Pending"
    assert stage.ready("Stream", "garden") == ("False", "NoOrigin")


def test_a_crash_loop_is_told_once(home: Stage) -> None:
    home.there["origin@black"] = replace(home.there["origin@black"], restarts={"http": 6})
    home.run(10)
    assert home.events.count(("mediaendpoint/origin", "CrashLoop")) == 1
    conditions = {one["type"]: one for one in home.status("MediaEndpoint", "origin")["conditions"]}
    assert conditions["CrashLoop"]["status"] == "True"
    home.there["origin@black"] = replace(home.there["origin@black"], restarts={})
    home.run(2)
    conditions = {one["type"]: one for one in home.status("MediaEndpoint", "origin")["conditions"]}
    assert conditions["CrashLoop"]["status"] == "False"


def slow(home: Stage, **figures: object) -> None:
    there = home.there["origin@black"]
    streams = {**there.streams, "garden": replace(there.streams["garden"], **figures)}  # type: ignore[arg-type]
    home.there["origin@black"] = replace(there, streams=streams)


def test_an_encoder_that_is_too_slow_is_told_once_and_when_it_keeps_up_again(home: Stage) -> None:
    home.publish()
    home.run(5)
    slow(home, speed=0.42, lagging=True, slow_since=home.now)
    home.run(2)
    assert home.status("MediaEndpoint", "origin")["state"] == "Degraded"
    assert ("mediaendpoint/origin", "TooSlow") not in home.events
    home.run(60)
    assert home.status("MediaEndpoint", "origin")["state"] == "Overloaded"
    assert home.events.count(("mediaendpoint/origin", "TooSlow")) == 1
    for ref in ("MediaEndpoint", "origin"), ("Stream", "garden"):
        ready = next(one for one in home.status(*ref)["conditions"] if one["type"] == "Ready")
        assert "it encodes at 0.4× of real time: fewer or smaller renditions" in ready["message"]
    slow(home, speed=None, lagging=False, slow_since=None)  # nothing is known of a new one yet
    home.run(2)
    assert ("mediaendpoint/origin", "KeepsUp") not in home.events
    slow(home, speed=1.0)
    home.run(2)
    assert home.events.count(("mediaendpoint/origin", "KeepsUp")) == 1
    assert home.status("MediaEndpoint", "origin")["state"] == "Healthy"


def test_what_never_played_and_is_only_slow_is_said_and_not_begun_anew(home: Stage) -> None:
    home.publish()
    home.frozen.add(("origin", "garden"))
    home.run(5)
    assert home.ready("Stream", "garden") == ("False", "Progressing")
    slow(home, speed=0.04, lagging=True, slow_since=home.now)
    home.run(180)
    assert home.status("MediaEndpoint", "origin")["state"] == "Stale"
    assert home.ready("Stream", "garden") == ("False", "NotPlaying")
    assert not any("nothing comes of it" in line for line in home.log)
    slow(home, speed=0.0)  # but one that stands still is
    home.run(5)
    assert any("nothing comes of it" in line for line in home.log)


def test_statuses_are_what_the_kinds_say() -> None:
    stage = Stage(BLACK, VPS, origin(), stream(), key(), edge())
    stage.publish()
    stage.run(10)
    for ref, status in stage.plan.statuses.items():
        resource = stage.declared[ref]
        model = type(resource).model_fields["status"].annotation
        assert model is not None
        fields = {one.alias or name for name, one in model.model_fields.items()}
        assert set(status) <= fields, ref
        stamped = [one | {"lastTransitionTime": "2026-11-20T18:30:00Z"} for one in status["conditions"]]
        model.model_validate({**status, "conditions": stamped})
