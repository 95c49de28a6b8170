"""When a host counts as reached, as missing, and when it is the controller that is alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from telarchy.core.world import World
from telarchy.errors import HostUnreachable
from telarchy.hosts import canary
from telarchy.hosts.observe import HostWatch, parse_versions
from telarchy.hosts.pulse import Pulse, Rhythm
from telarchy.hosts.uptime import HOUR, WINDOWS, Uptime
from telarchy.links.link import Completed
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host


class SimulatedLink:
    def __init__(self, name: str) -> None:
        self.name, self.endpoint, self.connections = name, f"media@{name}", 1
        self.trouble: str = ""
        self.delay = 0.0
        self.probes = self.asked = self.dropped = 0

    async def probe(self) -> None:
        self.probes += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.trouble:
            raise HostUnreachable(self.name, self.trouble, f"says {self.trouble}")

    def drop(self) -> None:
        self.dropped += 1

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        self.asked += 1
        return Completed(0, b"os Debian GNU/Linux 12 (bookworm)\nrsync 3.5.0\nnonsense x\n", b"")


class SimulatedFleet:
    def __init__(self) -> None:
        self.links: dict[str, SimulatedLink] = {}

    def configure(self, hosts: Sequence[Host]) -> None:
        for host in hosts:
            self.links.setdefault(host.metadata.name, SimulatedLink(host.metadata.name))

    def get(self, name: str) -> SimulatedLink:
        return self.links[name]


class Kept(dict[str, Any]):
    def put(self, key: str, value: Any) -> None:
        self[key] = value


def world(*names: str, every: str = "1s", canaries: Sequence[str] = (), local: Sequence[str] = ()) -> World:
    def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }

    probes = {"every": every, "canaries": list(canaries)}
    made: list[Any] = [Fleet.model_validate(resource("Fleet", "home", {"probes": probes}))]
    for name in [*names, *local]:
        way: dict[str, Any] = {"local": {}} if name in local else {"ssh": {"endpoints": [f"media@{name}"]}}
        made.append(Host.model_validate(resource("Host", name, {"class": "Server", "connection": way})))
    return World.from_resources(made)


@pytest.fixture
def fleet() -> SimulatedFleet:
    return SimulatedFleet()


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> list[bool | None]:
    """What the canaries say; replace the one element."""
    answer: list[bool | None] = [True]

    async def any_alive(declared: Sequence[str]) -> bool | None:
        return answer[0]

    monkeypatch.setattr(canary, "any_alive", any_alive)
    return answer


async def test_hosts_that_answer(fleet: SimulatedFleet) -> None:
    watch = HostWatch(fleet, Kept())
    watch.configure(world("black", "white", local=["here"]))
    assert [one.reached for one in watch.evidence().values()] == [None] * 3
    await watch.observe_once()
    seen = watch.evidence()
    assert [one.reached for one in seen.values()] == [True] * 3
    assert seen["black"].endpoint == "media@black" and seen["here"].endpoint == ""
    assert seen["black"].versions == {"os": "Debian GNU/Linux 12 (bookworm)", "rsync": "3.5.0"}
    await watch.observe_once()
    assert fleet.links["black"].asked == 1  # once per connection
    fleet.links["black"].connections += 1
    await watch.observe_once()
    assert fleet.links["black"].asked == 2
    assert fleet.links["here"].probes == 0


async def test_a_plug_is_noticed_in_three_misses(fleet: SimulatedFleet) -> None:
    watch, wakes = HostWatch(fleet, Kept()), []
    watch.configure(world("black", "white"))
    task = asyncio.create_task(watch.watch(lambda: wakes.append(time.monotonic())))
    while not all(one.reached for one in watch.evidence().values()):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    woken = len(wakes)
    fleet.links["black"].delay = 60  # a cable: nothing comes back
    began = time.monotonic()
    while watch.evidence()["black"].reached:
        await asyncio.sleep(0.01)
    assert time.monotonic() - began < 15  # 3 s on an idle machine
    assert len(wakes) == woken + 1
    gone = watch.evidence()["black"]
    assert (gone.reason, gone.misses) == ("TimedOut", 3)
    assert fleet.links["black"].dropped == 1
    await asyncio.sleep(0.3)
    assert watch.evidence()["black"].missing_for > gone.missing_for
    assert watch.evidence()["white"].reached
    fleet.links["black"].delay = 0
    while not watch.evidence()["black"].reached:
        await asyncio.sleep(0.01)
    assert watch.evidence()["black"].missing_for == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_miss_changes_nothing(fleet: SimulatedFleet) -> None:
    watch = HostWatch(fleet, Kept())
    watch.configure(world("black", "white"))
    await watch.observe_once()
    fleet.links["black"].trouble = "TimedOut"
    await watch._probe("black")
    seen = watch.evidence()["black"]
    assert (seen.reached, seen.misses, seen.reason) == (True, 1, "")


async def test_observing_once_insists_but_not_for_long(fleet: SimulatedFleet) -> None:
    watch = HostWatch(fleet, Kept())
    watch.configure(world("black", "white", every="30s"))
    fleet.links["black"].trouble = "ConnectionRefused"
    began = time.monotonic()
    await watch.observe_once()
    assert time.monotonic() - began < 9
    seen = watch.evidence()
    assert (seen["black"].reached, seen["black"].reason) == (False, "ConnectionRefused")
    assert seen["black"].message == "says ConnectionRefused"
    assert seen["white"].reached


async def test_all_silent_and_no_canary_means_cut_off(
    fleet: SimulatedFleet, gateway: list[bool | None]
) -> None:
    watch = HostWatch(fleet, Kept())
    watch.configure(world("black", "white", local=["here"]))
    await watch.observe_once()
    for link in fleet.links.values():
        link.trouble = "TimedOut"
    gateway[0] = False
    await watch.observe_once()
    assert watch.cut_off
    assert watch.evidence()["black"].missing_for == 0
    gateway[0] = True  # the network is fine, the hosts are not
    await watch.observe_once()
    assert not watch.cut_off
    gateway[0] = None  # nobody to ask: several silent at once are our fault
    await watch.observe_once()
    assert watch.cut_off
    fleet.links["white"].trouble = ""
    await watch.observe_once()
    assert not watch.cut_off


@pytest.mark.parametrize("reason", ["ConnectionRefused", "HostKeyChanged", "AuthenticationFailed"])
async def test_a_refusal_is_a_sign_of_life(
    fleet: SimulatedFleet, gateway: list[bool | None], reason: str
) -> None:
    watch = HostWatch(fleet, Kept())
    watch.configure(world("black", "white"))
    gateway[0] = False
    fleet.links["black"].trouble, fleet.links["white"].trouble = reason, "TimedOut"
    await watch.observe_once()
    assert not watch.cut_off


async def test_one_silent_host_alone_is_not_our_fault(
    fleet: SimulatedFleet, gateway: list[bool | None]
) -> None:
    watch = HostWatch(fleet, Kept())
    watch.configure(world("black", local=["here"]))
    gateway[0], fleet.links["black"].trouble = None, "TimedOut"
    await watch.observe_once()
    assert not watch.cut_off and watch.evidence()["black"].reached is False


def test_missing_time_is_counted_only_while_somebody_looks() -> None:
    now = [100.0]
    pulse = Pulse("black", monotonic=lambda: now[0])
    gone = HostUnreachable("black", "TimedOut", "silent")
    pulse.answered("e")
    for step in (0.0, 10.0, 10.0):
        now[0] += step
        pulse.missed(gone, 3, counts=True)
    assert pulse.missing_for(60) == 20
    now[0] += 5
    assert pulse.missing_for(60) == 25
    now[0] += 1000  # no probe for long: the controller slept
    assert pulse.missing_for(60) == 80
    kept = pulse.to_json()
    later = Pulse.recalled("black", kept)
    later.monotonic = lambda: now[0]
    assert later.reached is None and later.missing_for(60) == 20
    now[0] += 500
    assert later.missed(gone, 3, counts=True)  # one more miss is enough: it was gone before
    assert later.missing_for(60) == 20
    now[0] += 10
    later.missed(gone, 3, counts=False)  # cut off: not the host's time
    now[0] += 10
    later.missed(gone, 3, counts=True)
    assert later.missing_for(60) == 20
    for garbage in (None, 7, {}, {"uptime": 3, "misses": "x", "missingFor": None}):
        assert Pulse.recalled("black", garbage).misses == 0


async def test_a_restart_remembers(fleet: SimulatedFleet) -> None:
    kept = Kept()
    watch = HostWatch(fleet, kept)
    watch.configure(world("black", "white"))
    fleet.links["black"].trouble = "TimedOut"
    await watch.observe_once()
    await asyncio.sleep(0.3)
    await watch.observe_once()
    missing = watch.evidence()["black"].missing_for
    assert missing > 0.3
    await watch.close()
    again = HostWatch(fleet, kept)
    again.configure(world("black", "white"))
    assert missing - 0.2 < again.evidence()["black"].missing_for < missing + 0.2
    await again._probe("black")
    assert again.evidence()["black"].reached is False


async def test_hosts_come_and_go(fleet: SimulatedFleet) -> None:
    watch = HostWatch(fleet, Kept())
    watch.configure(world("black"))
    task = asyncio.create_task(watch.watch(lambda: None))
    await asyncio.sleep(0.05)
    watch.configure(world("white"))
    await asyncio.sleep(0.1)
    assert list(watch.evidence()) == ["white"] and watch.evidence()["white"].reached
    probes = fleet.links["black"].probes
    await asyncio.sleep(1.2)
    assert fleet.links["black"].probes == probes
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_rhythm() -> None:
    usual, quick = Rhythm(30, 10, 3), Rhythm(1, 10, 3)
    gone = Pulse("black", misses=1)
    assert (usual.patience, usual.pause(gone), usual.pause(Pulse("x"))) == (10, 3, 30)
    assert (quick.patience, quick.pause(gone)) == (0.5, 0.1)
    assert usual.pause(Pulse("black", misses=3)) == 30


def test_uptime_by_hours() -> None:
    uptime = Uptime()
    assert uptime.score == 0.5
    for hour in range(24):
        for _ in range(120):
            uptime.count(True, hour * HOUR)
    assert uptime.score == pytest.approx(0.75)
    uptime.count(False, 24 * HOUR)  # one bad hour, however often probed
    for _ in range(119):
        uptime.count(False, 24 * HOUR)
    assert uptime.score == pytest.approx(36 / 49)
    for hour in range(25, 2000):
        uptime.count(True, hour * HOUR)
    assert uptime.score == pytest.approx((12 + 720) / (24 + 720), abs=0.002)
    kept = uptime.to_json()
    assert len(str(kept)) < 100
    assert Uptime(kept).score == uptime.score


def test_the_gateway_in_the_kernels_table() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "wg0\t0000000A\t00000000\t0001\t0\t0\t0\tFFFFFF00\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n"
    )
    assert canary.parse_routes(table) == "192.0.2.1"
    assert canary.parse_routes("Iface\n") is None
    assert canary.parse_routes("Iface\neth0 00000000 garbage\n") is None


def test_versions() -> None:
    assert parse_versions(b"os macOS 15.4\nrsync openrsync\nevil x\n\xff\n") == {
        "os": "macOS 15.4",
        "rsync": "openrsync",
    }


def test_hours_that_a_clock_ahead_counted_are_forgotten_when_it_is_right_again() -> None:
    uptime, start = Uptime(), 1.8e9
    for hour in range(24):
        uptime.count(False, start + hour * HOUR)
    uptime.count(False, start + 25 * HOUR + 365 * 24 * HOUR)
    for hour in range(25, 25 + WINDOWS + 24):
        uptime.count(True, start + hour * HOUR)
    runs = uptime.to_json()["runs"]
    assert [(hours, percent) for _, hours, percent in runs] == [(WINDOWS, 100)]
