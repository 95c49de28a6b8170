"""Copying by the engine beside bare rsync, on the same pair: two folders of this machine, and two lab hosts by ssh.

The engine's time is that of the whole action on a title whose source it has to read: look at both ends, move, digest
at the source and at the target, sync, commit, record. `known` is the same where the source's digests are recorded, as
they are once a title was copied or verified. The peer's is `rsync -a` of the same folder, without any of
that; `with sync` is the same with `sync -f` behind it, since the engine ends with its bytes on the disk.

The two take turns. Before every run the target is emptied and synced and the source is read once, so that both find
the same page cache.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Row, median, seconds

LARGE_BYTES = 2_000_000_000
SMALL_FILES, SMALL_BYTES = 10_000, 20_000
RUNS = 3
LARGE, SMALL = "films/Large", "films/Small"
BOUNDS = {LARGE: 0.95, SMALL: 0.9}
SHOWN = {
    LARGE: f"one file of {LARGE_BYTES / 1e9:.0f} GB",
    SMALL: f"{SMALL_FILES:,} files of {SMALL_BYTES // 1000} kB",
}

FILL = f"""set -e
mkdir -p {LARGE} {SMALL}
head -c {LARGE_BYTES} /dev/urandom >{LARGE}/film.mkv
for folder in 0 1 2 3 4 5 6 7 8 9; do
    mkdir -p {SMALL}/$folder
    head -c {SMALL_FILES // 10 * SMALL_BYTES} /dev/urandom | split -b {SMALL_BYTES} -a 4 -d - {SMALL}/$folder/f
done
find films -exec touch -d 2024-01-01 {{}} +
"""
WARM = "mkdir -p films/Warm && echo warm >films/Warm/film.mkv\n"


@dataclass
class Pair:
    """Two ends, and the two ways between them. Times in seconds.

    shell:   run a line at the target (True) or the source (False), in the media root
    login:   run a line at the target in its media root, as one who logs in there would
    engine:  copy a title by an engine that has never seen the source's digests
    peer:    rsync command, to be run at the target in its media root, for a title
    """

    name: str
    shell: Callable[[str, bool], None]
    login: Callable[[str], Awaitable[None]]
    engine: Callable[[str], Awaitable[float]]
    peer: Callable[[str], str]
    stamp: int = 1_700_000_000

    async def measure(self, title: str) -> dict[str, list[float]]:
        took: dict[str, list[float]] = {"engine": [], "known": [], "rsync": [], "rsync with sync": []}
        peer = self.peer(title)
        for _ in range(RUNS):
            for way, walls in took.items():
                await asyncio.to_thread(self._prepare, title, known=way == "known")
                if way in ("engine", "known"):
                    walls.append(await self.engine(title))
                    continue
                line = f"mkdir -p {title} && {peer}" + (" && sync -f ." if way != "rsync" else "")
                started = time.perf_counter()
                await self.login(line)
                walls.append(time.perf_counter() - started)
        return took

    def _prepare(self, title: str, *, known: bool = False) -> None:
        self.shell(f"rm -rf {title} && sync -f .", True)
        # Another mtime makes the engine read the source anew, as it would a title it has never copied; an old
        # one, since it waits for a file that was written a moment ago to hold still.
        self.stamp += not known
        self.shell(
            f"find {title} -type f -exec touch -d @{self.stamp} {{}} + -exec cat {{}} + >/dev/null", False
        )


def run() -> list[Row]:
    from telarchy.runtime.garbage import spare_what_stays

    spare_what_stays()  # as `telarchy run` does
    return asyncio.run(_local()) + asyncio.run(_ssh())


async def _rows(pair: Pair) -> list[Row]:
    rows = []
    for title in (LARGE, SMALL):
        took = await pair.measure(title)
        engine, known, bare, synced = (median(took[way]) for way in took)
        rows.append(
            Row(
                "copy",
                f"{pair.name}, {SHOWN[title]}, rsync : engine",
                f"{bare / engine:.2f}",
                f"≥ {BOUNDS[title]}",
                bare / engine >= BOUNDS[title],
                f"{seconds(bare)} : {seconds(engine)}; rsync with sync {seconds(synced)} "
                f"({synced / engine:.2f}); source known {seconds(known)} ({bare / known:.2f}); n {RUNS}",
            )
        )
    return rows


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """A fresh file system in the folder, for root. On one that was in use for long, to make a file takes 0.06 or
    0.6 ms, as it happens, for whoever makes it."""
    if os.geteuid() != 0:
        yield folder
        return
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    subprocess.run(["truncate", "-s", str(4 * LARGE_BYTES), image], check=True)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


async def _local() -> list[Row]:
    from tests.unit.custody.fleet import LocalFleet

    if shutil.which("rsync") is None:
        return [Row("copy", "local: skipped", "", note="rsync is not installed")]
    with (
        tempfile.TemporaryDirectory(prefix="telarchy-copy-", dir="/var/tmp") as name,
        _disk(Path(name)) as folder,
    ):
        fleet = LocalFleet(folder)

        def shell(line: str, target: bool) -> None:
            subprocess.run(["sh", "-c", line], cwd=folder / ("b" if target else "a"), check=True)

        async def engine(title: str) -> float:
            await fleet.look()
            action = fleet.copy(title)
            started = time.perf_counter()
            await fleet.act(action)
            return time.perf_counter() - started

        async def login(line: str) -> None:
            await asyncio.to_thread(shell, line, True)

        def peer(title: str) -> str:
            return f"rsync -a {folder}/a/{title}/ {title}/"

        await asyncio.to_thread(shell, FILL, False)
        return await _rows(Pair("two folders", shell, login, engine, peer))


async def _ssh() -> list[Row]:
    from tests.lab.lab import Lab
    from tests.lab.readiness import missing_prerequisites

    if missing := missing_prerequisites():
        return [Row("copy", "two hosts by ssh: skipped", "", note="; ".join(missing))]
    from tests.lab.test_custody_copy import MEDIA, custody_of

    spare = (LARGE_BYTES + SMALL_FILES * SMALL_BYTES) // 1_000_000 * 3 // 2 + 300
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="telarchy-copy-") as name:
        source, target = lab.hosts("nas", "vps", volumes={MEDIA: spare})
        key = "/home/media/.bench-key"
        target.write(key, lab.client_key.read_bytes(), mode="600")

        def shell(line: str, at_target: bool) -> None:
            host = target if at_target else source
            host.run(f"cd {MEDIA} && {line}", "media", timeout=900.0)

        def peer(title: str) -> str:
            ssh = f"ssh -F none -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
            return f"rsync -a -e '{ssh}' media@{source.address}:{MEDIA}/{title}/ {title}/"

        await asyncio.to_thread(shell, FILL + WARM, False)
        async with custody_of(Path(name) / "engine", lab, source, target) as fleet:

            async def engine(title: str) -> float:
                await fleet.look()
                action = fleet.copy("nas", "vps", title)
                started = time.perf_counter()
                await fleet.act(action)
                return time.perf_counter() - started

            async def login(line: str) -> None:
                # By ssh and not by `shell`, whose processes have a share of the processors beside the host's own.
                link = await fleet.pool.link("vps")
                done = await link.run(["sh", "-c", f"cd {MEDIA} && {line}"], timeout=900.0)
                assert done.ok, done.complaint

            await engine("films/Warm")  # the way between the two is arranged once, and stays
            return await _rows(Pair("two hosts by ssh", shell, login, engine, peer))
