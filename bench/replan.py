"""Planning again after little changed, in a process that has planned before. Called by `bench.cold`."""

from __future__ import annotations

import random
import time

from bench.cold import NOW, observation_of
from telarchy.core.world import World
from telarchy.custody.evidence import CustodySeen
from telarchy.custody.manifest import FileSeen, Manifest
from telarchy.custody.plan import CensusMemo, plan_custody

CHANGED_AT_ONCE = (1, 10, 100)


def replan(world: World, custody: CustodySeen, memo: CensusMemo, rounds: int) -> dict[str, list[float]]:
    """Seconds per round: patch the catalogue as an observer would, and plan. By how many titles changed."""
    catalogue, chance, clock = custody.catalogue, random.Random(7), time.perf_counter
    volumes = sorted(catalogue.holdings)
    took: dict[str, list[float]] = {}

    started = clock()
    catalogue.names.find("")
    took["index of names, once"] = [clock() - started]

    for many in CHANGED_AT_ONCE:
        walls = took[f"{many} changed"] = []
        for number in range(rounds):
            volume = chance.choice(volumes)
            held = catalogue.holdings[volume]
            changed: dict[str, Manifest | None] = {}
            for _ in range(many):
                name = catalogue.names.name(int(held.title[chance.randrange(len(held))]))
                changed[name] = (
                    None if chance.random() < 0.5 else (FileSeen("e01.mkv", 10**9 + number, number),)
                )
            started = clock()
            catalogue.patch_volume(volume, changed, NOW)
            plan_custody(world, observation_of(world, custody), NOW, memo=memo)
            walls.append(clock() - started)

    walls = took["a host goes down"] = []
    for number in range(5):
        away = observation_of(world, custody, missing=f"host{number:02}")
        started = clock()
        plan_custody(world, away, NOW, memo=memo)
        walls.append(clock() - started)
    return took
