"""What looks like two places and is one: it never counts as two where something is to be taken away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telarchy.custody.catalogue import Catalogue
from telarchy.custody.scan import ScanMemo, scan
from telarchy.custody.titles import TitlePatterns
from telarchy.errors import ActionFailed
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_act_care import TITLE, everywhere, refuses, trim
from tests.unit.custody.volumes import Volume

mounting = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@contextmanager
def mounted(what: Path, where: Path) -> Iterator[None]:
    """The folder `what` once more at `where`, as a bind mount shows it, or a network file system from afar."""
    what.mkdir(parents=True, exist_ok=True)
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", what, where], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", where], check=True)


@mounting
async def test_what_shows_a_keepers_folder_is_no_surplus_copy(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    for letter in "ab":
        fleet.volumes[letter].write(f"{TITLE}/e1", b"good")
    with mounted(fleet.volumes["a"].path / "tv", fleet.volumes["c"].path / "tv"):
        await fleet.look()
        assert "mounted below its root" in await refuses(fleet, trim(fleet))
    assert fleet.volumes["a"].everything() == {f"{TITLE}/e1": b"good"}
    await fleet.custody.close()


@mounting
async def test_what_shows_the_surplus_copy_is_no_keeper(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "a fleet", "abc")
    for letter in "ac":
        fleet.volumes[letter].write(f"{TITLE}/e1", b"good")
    with mounted(fleet.volumes["c"].path / TITLE, fleet.volumes["b"].path / TITLE):
        await fleet.look()
        assert "mounted below its root" in await refuses(fleet, trim(fleet))
    assert fleet.volumes["c"].everything() == {f"{TITLE}/e1": b"good"}
    await fleet.custody.close()


@mounting
async def test_a_mount_elsewhere_below_the_root_is_in_nobodys_way(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet", "abc")
    everywhere(fleet)
    with mounted(tmp_path / "photos", fleet.volumes["c"].path / "tv" / "show 2"):
        await fleet.look()
        await fleet.act(trim(fleet))
    assert fleet.volumes["c"].everything() == {}
    await fleet.custody.close()


@mounting
async def test_nothing_is_sent_to_where_it_could_not_be_put(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path / "fleet")
    fleet.volumes["a"].write(f"{TITLE}/e1", b"good")
    with mounted(tmp_path / "photos", fleet.volumes["b"].path / "tv"):
        await fleet.look()
        with pytest.raises(ActionFailed) as caught:
            await fleet.act(fleet.copy(TITLE))
    assert caught.value.reason == "OtherFileSystem" and "a media root of its own" in str(caught.value)
    assert not (fleet.volumes["b"].own / "staging").exists()
    await fleet.custody.close()


@mounting
async def test_a_lost_mount_is_noticed_where_the_root_is_a_link(tmp_path: Path) -> None:
    volume, link = Volume(tmp_path / "disk"), tmp_path / "media"
    link.symlink_to(volume.path)
    patterns = TitlePatterns(["films/*"])
    catalogue = Catalogue(patterns=patterns)

    async def look(memo: ScanMemo) -> tuple[ScanMemo, set[str]]:
        done = await scan(
            volume.link, str(link), volume.id, "v", catalogue, patterns, memo, 1.0, leave_trace=True
        )
        return done.memo, set(catalogue.titles_on("v"))

    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "one").write_text("film")
    with mounted(tmp_path / "second", volume.path / "films"):
        memo, titles = await look(ScanMemo())
        assert memo.mounts == ("films",) and titles == {"films/one"}
    _, titles = await look(memo)
    assert titles == {"films/one"}
