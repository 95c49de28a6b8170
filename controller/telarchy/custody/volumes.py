"""Which volume stands where: what was found at the roots, weighed against what is known. Pure.

The id in a sentinel is the volume; a root is only where it was seen. A root remembers the id that belongs to it,
so that an empty folder under an unmounted disk is never taken for the disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from telarchy.custody.evidence import VolumeState
from telarchy.custody.looking import RootLook
from telarchy.custody.mounts import device_of

RootKey = tuple[str, str]  # host, root


@dataclass(frozen=True)
class Standing:
    """What a root is found to be. `id` is the one that belongs there and may be used as the volume's key."""

    state: VolumeState
    id: str = ""
    found: str = ""
    message: str = ""


def settle(known: Mapping[RootKey, str], looks: Mapping[RootKey, RootLook | None]) -> dict[RootKey, Standing]:
    """The state of every root in `looks` (None: nobody could look). `known`: ids by root, "" for none.

    Each id is given to one root at most, so that ids can be keys.
    """
    found: dict[str, list[RootKey]] = defaultdict(list)
    for key, look in looks.items():
        if look is not None and look.id:
            found[look.id].append(key)
    standings = {key: _one(known.get(key, ""), look) for key, look in looks.items()}
    awaited: dict[str, list[RootKey]] = defaultdict(list)
    for key, standing in standings.items():
        awaited[standing.id].append(key)
    for volume_id, places in found.items():
        if len(places) > 1:
            _conflict(volume_id, sorted(places), known, standings, awaited[volume_id])
            continue
        [place] = places
        if standings[place].id != volume_id:
            continue  # another volume belongs there: WrongId
        for other in awaited[volume_id]:
            if other != place and standings[other].id == volume_id:
                # The disk was moved, or its copy was: the place where it is seen has it.
                where = f"{place[0]}/{place[1]}"
                state = VolumeState.UNKNOWN if looks[other] is None else VolumeState.MISSING
                standings[other] = Standing(
                    state, "", "", f"its volume {volume_id[:8]} is now seen at {where}"
                )
    return standings


def borrowed(looks: Mapping[RootKey, RootLook | None]) -> dict[RootKey, tuple[str, ...]]:
    """Folders of each root where something is mounted that may be another volume's, relative to the root.

    That is whatever comes over the network or out of a program. A disk of the machine's own is such a one only where
    another declared host is this very machine, and shows it as well: then a folder may be mounted at both.
    """
    shown: dict[tuple[str, str], set[str]] = defaultdict(set)  # (run of a machine, device) -> hosts
    for (host, _), look in looks.items():
        if look is not None:
            for device in {device_of(look.device), *(one.device for one in look.mounts)} - {""}:
                shown[look.boot, device].add(host)
    found: dict[RootKey, tuple[str, ...]] = {}
    for key, look in looks.items():
        mounts = look.mounts if look is not None else ()
        boot = look.boot if look is not None else ""
        found[key] = tuple(
            one.path for one in mounts if not one.own or shown.get((boot, one.device), set()) - {key[0]}
        )
    return found


def _one(known: str, look: RootLook | None) -> Standing:
    if look is None:
        return Standing(VolumeState.UNKNOWN, known)
    if look.exists != "folder":
        what = f"{look.path} is not a folder" if look.exists else f"there is no folder {look.path}"
        return Standing(VolumeState.MISSING, known, "", what)
    if not look.readable:
        return Standing(VolumeState.UNKNOWN, known, "", f"{look.path} may not be read")
    if not look.id:
        if known and look.damaged:
            told = (
                f"{look.path}/.telarchy/volume is empty, damaged or not to be read; if this is volume {known[:8]}, "
                f'write {{"id": "{known}"}} into it'
            )
            return Standing(VolumeState.MISSING, known, "", told)
        if known:
            return Standing(
                VolumeState.MISSING, known, "", f"no sentinel of volume {known[:8]}: is the disk mounted?"
            )
        if not look.writable:
            told = f"{look.path} cannot be written to, so that nothing tells it from another folder"
            return Standing(VolumeState.NEW, "", "", told)
        return Standing(VolumeState.NEW)
    if known and look.id != known:
        return Standing(
            VolumeState.WRONG_ID, known, look.id, f"volume {look.id[:8]} stands there instead of {known[:8]}"
        )
    if not look.writable:
        return Standing(
            VolumeState.READ_ONLY, look.id, "", f"{look.path} or .telarchy in it cannot be written to"
        )
    return Standing(VolumeState.MOUNTED, look.id)


def _conflict(
    volume_id: str,
    places: list[RootKey],
    known: Mapping[RootKey, str],
    standings: dict[RootKey, Standing],
    awaited: Sequence[RootKey],
) -> None:
    shown = ", ".join(f"{host}/{root}" for host, root in places)
    message = (
        f"volume {volume_id[:8]} is seen in more than one place: {shown}; if they are one folder, declare it once; "
        "if one is a copy of the other, delete .telarchy/volume in the copy"
    )
    owner = next((place for place in places if known.get(place) == volume_id), places[0])
    for place in places:
        # Who is known to have another volume still awaits that one: it is not seen, which is not gone.
        awaits = standings[place].id if standings[place].id != volume_id else ""
        standings[place] = Standing(
            VolumeState.CONFLICT, volume_id if place == owner else awaits, volume_id, message
        )
    for other in awaited:
        if other not in places and standings[other].id == volume_id:
            standings[other] = Standing(standings[other].state, "", "", message)
