"""What a plan leaves alone because it does not know better, and what it must not leave lying."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telarchy.core.plan import Decision
from telarchy.core.service import ServiceState
from telarchy.streaming import figures, layout
from telarchy.streaming.actions import PutService
from telarchy.streaming.health import Limits, judge
from telarchy.streaming.plan import think
from tests.unit.streaming.stage import Stage, edge, key, origin, ssh_host, stream

BLACK, VPS = ssh_host("black"), ssh_host("vps")


@pytest.fixture
def home() -> Stage:
    stage = Stage(BLACK, origin(), stream(), key())
    stage.settle()
    return stage


def test_a_ladder_reads_from_the_old_port_for_as_long_as_the_ingest_has_it() -> None:
    def stage_round(stage: Stage) -> dict[str, str]:
        thought = think(stage.world, stage.observation(), stage.now)
        return {
            one.action.service: str(one.decision)
            for one in thought.plan.steps
            if isinstance(one.action, PutService)
        }

    stage = Stage(BLACK, origin(), stream(), key())
    stage.settle()
    stage.publish()
    stage.run(5)
    wanted = think(stage.world, stage.observation(), stage.now).done.wanted["origin"]
    there = stage.there["origin@black"]
    services = {
        name: replace(
            one, digest=wanted.services[name].digest, start_digest=wanted.services[name].start_digest
        )
        for name, one in there.services.items()
        if name in wanted.services
    }
    stage.there["origin@black"] = replace(there, services=services)
    stage.reported["origin"] = replace(stage.there["origin@black"], reported=stage.now)
    assert "ladder-garden" not in stage_round(stage)
    stage.declare(origin(listen={"rtmp": 1936}))
    planned = stage_round(stage)
    assert planned["rtmp"] == planned["ladder-garden"] == Decision.WAIT


def test_what_an_endpoint_has_of_a_stream_it_no_longer_takes_is_removed_once_it_is_stopped() -> None:
    mine = {"matchLabels": {"at": "home"}}
    stage = Stage(BLACK, origin(streamSelector=mine), stream("garden", {"at": "home"}, ingest={"test": {}}))
    stage.run(10)
    assert stage.there["origin@black"].streams["garden"].generations
    stage.declare(stream("garden", {"at": "work"}, ingest={"test": {}}))
    stage.run(5)
    ends = [line for line in stage.log if line.startswith(("stop ladder", "remove"))]
    assert [line.split()[0] for line in ends] == ["stop", "remove"]
    assert stage.there["origin@black"].streams == {}


def test_an_encoder_is_not_blamed_for_a_server_that_shows_nothing(home: Stage) -> None:
    home.publish()
    home.run(5)
    home.frozen.add(("origin", "garden"))
    there = home.there["origin@black"]
    http = replace(there.services["http"], state=ServiceState.BACK_OFF)
    blind = replace(there.streams["garden"], playlists={})
    home.there["origin@black"] = replace(
        there, services={**there.services, "http": http}, streams={"garden": blind}
    )
    home.run(120)
    assert not any("nothing comes of it" in line for line in home.log)


def test_a_broken_rule_is_told_in_a_sentence(home: Stage) -> None:
    home.publish()
    home.run(5)
    seen = home.there["origin@black"].streams["garden"]
    broken = {name: replace(one, problems=("target-changed",)) for name, one in seen.playlists.items()}
    found = judge(replace(seen, playlists=broken), None, Limits(), home.now)
    assert found.why == "the playlist of 720p breaks a rule that players rely on: target-changed"


def test_a_cache_is_left_alone_while_its_secrets_cannot_be_read() -> None:
    stage = Stage(BLACK, VPS, origin(), stream(), edge(cache="Varnish"))
    wanted = think(stage.world, stage.observation(), stage.now).done.wanted["edge"]
    assert set(wanted.blocked) == {"http", "cache"}
    assert not wanted.services


def test_no_two_endpoints_share_a_folder() -> None:
    for spool in (None, "/srv"):
        assert layout.base("a-b", "c", spool) != layout.base("b", "c-a", spool)


def test_what_hosts_ask_each_other_is_no_traffic() -> None:
    assert {figures.rate(bits) for bits in (0, 8_900, 9_100, 40_000)} == {0}
    assert figures.rate(2_400_000) == figures.rate(2_600_000) == 2_500_000


def test_a_host_without_a_tool_to_look_with_is_unknown_and_nothing_is_begun_anew() -> None:
    home = Stage(BLACK, origin(), stream(), key())
    home.settle()
    home.publish()
    home.run(10)
    assert home.status("MediaEndpoint", "origin")["state"] == "Healthy"
    home.frozen.add(("origin", "garden"))
    there = home.there["origin@black"]
    blind = {name: replace(one, playlists={}) for name, one in there.streams.items()}
    home.there["origin@black"] = replace(there, blind="bash or curl", streams=blind)
    home.run(120)
    status = home.status("MediaEndpoint", "origin")
    assert status["state"] == "Unknown"
    told = str(status) + str(home.status("Stream", "garden"))
    assert "black has no bash or curl to look at what viewers get" in told
    assert not any("nothing comes of it" in line for line in home.log)
