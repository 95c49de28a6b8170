"""An edge under 500 viewers, against nginx as a person would configure it by hand. Real nginx on both sides.

    python -m bench.edge PORT PATH CONNECTIONS SECONDS        (the load: one process, prints one JSON object)

Two figures: how many requests a second each takes from 500 connections that ask as fast as they are answered, in
turns, with the processor time that nginx spends on one; and what the origin is asked while 500 viewers poll a stream
that goes on, each fetching the playlist every second and every new segment.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from bench.figures import Row, Skipped, child_environment
from telarchy.core.service import Service
from telarchy.links import services
from telarchy.links.local import LocalLink
from telarchy.streaming import edge, serving
from telarchy.streaming.layout import ACCESS_LOG, health_port

VIEWERS = 500
TURNS, TURN_SECONDS = 5, 2.0
POLL_SECONDS = 1.0
WATCH_SECONDS = 24.0
SEGMENT_SECONDS, WINDOW = 2.0, 6
SEGMENT = os.urandom(100_000)
STREAM, GENERATION = "garden", "g1-0badcafe"
LIVE = f"/live/{STREAM}/{GENERATION}/720p"
LEAST_RATIO = 0.9

BY_HAND = """worker_processes 2;
error_log stderr error;
pid run/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  keepalive_timeout 65s;
  client_body_temp_path run/a; proxy_temp_path run/b;
  fastcgi_temp_path run/c; uwsgi_temp_path run/d; scgi_temp_path run/e;
  proxy_cache_path run/pl keys_zone=pl:8m inactive=2s use_temp_path=off;
  proxy_cache_path run/seg keys_zone=seg:16m max_size=1g inactive=60s use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location ~ \\.m3u8$ {{
      proxy_pass http://origin; proxy_cache pl; proxy_cache_key $uri;
      proxy_cache_lock on; proxy_cache_lock_timeout 3s; proxy_cache_valid 200 1s;
      proxy_cache_use_stale error timeout updating http_502 http_503 http_504;
      proxy_ignore_headers Cache-Control Expires;
    }}
    location / {{ proxy_pass http://origin; proxy_cache seg; proxy_cache_lock on; proxy_cache_valid 200 10m; }}
  }}
}}
"""


def run() -> list[Row]:
    if shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        raise Skipped("nginx is not installed")
    return asyncio.run(_run())


async def _run() -> list[Row]:
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="telarchy-bench-")))
        folder.chmod(0o755)
        ports = [free_port() for _ in range(3)]
        origin, mine, hand = (folder / name for name in ("origin", "mine", "hand"))
        writing = None
        try:
            site = serving.OriginSite(
                http_port=ports[0],
                address="127.0.0.1",
                streams=(serving.SiteStream(name=STREAM, private=False),),
            )
            await put(origin, serving.service(site))
            writing = asyncio.create_task(write_stream(origin))
            await put(mine, edge.service(_edge(ports)))
            ending.enter_context(by_hand(hand, ports))
            for port in ports:
                await answering(port)
            return [*await throughput(mine, hand, ports), *await viewers(origin, ports[1])]
        finally:
            if writing is not None:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
            for base in (mine, origin):
                with suppress(Exception):
                    await services.retire(LocalLink("here"), str(base))


def _edge(ports: list[int]) -> edge.EdgeSite:
    stream = serving.SiteStream(name=STREAM, private=False, sources=(f"http://127.0.0.1:{ports[0]}",))
    return edge.EdgeSite(http_port=ports[1], address="127.0.0.1", streams=(stream,))


async def put(base: Path, service: Service) -> None:
    await services.put(LocalLink("here"), str(base), service, {})


class by_hand:
    """The hand-written nginx, while inside."""

    def __init__(self, base: Path, ports: list[int]) -> None:
        self._base = base
        (base / "run").mkdir(parents=True)
        (base / "nginx.conf").write_text(BY_HAND.format(origin=ports[0], port=ports[2]))

    def __enter__(self) -> None:
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nginx"
        command = [nginx, "-p", str(self._base), "-c", "nginx.conf", "-g", "daemon off;"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


# --- a stream that goes on ---------------------------------------------------------------------------------------


async def write_stream(base: Path) -> None:
    """Segments and playlists as a ladder lays them down, without encoding anything."""
    folder = base / "spool" / STREAM / GENERATION / "720p"
    folder.mkdir(parents=True)
    (folder / "init_0.mp4").write_bytes(b"init")
    (folder / f"s{100}.m4s").write_bytes(SEGMENT)
    number = 100
    while True:
        (folder / f"s{number}.m4s").write_bytes(SEGMENT)
        first = max(100, number - WINDOW + 1)
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        lines.append('#EXT-X-MAP:URI="init_0.mp4"')
        for one in range(first, number + 1):
            lines += [f"#EXTINF:{SEGMENT_SECONDS:.6f},", f"s{one}.m4s"]
        (folder / "index.m3u8.tmp").write_text("\n".join(lines) + "\n")
        (folder / "index.m3u8.tmp").rename(folder / "index.m3u8")
        with suppress(OSError):
            (folder / f"s{number - 2 * WINDOW}.m4s").unlink()
        number += 1
        await asyncio.sleep(SEGMENT_SECONDS)


# --- as fast as it goes -------------------------------------------------------------------------------------------


async def throughput(mine: Path, hand: Path, ports: list[int]) -> list[Row]:
    rates: dict[str, list[float]] = {"mine": [], "hand": []}
    costs: dict[str, list[float]] = {"mine": [], "hand": []}
    errors = 0
    for _ in range(TURNS):
        for name, base, port in (("mine", mine, ports[1]), ("hand", hand, ports[2])):
            before = processor_seconds(base)
            told = await load(port, f"{LIVE}/index.m3u8")
            spent = processor_seconds(base) - before
            rates[name].append(told["answered"] / told["seconds"])
            costs[name].append(spent / max(1, told["answered"]))
            errors += told["errors"]
    ratio = statistics.median(one / other for one, other in zip(rates["mine"], rates["hand"], strict=True))
    cost = statistics.median(one / other for one, other in zip(costs["hand"], costs["mine"], strict=True))
    micro = statistics.median(costs["mine"]) * 1e6
    return [
        Row(
            "edge",
            f"playlists a second, {VIEWERS} connections: edge / by hand",
            f"{ratio:.2f}",
            f"≥ {LEAST_RATIO}",
            ratio >= LEAST_RATIO,
            f"{statistics.median(rates['mine']):,.0f} and {statistics.median(rates['hand']):,.0f} req/s, n {TURNS}",
        ),
        Row(
            "edge",
            "processor time of nginx per playlist: by hand / edge",
            f"{cost:.2f}",
            note=f"{micro:.0f} µs each; the edge tells tokens, streams and viewers apart and logs",
        ),
        Row("edge", "requests that failed", str(errors), "0", errors == 0),
    ]


async def load(port: int, path: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.edge", str(port), path, str(VIEWERS), str(TURN_SECONDS)),
        stdout=subprocess.PIPE,
        env=child_environment(),
    )
    out, _ = await process.communicate()
    told: dict[str, Any] = json.loads(out)
    return told


def hammer(port: int, path: str, connections: int, seconds: float) -> dict[str, float]:
    """Each connection asks again as soon as it is answered. Closed ones count as errors and are opened anew."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\r\n".encode()
    chosen = selectors.DefaultSelector()
    came: dict[socket.socket, bytes] = {}  # of the answer that is awaited
    answered = errors = 0
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.setblocking(False)
        chosen.register(one, selectors.EVENT_READ)
        came[one] = b""
        one.send(request)
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        for key, _ in chosen.select(0.2):
            one = key.fileobj
            assert isinstance(one, socket.socket)
            data = one.recv(65536)
            if not data:
                errors += 1
                chosen.unregister(one)
                continue
            answer = came[one] + data
            came[one] = answer
            if whole(answer):
                errors += not answer.startswith(b"HTTP/1.1 200")
                answered += 1
                came[one] = b""
                one.send(request)
    return {"answered": answered, "errors": errors, "seconds": now - began}


def whole(answer: bytes) -> bool:
    """Whether the one answer asked for is there: by its told length, or by its last chunk (RFC 9112, section 6)."""
    head, ended, body = answer.partition(b"\r\n\r\n")
    told = head.lower().split(b"\r\ncontent-length:", 1)
    if len(told) == 2:
        return len(body) >= int(told[1].split(b"\r\n", 1)[0])
    return bool(ended) and answer.endswith(b"0\r\n\r\n")


def processor_seconds(base: Path) -> float:
    """Of all nginx processes that work in a folder."""
    ticks = 0
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            fields = (one / "stat").read_text().rpartition(")")[2].split()
            named = (one / "comm").read_text().strip() == "nginx"
            if named and str(base) in _arguments_or_folder(one):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _arguments_or_folder(process: Path) -> str:
    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    words = (process / "cmdline").read_bytes() + (Path("/proc") / parent / "cmdline").read_bytes()
    return os.fsdecode(words) + str((process / "cwd").readlink())


# --- as viewers do -------------------------------------------------------------------------------------------------


async def viewers(origin: Path, port: int) -> list[Row]:
    await asyncio.sleep(3)
    log = origin / ACCESS_LOG
    skip = len(log.read_text().splitlines())
    told: Counter[str] = Counter()
    waits: list[float] = []
    began = time.monotonic()
    await asyncio.gather(*(_viewer(port, number, told, waits) for number in range(VIEWERS)))
    lasted = time.monotonic() - began
    await asyncio.sleep(2)  # until the log is written out
    lines = [line.split("\t") for line in log.read_text().splitlines()[skip:]]
    kinds = Counter(line[1] for line in lines)
    segments = told["segments seen"] = len(_named(told))
    playlists = kinds["playlist"] / lasted
    each = kinds["segment"] / max(1, segments)
    waits.sort()
    half, most = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    note = f"{told['playlists']:,} playlists and {told['segments']:,} segments to viewers in {lasted:.0f} s"
    return [
        Row("edge", f"origin fetches per segment, {VIEWERS} viewers", f"{each:.2f}", "1", each <= 1.0, note),
        Row(
            "edge",
            "origin fetches per playlist interval (1 s)",
            f"{playlists:.2f}",
            "≤ 1",
            playlists <= 1.02,
            f"a playlist takes {half * 1000:.0f} ms, p99 {most * 1000:.0f} ms",
        ),
        Row("edge", f"errors of {VIEWERS} viewers", str(told["errors"]), "0", told["errors"] == 0),
    ]


def _named(told: Counter[str]) -> list[str]:
    return [name for name in told if name.endswith(".m4s")]


async def _viewer(port: int, number: int, told: Counter[str], waits: list[float]) -> None:
    await asyncio.sleep(number / VIEWERS * POLL_SECONDS)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    seen = ""
    deadline = time.monotonic() + WATCH_SECONDS
    try:
        while time.monotonic() < deadline:
            began = time.monotonic()
            status, body = await _get(reader, writer, f"{LIVE}/index.m3u8", number)
            waits.append(time.monotonic() - began)
            told["playlists"] += 1
            told["errors"] += status != 200
            last = body.decode().split()[-1]
            if seen and last != seen:
                status, content = await _get(reader, writer, f"{LIVE}/{last}", number)
                told["segments"] += 1
                told[last] += 1
                told["errors"] += status != 200 or len(content) != len(SEGMENT)
            seen = last
            await asyncio.sleep(max(0.0, POLL_SECONDS - (time.monotonic() - began)))
    except (OSError, asyncio.IncompleteReadError, ValueError):
        told["errors"] += 1
    finally:
        writer.close()


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, number: int
) -> tuple[int, bytes]:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: viewer-{number}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status, told = int(head[9:12]), head.lower().split(b"\r\ncontent-length:", 1)
    if len(told) == 2:
        return status, await reader.readexactly(int(told[1].split(b"\r\n", 1)[0]))
    body = b""
    while length := int(await reader.readline(), 16):
        body += (await reader.readexactly(length + 2))[:length]
    await reader.readline()
    return status, body


def free_port() -> int:
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with suppress(OSError):
                other.bind(("127.0.0.1", health_port(port)))
                return port


async def answering(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            status, _ = await _get(reader, writer, f"{LIVE}/index.m3u8", 0)
            writer.close()
            if status == 200:
                return
        if time.monotonic() > deadline:
            raise Skipped(f"the server on port {port} does not answer")
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    where, what, how_many, how_long = sys.argv[1:5]
    print(json.dumps(hammer(int(where), what, int(how_many), float(how_long))))
