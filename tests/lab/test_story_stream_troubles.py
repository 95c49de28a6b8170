"""Streams in trouble on real machines: keys, killed servers, a full disk, one gone read-only, edits, and the end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.story import Story
from tests.lab.streams import BASE, SMALL, Streams, Viewer, publish, running
from tests.lab.tree import MEDIA_PACKAGES

DISK = "/srv/spool"


@pytest.fixture
def streams(tmp_path: Path, lab: Lab, fleet: MakeFleet) -> Iterator[Streams]:
    disks = {"/srv/media": 64, DISK: 64}
    story = Story(tmp_path, lab, fleet("black", "vps", packages=MEDIA_PACKAGES, volumes=disks))
    yield Streams(story)
    story.stop()


def told(text: str) -> None:
    """For whoever runs with -s: what was measured."""
    print(f"\n    {text}")


def key(streams: Streams, folder: Path, name: str, *more: str) -> str:
    """Make a key, save its manifest, and tell it."""
    kept = folder / f"key-{name}"
    made = streams.story.telarchy(
        "stream-key", "create", "garden", "--name", name, "--key-file", str(kept), *more
    ).stdout
    (streams.story.manifests / f"key-{name}.yaml").write_text(made)
    return kept.read_text().strip()


def test_keys_that_are_good_bad_expired_and_revoked_and_servers_that_are_killed(
    streams: Streams, tmp_path: Path
) -> None:
    story, black = streams.story, streams.story.hosts["black"]
    streams.stream(ingest={"rtmp": {}})
    streams.origin("origin", "black")
    good = key(streams, tmp_path, "obs")
    late = key(streams, tmp_path, "late")
    soon = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    manifest = story.manifests / "key-late.yaml"
    manifest.write_text(manifest.read_text().replace("spec:", f"spec:\n  expiresAt: {soon}", 1))
    story.start()
    story.until(lambda: streams.ready("stream/garden") == ("False", "NoSource"), 60, "a place to publish to")
    story.until(lambda: streams.status("stream/garden").get("keys", 0) >= 1, 30)
    story.until(lambda: streams.status("streamkey/late").get("state") == "Expired", 20)

    publisher = publish(black, good)
    try:
        story.until(lambda: streams.status("stream/garden")["phase"] == "Live", 40, "the stream")
        for refused in ("of-nobody", late, "../garden", good[:-1] + ("A" if good[-1] != "A" else "B")):
            assert publish(black, refused).wait(15) != 0, "no such key opens anything"
        assert publisher.poll() is None, "who publishes is not disturbed by them"
        generation = streams.status("stream/garden")["generation"]

        # kill -9 of the ingest: the publisher loses his connection, and comes back as OBS does
        kill_nginx(black, "rtmp")
        assert publisher.wait(20) != 0
        story.until(lambda: listening(black, 1935), 20, "the ingest")
        lost = time.monotonic()
        with Viewer(streams.below(black)) as viewer:
            publisher = publish(black, good)
            story.until(lambda: viewer.news_after(lost) >= 3, 40, "the same playlists go on")
            story.until(lambda: streams.ready("stream/garden") == ("True", "Playing"), 30)
            assert streams.status("stream/garden")["generation"] == generation
            told(f"kill -9 of the ingest: {streams.starts('origin')}")
            # and of the server for viewers
            killed = time.monotonic()
            kill_nginx(black, "http")
            story.until(lambda: viewer.news_after(killed + 1) >= 3, 30, "the server")
            told(f"kill -9 of the server: {viewer.longest_wait(killed):.1f} s without a new segment")
            assert viewer.backwards == 0
        assert streams.starts("origin")["http"] >= 1
        assert publisher.poll() is None

        manifest = story.manifests / "key-obs.yaml"
        revoked = time.monotonic()
        manifest.write_text(manifest.read_text().replace("spec:", "spec:\n  revoked: true", 1))
        assert publisher.wait(20) != 0, "a revoked key is cut"
        dropped = time.monotonic() - revoked
        told(f"revoked: dropped after {dropped:.1f} s, by the manifest")
        assert dropped < 10, "2 s is what the host takes, the rest a busy machine's"
        story.until(lambda: streams.status("streamkey/obs").get("state") == "Revoked", 10)
        assert publish(black, good).wait(15) != 0
    finally:
        publisher.kill()
    for one in (good, late):
        assert one not in story.events() + story.log
        assert not black.run(["grep", "-rlF", one, BASE + "origin", "/var/log"], check=False).stdout


def kill_nginx(host: LabHost, service: str) -> None:
    """SIGKILL for one of its servers: nginx and, where it has any, its workers."""
    pid = host.text(["cat", f"{BASE}origin/run/{service}/nginx.pid"])
    host.run(f"kill -KILL {pid} $(pgrep -P {pid})", check=False)


def listening(host: LabHost, port: int) -> bool:
    return bool(host.run(["ss", "-Hltn", f"sport = :{port}"], check=False).stdout)


def test_a_disk_that_is_full_and_one_gone_read_only_are_told_and_survived(streams: Streams) -> None:
    story, black = streams.story, streams.story.hosts["black"]
    spool = {"path": DISK, "reserve": "4Mi"}
    streams.stream()
    streams.origin("origin", "black", spool=spool)
    story.start()
    story.until(lambda: streams.endpoint("origin", "state") == ("Healthy",), 60, "the origin")
    controller = story.process
    assert controller is not None

    black.fill(DISK)
    story.until(lambda: streams.condition("mediaendpoint/origin")[1] == "OutOfSpace", 20, "that it is full")
    assert "reserve" in streams.condition("mediaendpoint/origin")[2]
    story.until(lambda: streams.endpoint("origin", "state") == ("Stale",), 60, "that nobody can play it")
    told(f"full: {streams.condition('mediaendpoint/origin')}, {streams.condition('stream/garden')}")
    assert "OutOfSpace" in story.events()
    black.unfill(DISK)
    black.run(["sync", "-f", DISK])
    room = time.monotonic()
    story.until(lambda: streams.endpoint("origin", "state") == ("Healthy",), 90, "its return")
    told(f"full: in order {time.monotonic() - room:.1f} s after there was room")
    streams.plays(black)

    black.remount_ro(DISK)
    story.until(
        lambda: streams.condition("mediaendpoint/origin")[1] == "NotWritable", 30, "that it is read-only"
    )
    story.until(lambda: streams.endpoint("origin", "state") == ("Stale",), 60)
    told(f"read-only: {streams.condition('mediaendpoint/origin')}")
    assert controller.poll() is None
    black.power_cut()  # a disk with errors is mended when it is mounted again
    black.start()
    black.wait_ssh()
    story.until(lambda: streams.endpoint("origin", "state") == ("Healthy",), 90, "its return")
    streams.plays(black)


def test_an_edited_ladder_ends_the_old_generation_and_what_is_deleted_is_gone(streams: Streams) -> None:
    story, black, vps = streams.story, streams.story.hosts["black"], streams.story.hosts["vps"]
    streams.stream(retention="6s")
    streams.origin("origin", "black", publicURL=streams.url("black"))
    streams.edge("edge", "vps", "origin")
    story.start()
    story.until(lambda: streams.endpoint("edge", "state") == ("Healthy",), 60, "the edge")
    first = streams.status("stream/garden")["generation"]
    below = f"{BASE}origin/spool/garden"

    streams.stream(
        retention="6s", renditions=[*SMALL, {"name": "120p", "height": 120, "videoBitrate": "100k"}]
    )
    story.until(lambda: streams.status("stream/garden")["generation"] != first, 20, "a new generation")
    edited = time.monotonic()
    second = streams.status("stream/garden")["generation"]
    assert second.startswith("g2-")
    with Viewer(streams.below(vps), "120p") as viewer:
        story.until(lambda: len(viewer.news) >= 2, 40, "the new one at the edge")
        told(f"edited: the new generation at the edge {viewer.news[0][0] - edited:.1f} s after")
        story.until(lambda: not black.exists(f"{below}/{first}"), 40, "the end of the old one")
        told(f"edited: the old one removed {time.monotonic() - edited:.1f} s after (retention 6 s)")
        assert black.exists(f"{below}/{second}")
        story.until(lambda: viewer.news_after(time.monotonic() - 3) >= 1, 20)

    streams.delete("endpoint-origin")
    streams.delete("endpoint-edge")
    story.until(lambda: not black.exists(f"{BASE}origin"), 40, "the end of the origin")
    story.until(lambda: not vps.exists(f"{BASE}edge"), 40, "the end of the edge")
    for host in (black, vps):
        story.until(lambda host=host: not running(host, "nginx") + running(host, "ffmpeg"), 10, "processes")
        units = host.run("systemctl --user -M media@ list-units 'telarchy-*' --all --plain -q", check=False)
        assert not units.stdout.strip()
        files = host.run("find /home/media/.config/systemd -name 'telarchy*'", check=False).stdout
        assert not re.search(rb"telarchy", files)


def test_of_two_controllers_with_one_endpoint_one_acts_and_viewers_see_nothing_of_the_other(
    streams: Streams, tmp_path: Path
) -> None:
    story, black = streams.story, streams.story.hosts["black"]
    streams.stream()
    streams.origin("origin", "black")
    story.start()
    story.until(lambda: streams.endpoint("origin", "state") == ("Healthy",), 90, "the origin")

    other = Streams(Story(tmp_path / "other", story.lab, tuple(story.hosts.values())))
    other.stream(segment={"duration": "1s"})  # declared otherwise: each would start it anew, for ever
    other.origin("origin", "black")
    before = running(black, "ffmpeg")
    with Viewer(streams.below(black)) as viewer:
        began = time.monotonic()
        other.story.start()
        try:
            other.story.until(
                lambda: other.condition("mediaendpoint/origin", "Owned")[:2] == ("False", "ForeignOwner"),
                60,
                "that it is another's",
            )
            said = other.condition("mediaendpoint/origin")[2]
            told(said)
            assert "is of controller" in said and "telarchy approve" in said
            story.until(lambda: viewer.news_after(began) >= 12, 60, "that it plays on")
            assert streams.endpoint("origin", "state") == ("Healthy",)
            assert streams.condition("mediaendpoint/origin", "Owned") == ("", "", "")
            assert (viewer.backwards, running(black, "ffmpeg")) == (0, before)
            told(f"at most {viewer.longest_wait(began):.1f} s without a new segment")

            # the first one is gone for good, and a person says so
            story.kill()
            found = re.search(r"telarchy approve ([0-9a-f]+)", said)
            assert found is not None
            other.story.telarchy("approve", found[1])
            other.story.until(
                lambda: other.ready("mediaendpoint/origin") == ("True", "Serving"), 90, "the other's origin"
            )
            assert other.plays(black)
            marker = black.text(["cat", f"{BASE}origin/.telarchy-streaming"])
            # the first one returns nevertheless: the host refuses it now
            there = running(black, "ffmpeg")
            story.start()
            story.until(lambda: streams.ready("mediaendpoint/origin") == ("False", "ForeignOwner"), 60)
            time.sleep(5)
            assert running(black, "ffmpeg") == there
            assert black.text(["cat", f"{BASE}origin/.telarchy-streaming"]) == marker
        finally:
            other.story.stop()
