"""The last evidence, kept in the store: what `why` explains from when no controller runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from telarchy.core.observation import HostEvidence, Observation
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.evidence import CustodySeen, JobSeen, TrashSeen, VolumeSeen, VolumeState
from telarchy.streaming.evidence import StreamingSeen
from telarchy.streaming.recall import from_plain, to_plain

EVIDENCE = "evidence"
"""Memory key."""


def to_memory(seen: Observation) -> dict[str, Any]:
    """Hosts, volumes and endpoints of an observation, JSON-ready; the catalogue has its own file."""
    custody: CustodySeen | None = seen.sections.get("custody")
    streaming: StreamingSeen | None = seen.sections.get("streaming")
    volumes = custody.volumes.values() if custody is not None else ()
    return {
        "hosts": [asdict(one) | {"versions": dict(one.versions)} for one in seen.hosts.values()],
        "free": dict(seen.free),
        "cutOff": seen.cut_off,
        "volumes": [asdict(one) | {"quarantined": sorted(one.quarantined)} for one in volumes],
        "fenced": custody.fenced if custody is not None else "",
        "counted": custody.counted if custody is not None else None,
        "streaming": to_plain(streaming) if streaming is not None else None,
    }


def from_memory(kept: Mapping[str, Any], catalogue: Catalogue, approved: frozenset[str]) -> Observation:
    """The observation that was kept, as if it were now. Fields of another version are left out."""
    volumes = [_volume(one) for one in kept.get("volumes", ())]
    hosts = [HostEvidence(**_known(HostEvidence, one)) for one in kept.get("hosts", ())]
    seen = CustodySeen(
        catalogue, {one.key: one for one in volumes}, kept.get("fenced", ""), counted=kept.get("counted")
    )
    return Observation(
        hosts={one.name: one for one in hosts},
        free=kept.get("free", {}),
        cut_off=bool(kept.get("cutOff")),
        sections={"custody": seen, "streaming": from_plain(kept.get("streaming") or {})},
        approved=approved,
    )


def _volume(kept: Mapping[str, Any]) -> VolumeSeen:
    known = _known(VolumeSeen, kept)
    known["state"] = VolumeState(known.get("state", VolumeState.UNKNOWN))
    known["jobs"] = tuple(JobSeen(**_known(JobSeen, one)) for one in known.get("jobs", ()))
    trash = (_known(TrashSeen, one) for one in known.get("trash", ()))
    known["trash"] = tuple(TrashSeen(**one | {"titles": tuple(one.get("titles", ()))}) for one in trash)
    known["quarantined"] = frozenset(known.get("quarantined", ()))
    for places in ("mounts", "borrowed", "hidden"):
        known[places] = tuple(known.get(places, ()))
    return VolumeSeen(**known)


def _known(kind: type[Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: kept[one.name] for one in fields(kind) if one.name in kept}
