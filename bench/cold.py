"""One process, started cold: read the manifests and the store of a generated fleet, plan, and say what it took.

    python -m bench.cold FOLDER [--replan ROUNDS]

Prints one JSON object. The parent times the whole process from outside, interpreter and imports included.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import json  # noqa: E402 - the clock above runs before the imports that it times
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from telarchy.core.observation import HostEvidence, Observation  # noqa: E402
from telarchy.core.plan import Plan  # noqa: E402
from telarchy.core.world import World  # noqa: E402
from telarchy.custody.evidence import CustodySeen, VolumeSeen, VolumeState  # noqa: E402
from telarchy.custody.plan import CensusMemo, plan_custody  # noqa: E402
from telarchy.custody.terms import patterns_of  # noqa: E402
from telarchy.resources.host import Host  # noqa: E402
from telarchy.resources.loader import load_paths  # noqa: E402
from telarchy.store.catalogue import FILE, CatalogueFile  # noqa: E402

IMPORTED = time.perf_counter()

NOW = 1_800_000_000.0
GIB = 1 << 30


def world_of(folder: Path) -> World:
    loaded = load_paths([folder / "fleet.yaml"])
    if loaded.errors:
        raise SystemExit(str(loaded.errors[0]))
    return World.from_resources(one.resource for one in loaded.resources)


def observation_of(world: World, custody: CustodySeen, missing: str = "") -> Observation:
    """Every host answers, but for `missing`, which has been away for a year."""
    hosts = {
        one.name: HostEvidence(
            one.name, one.name != missing, missing_for=3.2e7 if one.name == missing else 0.0, uptime=1.0
        )
        for one in world.of(Host)
    }
    return Observation(hosts=hosts, sections={"custody": custody})


def seen_of(world: World, file: CatalogueFile) -> CustodySeen:
    catalogue = file.load()
    catalogue.set_patterns(patterns_of(world))
    volumes = {}
    for key, host in zip(sorted(catalogue.holdings), world.of(Host), strict=True):
        root = host.spec.media_roots[0]
        volumes[key] = VolumeSeen(
            host.name,
            root.name,
            root.path,
            id=key,
            state=VolumeState.MOUNTED,
            free=900 * GIB,
            total=20_000 * GIB,
            scanned=NOW,
        )
    return CustodySeen(catalogue, volumes)


def main(folder: Path, rounds: int) -> None:
    clock = time.perf_counter
    world = world_of(folder)
    read = clock()
    file = CatalogueFile(folder / "state" / FILE)
    custody = seen_of(world, file)
    loaded = clock()
    memo = CensusMemo()
    plan = plan_custody(world, observation_of(world, custody), NOW, memo=memo)
    planned = clock()
    told = {
        "import": IMPORTED - STARTED,
        "manifests": read - IMPORTED,
        "load": loaded - read,
        "plan": planned - loaded,
        "titles": len(custody.catalogue.names),
        **shape_of(plan),
    }
    if rounds:
        from bench.replan import replan

        told["replan"] = replan(world, custody, memo, rounds)
    from bench.figures import peak_rss

    told["rss"] = peak_rss()
    json.dump(told, sys.stdout)
    # What remains is the interpreter giving back its memory, piece by piece; the system does it at once.
    sys.stdout.flush()


def shape_of(plan: Plan) -> dict[str, int]:
    floor = next(status for ref, status in plan.statuses.items() if ref.kind == "CustodyFloor")
    return {
        "met": floor["met"],
        "lacking": floor["lacking"],
        "steps": len(plan.steps),
        "beyond": plan.beyond[0],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[3]) if "--replan" in sys.argv else 0)
