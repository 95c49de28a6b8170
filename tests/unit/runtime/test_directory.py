"""A folder as desired state: quick to follow, slow to let go, and never emptied by an accident."""

import asyncio
import os
import shutil
import time
from contextlib import aclosing

import pytest
import watchfiles

from telarchy.resources.meta import Ref
from telarchy.runtime.directory import Directory
from telarchy.runtime.sources import open_source
from telarchy.store import Store

FLOOR = """\
apiVersion: telarchy.dev/v1alpha1
kind: CustodyFloor
metadata: {{name: {name}}}
spec:
  select: {{paths: ["{name}/*"]}}
  copies: {copies}
"""


def write(path, name="home", copies=2):
    path.write_text(FLOOR.format(name=name, copies=copies))


def names(revision):
    return sorted(resource.name for resource in revision.resources)


def ref(name):
    return Ref("CustodyFloor", "default", name)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "fleet"
    path.mkdir()
    write(path / "a.yaml", "alpha")
    write(path / "b.yaml", "beta")
    return path


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


def once(store, folder):
    return open_source(str(folder), store, patient=False)


async def test_reads_every_manifest(store, folder):
    revision = await once(store, folder).read()
    assert names(revision) == ["alpha", "beta"]
    assert revision.healthy
    assert all(resource.metadata.uid and resource.metadata.generation == 1 for resource in revision.resources)


async def test_a_broken_manifest_stays_as_it_was_and_the_others_go_on(store, folder):
    source = once(store, folder)
    await source.read()
    (folder / "a.yaml").write_text(
        "apiVersion: telarchy.dev/v1alpha1\nkind: CustodyFloor\nmetadata: {name: alpha\n"
    )
    write(folder / "b.yaml", "beta", copies=3)
    revision = await source.read()
    by_name = {resource.name: resource for resource in revision.resources}
    assert by_name["alpha"].spec.copies == 2
    assert by_name["beta"].spec.copies == 3
    assert list(revision.stalled) == [ref("alpha")]
    (event,) = store.events.recent(ref=ref("alpha"))
    assert (event.type, event.reason) == ("Warning", "Stalled")
    assert "a.yaml" in event.message
    assert "stays as it last was" in event.message


async def test_a_broken_manifest_that_never_was_good_is_shown_as_stalled(store, folder):
    write(folder / "c.yaml", "gamma", copies='"many"')
    revision = await once(store, folder).read()
    assert names(revision) == ["alpha", "beta"]
    assert list(revision.stalled) == [ref("gamma")]
    assert revision.world("default").stalled[ref("gamma")]


async def test_text_that_names_nothing_is_told_and_stops_nothing(store, folder):
    (folder / "c.yaml").write_text("kind: [")
    revision = await once(store, folder).read()
    assert names(revision) == ["alpha", "beta"]
    assert len(revision.unread) == 1
    assert "2 resources; " in revision.message
    assert "c.yaml" in revision.message
    (event,) = store.events.recent()
    assert (event.type, event.reason) == ("Warning", "Unreadable")


async def test_the_last_good_version_survives_a_restart(store, folder):
    await once(store, folder).read()
    (folder / "a.yaml").write_text("}{")
    revision = await once(store, folder).read()
    assert names(revision) == ["alpha", "beta"]
    assert ref("alpha") in revision.stalled


async def test_a_deleted_file_is_pruned(store, folder):
    source = once(store, folder)
    await source.read()
    (folder / "a.yaml").unlink()
    assert names(await source.read()) == ["beta"]
    assert [event.reason for event in store.events.recent(ref=ref("alpha"))] == ["Pruned"]


@pytest.mark.parametrize("accident", ["gone", "empty", "unrelated"])
async def test_an_empty_or_missing_folder_prunes_nothing(store, folder, accident):
    source = once(store, folder)
    await source.read()
    shutil.rmtree(folder)
    if accident != "gone":
        folder.mkdir()
    if accident == "unrelated":
        (folder / "note.yaml").write_text("just: something\n")
    revision = await source.read()
    assert names(revision) == ["alpha", "beta"]
    assert not revision.healthy
    assert "2 resources as last declared stay" in revision.message
    assert [event.type for event in store.events.recent()] == ["Warning"]
    assert not store.memory.get("source")["healthy"]


async def test_a_part_that_cannot_be_looked_at_prunes_nothing(store, folder, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (folder / "b.yaml").rename(shared / "b.yaml")
    link = folder / "more"
    link.symlink_to(shared)
    source = once(store, folder)
    assert names(await source.read()) == ["alpha", "beta"]
    link.unlink()
    link.symlink_to("x" * 300)  # as a folder that was made private, which does not stop root
    revision = await source.read()
    assert names(revision) == ["alpha", "beta"]
    assert revision.problems[0].message == "cannot be read: file name too long"


async def test_a_single_look_of_a_reader_changes_nothing(store, folder):
    await once(store, folder).read()
    (folder / "a.yaml").unlink()
    with Store.open(store.folder, read_only=True) as reader:
        assert names(await once(reader, folder).read()) == ["beta"]
    assert len(store.objects.all("source")) == 2


async def next_revision(revisions, within=3.0):
    return await asyncio.wait_for(anext(revisions), within)


async def test_a_save_is_followed_within_a_blink(store, folder):
    async with aclosing(open_source(str(folder), store).revisions()) as revisions:
        await next_revision(revisions)
        quickest = 9.0  # of several, since the machine that tests may be busy
        for copies in range(3, 8):
            began = time.perf_counter()
            staged = folder / ".a.yaml.swp"
            write(staged, "alpha", copies)
            staged.replace(folder / "a.yaml")
            revision = await next_revision(revisions)
            quickest = min(quickest, time.perf_counter() - began)
            assert revision.resources[0].spec.copies == copies
            assert revision.resources[0].metadata.generation == copies - 1
        assert quickest < 0.3


async def test_a_file_that_is_truncated_and_written_again_never_left(store, folder):
    async with aclosing(open_source(str(folder), store).revisions()) as revisions:
        uid = (await next_revision(revisions)).resources[0].metadata.uid
        (folder / "a.yaml").write_text("")
        await asyncio.sleep(0.2)
        write(folder / "a.yaml", "alpha", copies=4)
        revision = await next_revision(revisions)
        while revision.resources[0].spec.copies != 4:
            assert names(revision) == ["alpha", "beta"]
            revision = await next_revision(revisions)
        assert revision.resources[0].metadata.uid == uid
        assert store.events.recent(ref=ref("alpha")) == []


async def test_a_deletion_is_followed_after_a_second_look(store, folder):
    async with aclosing(open_source(str(folder), store).revisions()) as revisions:
        await next_revision(revisions)
        (folder / "a.yaml").unlink()
        began = time.perf_counter()
        while names(await next_revision(revisions)) != ["beta"]:
            pass
        assert 0.9 < time.perf_counter() - began < 3


async def test_a_name_that_is_no_text_ends_no_watch(store, folder):
    async with aclosing(open_source(str(folder), store).revisions()) as revisions:
        await next_revision(revisions)
        odd = folder / os.fsdecode(b"c\xff.yaml")
        write(odd, "gamma")
        while names(await next_revision(revisions)) != ["alpha", "beta", "gamma"]:
            pass
        odd.write_text("kind: [")
        while not (revision := await next_revision(revisions)).stalled:
            pass
        assert list(revision.stalled) == [ref("gamma")]
        write(folder / "a.yaml", "alpha", copies=4)
        while (await next_revision(revisions)).resources[0].spec.copies != 4:
            pass


async def test_a_folder_that_cannot_be_watched_is_polled(store, folder, monkeypatch):
    async def no_watch(*_, **__):
        raise OSError("OS file watch limit reached")
        yield

    monkeypatch.setattr(watchfiles, "awatch", no_watch)  # how the last inotify watch of a machine shows
    looks = []
    look = Directory.look

    async def counted(self):
        looks.append(time.monotonic())
        return await look(self)

    monkeypatch.setattr(Directory, "look", counted)
    async with aclosing(open_source(str(folder), store).revisions()) as revisions:
        await next_revision(revisions)
        following = asyncio.ensure_future(next_revision(revisions, within=20))
        await asyncio.sleep(2.5)
        assert len(looks) == 1  # nothing changed: nothing is read
        write(folder / "a.yaml", "alpha", copies=4)
        assert (await following).resources[0].spec.copies == 4


async def test_a_folder_that_was_moved_away_and_back_is_watched_again(store, folder, monkeypatch):
    monkeypatch.setattr("telarchy.runtime.directory.POLL_MILLISECONDS", 200)
    async with aclosing(open_source(str(folder), store).revisions()) as revisions:
        await next_revision(revisions)
        folder.rename(folder.with_name("away"))
        assert not (await next_revision(revisions)).healthy
        folder.with_name("away").rename(folder)
        while not (await next_revision(revisions)).healthy:
            pass
        write(folder / "a.yaml", "alpha", copies=5)
        assert (await next_revision(revisions)).resources[0].spec.copies == 5


async def test_a_folder_that_may_not_be_looked_at_for_a_while_is_watched_again(
    store, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("telarchy.runtime.directory.POLL_MILLISECONDS", 200)
    link = tmp_path / "link"
    link.symlink_to(folder)
    async with aclosing(open_source(str(link), store).revisions()) as revisions:
        await next_revision(revisions)
        link.unlink()
        link.symlink_to("x" * 300)  # as when a folder above it was made private, which does not stop root
        while (revision := await next_revision(revisions, within=20)).healthy:
            pass
        assert names(revision) == ["alpha", "beta"]
        link.unlink()
        link.symlink_to(folder)
        while not (await next_revision(revisions, within=20)).healthy:
            pass
        write(folder / "a.yaml", "alpha", copies=5)
        while (await next_revision(revisions, within=20)).resources[0].spec.copies != 5:
            pass


async def test_a_single_file_can_be_the_source(store, folder):
    async with aclosing(open_source(str(folder / "a.yaml"), store).revisions()) as revisions:
        assert names(await next_revision(revisions)) == ["alpha"]
        staged = folder / "a.yaml~"
        write(staged, "alpha", copies=4)
        staged.replace(folder / "a.yaml")
        assert (await next_revision(revisions)).resources[0].spec.copies == 4
