"""The source's side of a copy: what its files are, read while they travel, and whether they held still."""

from __future__ import annotations

import asyncio

from telarchy.core.words import quoted
from telarchy.custody.actions import Copy
from telarchy.custody.digests import Reading, in_title, judge, read_now
from telarchy.custody.manifest import FileSeen, Manifest
from telarchy.custody.survey import Place, TitleNow, survey
from telarchy.custody.transfer import SHARING
from telarchy.custody.verifying import record
from telarchy.custody.workbench import Workbench
from telarchy.errors import ActionFailed, HostUnreachable

MUCH = 1 << 30  # bytes; more is read by two at once
STILL_SECONDS = 5.0  # a file that was written to so short a time ago may still be written to

Early = asyncio.Task[tuple[float, dict[str, Reading]]]
"""When a reading began (seconds since the epoch), and what was read."""


async def read_early(bench: Workbench, action: Copy, source: Place) -> tuple[float, dict[str, Reading]]:
    """Begin to read what the record says the source has, while both ends are looked at: many small files are read
    before they begin to travel, which takes all of two processors. Nothing where the target may have it already.

    Raises as `read_now`.
    """
    begun = bench.clock.now()
    if action.bytes > SHARING or bench.catalogue.manifest(action.volume, action.title):
        return begun, {}
    recorded = bench.catalogue.manifest(action.source_volume, action.title)
    return begun, await _read(action, source, tuple(one for one in recorded if not _known(one)))


async def source_digests(
    bench: Workbench, action: Copy, source: Place, missing: Manifest, early: Early | None = None
) -> dict[str, str]:
    """Digests of the source's files: those recorded of files that did not change since, the others read now."""
    known = {one.path: one.sha256 for one in missing if _known(one)}
    unread = tuple(one for one in missing if one.path not in known)
    if not unread:
        return known
    begun, readings = await early if early is not None else (0.0, {})
    if not all(_as_seen(readings.get(in_title(action.title, one.path)), one) for one in unread):
        begun, readings = bench.clock.now(), await _read(action, source, unread)
    verdict = judge(action.title, unread, readings)
    record(bench, action.source_volume, action.title, unread, verdict, begun)
    lacking = [one.path for one in unread if one.path not in verdict.good]
    if verdict.damaged:
        raise ActionFailed(
            f"{quoted(in_title(action.title, min(verdict.damaged)))} on {source.host} is not what it was when it was "
            "recorded",
            reason="SourceDamaged",
        )
    if lacking:
        bench.rescan(action.source_volume)
        raise ActionFailed(
            f"{quoted(in_title(action.title, lacking[0]))} on {source.host} changed while it was copied",
            reason="SourceChanged",
        )
    return known | verdict.good


async def held_still(
    bench: Workbench,
    action: Copy,
    source: Place,
    there: TitleNow,
    missing: Manifest,
    moved: asyncio.Event,
    reading: asyncio.Task[dict[str, str]],
) -> None:
    """Raise ActionFailed(SourceChanged) if the files are not any more what they were when the action looked `there`
    first: the beginning of a download that goes on would stand against the whole of it. Waits until they were moved and
    read. A holder that is gone by now has nothing to say."""
    await moved.wait()
    await asyncio.wait([reading])
    age = bench.clock.now() - max((one.mtime_ns for one in missing), default=0) / 1e9
    if -STILL_SECONDS < age < STILL_SECONDS:  # further ahead is no fresh file but another clock
        await asyncio.sleep(min(STILL_SECONDS, STILL_SECONDS - age))
    try:
        now = await survey(source, action.title, there)
    except (ActionFailed, HostUnreachable):
        return
    if now.whole and any(now.listing.files.get(one.path) != (one.size, one.mtime_ns) for one in missing):
        bench.rescan(action.source_volume)
        raise ActionFailed(
            f"{quoted(action.title)} on {action.source_host} changed while it was copied",
            reason="SourceChanged",
        )


async def _read(action: Copy, source: Place, files: Manifest) -> dict[str, Reading]:
    at_once = 2 if sum(one.size for one in files) > MUCH else 1
    readings: dict[str, Reading] = {}
    for part in await asyncio.gather(
        *(
            read_now(
                source.link,
                source.path,
                source.volume,
                [(in_title(action.title, one.path), one.size) for one in files[first::at_once]],
            )
            for first in range(at_once)
        )
    ):
        readings |= part
    return readings


def _known(one: FileSeen) -> bool:
    """Whether it was read as it stands."""
    return bool(one.sha256 and one.verified_at)


def _as_seen(reading: Reading | None, one: FileSeen) -> bool:
    """Whether what was read is what was then found: a file that was changed in between is read anew, and is not taken
    for one that rots."""
    return reading is not None and (reading.size, reading.mtime_ns) == (one.size, one.mtime_ns)
