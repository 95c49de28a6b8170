"""Edges on real machines: a chain of them, tokens, power lost and links cut, with a controller and without."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.story import Story
from tests.lab.streams import Streams, Viewer, answered, fetch, landed, numbers, plays_at, plays_past
from tests.lab.tree import MEDIA_PACKAGES


@pytest.fixture
def streams(tmp_path: Path, lab: Lab, fleet: MakeFleet) -> Iterator[Streams]:
    story = Story(tmp_path, lab, fleet("black", "seedbox", "vps", packages=MEDIA_PACKAGES))
    yield Streams(story)
    story.stop()


def two_origins(streams: Streams) -> None:
    """On black and seedbox; vps has a Cache of both on 8080 and a Relay on 8081."""
    streams.stream()
    streams.origin("first", "black", publicURL=streams.url("black"))
    streams.origin("second", "seedbox", publicURL=streams.url("seedbox"))
    streams.edge("cache", "vps", "first", "second")
    streams.edge("relay", "vps", "first", "second", mode="Relay", listen={"http": 8081})


def settled(streams: Streams, *edges: str, source: str = "first") -> None:
    """Wait until edges play from a source. Slowly, for all it matters: encoders share the cores of this machine."""
    plays = [(state, source) for state in ("Healthy", "Degraded")]
    for edge in edges:
        streams.story.until(lambda edge=edge: streams.endpoint(edge, "state", "source") in plays, 120, edge)


def told(text: str) -> None:
    """For whoever runs with -s: what was measured."""
    print(f"\n    {text}")


def test_a_private_stream_plays_through_a_chain_of_edges_by_its_token(streams: Streams) -> None:
    story = streams.story
    streams.stream(visibility="Private")
    streams.origin("origin", "black", publicURL=streams.url("black"))
    streams.edge("near", "vps", "origin", publicURL=streams.url("vps"))
    streams.edge("far", "seedbox", "near", publicURL=streams.url("seedbox"))
    streams.edge(
        "copy", "seedbox", "near", mode="Relay", listen={"http": 8081}, publicURL=streams.url("seedbox", 8081)
    )
    story.start()
    for name in ("origin", "near", "far", "copy"):
        story.until(lambda name=name: streams.endpoint(name, "state") == ("Healthy",), 90, name)

    urls = {}
    for name in ("origin", "near", "far", "copy"):
        stays = story.telarchy("playback-url", "garden", "--for", "2h", "--endpoint", name).stdout.strip()
        urls[name] = landed(stays)
        assert urls[name] != stays, "the address that stays leads to a generation, with its token"
        below = urls[name].removesuffix("/master.m3u8")
        assert plays_at(below) > 0, name
        path = re.sub(r"/p/[^/]+/[^/]+", "", urls[name])
        assert answered(path) in (403, 404), "without a token"
        for url in (stays, urls[name]):
            wrong = re.sub(r"/p/.{43}", "/p/" + "A" * 43, url)
            assert answered(wrong) == 403, "with one that nobody signed"
            later = re.sub(r"/(\d{10})/live", lambda at: f"/{int(at[1]) + 1}/live", url)
            assert answered(later) == 403, "with one made to last longer"
            other = url.replace("/garden/", "/other/")
            assert answered(other) in (403, 404), "for another stream"
    playlists = {name: url.replace("master.m3u8", "240p/index.m3u8") for name, url in urls.items()}
    assert len({numbers(fetch(url))[0] // 10 for url in playlists.values()}) <= 2, "the same numbers"

    generation = urls["far"].split("/garden/")[1].split("/")[0]
    short = story.telarchy("playback-url", "garden", "--for", "2s", "--endpoint", "far").stdout.strip()
    expires = int(re.findall(r"/(\d{10})/", short)[0])
    begun = short.replace("/garden/master.m3u8", f"/garden/{generation}/240p/index.m3u8")
    story.until(lambda: time.time() > expires + 1, 10)
    assert answered(short) == 410, "expired"
    assert answered(begun) == 200, "whoever watches is not cut"

    time.sleep(1.5)  # logs are written once a second
    signatures = {re.findall(r"/p/(.{43})/", url)[0] for url in [*urls.values(), short]}
    for host in story.hosts.values():
        for signature in signatures:
            told_on = holding(host, signature)
            assert not told_on, f"a viewer's token lies on {host.name}: {told_on}"
        # Nor does one with which an edge asks its source; what it copies by is made anew for each request.
        assert not host.run(
            "grep -rlE '/p/[A-Za-z0-9_-]{43}/' /home/media/.local/state/telarchy 2>/dev/null", check=False
        ).stdout
        arguments = host.run(["ps", "axww", "-o", "args"]).stdout.decode()
        assert "ffmpeg" in arguments or host.name == "vps"
        assert not re.search(r"/p/[A-Za-z0-9_-]{43}", arguments), f"a token on {host.name}: {arguments}"
    assert not any(one in story.log + story.events() for one in signatures)


def holding(host: LabHost, text: str) -> str:
    """Files on a host that hold a text, and its journal if that does."""
    found = host.run(
        ["grep", "-rlF", "--exclude-dir=spool", "--exclude-dir=cache", text]
        + ["/home/media", "/var/log", "/tmp", "/root"],
        check=False,
    ).stdout.decode()
    # what segments were fetched by is not in what the cache keeps of them, either
    found += host.run(
        ["grep", "-rlF", text, "/home/media/.local/state/telarchy"], check=False
    ).stdout.decode()
    journal = host.run(["journalctl", "--no-pager", "-q"], check=False).stdout.decode(errors="replace")
    return found + ("the journal" if text in journal else "")


def test_edges_leave_an_origin_that_lost_its_power_and_return_calmly(streams: Streams) -> None:
    story = streams.story
    black, vps = story.hosts["black"], story.hosts["vps"]
    two_origins(streams)
    story.start()
    settled(streams, "cache", "relay")
    before = story.events().count("SwitchedSource")
    with (
        Viewer(streams.below(vps)) as cached,
        Viewer(streams.below(vps, port=8081)) as relayed,
    ):
        story.until(lambda: cached.last and relayed.last, 20)
        gone = time.monotonic()
        black.power_cut()
        for name, viewer in (("Cache", cached), ("Relay", relayed)):
            story.until(lambda viewer=viewer: viewer.news_after(gone + 2) >= 2, 60, f"{name} goes on")
            told(f"{name}: {viewer.longest_wait(gone):.1f} s without a new segment")
        settled(streams, "cache", "relay", source="second")
        told(f"both moved {time.monotonic() - gone:.1f} s after the power went")
        assert streams.endpoint("first", "state") == ("Unknown",)
        assert story.events().count("SwitchedSource") == before + 2
        stayed = time.monotonic()
        black.start()
        black.wait_ssh()
        story.until(lambda: streams.endpoint("first", "state") == ("Healthy",), 90, "the first origin")
        well = time.monotonic()
        settled(streams, "cache", "relay")
        told(f"back {time.monotonic() - well:.1f} s after the first origin was well again")
        assert time.monotonic() - well > 6, "not before it was well for a while"
        back = time.monotonic()
        for name, viewer in (("Cache", cached), ("Relay", relayed)):
            story.until(lambda viewer=viewer: viewer.news_after(back) >= 3, 40, f"{name} after the return")
            told(f"{name}: {viewer.longest_wait(stayed):.1f} s without a new segment on the way back")
            told(f"{name}: numbers went back {viewer.backwards} times, errors {viewer.errors[:3]}")
    assert story.events().count("SwitchedSource") == before + 4, story.events()


def test_edges_leave_a_source_that_they_cannot_reach_and_return(streams: Streams, lab: Lab) -> None:
    story = streams.story
    black, vps = story.hosts["black"], story.hosts["vps"]
    two_origins(streams)
    story.start()
    settled(streams, "cache", "relay")
    before = story.events().count("SwitchedSource")

    def switches() -> int:
        return story.events().count("SwitchedSource") - before

    with Viewer(streams.below(vps)) as cached, Viewer(streams.below(vps, port=8081)) as relayed:
        story.until(lambda: cached.last and relayed.last, 20)

        # The link between edge and origin is cut; the controller sees both, and both are well.
        cut = time.monotonic()
        lab.cut(vps, black)
        settled(streams, "cache", "relay", source="second")
        told(f"link cut: both moved after {time.monotonic() - cut:.1f} s")
        for name, viewer in (("Cache", cached), ("Relay", relayed)):
            story.until(lambda viewer=viewer: viewer.news_after(cut + 6) >= 2, 40, f"{name} goes on")
            told(f"link cut, {name}: {viewer.longest_wait(cut):.1f} s without a new segment")
        assert streams.endpoint("first", "state") == ("Healthy",)

        # While it is cut nobody is moved to and fro to find out; clearAfter would be over again and again.
        time.sleep(30)
        assert switches() == 2, story.events()
        assert streams.endpoint("cache", "source") == streams.endpoint("relay", "source") == ("second",)
        assert "no answer of first comes to" in streams.condition("mediaendpoint/cache")[2]
        lab.heal(vps, black)
        mended = time.monotonic()
        settled(streams, "cache", "relay")
        told(f"link mended: both were back after {time.monotonic() - mended:.1f} s")
        back = time.monotonic()
        for name, viewer in (("Cache", cached), ("Relay", relayed)):
            story.until(lambda viewer=viewer: viewer.news_after(back) >= 10, 60, f"{name} goes on")
            told(f"link mended, {name}: {viewer.longest_wait(mended):.1f} s without a new segment")
        assert switches() == 4, story.events()
        told("\n    ".join(line for line in story.events().splitlines() if "SwitchedSource" in line))
        assert story.events().count("is better, and has been in order for") >= 2


def test_edges_do_without_a_controller_and_a_new_one_restarts_nothing(streams: Streams) -> None:
    story = streams.story
    black, vps = story.hosts["black"], story.hosts["vps"]
    two_origins(streams)
    story.start()
    settled(streams, "cache", "relay")
    below = streams.below(vps)
    with Viewer(below) as cached, Viewer(streams.below(vps, port=8081)) as relayed:
        story.until(lambda: cached.last and relayed.last, 20)

        # The controller dies; viewers go on. The origin dies too; the edge knows where else to ask.
        story.until(lambda: idle(story), 30, "that nothing is to do")
        processes = lasting(story)
        starts = {name: streams.starts(name) for name in ("first", "second", "cache", "relay")}
        story.kill()
        killed = time.monotonic()
        wait(lambda: cached.news_after(killed) >= 3 and relayed.news_after(killed) >= 3, 30)
        assert cached.longest_wait(killed) < 6 and relayed.longest_wait(killed) < 6
        story.start()
        settled(streams, "cache", "relay")
        story.until(lambda: idle(story), 30, "that nothing is to do")
        assert processes == lasting(story), story.events()
        assert starts == {name: streams.starts(name) for name in starts}
        story.kill()
        gone = time.monotonic()
        black.power_cut()
        wait(lambda: cached.news_after(gone + 2) >= 3, 40)
        told(f"without a controller, Cache: {cached.longest_wait(gone):.1f} s without a new segment")

        # Power returns, and still nobody looks: services come back by themselves.
        black.start()
        black.wait_ssh()
        up = time.monotonic()
        generation = below.rsplit("/", 1)[1]
        origin = f"http://{black.address}:8080/live/garden/{generation}"
        wait(lambda: plays_past(origin, cached.last), 60)
        told(f"the origin played {time.monotonic() - up:.1f} s after its host was up, without a controller")
        again = time.monotonic()
        wait(lambda: relayed.news_after(again) >= 3, 60)
        told(f"without a controller, Relay: {relayed.longest_wait(gone):.1f} s without a new segment")
        assert cached.backwards <= 1, "the picture may jump where two origins differ; once"

    story.start()
    settled(streams, "cache", "relay")
    story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 40)
    assert streams.status("stream/garden")["generation"] == generation


def lasting(story: Story) -> dict[tuple[str, str], list[str]]:
    """The processes that play on each host. Of nginx without those that end by themselves: its old workers, and who
    loads its cache in the first minute."""
    found = {}
    for host in story.hosts.values():
        for name in ("ffmpeg", "nginx"):
            told = host.run(["pgrep", "-a", "-x", name], check=False).stdout.decode().splitlines()
            stay = [line for line in told if not re.search("shutting down|cache loader", line)]
            found[host.name, name] = [line.split()[0] for line in stay]
    return found


def idle(story: Story) -> bool:
    return "Nothing to do: everything is as declared" in story.telarchy("plan", check=False).stdout


def wait(true: Callable[[], object], seconds: float) -> None:
    """As `Story.until`, while no controller runs."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not come to hold in {seconds} s"
        time.sleep(0.1)
