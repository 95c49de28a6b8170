"""What `telarchy why` says of streams and endpoints, on a stage in memory."""

from __future__ import annotations

import pytest

from telarchy.core.observation import Observation
from telarchy.errors import ConfigError
from telarchy.streaming.explain import why
from tests.unit.streaming.stage import Stage, edge, key, origin, plain, ssh_host, stream

BLACK, VPS, BOX = ssh_host("black"), ssh_host("vps"), ssh_host("box")


def told(stage: Stage, topic: str, name: str) -> str:
    return "\n".join(why(topic, name, stage.world, stage.observation(), stage.now, plain))


@pytest.fixture
def fleet() -> Stage:
    stage = Stage(
        BLACK, VPS, BOX, origin(), origin("spare", "box"), edge(sources=("origin", "spare")), stream(), key()
    )
    stage.settle()
    return stage


def test_a_stream_that_waits_for_its_publisher(fleet: Stage) -> None:
    fleet.run(20)
    said = told(fleet, "stream", "garden")
    assert said.startswith("garden: Starting, source absent; nobody publishes")
    assert "1 key may publish" in said
    assert "\n  origin (Origin): NoSource" in said


def test_a_stream_that_plays_and_from_where(fleet: Stage) -> None:
    fleet.publish(at="origin")
    fleet.publish(at="spare")
    fleet.run(20)
    said = told(fleet, "stream", "garden")
    assert said.startswith("garden: Live, source present; plays from")
    assert "playable since" in said
    assert "takes it from origin since" in said
    fleet.off.add("black")
    fleet.run(40)
    said = told(fleet, "endpoint", "edge")
    assert "takes it from spare since" in said
    fleet.off.discard("black")
    fleet.run(15)
    assert "origin would be better and has been well for" in told(fleet, "endpoint", "edge")


def test_an_endpoint_whose_host_is_away(fleet: Stage) -> None:
    fleet.run(5)
    fleet.off.add("black")
    fleet.run(30)
    said = told(fleet, "endpoint", "origin")
    assert said.startswith("origin: Unknown;")
    assert "nothing is known of it now: its host black" in said


def test_what_is_not_there_or_not_seen(fleet: Stage) -> None:
    with pytest.raises(ConfigError, match=r"no stream 'gardn' is declared \(declared: garden\)"):
        told(fleet, "stream", "gardn")
    with pytest.raises(ConfigError, match=r"declared: edge, origin"):
        told(fleet, "endpoint", "nowhere")
    with pytest.raises(ConfigError, match="cannot explain"):
        told(fleet, "title", "x")
    with pytest.raises(ConfigError, match="telarchy describe stream/garden"):
        why("stream", "garden", fleet.world, Observation(), fleet.now, plain)
