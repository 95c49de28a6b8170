"""Verify: read every file of a copy where it lies and compare with what was recorded.

Runs as a job on the holder, so that it goes on when the controller does not. What an interrupted run had read
is taken over, and only the rest is read. A host with b3sum takes a BLAKE3 along with the SHA-256, and later reads by
that alone what is as it was then: there SHA-256 may be slower than the disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from telarchy.core.capability import Report
from telarchy.core.observation import Progress
from telarchy.core.words import quoted
from telarchy.custody import shell
from telarchy.custody.actions import Verify
from telarchy.custody.digests import (
    LARGE,
    Reading,
    Verdict,
    in_title,
    judge,
    parse_readings,
    proven,
    require_all,
)
from telarchy.custody.manifest import Manifest
from telarchy.custody.mounts import lost_mount
from telarchy.custody.survey import Place, TitleNow, survey
from telarchy.custody.workbench import Workbench
from telarchy.custody.working import carry_out
from telarchy.errors import ActionFailed, TelarchyError
from telarchy.links import jobs
from telarchy.links.jobs import JobSpec, JobState

LEFT_OVER_SECONDS = 24 * 3600.0  # older readings are not taken over


async def verify(bench: Workbench, action: Verify, report: Report) -> Verdict:
    """Read a copy again and record what was found.

    A damaged file is not a failure of this action but its result. Raises ActionFailed (Changed when files moved
    under the reading, VolumeGone…), HostUnreachable, SafetyRefusal.
    """
    bench.writer()
    place = await bench.place_to_change(action)
    report(Progress("looking", 0, action.bytes))
    now = await survey(place, action.title)
    require_mounted(bench, action.volume, action.title, now)
    recorded = bench.note_title(action.volume, action.title, now.manifest)
    if now.kind in ("none", "alias"):
        raise ActionFailed(f"{quoted(action.title)} is no longer on {place.host}", reason="Changed")
    folder = jobs.job_folder(place.path, action.id)
    begun, readings, running = await _left_over(bench, place, action, recorded)
    record(bench, action.volume, action.title, recorded, judge(action.title, recorded, readings), begun)
    rest = recorded if running else _without(recorded, action.title, readings)
    if rest:
        if not running:
            begun = bench.clock.now()
        job = _job(action, place, folder, rest, begun, total=sum(one.size for one in recorded))
        report(Progress("reading", action.bytes - sum(one.size for one in rest), action.bytes))
        failure: TelarchyError | None = None
        try:
            await carry_out(place, job, lambda _: None, bench.detached)
        except TelarchyError as trouble:
            failure = trouble
        # What was read until now counts, however it ended; the rest is read next time.
        with suppress(*((TelarchyError,) if failure else ())):
            fresh = parse_readings(await jobs.output(place.link, folder))
            if running:  # it may have read a file before that became what was found here
                fresh = _as_they_are(fresh, action.title, recorded)
            record(bench, action.volume, action.title, recorded, judge(action.title, recorded, fresh), begun)
            readings |= fresh
        if failure is not None:
            raise failure
    with suppress(ActionFailed):
        await jobs.remove(place.link, folder)
    whole = judge(action.title, recorded, readings)
    unread = [one.path for one in _without(recorded, action.title, readings)]
    if whole.changed or unread:
        bench.rescan(action.volume)
    whole.changed.update(unread)
    require_all(action.title, whole, place.host)
    return whole


def require_mounted(bench: Workbench, volume: str, title: str, now: TitleNow) -> None:
    """Raises ActionFailed(VolumeGone) where a title is not to be seen because what was mounted below the root is not:
    what lies there is unknown then, and not gone."""
    seen = bench.volume(volume)
    if lost := lost_mount(title, seen.mounts, now.mounts):
        raise ActionFailed(
            f"{quoted(title)} on {seen.host} cannot be seen: what was mounted at {quoted(lost)} is not there",
            reason="VolumeGone",
        )


def record(bench: Workbench, volume: str, title: str, judged: Manifest, verdict: Verdict, at: float) -> None:
    """Put a verdict into the catalogue. `judged`: what it was about; `at`: when the reading began.

    What has become another file meanwhile, by a look of somebody else's, is left out: it would have the digest of the
    file that was there before, and be called damaged by the next who reads it.
    """
    now = bench.catalogue.manifest(volume, title)
    if [one[:3] for one in now] != [one[:3] for one in judged]:  # path, size, mtime
        known = {one.path: one[:3] for one in now}
        same = {one.path for one in judged if known.get(one.path) == one[:3]}
        verdict = Verdict(
            {path: digest for path, digest in verdict.good.items() if path in same},
            {path: digest for path, digest in verdict.blake3.items() if path in same},
            verdict.damaged & same,
            verdict.changed,
            verdict.found,
        )
    if verdict.good or verdict.damaged:
        bench.catalogue.record_digests(
            volume, title, verdict.good, verdict.damaged, at, verdict.blake3, verdict.found
        )
        bench.save()


async def _left_over(
    bench: Workbench, place: Place, action: Verify, recorded: Manifest
) -> tuple[float, dict[str, Reading], bool]:
    """What an earlier run of the same action left: when it began, what it read of the files as they are now,
    and whether it still runs."""
    folder = jobs.job_folder(place.path, action.id)
    found = next(
        (one for one in await jobs.status(place.link, folder.rsplit("/", 1)[0]) if one.id == action.id), None
    )
    begun = found.spec.get("begun") if found is not None else None
    if found is None or not isinstance(begun, float | int):
        return bench.clock.now(), {}, False
    if found.state is JobState.RUNNING:
        return float(begun), {}, True
    if not 0 <= bench.clock.now() - begun < LEFT_OVER_SECONDS:
        await jobs.remove(place.link, folder)
        return bench.clock.now(), {}, False
    readings = parse_readings(await jobs.output(place.link, folder))
    await jobs.remove(place.link, folder)
    return float(begun), _as_they_are(readings, action.title, recorded), False


def _as_they_are(readings: Mapping[str, Reading], title: str, recorded: Manifest) -> dict[str, Reading]:
    """The readings of files that are still what they were when they were read."""
    now = {in_title(title, one.path): one for one in recorded}
    return {
        path: reading
        for path, reading in readings.items()
        if (one := now.get(path)) is not None
        and (one.size, one.mtime_ns) == (reading.size, reading.mtime_ns)
        and proven(one, reading)
    }


def _without(recorded: Manifest, title: str, readings: Mapping[str, Reading]) -> Manifest:
    return tuple(one for one in recorded if in_title(title, one.path) not in readings)


def _job(action: Verify, place: Place, folder: str, rest: Manifest, begun: float, *, total: int) -> JobSpec:
    return JobSpec(
        id=action.id,
        folder=folder,
        script=shell.script("fence", "verify"),
        args=(shell.script("batch"), place.path, place.volume, folder),
        files=_lists(action.title, rest),
        spec={"verb": action.verb, "title": action.title, "total": total, "begun": begun},
    )


def _lists(title: str, files: Manifest) -> dict[str, bytes]:
    """The lists of verify.sh: what is to be read by the handful and what by itself, each without and with a BLAKE3 to
    compare with (in front of the file)."""
    lists: dict[str, list[str]] = {name: [] for name in ("small", "large", "small-known", "large-known")}
    for one in files:
        size = "small" if one.size < LARGE else "large"
        path = f"./{in_title(title, one.path)}"
        if one.blake3 and one.sha256:
            lists[f"{size}-known"] += one.blake3, path
        else:
            lists[size].append(path)
    return {name: shell.nul_list(words) for name, words in lists.items()}
