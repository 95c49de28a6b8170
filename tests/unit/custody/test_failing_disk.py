"""A disk that takes what is written, and then cannot keep it: what memory shows of a file is then no copy.

The disk is real as far as the kernel goes: ext4 on a loop device whose own storage is full, so that writing back ends
in an input/output error.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telarchy.custody import transfer
from telarchy.errors import ActionFailed
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_act_copy import slow

TITLE = "films/Film"
ROOM = 24  # MiB that the storage behind the disk has


@pytest.fixture
async def failing(tmp_path: Path) -> AsyncIterator[LocalFleet]:
    """A fleet whose second host has a disk of 200 MiB that can keep 24."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    store, disk = tmp_path / "store", tmp_path / "fleet" / "b"
    for folder in (store, disk):
        folder.mkdir(parents=True)
    mounted: list[Path] = []
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}m", "none", store], check=True)
        mounted.append(store)
        subprocess.run(["truncate", "-s", "200M", store / "image"], check=True)
        # No journal: that one would fail first, and make the disk read-only.
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", store / "image"], check=True)
        subprocess.run(["mount", "-o", "loop,errors=continue", store / "image", disk], check=True)
        mounted.append(disk)
        yield LocalFleet(tmp_path / "fleet")
    finally:
        for folder in reversed(mounted):
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("way", ["place", "rsync"])
async def test_what_the_disk_did_not_keep_is_no_copy(
    failing: LocalFleet, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "rsync":
        monkeypatch.setattr(transfer, "MANY", 0)
        # A budget makes it rsync's work, which is fast enough for this and slow enough to be synced meanwhile.
        slow(failing, 60_000_000)
    for number in range(60):
        failing.volumes["a"].write(f"{TITLE}/e{number}", os.urandom(1_000_000))
    await failing.look()
    for _ in range(2):  # the second try does not take for kept what the first one left in memory
        with pytest.raises(ActionFailed, match="did not take what arrived") as caught:
            await failing.act(failing.copy(TITLE))
        assert caught.value.transient
        assert not any(failing.volumes["b"].own.glob("staging/*/*"))
    assert not any(TITLE in name for name in failing.volumes["b"].everything())
    assert not failing.catalogue.manifest(failing.volumes["b"].id, TITLE)


async def test_a_failure_that_was_told_while_files_arrived_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system tells of a failure once. A `sync` of our own stands in for one that hears of it early."""
    fleet = LocalFleet(tmp_path / "fleet")
    tools, told = tmp_path / "tools", tmp_path / "told"
    tools.mkdir()
    (tools / "sync").write_text(
        f'#!/bin/sh\ncase $* in -f*) [ -e "{told}" ] || {{ : >"{told}"; '
        "echo \"sync: error syncing '.': Input/output error\" >&2; exit 1; }; esac\n"
    )
    (tools / "sync").chmod(0o755)
    monkeypatch.setattr(transfer, "MANY", 0)
    slow(fleet, 2_000_000)
    for number in range(4):
        fleet.volumes["a"].write(f"{TITLE}/e{number}", os.urandom(1_000_000))
    await fleet.look()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(ActionFailed, match="did not take what arrived"):
        await fleet.act(fleet.copy(TITLE))
    assert told.exists() and not any(fleet.volumes["b"].own.glob("staging/*/*"))
    await fleet.act(fleet.copy(TITLE))
    assert fleet.volumes["b"].everything() == fleet.volumes["a"].everything()
