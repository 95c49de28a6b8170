"""The story of the README on real machines: declare, run, pull a plug, plug it back in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.lab import Lab
from tests.lab.story import ROOT, Story, film


@pytest.fixture
def story(tmp_path: Path, lab: Lab, fleet: MakeFleet) -> Iterator[Story]:
    made = Story(tmp_path, lab, fleet("nas", "vps", "laptop"))
    yield made
    made.stop()


def fill_library(story: Story) -> None:
    nas, laptop = story.hosts["nas"], story.hosts["laptop"]
    for season in (1, 2):
        for episode in (1, 2, 3):
            nas.write(
                f'{ROOT}/tv/Show\'s "best"/Season 0{season}/e{episode}\n.mkv', film(season * 10 + episode, 2)
            )
    laptop.write(f"{ROOT}/films/Alïen (1979).mkv", film(99, 4))


def test_a_floor_is_reached_over_ssh_and_every_byte_is_the_same(story: Story) -> None:
    fill_library(story)
    planned = story.telarchy("plan", "--source", str(story.manifests), check=False)
    assert planned.returncode == 2 and "copy" in planned.stdout
    assert story.hosts["vps"].run(["ls", "-A", ROOT]).stdout.split() == [
        b"lost+found"
    ]  # a plan leaves no trace
    story.settle()
    status = story.floor_status()
    assert (status["titles"], status["met"]) == (3, 3)
    assert story.telarchy("plan", "--source", str(story.manifests)).returncode == 0
    originals: dict[str, set[str]] = {}
    for host in story.hosts.values():
        for path, digest in story.digests(host).items():
            originals.setdefault(path, set()).add(digest)
    assert len(originals) == 7 and all(len(digests) == 1 for digests in originals.values())
    why = story.telarchy("why", "title", 'tv/Show\'s "best"/Season 01').stdout
    assert "complete, verified" in why


def test_a_pulled_plug_is_repaired_after_its_grace_and_nothing_churns_when_it_is_back(story: Story) -> None:
    fill_library(story)
    story.settle()
    title = "films/Alïen (1979).mkv"
    before = story.holders(title)
    gone = next(name for name in sorted(before) if name != "laptop")
    story.start()
    story.until(lambda: story.floor_status().get("met") == 3)
    story.hosts[gone].power_cut()
    spare = ({"nas", "vps", "laptop"} - before).pop()
    time.sleep(2)
    assert story.holders(title) == before - {gone}, "repaired inside the grace"
    story.until(lambda: spare in story.holders(title), 60, "the repair elsewhere")
    story.hosts[gone].start()
    story.hosts[gone].wait_ssh()
    story.until(lambda: story.host_status(gone).get("state") == "Up", 30)
    story.until(lambda: story.floor_status().get("met") == 3, 30)
    time.sleep(5)
    assert story.holders(title) == {"nas", "vps", "laptop"}, "surplus stays where nothing asks to remove it"
    assert story.hosts[gone].run(f"ls {ROOT}/.telarchy/trash 2>/dev/null", check=False).stdout == b""


def test_an_edit_is_acted_on_in_a_blink(story: Story) -> None:
    fill_library(story)
    story.settle()
    story.start()
    story.until(lambda: story.floor_status().get("met") == 3)
    story.floor(copies=3)
    story.until(lambda: story.floor_status().get("copies") == 3 and story.floor_status().get("met") == 3, 60)
    assert story.holders("films/Alïen (1979).mkv") == {"nas", "vps", "laptop"}


def test_a_broken_manifest_stops_nothing_and_is_told(story: Story) -> None:
    fill_library(story)
    story.start()
    story.until(lambda: story.floor_status().get("met") == 3, 60)
    (story.manifests / "floor.yaml").write_text("kind: [unclosed")
    story.until(lambda: "floor.yaml" in story.log or "floor.yaml" in story.events(), 10)
    story.hosts["nas"].write(f"{ROOT}/films/Brazil.mkv", film(7, 1))
    story.until(lambda: len(story.holders("films/Brazil.mkv")) == 2, 40, "the last good floor still holds")
