"""A generated fleet, written where a controller would find it: manifests in YAML, and a state folder.

    python -m bench.fleet --titles 1000000 --out FOLDER

50 hosts with one volume each, 48 of them always on; titles named like a real library's. 20 % of the titles
have one copy, 50 % two, 30 % three: 2.1 each, and a fifth of them lack one. All copies of a title agree, so
the table of file lists stays empty for them; one title in 5,000 has a holder that lacks a file, and those come
with their file lists, as they would in life.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from telarchy.custody.catalogue import ROW, Catalogue, Holdings
from telarchy.custody.manifest import FileSeen
from telarchy.custody.names import CHUNK, TitleNames
from telarchy.custody.titles import TitlePatterns
from telarchy.store.catalogue import FILE, CatalogueFile

NOW = 1_800_000_000.0
HOSTS = 50
SOMETIMES_ON = 2
SHARES = ((1, 0.2), (2, 0.5), (3, 0.3))
PATTERNS = ("tv/*/*", "films/*")
PARTIAL = 5_000  # one title in so many has a holder that lacks a file


def volume_of(host: int) -> str:
    """The sentinel id of a host's volume."""
    return f"{host:08x}-0000-4000-8000-{host:012x}"


def title_of(number: int) -> str:
    """Two thirds seasons, one third films, 30 to 40 characters each."""
    if number % 3 == 2:
        return f"films/A Film Called {number:07} ({1950 + number % 75})"
    return f"tv/The Series Named {number // 12:06}/Season {number % 12:02}"


def manifests() -> str:
    """The fleet as a person would declare it."""
    documents = [
        "kind: Fleet\nmetadata: {name: home}\nspec:\n  custody: {copies: 2, alwaysOn: 1}\n",
        "kind: CustodyFloor\nmetadata: {name: everything-twice}\nspec:\n"
        '  select: {paths: ["tv/*/*", "films/*"]}\n  copies: 2\n  alwaysOn: 1\n  verify: {every: 30d}\n',
    ]
    documents += [
        f"kind: Host\nmetadata: {{name: host{number:02}, labels: {{site: site{number % 5}}}}}\nspec:\n"
        f"  class: {'Server' if number < HOSTS - SOMETIMES_ON else 'Roamer'}\n"
        f"  alwaysOn: {'true' if number < HOSTS - SOMETIMES_ON else 'false'}\n"
        f"  connection: {{local: {{}}}}\n"
        f"  mediaRoots: [{{name: main, path: /srv/host{number:02}, reserve: 50Gi}}]\n"
        for number in range(HOSTS)
    ]
    return "---\n".join(f"apiVersion: telarchy.dev/v1alpha1\n{one}" for one in documents)


def build(titles: int, seed: int = 20) -> Catalogue:
    """The catalogue in memory."""
    chance = np.random.default_rng(seed)
    copies = chance.choice([one for one, _ in SHARES], titles, p=[share for _, share in SHARES])
    first = chance.integers(0, HOSTS, titles)
    # Steps of 1..24 and 25..49 round the ring of hosts: up to three holders, never one twice.
    second = (first + chance.integers(1, 25, titles)) % HOSTS
    third = (first + chance.integers(25, HOSTS, titles)) % HOSTS
    size = np.exp(chance.normal(np.log(4e9), 1.0, titles)).astype(np.int64)
    fingerprint = chance.integers(1, 2**63, titles).astype(np.uint64)
    content = chance.integers(1, 2**63, titles).astype(np.uint64)
    files = chance.integers(1, 25, titles).astype(np.int32)
    ids = np.arange(titles, dtype=np.int32)

    holdings = {}
    for host in range(HOSTS):
        here = (first == host) | ((second == host) & (copies > 1)) | ((third == host) & (copies > 2))
        rows = np.zeros(int(here.sum()), ROW)
        rows["title"], rows["files"], rows["bytes"] = ids[here], files[here], size[here]
        rows["fingerprint"], rows["content"] = fingerprint[here], content[here]
        rows["since"] = NOW - chance.integers(0, 3 * 365 * 86400, len(rows))
        rows["verified"] = NOW - chance.integers(0, 32 * 86400, len(rows))
        holdings[volume_of(host)] = Holdings.from_rows(rows)

    names = [title_of(number) for number in range(titles)]
    chunks = ["\0".join(names[at : at + CHUNK]).encode() for at in range(0, titles, CHUNK)]
    patterns = TitlePatterns(PATTERNS)
    sets = [patterns.marks("tv/a/b"), patterns.marks("films/a")]
    known = TitleNames(chunks, (ids % 3 == 2).astype(np.int16), sets)
    known.dirty_from = 0
    return Catalogue(names=known, holdings=holdings, patterns=patterns)


def spoil(catalogue: Catalogue, titles: int) -> None:
    """Give some titles a holder that lacks one file, with the file lists of all their holders."""
    changed: dict[str, dict[str, tuple[FileSeen, ...] | None]] = {}
    for number in range(0, titles, PARTIAL):
        whole = tuple(
            FileSeen(f"e{at:02}.mkv", 300_000_000 + at, 1_700_000_000_000_000_000) for at in range(8)
        )
        for nth, volume in enumerate(sorted(catalogue.holders(number))):
            changed.setdefault(volume, {})[title_of(number)] = whole if nth == 0 else whole[:-1]
    for volume, ones in changed.items():
        catalogue.patch_volume(volume, ones, NOW - 1e6)


def write(titles: int, folder: Path) -> None:
    """`folder/fleet.yaml` and `folder/state/catalogue.sqlite`."""
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    (folder / "fleet.yaml").write_text(manifests())
    built = build(titles)
    file = CatalogueFile(state / FILE)
    built.manifests = file.load().manifests
    spoil(built, titles)
    built.unsaved |= built.holdings.keys()
    file.save(built)
    file.close()
    copies = sum(len(one) for one in built.holdings.values())
    (folder / "shape.json").write_text(json.dumps({"titles": titles, "hosts": HOSTS, "copies": copies}))


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--titles", type=int, required=True)
    asked.add_argument("--out", type=Path, required=True)
    given = asked.parse_args()
    write(given.titles, given.out)
