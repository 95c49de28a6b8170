"""Every fleet under `examples/` is one that a person could run: valid, and planned until all floors are met and all
streams are encoded and served."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from telarchy.core.observation import HostEvidence, Observation
from telarchy.core.plan import Decision, Plan
from telarchy.core.world import World
from telarchy.custody.actions import Copy
from telarchy.custody.plan import plan_custody
from telarchy.hosts.plan import plan_hosts
from telarchy.resources import references
from telarchy.resources.custodyfloor import CustodyFloor, effective_numbers
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host
from telarchy.resources.loader import Loaded, load_paths
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.meta import Ref, Resource
from telarchy.resources.stream import Stream
from telarchy.streaming.actions import PutService
from telarchy.streaming.evidence import EndpointSeen, StreamingSeen
from telarchy.streaming.plan import think
from telarchy.streaming.wanted import playback_mark, secret_mark
from tests.world import GIB, NOW, Seen, files, seen, stock

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ALL = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())
LIVE = [name for name in ALL if name.startswith("live-")]
FLEETS = [name for name in ALL if name not in LIVE]


def loaded(name: str) -> Loaded:
    return load_paths([EXAMPLES / name])


def stocked(name: str) -> Seen:
    """The example's hosts, all up, with titles for every floor: each of them once, on one host or another."""
    of = seen(*(one.resource for one in loaded(name).resources))
    stock(of)
    return of


def play(of: Seen, *, rounds: int = 400) -> Plan:
    """Do at once what each plan starts, and let time pass when it starts nothing, until all is as declared."""
    now = NOW
    for _ in range(rounds):
        plan = plan_custody(of.world, of.observation(), now)
        copies = [
            one.action
            for one in plan.steps
            if one.decision is Decision.START and isinstance(one.action, Copy)
        ]
        for copy in copies:
            of.put(copy.host, copy.title, files(GIB, 2 * GIB, read_at=now), root=copy.root, at=now)
        if copies:
            continue
        if plan.settled or plan.wake_at is None:
            return plan
        now = max(plan.wake_at, now + 1)
    return plan


def test_there_are_examples() -> None:
    assert FLEETS == ["quickstart", "ten-hosts-in-two-sites", "two-machines-and-a-laptop", "with-a-seedbox"]
    assert LIVE == ["live-on-this-machine", "live-streams"]
    assert (
        len(World.from_resources(one.resource for one in loaded("ten-hosts-in-two-sites").resources).of(Host))
        == 10
    )


@pytest.mark.parametrize("name", ALL)
def test_validates_without_a_word(name: str) -> None:
    found = loaded(name)
    problems = list(found.problems) + references.check(found, datetime.fromtimestamp(NOW, UTC))
    assert not problems, "\n".join(map(str, problems))
    kinds = {type(one.resource) for one in found.resources}
    assert kinds >= ({Host, Stream, MediaEndpoint} if name in LIVE else {Fleet, Host, CustodyFloor})


@pytest.mark.parametrize("name", FLEETS)
def test_plans_the_same_whatever_the_order_of_its_manifests(name: str) -> None:
    of = stocked(name)
    plan = plan_custody(of.world, of.observation(), NOW)
    assert plan.steps
    of.resources.reverse()
    assert plan_custody(of.world, of.observation(), NOW) == plan
    assert plan_hosts(of.world, of.observation(), NOW) == plan_hosts(of.world, of.observation(), NOW)


@pytest.mark.parametrize("name", FLEETS)
def test_every_floor_can_be_met_and_then_nothing_is_left_to_do(name: str) -> None:
    of = stocked(name)
    plan = play(of)
    assert not [one for one in plan.steps if isinstance(one.action, Copy)]
    policy = of.world.of(Fleet)[0].spec.custody
    for floor in of.world.of(CustodyFloor):
        status = plan.statuses[Ref("CustodyFloor", "default", floor.name)]
        if floor.spec.mode == "Observe":
            assert status["met"] + status["lacking"] + status["badlyPlaced"] == status["titles"], floor.name
            continue
        assert status["titles"] == 7 * len(floor.spec.select.paths), floor.name
        assert status["met"] == status["titles"], (floor.name, status.get("worst"))
        assert status["copies"] == effective_numbers(floor.spec, policy).copies


def looked_at(resources: list[Resource]) -> Observation:
    """All hosts up, nothing of the endpoints there yet, every secret in its place."""
    seen = StreamingSeen(
        endpoints={
            one.name: EndpointSeen(one.name, NOW, present=False)
            for one in resources
            if isinstance(one, MediaEndpoint)
        },
        marks={playback_mark("default", one.name): "m" for one in resources if isinstance(one, Stream)}
        | {secret_mark("default", "door-camera", "url"): "m"},
    )
    hosts = {one.name: HostEvidence(one.name, True) for one in resources if isinstance(one, Host)}
    return Observation(hosts=hosts, sections={"streaming": seen})


@pytest.mark.parametrize("name", LIVE)
def test_every_running_stream_is_encoded_and_served(name: str) -> None:
    resources = [one.resource for one in loaded(name).resources]
    thought = think(World.from_resources(resources), looked_at(resources), NOW)
    assert not [one.blocked for one in thought.done.wanted.values() if one.blocked]
    put = {
        (step.action.endpoint, step.action.service)
        for step in thought.plan.steps
        if isinstance(step.action, PutService) and step.decision is Decision.START
    }
    streams = [one for one in resources if isinstance(one, Stream) and one.spec.running]
    endpoints = [one for one in resources if isinstance(one, MediaEndpoint)]
    for stream in streams:
        origins = [
            one
            for one in endpoints
            if one.spec.is_origin and one.spec.stream_selector.matches(stream.metadata.labels)
        ]
        assert origins
        assert {(one.name, f"ladder-{stream.name}") for one in origins} <= put
    resources.reverse()
    assert think(World.from_resources(resources), looked_at(resources), NOW).plan == thought.plan
