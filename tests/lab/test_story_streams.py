"""Streams on real machines: declare one, play it, pull plugs, edit it, stop it, and find nothing left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.lab import Lab
from tests.lab.story import Story
from tests.lab.streams import BASE, SMALL, Streams, plays_past, publish, running
from tests.lab.tree import MEDIA_PACKAGES


@pytest.fixture
def streams(tmp_path: Path, lab: Lab, fleet: MakeFleet) -> Iterator[Streams]:
    story = Story(tmp_path, lab, fleet("nas", "vps", "laptop", packages=MEDIA_PACKAGES))
    yield Streams(story)
    story.stop()


def test_a_stream_lives_from_its_declaration_to_its_end(streams: Streams) -> None:
    story, nas = streams.story, streams.story.hosts["nas"]
    streams.stream()
    streams.origin("origin", "nas")
    story.start()
    story.until(lambda: streams.status("stream/garden").get("phase") == "Live", 60, "the stream")
    generation = streams.status("stream/garden")["generation"]
    first = streams.plays(nas)

    encoder = running(nas, "ffmpeg")
    assert len(encoder) == 1
    nas.run(["kill", "-9", *encoder])
    story.until(lambda: running(nas, "ffmpeg") not in ([], encoder), 15, "the next encoder")
    story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 20)
    story.until(lambda: streams.plays(nas) > first + 2, 20, "the same playlist goes on")
    assert streams.status("stream/garden")["generation"] == generation
    assert streams.status("mediaendpoint/origin")["streams"][0]["restarts"] == 1

    encoder, server = running(nas, "ffmpeg"), set(running(nas, "nginx"))
    story.kill()
    story.start()
    story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 30)
    time.sleep(4)
    assert running(nas, "ffmpeg") == encoder and set(running(nas, "nginx")) == server, "nothing was restarted"
    assert streams.status("stream/garden")["generation"] == generation

    streams.stream(renditions=[SMALL[0] | {"videoBitrate": "400k"}])
    story.until(lambda: streams.status("stream/garden")["generation"] != generation, 20, "a new generation")
    story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 30)
    second = streams.status("stream/garden")["generation"]
    assert second.startswith("g2-")
    streams.plays(nas)

    streams.stream(renditions=[SMALL[0] | {"videoBitrate": "400k"}], running=False, retention="1s")
    story.until(lambda: streams.status("stream/garden")["phase"] == "Ended", 20)
    story.until(lambda: not running(nas, "ffmpeg"), 20, "the end of the encoder")
    story.until(lambda: not nas.exists(f"{BASE}origin/spool/garden"), 30, "the end of what was kept")

    streams.delete("stream-garden")
    streams.delete("endpoint-origin")
    story.until(lambda: not nas.exists(f"{BASE}origin"), 30, "the end of the endpoint")
    assert not running(nas, "nginx")
    assert not nas.run(
        "systemctl --user -M media@ list-units 'telarchy-*' --plain -q", check=False
    ).stdout.strip()


def test_a_publisher_comes_with_its_key_goes_and_returns(streams: Streams, tmp_path: Path) -> None:
    story, nas = streams.story, streams.story.hosts["nas"]
    streams.stream(ingest={"rtmp": {}})
    streams.origin("origin", "nas")
    secret = tmp_path / "key"
    made = story.telarchy("stream-key", "create", "garden", "--name", "obs", "--key-file", str(secret)).stdout
    (story.manifests / "key.yaml").write_text(made)
    story.start()
    story.until(lambda: streams.ready("stream/garden") == ("False", "NoSource"), 60, "a place to publish to")
    story.until(lambda: streams.status("stream/garden").get("keys") == 1, 10)
    time.sleep(3)

    refused = publish(nas, "of-nobody")
    assert refused.wait(15) != 0, "a key that is none"
    publisher = publish(nas, secret.read_text().strip())
    try:
        story.until(lambda: streams.status("stream/garden")["phase"] == "Live", 30, "the stream")
        generation = streams.status("stream/garden")["generation"]
        assert streams.status("stream/garden")["input"]["height"] == 240
        first = streams.plays(nas)
        publisher.kill()
        publisher.wait(5)
        story.until(
            lambda: streams.ready("stream/garden") == ("False", "NoSource"), 30, "that nobody publishes"
        )
        assert streams.status("stream/garden")["phase"] == "Live"
        publisher = publish(nas, secret.read_text().strip())
        story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 30, "its return")
        story.until(lambda: streams.plays(nas) > first, 20)
        assert streams.status("stream/garden")["generation"] == generation
        assert streams.status("streamkey/obs").get("lastUsed")
        (story.manifests / "key.yaml").write_text(made.replace("spec:", "spec:\n  revoked: true", 1))
        assert publisher.wait(15) != 0, "a revoked key is cut"
    finally:
        publisher.kill()
    told = story.telarchy("events").stdout
    assert "SourceLost" in told and "SourceReturned" in told
    key = secret.read_text().strip()
    assert key not in told + story.log
    assert not nas.run(["grep", "-rlF", key, f"{BASE}origin"], check=False).stdout, (
        "the key is nowhere on the host"
    )


def test_an_edge_leaves_an_origin_that_lost_its_power_and_returns_calmly(streams: Streams) -> None:
    story = streams.story
    nas, laptop = story.hosts["nas"], story.hosts["laptop"]
    streams.stream()
    streams.origin("first", "nas", publicURL=f"http://{nas.address}:8080")
    streams.origin("second", "vps", publicURL=f"http://{story.hosts['vps'].address}:8080")
    streams.edge("edge", "laptop", "first", "second")
    story.start()
    story.until(lambda: streams.status("mediaendpoint/edge").get("state") == "Healthy", 90, "the edge")
    # It takes whichever plays first, and the preferred one when that has been well for a while.
    story.until(lambda: streams.status("mediaendpoint/edge").get("source") == "first", 30, "the first source")
    switched = story.events().count("SwitchedSource")
    before = streams.plays(laptop)
    nas.power_cut()
    gone = time.monotonic()
    story.until(
        lambda: streams.status("mediaendpoint/edge").get("source") == "second", 30, "the other source"
    )
    print(f"moved after {time.monotonic() - gone:.1f} s")
    story.until(lambda: plays_past(streams.below(laptop), before), 30, "it plays from there")
    story.until(lambda: streams.status("mediaendpoint/first")["state"] == "Unknown", 10)
    nas.start()
    nas.wait_ssh()
    back = time.monotonic()
    story.until(
        lambda: streams.status("mediaendpoint/first").get("state") == "Healthy", 60, "the first origin"
    )
    story.until(lambda: streams.status("mediaendpoint/edge").get("source") == "first", 60, "the way back")
    print(f"returned after {time.monotonic() - back:.1f} s")
    assert time.monotonic() - back > 10
    assert story.events().count("SwitchedSource") == switched + 2
    story.until(lambda: plays_past(streams.below(laptop), before), 30)
