"""Bad days on real machines: killed, cut, full, unmounted, rotten, changed, doubled. Nothing is lost."""

from __future__ import annotations

import random
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


def two_hosts(story: Story) -> None:
    """Only nas and vps, so that it is known where a copy goes."""
    (story.manifests / "host-laptop.yaml").unlink()


def test_the_controller_is_killed_again_and_again_and_nothing_is_copied_twice(story: Story) -> None:
    two_hosts(story)
    nas, vps = story.hosts["nas"], story.hosts["vps"]
    story.declare_host(vps, transfers={"bandwidth": "8Mi"})
    nas.write(f"{ROOT}/films/Long.mkv", film(1, 60))
    nas.write(f"{ROOT}/films/Short.mkv", film(2, 3))
    moment = random.Random(4711)
    for _ in range(6):
        story.start()
        time.sleep(moment.uniform(0.7, 2.5))
        story.kill()
    story.settle(90)
    assert story.digests(nas) == story.digests(vps)
    done = [line for line in story.events().splitlines() if "CopyDone" in line and "Long" in line]
    assert len(done) <= 1
    # What came over the wire: the two films once, and not once per life of the controller.
    jobs = vps.run(f"ls {ROOT}/.telarchy/staging {ROOT}/.telarchy/jobs", check=False).stdout.decode()
    assert "Long" not in jobs


def test_a_job_goes_on_without_its_controller_and_is_found_again(story: Story) -> None:
    two_hosts(story)
    nas, vps = story.hosts["nas"], story.hosts["vps"]
    story.declare_host(vps, transfers={"bandwidth": "5Mi"})
    nas.write(f"{ROOT}/films/Long.mkv", film(3, 60))
    story.start()
    story.until(
        lambda: vps.run(f"ls {ROOT}/.telarchy/jobs/*/pid", check=False).returncode == 0, 30, "the job"
    )
    time.sleep(1.0)
    story.kill()
    before = vps.run(f"cat {ROOT}/.telarchy/jobs/*/pid").stdout
    staged = int(vps.text(f"du -sk {ROOT}/.telarchy/staging").split()[0])
    time.sleep(1.5)
    assert int(vps.text(f"du -sk {ROOT}/.telarchy/staging").split()[0]) > staged, (
        "the job stopped with the controller"
    )
    story.start()
    story.until(lambda: story.host_status("vps").get("transfers"), 20, "the re-attached transfer")
    told = vps.run(f"cat {ROOT}/.telarchy/jobs/*/pid", check=False).stdout
    assert told in (before, b""), "another job was started"
    story.until(lambda: story.floor_status().get("met") == 1, 60)
    assert story.digests(nas) == story.digests(vps)


def test_the_target_loses_power_in_the_middle_of_a_copy(story: Story) -> None:
    two_hosts(story)
    nas, vps = story.hosts["nas"], story.hosts["vps"]
    story.declare_host(vps, transfers={"bandwidth": "10Mi"})
    nas.write(f"{ROOT}/films/Long.mkv", film(5, 40))
    story.start()
    story.until(lambda: vps.run(f"ls {ROOT}/.telarchy/staging/*", check=False).stdout != b"", 30, "the copy")
    time.sleep(1.0)
    vps.power_cut()
    time.sleep(1.0)
    vps.start()
    vps.wait_ssh()
    story.until(lambda: story.floor_status().get("met") == 1, 90)
    assert story.digests(nas) == story.digests(vps)


def test_a_cut_between_the_hosts_goes_through_the_controller(story: Story) -> None:
    two_hosts(story)
    nas, vps = story.hosts["nas"], story.hosts["vps"]
    nas.write(f"{ROOT}/films/Alien.mkv", film(6, 8))
    story.lab.cut(nas, vps)
    story.settle(90)
    assert story.digests(nas) == story.digests(vps)


def test_a_full_disk_is_told_and_goes_on_when_there_is_room(story: Story) -> None:
    two_hosts(story)
    nas, vps = story.hosts["nas"], story.hosts["vps"]
    nas.write(f"{ROOT}/films/Big.mkv", film(8, 30))
    vps.fill(ROOT, 10 << 20)
    story.start()
    story.until(lambda: "free above the reserve" in str(story.floor_status().get("worst")), 30, "the reason")
    vps.unfill(ROOT)
    story.until(lambda: story.floor_status().get("met") == 1, 60)
    assert story.digests(nas) == story.digests(vps)


def test_an_unmounted_volume_is_not_an_empty_one(story: Story) -> None:
    nas, vps, laptop = (story.hosts[name] for name in ("nas", "vps", "laptop"))
    for number in range(4):
        nas.write(f"{ROOT}/films/F{number}.mkv", film(number, 1))
    story.settle()
    before = {name: story.digests(host) for name, host in story.hosts.items()}
    story.start()
    story.until(lambda: story.floor_status().get("met") == 4, 30)
    vps.unmount(ROOT)
    story.until(lambda: story.host_status("vps")["volumes"][0]["state"] == "Missing", 40)
    time.sleep(8)
    assert story.digests(nas) == before["nas"] and story.digests(laptop) == before["laptop"], (
        "something was re-copied"
    )
    assert vps.run(["ls", "-A", ROOT]).stdout == b"", "something was written below the mount point"
    vps.mount(ROOT)
    story.until(lambda: story.floor_status().get("met") == 4, 40)
    assert {name: story.digests(host) for name, host in story.hosts.items()} == before


def test_a_rotten_byte_is_found_set_aside_and_healed(story: Story) -> None:
    two_hosts(story)
    nas, vps = story.hosts["nas"], story.hosts["vps"]
    nas.write(f"{ROOT}/tv/Show/S01/e1.mkv", film(11, 2))
    nas.write(f"{ROOT}/tv/Show/S01/e2.mkv", film(12, 2))
    story.settle()
    good = story.digests(nas)
    vps.rot(f"{ROOT}/tv/Show/S01/e2.mkv", 1_000_000)
    assert story.digests(vps) != good
    story.floor(verify={"every": "3s"})
    story.start()
    story.until(lambda: story.digests(vps) == good, 60, "the healing")
    aside = vps.run(f"find {ROOT}/.telarchy/quarantine -type f").stdout.decode()
    assert aside.count("e2.mkv") == 1
    assert "Quarantine" in story.events()


def test_a_changed_host_key_is_refused_and_told(story: Story) -> None:
    nas = story.hosts["nas"]
    nas.write(f"{ROOT}/films/Alien.mkv", film(13, 1))
    story.hosts["vps"].change_host_key()
    story.start()
    story.until(lambda: "HostKeyChanged" in str(story.host_status("vps")), 30)
    story.until(
        lambda: story.holders("films/Alien.mkv") == {"nas", "laptop"}, 60, "the floor without that host"
    )


def test_two_controllers_at_once_only_one_writes(story: Story, tmp_path: Path) -> None:
    nas = story.hosts["nas"]
    nas.write(f"{ROOT}/films/Alien.mkv", film(14, 1))
    story.start()
    story.until(lambda: story.floor_status().get("met") == 1, 60)
    other = tmp_path / "other"
    (other / "secrets").mkdir(parents=True)
    (story.state / "secrets" / "lab").rename(other / "secrets" / "lab")
    (story.state / "secrets").joinpath("lab").symlink_to(other / "secrets" / "lab")
    second = story.start(other)
    try:
        time.sleep(6)
        nas.write(f"{ROOT}/films/Brazil.mkv", film(15, 1))
        story.until(lambda: len(story.holders("films/Brazil.mkv")) == 2, 40)
        assert second.poll() is None, story.log
        epochs = {host.text(f"cat {ROOT}/.telarchy/epoch") for host in story.hosts.values()}
        assert len(epochs) == 1, epochs
    finally:
        story.stop(second)
    doubled = story.telarchy("run", "--source", str(story.manifests), check=False)
    assert doubled.returncode == 1 and "already runs" in doubled.stderr
