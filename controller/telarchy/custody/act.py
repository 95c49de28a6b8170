"""Doing: one function per kind of action, found by its type. Every one looks again before it changes anything."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from contextlib import suppress

from telarchy.core.action import Action
from telarchy.core.capability import Report
from telarchy.core.words import quoted, rfc3339
from telarchy.custody import shell
from telarchy.custody.actions import (
    AdoptVolume,
    CancelJob,
    Copy,
    ExpireTrash,
    Forget,
    Quarantine,
    Trim,
    Verify,
)
from telarchy.custody.copying import copy, sweep_staging
from telarchy.custody.observe import Observer
from telarchy.custody.removal import expire_trash, quarantine, trim
from telarchy.custody.verifying import verify
from telarchy.custody.workbench import Workbench
from telarchy.errors import ActionFailed, SafetyRefusal
from telarchy.links import jobs

STAGING_KEPT = 24 * 3600.0  # a staging folder that nothing wants stays this long, to be gone on from


async def act(bench: Workbench, observer: Observer, fleet: str, action: Action, report: Report) -> None:
    """Carry out one of custody's actions. Raises ActionFailed, HostUnreachable, SafetyRefusal."""
    try:
        match action:
            case Copy():
                await copy(bench, action, report)
            case Verify():
                await verify(bench, action, report)
            case Quarantine():
                await quarantine(bench, action, report)
            case Trim():
                await trim(bench, action, report)
            case ExpireTrash():
                await expire_trash(bench, action, report)
            case AdoptVolume():
                await adopt_volume(bench, observer, fleet, action)
            case CancelJob():
                await cancel_job(bench, action)
            case Forget():
                forget(bench, action)
            case _:
                raise ActionFailed(
                    f"custody does not know how to {action}", reason="UnknownAction", transient=False
                )
    except SafetyRefusal as refusal:
        if refusal.rule == "single-writer" and bench.lease.epoch:
            # The host is right about its own lease file: stop at once, and look who has it.
            bench.lease.lost(str(refusal))
            observer.look_soon()
        raise
    except ActionFailed as failure:
        if failure.reason in ("VolumeGone", "ReadOnly", "NoSpace", "Changed", "SourceChanged"):
            for key in (getattr(action, "volume", ""), getattr(action, "source_volume", "")):
                observer.rescan(key)
        raise


async def adopt_volume(bench: Workbench, observer: Observer, fleet: str, action: AdoptVolume) -> None:
    """Write the sentinel of a root that has none (or whose volume a person gave up) and remember its id."""
    writer = bench.writer()
    link = await bench.links.link(action.host)
    line = json.dumps({"id": secrets.token_hex(16), "created": rfc3339(bench.clock.now()), "fleet": fleet})
    # What stands there when a volume is replaced may be another volume, whose id then counts from now on.
    found = next((v.found for v in bench.volumes.values() if v.id and v.id == action.replaces), "")
    done = await shell.run(
        link, ("fence", "adopt"), [action.path, action.replaces if not found else "", *writer.args, line]
    )
    volume_id = shell.text(done.stdout)
    if len(volume_id) != 32:
        raise ActionFailed(
            f"{action.host}: no sentinel could be written at {action.path}", reason="NotAdopted"
        )
    observer.adopted(action.host, action.root, volume_id)
    bench.save()


async def cancel_job(bench: Workbench, action: CancelJob) -> None:
    """Stop a job that nothing wants. What it staged stays for a day."""
    bench.writer()
    place = await bench.place_to_change(action)
    folder = jobs.job_folder(place.path, action.job)
    await jobs.cancel(place.link, folder)
    await jobs.remove(place.link, folder)
    bench.rescan(action.volume)


def forget(bench: Workbench, action: Forget) -> None:
    """Strike a title off the record. Raises SafetyRefusal if some volume holds it after all."""
    holders = [key for key in bench.volumes if bench.catalogue.manifest(key, action.title)]
    if holders:
        raise SafetyRefusal("last-copy", f"{quoted(action.title)} is on {holders[0]} after all")
    bench.catalogue.forget(action.title)
    bench.save()


async def sweep(bench: Workbench, key: str, staged: dict[str, float], wanted: Collection[str]) -> None:
    """Remove staging and job folders of a volume that no action wants any more and that are older than a day."""
    writer = bench.lease.writer
    seen = bench.volumes.get(key)
    if writer is None or seen is None:
        return
    running = {job.action for job in seen.jobs if job.state == "Running"}
    stale = [
        action
        for action, age in staged.items()
        if age > STAGING_KEPT and action not in wanted and action not in running
    ]
    left = [
        job.action
        for job in seen.jobs
        if job.state != "Running" and job.action not in wanted and job.action not in staged
    ]
    if not stale and not left:
        return
    place = await bench.place(key)
    if stale:
        await sweep_staging(place, writer, stale)
    for action in (*stale, *left):
        with suppress(ActionFailed):
            await jobs.remove(place.link, jobs.job_folder(place.path, action))
