"""Ladders on a real machine that cannot do what is asked of it, publishers who come and go, an encoder that fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.story import Story
from tests.lab.streams import SMALL, Streams, Viewer, plays_past, publish
from tests.lab.tree import MEDIA_PACKAGES

# More than ten cores' work, so that half of any machine's cores is too little.
TOO_MUCH = [
    {"name": "1080p", "height": 1080, "videoBitrate": "5M", "frameRate": 60},
    {"name": "720p", "height": 720, "videoBitrate": "3M", "frameRate": 60},
    {"name": "540p", "height": 540, "videoBitrate": "2M", "frameRate": 60},
]
HELP = "of real time: fewer or smaller renditions, or a faster preset"
TOLD_SECONDS = 120.0  # within which a person must be told; 45 on a machine with nothing else to do


@pytest.fixture
def streams(tmp_path: Path, lab: Lab, fleet: MakeFleet) -> Iterator[Streams]:
    story = Story(tmp_path, lab, fleet("black", packages=MEDIA_PACKAGES, volumes={"/srv/media": 64}))
    yield Streams(story)
    story.stop()


def told(text: str) -> None:
    """For whoever runs with -s: what was measured."""
    print(f"\n    {text}")


def goes_on(viewer: Viewer, since: float) -> bool:
    return viewer.news_after(since) >= 2


@contextmanager
def half_speed(host: LabHost) -> Iterator[None]:
    """Encoders on the host run for half of the time."""
    turns = "while :; do pkill -STOP -x ffmpeg; sleep 0.2; pkill -CONT -x ffmpeg; sleep 0.2; done"
    host.run(["systemd-run", "-q", "--unit", "half-speed", "sh", "-c", turns])
    try:
        yield
    finally:
        host.run("systemctl stop half-speed; pkill -CONT -x ffmpeg", check=False)


def test_a_ladder_that_the_host_cannot_encode_is_told_and_a_lighter_one_plays(streams: Streams) -> None:
    story, black = streams.story, streams.story.hosts["black"]
    streams.stream(renditions=TOO_MUCH, encoder={"preset": "slow"})
    streams.origin("origin", "black")
    with half_speed(black):
        story.start()
        story.until(lambda: streams.starts("origin").get("ladder-garden") is not None, 60, "a ladder")
        begun = time.monotonic()
        story.until(
            lambda: HELP in streams.condition("mediaendpoint/origin")[2], TOLD_SECONDS, "a word of it"
        )
        said = time.monotonic() - begun
        state = streams.endpoint("origin", "state")[0]
        told(f"too slow: {state} after {said:.1f} s: {streams.condition('mediaendpoint/origin')}")
        assert state in ("Degraded", "Overloaded", "Stale")
        story.until(lambda: "TooSlow" in story.events(), TOLD_SECONDS, "an event")
        assert story.events().count("TooSlow") == 1
        assert HELP in story.events()
        for name in ("endpoint/origin", "stream/garden"):
            assert HELP in story.telarchy("why", name).stdout
        for name in ("mediaendpoint/origin", "stream/garden"):
            assert HELP in story.telarchy("describe", name).stdout
        end, states = time.monotonic() + 25, set()
        while time.monotonic() < end:  # longer than an encoder is left alone without a segment
            states.add(streams.endpoint("origin", "state")[0])
            time.sleep(0.5)
        told(f"too slow: {states}, {streams.starts('origin')}, {streams.status('stream/garden')['phase']}")
        assert not states & {"Starting", "Healthy", "NoSource"}, "nobody is told that it is about to start"
        first = streams.status("stream/garden")["generation"]

        streams.stream(renditions=SMALL)
        edited = time.monotonic()
        story.until(lambda: streams.status("stream/garden")["generation"] != first, 40, "a new generation")
        story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 120, "the lighter ladder")
        told(f"lighter: plays after {time.monotonic() - edited:.1f} s")
        newest = streams.plays(black)
        story.until(lambda: plays_past(streams.below(black), newest + 2), 60, "that it goes on")
    story.until(lambda: "KeepsUp" in story.events(), 150, "an event")
    story.until(lambda: streams.endpoint("origin", "state") == ("Healthy",), 120, "that it keeps up")
    assert f"{first} ended" in story.events()
    assert streams.status("stream/garden")["generation"].startswith("g2-")


def test_publishers_who_come_and_go_are_no_crash_loop_and_a_broken_encoder_is(
    streams: Streams, tmp_path: Path
) -> None:
    story, black = streams.story, streams.story.hosts["black"]
    streams.stream(ingest={"rtmp": {}})
    streams.origin("origin", "black")
    kept = tmp_path / "key"
    made = story.telarchy("stream-key", "create", "garden", "--name", "obs", "--key-file", str(kept))
    (story.manifests / "key.yaml").write_text(made.stdout)
    key = kept.read_text().strip()
    story.start()
    story.until(lambda: streams.ready("stream/garden") == ("False", "NoSource"), 60, "a place to publish to")
    story.until(lambda: streams.status("stream/garden").get("keys", 0) >= 1, 30)
    publisher = publish(black, key)
    try:
        story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 60, "the stream")
        generation = streams.status("stream/garden")["generation"]
        with Viewer(streams.below(black)) as viewer:
            for away in (3, 3, 3, 3, 3, 3, 30):
                publisher.kill()
                publisher.wait()
                time.sleep(away)
                back = time.monotonic()
                publisher = publish(black, key)
                story.until(partial(goes_on, viewer, back), 40, "its return")
                told(f"away for {away} s: {viewer.longest_wait(back) - away:.1f} s more until it went on")
                assert streams.condition("mediaendpoint/origin", "CrashLoop")[0] == "False"
            assert viewer.backwards == 0
        assert "CrashLoop" not in story.events()
        assert streams.status("stream/garden")["generation"] == generation

        black.uninstall("ffmpeg")
        black.run(["pkill", "-KILL", "-x", "ffmpeg"])
        story.until(
            lambda: streams.condition("mediaendpoint/origin", "CrashLoop")[0] == "True", 120, "a crash loop"
        )
        assert "not found" in streams.condition("mediaendpoint/origin", "CrashLoop")[2]
        assert story.events().count("CrashLoop") == 1
        story.until(lambda: streams.endpoint("origin", "state") == ("Stale",), 60, "that nobody can play it")
        black.restore("ffmpeg")
        mended = time.monotonic()
        with Viewer(streams.below(black)) as viewer:
            story.until(lambda: viewer.news_after(mended) >= 3, 120, "the next try")
        told(f"mended: plays after {time.monotonic() - mended:.1f} s")
        assert streams.status("stream/garden")["generation"] == generation
    finally:
        publisher.kill()
