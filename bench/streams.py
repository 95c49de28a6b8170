"""What watching live streams costs the controller: the real one over endpoints that exist in memory.

    python -m bench.streams ENDPOINTS SECONDS        (the measured process; prints one JSON object)

Everything is real but the links: manifests in a folder, store, loop, probes, reports as `watch.sh` writes them (of an
origin twice in a segment, of an edge once; viewers come and go), plans, statuses. What the hosts would do, the making
of reports, is taken off.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bench.figures import Row, child_environment, mebibytes
from bench.idle import _cpu, _rss
from bench.simulated import SimulatedLink, SimulatedPool

ENDPOINTS = 200
SECONDS = 60.0
WARM_SECONDS = 15.0
MOST_SHARE = 0.10
RENDITIONS = ("720p", "360p")
TARGET = 2
WINDOW = 6
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def run() -> list[Row]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.streams", str(ENDPOINTS), str(SECONDS)],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
    )
    if done.returncode:
        raise RuntimeError(f"bench.streams failed: {done.stderr.strip()[-800:]}")
    told = json.loads(done.stdout)
    return [
        Row(
            "watch-200",
            f"{ENDPOINTS} live endpoints, share of a core",
            f"{told['share'] * 100:.2f} %",
            "≤ 10 %",
            told["share"] <= MOST_SHARE,
            f"{SECONDS:.0f} s, {told['reports'] / SECONDS:.0f} reports and {told['rounds'] / SECONDS:.1f} rounds a "
            f"second; {mebibytes(told['rss'])}; live after {told['settled']:.0f} s",
        )
    ]


def manifests(count: int) -> str:
    """Half of them origins, half edges of those; a stream for each origin."""
    documents = []
    for number in range(count // 2):
        mine = f"live{number:03}"
        for role in ("origin", "edge"):
            documents.append(
                f"kind: Host\nmetadata: {{name: {role}{number:03}}}\nspec:\n  class: Server\n  alwaysOn: true\n"
                f'  connection: {{ssh: {{endpoints: ["media@{role}{number:03}.example"], hostKey: "{_KEY}"}}}}\n'
            )
        documents.append(
            f"kind: Stream\nmetadata: {{name: {mine}, labels: {{of: {mine}}}}}\nspec:\n  ingest: {{rtmp: {{}}}}\n"
            "  renditions:\n  - {name: 720p, height: 720, videoBitrate: 2500k}\n"
            "  - {name: 360p, height: 360, videoBitrate: 600k}\n"
        )
        selector = f"streamSelector: {{matchLabels: {{of: {mine}}}}}"
        documents.append(
            f"kind: MediaEndpoint\nmetadata: {{name: origin{number:03}}}\n"
            f"spec: {{role: Origin, hostRef: origin{number:03}, {selector}}}\n"
        )
        documents.append(
            f"kind: MediaEndpoint\nmetadata: {{name: edge{number:03}}}\n"
            f"spec: {{role: Edge, hostRef: edge{number:03}, {selector}, "
            f"sources: [{{endpointRef: origin{number:03}}}]}}\n"
        )
    return "---\n".join(f"apiVersion: telarchy.dev/v1alpha1\n{one}" for one in documents)


class LiveLink(SimulatedLink):
    """A host with one endpoint that has all that is put there, and plays."""

    reports = 0
    making = 0.0  # seconds: what a host would do

    def __init__(self, host: str, number: int, hosts: int) -> None:
        super().__init__(host, number, hosts)
        self._random = random.Random(number)
        self._services: dict[str, tuple[str, str, float]] = {}
        self._keys = b""
        self._generation = ""
        self._stream = f"live{host[-3:]}"
        self._since = time.time()

    async def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = 60.0):  # type: ignore[no-untyped-def]
        from telarchy.links.link import Completed

        name = argv[3] if len(argv) > 3 else ""
        if name == "service-put":
            service, digest, start = argv[9], argv[11], argv[12]
            self._services[service] = (digest, start, time.time())
            found = re.search(rb"spool/[a-z0-9]+/(g[0-9]+-[0-9a-f]{8})/", stdin)
            self._generation = found[1].decode() if found else self._generation
            return Completed(0, b"started\n", b"")
        if name == "service-put-file":
            import hashlib

            self._keys = hashlib.sha256(stdin).hexdigest().encode()
            return Completed(0, b"", b"")
        return await super().run(argv, stdin=stdin, timeout=timeout)

    async def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> AsyncIterator[bytes]:
        """`watch.sh` of a healthy endpoint: a report for each new segment, and one in between."""
        targets = [one for one in argv if re.fullmatch(r"live[0-9]+/g[0-9a-f-]+/.*", one)]
        if targets:
            self._generation = targets[0].split("/")[1]
        await asyncio.sleep(self._random.uniform(0.0, TARGET))
        while True:
            began = time.thread_time()
            body = self._report(bool(targets))
            LiveLink.reports += 1
            LiveLink.making += time.thread_time() - began
            yield b"report\t%d\n%s\n" % (len(body), body)
            await asyncio.sleep(TARGET if targets else TARGET / 2)

    def _report(self, edge: bool) -> bytes:
        now = time.time()
        lines = [f"at\t{round(now * 1000)}\t1\t"]
        for name, (digest, start, since) in sorted(self._services.items()):
            lines.append(f"service\t{name}\tRunning\t{digest}\t{start}\t1\t{since:.0f}\t\t")
        lines.append(f"space\t{50_000_000 - int(now) % 1000}\t100000000\t1")
        if self._keys:
            lines.append(f"keys\t{self._keys.decode()}")
        makes = any(name.startswith("ladder-") for name in self._services)
        if self._generation and (makes or edge):
            if makes:
                lines.append(
                    f"stream\t{self._stream}\t{self._generation}\tkeyed\tobs\t{self._generation}\t70000"
                )
                lines.append(f"progress\t{self._stream}\t{now:.3f}\t{(now - self._since) * 1e6:.0f}\t1.0")
                sent = round((now - self._since) * 400_000 * self._random.uniform(0.99, 1.01))
                lines.append(f"input\t{self._stream}\tH264\t1280\t720\t30\t{sent}")
            viewers = self._random.randint(40, 60)
            lines.append(f"traffic\t{self._stream}\t{viewers}\t{viewers * 700_000}\t{viewers * 3}\t3\t0")
            for rendition in (*RENDITIONS, "audio"):
                text = self._playlist(now, 2.005333 if rendition == "audio" else 2.0)
                place = f"{self._stream}+{self._generation}+{rendition}"
                lines.append(f"playlist\t{place}\t200\t{now // TARGET * TARGET:.3f}\t{len(text)}\n{text}")
        return "\n".join(lines).encode()

    def _playlist(self, now: float, length: float) -> str:
        last = int(now // TARGET)
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{TARGET}"]
        lines += [f"#EXT-X-MEDIA-SEQUENCE:{last - WINDOW}", "#EXT-X-INDEPENDENT-SEGMENTS"]
        lines.append('#EXT-X-MAP:URI="init.mp4"')
        for number in range(last - WINDOW, last):
            at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(number * TARGET))
            lines += [f"#EXTINF:{length:.6f},", f"#EXT-X-PROGRAM-DATE-TIME:{at}", f"s{number}.m4s"]
        return "\n".join(lines) + "\n"


class LivePool(SimulatedPool):
    """In the place of `links.pool.LinkPool`."""

    def configure(self, hosts):  # type: ignore[no-untyped-def]
        for host in hosts:
            if host.name not in self.links:
                self.links[host.name] = LiveLink(host.name, len(self.links), len(hosts))
        super().configure(hosts)


async def measure(endpoints: int, seconds: float) -> dict[str, object]:
    from telarchy.runtime import rooms
    from telarchy.runtime.standalone import RunOptions, controller

    rooms.LinkPool = LivePool  # type: ignore[misc,assignment]
    with tempfile.TemporaryDirectory(prefix="telarchy-streams-") as folder:
        source, state = Path(folder) / "fleet", Path(folder) / "state"
        source.mkdir()
        (source / "fleet.yaml").write_text(manifests(endpoints))
        async with controller(RunOptions(state=state, source=str(source))) as running:
            engine = running.engine
            tasks = [
                asyncio.create_task(engine.follow_source()),
                asyncio.create_task(engine.reconciler.run()),
            ]
            started = time.monotonic()
            while not _all_live(engine, endpoints):
                await asyncio.sleep(0.25)
                for task in tasks:
                    if task.done():
                        task.result()
                if time.monotonic() - started > 120:
                    raise RuntimeError(f"not live: {engine.reconciler.plan.unsettled[:5]}")
            settled = time.monotonic() - started
            await asyncio.sleep(WARM_SECONDS)
            LiveLink.reports, LiveLink.making = 0, 0.0
            rounds, before, began = engine.reconciler.rounds, _cpu(), time.monotonic()
            await asyncio.sleep(seconds)
            share = (_cpu() - before - LiveLink.making) / (time.monotonic() - began)
            told = {
                "share": share,
                "rounds": engine.reconciler.rounds - rounds,
                "reports": LiveLink.reports,
                "settled": settled,
                "rss": _rss(),
            }
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return told


def _all_live(engine, endpoints: int) -> bool:  # type: ignore[no-untyped-def]
    statuses = engine.reconciler.plan.statuses
    found = [status for ref, status in statuses.items() if ref.kind == "MediaEndpoint"]
    return len(found) == endpoints and all(one.get("state") == "Healthy" for one in found)


if __name__ == "__main__":
    json.dump(asyncio.run(measure(int(sys.argv[1]), float(sys.argv[2]))), sys.stdout)
