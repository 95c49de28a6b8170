"""What takes something away: surplus copies to the trash, expired trash for good, damaged files to quarantine.

Each looks again at the moment of acting. Doubt ends in SafetyRefusal, and then nothing was done.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from telarchy.core.action import stable_id
from telarchy.core.capability import Report
from telarchy.core.observation import Progress
from telarchy.core.words import quoted
from telarchy.custody import shell
from telarchy.custody.actions import ExpireTrash, Quarantine, Trim
from telarchy.custody.digests import in_title, judge, read_now, require_all
from telarchy.custody.evidence import VolumeState
from telarchy.custody.lease import Writer
from telarchy.custody.looking import parse_look
from telarchy.custody.manifest import FileSeen, Manifest, fingerprint
from telarchy.custody.proof import FRESH_SECONDS, LAST_COPY, LEASE_SECONDS, FloorProof, VerifiedCopy
from telarchy.custody.survey import Place, TitleNow, parse_title, survey
from telarchy.custody.verifying import record, require_mounted
from telarchy.custody.workbench import Workbench
from telarchy.custody.working import to_its_end
from telarchy.errors import ActionFailed, HostUnreachable, SafetyRefusal


async def trim(bench: Workbench, action: Trim, report: Report) -> None:
    """Move a surplus copy to the trash of its volume, with a proof made now.

    Raises SafetyRefusal(last-copy) on any doubt, ActionFailed, HostUnreachable.
    """
    writer = bench.writer()
    victim = await bench.place_to_change(action)
    places = {key: await bench.place(key) for key in sorted(action.keepers) if key != action.volume}
    report(Progress("verifying", 0, action.bytes))
    for key, place in places.items():
        await _read_if_stale(bench, key, place, action.title, within=FRESH_SECONDS - 3600)
    # What goes was read as it lies, however long ago: another version of the same length is nowhere else.
    await _read_if_stale(bench, action.volume, victim, action.title, within=math.inf)
    if any(one.damaged for one in bench.catalogue.manifest(action.volume, action.title)):
        raise ActionFailed(
            f"{quoted(action.title)} on {victim.host} is damaged, or was edited: that is seen to before it goes",
            reason="Damaged",
        )
    report(Progress("proving", 0, action.bytes))
    leased: list[Place] = []
    try:
        asked_at = time.monotonic()
        keepers = []
        # Always in the same order, so that two removals cannot wait for each other.
        for key, place in sorted(places.items(), key=lambda pair: (pair[1].host, pair[0])):
            seen = await _lease(place, writer, action.title, leased)
            host = bench.hosts.get(place.host)
            keepers.append(
                VerifiedCopy.show(
                    volume=key,
                    host=place.host,
                    domain=bench.domain(place.host),
                    always_on=host is not None and host.spec.always_on,
                    recorded=bench.catalogue.manifest(key, action.title),
                    seen_now=_whole(seen, place.host, action.title),
                    now=bench.clock.now(),
                    asked_at=asked_at,
                )
            )
        # A lease on the victim makes it nobody else's keeper: two removals cannot count on each other.
        listed = _whole(await _lease(victim, writer, action.title, leased), victim.host, action.title)
        leaving = bench.catalogue.manifest(action.volume, action.title)
        if fingerprint(listed) != action.fingerprint or [one[:3] for one in listed] != [
            one[:3]
            for one in leaving  # path, size, mtime
        ]:
            raise SafetyRefusal(
                LAST_COPY, f"{quoted(action.title)} on {victim.host} is not what was planned with"
            )
        proof = FloorProof(
            victim=action.volume,
            victim_domain=bench.domain(victim.host),
            leaving=leaving,
            keepers=keepers,
            floor=action.floor,
            always_on=action.always_on,
        )
        await to_its_end(_to_trash(bench, victim, writer, action, proof), bench.detached)
    finally:
        await to_its_end(_release(leased, writer, action.title), bench.detached)


async def _to_trash(bench: Workbench, victim: Place, writer: Writer, action: Trim, proof: FloorProof) -> None:
    """The one door to the trash."""
    proof.check(action.volume, time.monotonic())
    await _aside(victim, writer, "trash", action.id, action.title, ())
    bench.patch(action.volume, action.title, ())
    bench.save()


async def _read_if_stale(bench: Workbench, key: str, place: Place, title: str, *, within: float) -> None:
    """Digest the files of a copy that were not read as they are, or not within so many seconds, and record it."""
    now = await survey(place, title)
    require_mounted(bench, key, title, now)
    recorded = bench.note_title(key, title, _whole(now, place.host, title))
    begun = bench.clock.now()
    stale = tuple(
        one
        for one in recorded
        if one.damaged or not one.sha256 or not one.verified_at or not 0 <= begun - one.verified_at < within
    )
    if stale:
        files = [(in_title(title, one.path), one.size) for one in stale]
        verdict = judge(title, stale, await read_now(place.link, place.path, place.volume, files))
        record(bench, key, title, stale, verdict, begun)
        require_all(title, verdict, place.host)


def _whole(seen: TitleNow, host: str, title: str) -> Manifest:
    if not seen.whole or seen.kind not in ("file", "folder"):
        raise SafetyRefusal(LAST_COPY, f"{quoted(title)} on {host} cannot be seen as a whole")
    if seen.on_another_file_system(title):
        raise SafetyRefusal(
            LAST_COPY,
            f"{quoted(title)} on {host} lies on a file system that is mounted below its root, and may be the same "
            "folder as another copy; declare that one as a media root of its own",
        )
    return seen.manifest


async def _lease(place: Place, writer: Writer, title: str, leased: list[Place]) -> TitleNow:
    done = await shell.run(
        place.link,
        ("fence", "list", "lease"),
        [
            shell.script("batch"),
            place.path,
            place.volume,
            *writer.args,
            stable_id(title),
            str(LEASE_SECONDS),
            title,
        ],
    )
    leased.append(place)
    return parse_title(done.stdout, place.host)


async def _release(leased: Sequence[Place], writer: Writer, title: str) -> None:
    for place in leased:
        # A lease that cannot be given back runs out by itself.
        with suppress(ActionFailed, HostUnreachable):
            await shell.run(
                place.link, ("release",), [place.path, stable_id(title), str(writer.epoch)], within=10.0
            )


async def _aside(
    place: Place, writer: Writer, where: str, entry: str, title: str, files: Sequence[str]
) -> None:
    await shell.run(
        place.link,
        ("fence", "aside"),
        [place.path, place.volume, *writer.args, where, entry, title, json.dumps(title)],
        stdin=shell.nul_list(files),
    )


async def quarantine(bench: Workbench, action: Quarantine, report: Report) -> None:
    """Set damaged files aside, once a good copy of each was read again just now.

    Raises SafetyRefusal(last-copy) when no keeper has a good copy of one of them: then it stays where it is, as
    the last source. Files that turn out to be good are recorded as such and left alone.
    """
    writer = bench.writer()
    place = await bench.place_to_change(action)
    report(Progress("verifying", 0, action.bytes))
    begun = bench.clock.now()
    here = await survey(place, action.title)
    require_mounted(bench, action.volume, action.title, here)
    if here.on_another_file_system(action.title):
        raise ActionFailed(
            f"{quoted(action.title)} on {place.host} lies on a file system that is mounted below its root, where "
            "nothing is taken away; declare that one as a media root of its own",
            reason="OtherFileSystem",
        )
    noted = bench.note_title(action.volume, action.title, here.manifest)
    recorded = {one.path: one for one in noted}
    wanted = [recorded[path] for path in action.paths if path in recorded]
    mine = await _readings(place, action.title, wanted)
    good: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for key in action.keepers:
        lacking = {one.path for one in wanted} - good.keys()
        if lacking and key != action.volume:
            found = await _good_digests(bench, key, action.title, lacking, recorded)
            good |= found
            sizes |= {
                one.path: one.size for one in bench.catalogue.manifest(key, action.title) if one.path in found
            }
    fine = {path: sha256 for path, sha256 in mine.items() if sha256 and good.get(path) == sha256}
    if fine:
        bench.catalogue.record_digests(action.volume, action.title, fine, (), begun)
    bad = [one.path for one in wanted if one.path not in fine]
    lost = [path for path in bad if path not in good]
    if lost:
        raise SafetyRefusal(
            LAST_COPY,
            f"no keeper has a good {quoted(in_title(action.title, lost[0]))}; the damaged one stays",
        )
    for path in bad:
        # An empty file is what a crash leaves. One of another length somebody has put there: two versions, then.
        if not recorded[path].damaged and recorded[path].size not in (0, sizes.get(path, 0)):
            raise ActionFailed(
                f"{quoted(in_title(action.title, path))} on {place.host} became another file meanwhile",
                reason="Changed",
            )
    if bad:
        report(Progress("moving", 0, action.bytes))
        await to_its_end(_to_quarantine(bench, place, writer, action, recorded, bad), bench.detached)
    bench.save()


async def _to_quarantine(
    bench: Workbench,
    place: Place,
    writer: Writer,
    action: Quarantine,
    recorded: Mapping[str, FileSeen],
    bad: Sequence[str],
) -> None:
    await _aside(place, writer, "quarantine", action.id, action.title, bad)
    left = tuple(one for path, one in recorded.items() if path not in bad)
    bench.patch(action.volume, action.title, left)


async def _readings(place: Place, title: str, files: Sequence[FileSeen]) -> dict[str, str]:
    names = [(in_title(title, one.path), one.size) for one in files]
    readings = await read_now(place.link, place.path, place.volume, names)
    return {
        one.path: reading.sha256
        for one in files
        if (reading := readings.get(in_title(title, one.path))) is not None
    }


async def _good_digests(
    bench: Workbench, key: str, title: str, paths: set[str], damaged: dict[str, FileSeen]
) -> dict[str, str]:
    """Digests of those files that a keeper has good right now: as recorded there, and as recorded of the damaged."""
    place = await bench.place(key)
    begun = bench.clock.now()
    there = await survey(place, title)
    require_mounted(bench, key, title, there)
    recorded = bench.note_title(key, title, there.manifest)
    held = [one for one in recorded if one.path in paths and not one.damaged]
    read = await _readings(place, title, held)
    good = {}
    for one in held:
        digest = read.get(one.path, "")
        # The damaged one's record speaks only while its size is still the recorded one's.
        expected = {one.sha256, damaged[one.path].sha256 if damaged[one.path].size == one.size else ""} - {""}
        if digest and expected <= {digest}:
            good[one.path] = digest
    bench.catalogue.record_digests(key, title, good, (), begun)
    return good


async def expire_trash(bench: Workbench, action: ExpireTrash, report: Report) -> None:
    """Delete folders of a volume's trash that are old enough by the holder's own clock, looked at once more.

    Raises SafetyRefusal when one is not, or when it may hold the last that is left of a title.
    """
    writer = bench.writer()
    place = await bench.place_to_change(action)
    report(Progress("looking"))
    done = await shell.run(
        place.link, ("fence", "look"), ["read", "0", "-", "-", "0", place.path, place.volume]
    )
    found = parse_look(done.stdout)
    trash = {one.entry: one for one in found[0].trash} if found and found[0].id == place.volume else {}
    watched = {one.entry: one.age for one in bench.volume(action.volume).trash}
    keep = bench.policy.trash.keep.seconds
    entries = [entry for entry in action.entries if entry in trash]
    for entry in entries:
        if min(trash[entry].age, watched.get(entry, 0.0)) < keep:
            raise SafetyRefusal("trash", f"{entry} has not lain in the trash of {place.path} for long enough")
        if not trash[entry].titles:
            raise SafetyRefusal("trash", f"nothing tells which title lies in {entry} of {place.path}")
        for title in trash[entry].titles:
            await _still_somewhere(bench, title, entry)
    if entries:
        await shell.run(
            place.link,
            ("fence", "expire"),
            [place.path, place.volume, *writer.args, "trash", *entries],
            within=None,
        )


async def _still_somewhere(bench: Workbench, title: str, entry: str) -> None:
    for key, seen in bench.volumes.items():
        if seen.state not in (VolumeState.MOUNTED, VolumeState.READ_ONLY):
            continue
        if not bench.catalogue.manifest(key, title):
            continue
        with suppress(ActionFailed, HostUnreachable):
            now = await survey(await bench.place(key), title)
            if now.kind in ("file", "folder") and now.manifest:
                return
    raise SafetyRefusal(
        LAST_COPY, f"{entry} may hold the last copy of {quoted(title)}: no host shows another one now"
    )
