"""Names that a file system takes for other ones, and names at the edge of what it takes at all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telarchy.custody import shell
from telarchy.errors import SafetyRefusal
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_scripts import ACTION, commit
from tests.unit.custody.volumes import Volume


@pytest.fixture
async def folding(tmp_path: Path) -> AsyncIterator[LocalFleet]:
    """A fleet whose second host keeps every name in lower case, and answers to any. (A Mac's or a stick's disk does
    so but for keeping the case; this is the one that can be had on Linux.)"""
    if shutil.which("lowntfs-3g") is None:
        pytest.skip("lowntfs-3g (package ntfs-3g) is not installed")
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("mounting a file system that folds case takes root and /dev/fuse")
    image, disk = tmp_path / "disk.img", tmp_path / "fleet" / "b"
    disk.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkntfs", "-q", "-F", "-f", image], check=True, capture_output=True)
    subprocess.run(["lowntfs-3g", "-o", "ignore_case", image, disk], check=True)
    try:
        fleet = LocalFleet(tmp_path / "fleet")
        yield fleet
        await fleet.custody.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


async def refusal(fleet: LocalFleet, title: str) -> str:
    await fleet.look()
    with pytest.raises(SafetyRefusal) as caught:
        await fleet.act(fleet.copy(title))
    return str(caught.value)


async def test_another_name_for_what_is_there_is_no_copy(folding: LocalFleet) -> None:
    for letter, name in (("a", "films/Foo/x"), ("b", "films/foo/x")):
        folding.volumes[letter].write(name, b"the same")
    assert "takes the two names for one" in await refusal(folding, "films/Foo")
    assert folding.manifest("b", "films/Foo") == ()
    assert folding.volumes["b"].everything() == {"films/foo/x": b"the same"}


async def test_a_name_that_is_not_kept_is_told_once_and_not_sent_again_and_again(folding: LocalFleet) -> None:
    folding.volumes["a"].write("films/Foo/x")
    assert "keeps names otherwise" in await refusal(folding, "films/Foo")
    assert folding.volumes["b"].everything() == {}


async def test_what_is_listed_under_other_names_is_not_staged_anew(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "a")
    volume.stage(ACTION, "films/foo/episode")
    # A link is found and not listed as a file: what a file system that folds names shows of each.
    (volume.own / "staging" / ACTION / "films" / "foo" / "Episode").symlink_to("episode")
    done = await commit(volume, "films/foo", files=["./films/foo/Episode"])
    assert done.code == shell.CONFLICT and "keeps names otherwise" in done.complaint
    done = await commit(volume, "films/foo", files=["./films/foo/Other"])
    assert done.code == shell.CHANGED
    assert volume.everything() == {}


@pytest.mark.parametrize(
    "title",
    [
        "films/ends in blanks  ",
        "films/ends in a newline\n",
        "films/-rf",
        "films/*",
        "films/Am\u00e9lie",
        "films/Ame\u0301lie",
        "films/" + "n" * 255,
        "films/\udcff\udcfe",
        "films/100% $(touch oops) `x` \\0101",
    ],
)
async def test_odd_names_are_copied_and_trimmed_as_they_are(tmp_path: Path, title: str) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.volumes["a"].write(f"{title}/e\n1 ", b"one")
    fleet.volumes["a"].write(f"{title}/{'f' * 255}", b"two")
    if len(title) < 200:
        fleet.volumes["a"].write(f"{title} 2/e1", b"another title, whose name begins so")
    await fleet.look()
    await fleet.act(fleet.copy(title))
    there = {name for name in fleet.volumes["a"].everything() if name.startswith(f"{title}/")}
    assert set(fleet.volumes["b"].everything()) == there
    volumes = await fleet.look()
    assert [one.path for one in fleet.manifest("b", title)] == sorted(
        name.removeprefix(f"{title}/") for name in there
    )
    assert all(one.sha256 for one in fleet.manifest("b", title)), "it is the copy that was read"
    assert not volumes[fleet.volumes["b"].id].message
    await fleet.custody.close()
