"""Copy: a title travels, is read at both ends, and appears in one rename (custody rules 2 and 7).

    look at both ends ─► job on the target: rsync into staging, digests as files arrive, sync ─┐
                       └► digests at the source, meanwhile ────────────────────────────────────┴► compare ─► commit

Whatever instant the controller dies at, the next one goes on from what is on the hosts: a running job is
attached to, a staged one is compared and committed, and a title that is complete already is only read and
recorded. What arrived in part stays and is gone on from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from telarchy.core.capability import Report
from telarchy.core.observation import Progress
from telarchy.core.words import quoted
from telarchy.custody import shell
from telarchy.custody.actions import Copy
from telarchy.custody.arrival import SETTLING, Arrival, Arrived
from telarchy.custody.digests import dotted, in_title, judge, read_now
from telarchy.custody.lease import Writer
from telarchy.custody.manifest import FileSeen, Manifest
from telarchy.custody.source import Early, held_still, read_early, source_digests
from telarchy.custody.survey import Place, TitleNow, parse_title, survey
from telarchy.custody.transfer import SHARING, Load, Transfer, transfer_between
from telarchy.custody.verifying import record, require_mounted
from telarchy.custody.workbench import Workbench
from telarchy.custody.working import give_up, to_its_end
from telarchy.errors import ActionFailed, SafetyRefusal
from telarchy.links import jobs
from telarchy.links.rsync import parse_progress

NEVER_OVERWRITE = "never-overwrite"


async def copy(bench: Workbench, action: Copy, report: Report) -> None:
    """Bring what is missing of a title to the action's volume.

    Raises ActionFailed (NoSpace, ReadOnly, VolumeGone, SourceChanged, SourceDamaged, DigestMismatch, RsyncMissing,
    JobLost…), SafetyRefusal (single-writer, never-overwrite), HostUnreachable.
    """
    writer = bench.writer()
    target = await bench.place_to_change(action)
    source = await bench.place(action.source_volume)
    report(Progress("looking", 0, action.bytes))
    early = asyncio.create_task(read_early(bench, action, source))
    try:
        await _copy(bench, action, report, writer, target, source, early)
    finally:
        await _let_go(early)


async def _copy(
    bench: Workbench,
    action: Copy,
    report: Report,
    writer: Writer,
    target: Place,
    source: Place,
    early: Early,
) -> None:
    there, here, _ = await asyncio.gather(
        survey(source, action.title), survey(target, action.title), _connect(bench, target, source, action)
    )
    wanted = _source_files(bench, action, there)
    require_mounted(bench, action.volume, action.title, here)
    present = bench.note_title(action.volume, action.title, here.manifest)
    missing = _missing(action, wanted, here)
    if not missing:
        # An earlier run was cut off between the rename and the record.
        await _take_note(bench, action, target, source, present, wanted)
        with suppress(ActionFailed):
            await jobs.remove(target.link, jobs.job_folder(target.path, action.id))
        return
    load = _load(bench, action, missing, here)
    async with transfer_between(bench.routing, bench.rsyncs, writer, target, source, load) as transfer:
        try:
            arrived = await _move(
                bench, action, transfer, target, source, there, missing, writer, report, early
            )
        except ActionFailed as failure:
            if failure.reason == "SourceChanged":  # nobody will ask for this version again
                await transfer.put_away()
                await sweep_staging(target, writer, [action.id])
            raise
        report(Progress("committing", load.total, load.total))
        await to_its_end(_appear(bench, action, transfer, target, writer, missing, arrived), bench.detached)


async def _connect(bench: Workbench, target: Place, source: Place, action: Copy) -> None:
    """Open the connection that small copies share while the title is looked at at both ends, so that it is there when
    rsync wants it."""
    if action.bytes <= SHARING:
        await bench.routing.connect(target.host, source.host, source.path)


def _source_files(bench: Workbench, action: Copy, there: TitleNow) -> Manifest:
    """The source's files with what is recorded of them, if they are still those that the plan was made with."""
    if not there.whole:
        raise ActionFailed(
            f"parts of {quoted(action.title)} on {action.source_host} cannot be read: check who owns them",
            reason="Unreadable",
        )
    require_mounted(bench, action.source_volume, action.title, there)
    before = bench.catalogue.manifest(action.source_volume, action.title)
    wanted = bench.note_title(action.source_volume, action.title, there.manifest, before)
    if wanted is not before and [one[:2] for one in wanted] != [one[:2] for one in before]:  # path, size
        bench.rescan(action.source_volume)
        raise ActionFailed(
            f"{quoted(action.title)} on {action.source_host} is not what it was when this was planned",
            reason="SourceChanged",
        )
    return wanted


def _missing(action: Copy, wanted: Manifest, here: TitleNow) -> Manifest:
    """What the target lacks. Raises SafetyRefusal where something different stands in the way."""
    there_kind = "file" if [one.path for one in wanted] == [""] else "folder"
    if here.kind == "alias":
        raise SafetyRefusal(
            NEVER_OVERWRITE,
            f"on {action.host} something is called {quoted(action.title)} but for upper and lower case, or for how an "
            "accent is written, and its file system takes the two names for one; rename one of them",
        )
    if here.kind not in ("none", there_kind):
        raise SafetyRefusal(
            NEVER_OVERWRITE,
            f"{quoted(action.title)} is a {there_kind} on {action.source_host}, and on {action.host} a {here.kind}",
        )
    if not here.whole:
        raise ActionFailed(
            f"parts of {quoted(action.title)} on {action.host} cannot be read", reason="Unreadable"
        )
    for one in wanted:
        size = here.listing.files.get(one.path, (one.size, 0))[0]
        if size != one.size:
            raise SafetyRefusal(
                NEVER_OVERWRITE,
                f"{quoted(in_title(action.title, one.path))} has {size} bytes on {action.host} and {one.size} on "
                f"{action.source_host}; nothing is overwritten",
            )
    missing = tuple(one for one in wanted if one.path not in here.listing.files)
    if missing and here.on_another_file_system(action.title):
        raise ActionFailed(
            f"{quoted(action.title)} on {action.host} would lie on a file system that is mounted below its root; "
            "declare that one as a media root of its own",
            reason="OtherFileSystem",
        )
    if any(one.damaged for one in missing):
        raise ActionFailed(
            f"{quoted(action.title)} is damaged on {action.source_host}", reason="SourceDamaged"
        )
    return missing


def _load(bench: Workbench, action: Copy, missing: Manifest, here: TitleNow) -> Load:
    seen = bench.volume(action.volume)
    return Load(
        action=action.id,
        verb=action.verb,
        title=action.title,
        files={in_title(action.title, one.path): one.size for one in missing},
        reserve=bench.reserve(action.host, action.root, seen.total),
        bandwidth=bench.bandwidth(action.source_host, action.host),
    )


async def _move(
    bench: Workbench,
    action: Copy,
    transfer: Transfer,
    target: Place,
    source: Place,
    there: TitleNow,
    missing: Manifest,
    writer: Writer,
    report: Report,
    early: Early,
) -> Arrived:
    """Have the files staged and read at both ends, until all agree."""
    total = transfer.load.total
    moved = asyncio.Event()
    reading = asyncio.create_task(source_digests(bench, action, source, missing, early))
    arrival = Arrival(action, transfer, target, missing, reading, bench.clock)

    def look() -> asyncio.Task[None]:
        return asyncio.create_task(held_still(bench, action, source, there, missing, moved, reading))

    looking = look()

    def told(line: bytes) -> None:
        nonlocal looking
        arrival.told(line)
        if not line:
            moved.clear()
            give_up(looking)
            looking = look()
        elif line.startswith((b"digesting", SETTLING)):
            moved.set()
            report(Progress("settling" if line.startswith(SETTLING) else "digesting", total, total))
        elif (progress := parse_progress(line, total=total)) is not None:
            report(replace(progress, phase="transferring"))

    report(Progress("transferring", 0, total))
    try:
        await transfer.run(told, bench.detached)
        moved.set()
        if not reading.done():
            report(Progress("digesting", total, total))
        await reading
        report(Progress("settling", total, total))
        arrived, _ = await asyncio.gather(arrival.arrived(), looking)
    finally:
        arrival.let_go()
        await _let_go(reading, looking)
    if arrived.wrong:
        await _discard(target, writer, action, arrived.wrong)
        await transfer.put_away()
        await _suspect(bench, action, source, missing, arrived.wrong)
    return arrived


async def _let_go(*tasks: asyncio.Task[Any]) -> None:
    """End what is still under way, and pass over what it failed with: the first failure says more."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()


async def _discard(target: Place, writer: Writer, action: Copy, wrong: list[str]) -> None:
    await shell.run(
        target.link,
        ("fence", "discard"),
        [target.path, target.volume, *writer.args, action.id],
        stdin=shell.nul_list(dotted(in_title(action.title, path) for path in wrong)),
    )


async def _suspect(
    bench: Workbench, action: Copy, source: Place, missing: Manifest, wrong: list[str]
) -> None:
    """Something differs: read the source again, to tell a bad source from a bad transfer. Always raises."""
    suspects = tuple(one for one in missing if one.path in wrong)
    begun = bench.clock.now()
    files = [(in_title(action.title, one.path), one.size) for one in suspects]
    recorded = {one.path: one for one in bench.catalogue.manifest(action.source_volume, action.title)}
    judged = tuple(recorded.get(one.path, one) for one in suspects)
    verdict = judge(action.title, judged, await read_now(source.link, source.path, source.volume, files))
    record(bench, action.source_volume, action.title, judged, verdict, begun)
    name = in_title(action.title, wrong[0])
    if verdict.damaged:
        raise ActionFailed(
            f"{quoted(name)} on {source.host} is not what it was when it was recorded", reason="SourceDamaged"
        )
    raise ActionFailed(
        f"{len(wrong)} file(s) of {quoted(action.title)} arrived on {action.host} otherwise than {source.host} "
        f"has them ({quoted(name)} for one); nothing was committed, and they come again",
        reason="DigestMismatch",
    )


async def _appear(
    bench: Workbench,
    action: Copy,
    transfer: Transfer,
    target: Place,
    writer: Writer,
    missing: Manifest,
    arrived: Arrived,
) -> None:
    """What is staged and good becomes the title, on the disk and in the record."""
    try:
        now = await _commit(target, writer, action, () if arrived.staged else missing)
        if now.kind == "renamed" and arrived.staged:
            bench.patch(action.volume, action.title, arrived.staged)
            bench.save()
        else:
            _record(bench, action, now, missing, arrived.good)
    except ActionFailed as failure:
        if failure.reason == "Changed":
            # What is staged is not what the job says: begin anew.
            await transfer.put_away()
            await sweep_staging(target, writer, [action.id])
        raise
    if transfer.job_place is not target:
        await transfer.put_away()


async def _commit(target: Place, writer: Writer, action: Copy, missing: Manifest) -> TitleNow:
    """`missing`: what must be staged, no more and no less; () where that was looked at already."""
    done = await shell.run(
        target.link,
        ("fence", "list", "commit"),
        [
            shell.script("batch"),
            shell.script("merge"),
            target.path,
            target.volume,
            *writer.args,
            action.id,
            action.title,
            "" if missing else "looked",
        ],
        stdin=shell.nul_list(dotted(in_title(action.title, one.path) for one in missing)),
        within=None,
    )
    return parse_title(done.stdout, target.host)


def _record(
    bench: Workbench,
    action: Copy,
    committed: TitleNow,
    missing: Manifest,
    good: Mapping[str, str],
) -> None:
    """Put what now lies on the target into the catalogue; raises ActionFailed if it is not what was committed."""
    sizes = {path: size for path, (size, _) in committed.listing.files.items()}
    if any(sizes.get(one.path) != one.size for one in missing):
        bench.rescan(action.volume)
        raise ActionFailed(
            f"{quoted(action.title)} on {action.host} changed while it was committed", reason="Changed"
        )
    now = bench.clock.now()
    read = (
        FileSeen(one.path, one.size, one.mtime_ns, good[one.path], now) if one.path in good else one
        for one in committed.manifest
    )
    bench.patch(action.volume, action.title, tuple(read))
    bench.save()


async def _take_note(
    bench: Workbench, action: Copy, target: Place, source: Place, present: Manifest, wanted: Manifest
) -> None:
    """The title is complete on the target: read there what was never read, and hold it against the source."""
    paths = {one.path for one in wanted}
    unread = tuple(one for one in present if one.path in paths and not (one.sha256 and one.verified_at))
    if not unread:
        return
    begun = bench.clock.now()
    files = [(in_title(action.title, one.path), one.size) for one in unread]
    verdict = judge(action.title, unread, await read_now(target.link, target.path, target.volume, files))
    record(bench, action.volume, action.title, unread, verdict, begun)
    expected = await source_digests(bench, action, source, wanted)
    differing = [path for path, digest in verdict.good.items() if expected.get(path) != digest]
    if verdict.changed or differing:
        name = in_title(action.title, min([*verdict.changed, *differing]))
        raise ActionFailed(
            f"{quoted(name)} is on {action.host} already and differs from {source.host}",
            reason="ContentsDiffer",
        )


def _names(action: str) -> tuple[str, ...]:
    """What stage.sh makes for an action."""
    return action, f"{action}.begun", f".{action}.1.sync", f".{action}.2.sync"


async def sweep_staging(place: Place, writer: Writer, actions: Sequence[str]) -> None:
    """Delete staging folders. Nothing in them was ever counted as a copy."""
    entries = [name for action in actions for name in _names(action)]
    if entries:
        await shell.run(
            place.link,
            ("fence", "expire"),
            [place.path, place.volume, *writer.args, "staging", *entries],
            within=None,
        )
