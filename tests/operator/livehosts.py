"""Hosts of streams that exist in memory: links that answer as Telarchy's own scripts would where nothing goes wrong.

What is put there runs from then on, publishers send what their keys allow, viewers come in even numbers, and every
report says so. The room itself (looks, plans, actions, what it remembers) is the real one. `bench/streams.py` does it
for a hundred of them at random; real hosts are in `tests/lab`.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import shlex
import tarfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from telarchy.errors import HostUnreachable
from telarchy.links.link import Completed

SEGMENT = 2  # seconds, where nothing else was put there
WINDOW = 6
VIEWERS = 2
BYTES_PER_SECOND = 300_000


@dataclass(frozen=True)
class Playing:
    """A stream that an endpoint has."""

    generation: str
    renditions: tuple[str, ...]
    segment: int
    way: str = ""  # `keyed`, `relay`, …; "" on a cache

    def playlist(self, now: float) -> str:
        """Of any rendition; the same second gives the same text."""
        last = int(now // self.segment)
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{self.segment}"]
        lines += [f"#EXT-X-MEDIA-SEQUENCE:{last - WINDOW}", "#EXT-X-INDEPENDENT-SEGMENTS"]
        lines.append('#EXT-X-MAP:URI="init.mp4"')
        for number in range(last - WINDOW, last):
            at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(number * self.segment))
            lines += [f"#EXTINF:{self.segment:.6f},", f"#EXT-X-PROGRAM-DATE-TIME:{at}", f"s{number}.m4s"]
        return "\n".join(lines) + "\n"


@dataclass
class Base:
    """The folder of an endpoint."""

    services: dict[str, tuple[str, str, float]] = field(default_factory=dict)  # digests, and since when
    made: dict[str, Playing] = field(default_factory=dict)  # by service
    streams: dict[str, str] = field(default_factory=dict)  # by service
    keys: bytes = b""

    def put(self, name: str, digest: str, start: str, archive: bytes) -> None:
        self.services[name] = (digest, start, time.time())
        if not name.startswith(("ladder-", "relay-")):
            return
        with tarfile.open(fileobj=io.BytesIO(archive)) as content:
            told = content.extractfile("args.sh")
            assert told is not None
            argv = shlex.split(told.read().decode())[2:]
        stream, generation, way, segment, renditions = argv[3], argv[4], argv[5], argv[6], argv[10]
        self.streams[name] = stream
        self.made[name] = Playing(generation, tuple(renditions.split(",")), int(segment) // 1000, way)

    def stop(self, name: str) -> None:
        for known in (self.services, self.made, self.streams):
            known.pop(name, None)  # type: ignore[attr-defined]

    def publisher(self, stream: str) -> str:
        """Whoever may, does."""
        keys = json.loads(self.keys)["keys"] if self.keys else []
        return next((one["name"] for one in keys if one["stream"] == stream and not one["revoked"]), "")

    def report(self, cached: dict[str, Playing]) -> bytes:
        now = time.time()
        present = bool(self.services)
        lines = [f"at\t{round(now * 1000)}\t{int(present)}\t"]
        for name, (digest, start, since) in sorted(self.services.items()):
            lines.append(f"service\t{name}\tRunning\t{digest}\t{start}\t1\t{since:.0f}\t\t")
        lines.append("space\t50000000\t100000000\t1")
        if self.keys:
            lines.append(f"keys\t{hashlib.sha256(self.keys).hexdigest()[:16]}")
        for service, one in sorted(self.made.items()):
            stream, since = self.streams[service], self.services[service][2]
            ran = now - since
            who = self.publisher(stream) if one.way == "keyed" else "?"
            lines.append(f"stream\t{stream}\t{one.generation}\t{one.way}\t{who}\t{one.generation}\t70000")
            lines.append(f"progress\t{stream}\t{now:.3f}\t{ran * 1e6:.0f}\t1.0")
            if one.way == "keyed":
                lines.append(f"input\t{stream}\tH264\t1280\t720\t30\t{round(ran * BYTES_PER_SECOND)}")
        playing = {self.streams[service]: one for service, one in self.made.items()} | cached
        for stream, one in sorted(playing.items()) if present else ():
            lines.append(f"traffic\t{stream}\t{VIEWERS}\t0\t0\t0\t0")
            for rendition in one.renditions:
                text = one.playlist(now)
                written = now // one.segment * one.segment
                place = f"{stream}+{one.generation}+{rendition}"
                lines.append(f"playlist\t{place}\t200\t{written:.3f}\t{len(text)}\n{text}")
        return "\n".join(lines).encode()


class LiveLink:
    """One host with any number of endpoints. Only what streams need is answered; anything else is an error."""

    def __init__(self, host: str) -> None:
        self.host, self.endpoint = host, f"media@{host}.example"
        self._bases: dict[str, Base] = {}

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        await asyncio.sleep(0.001)
        script, _owner, _term, _name, _about, place, *rest = argv[3:]
        base = self._bases.setdefault(place, Base())
        match script:
            case "service-put":
                base.put(rest[0], rest[2], rest[3], stdin)
                return Completed(0, b"started\n", b"")
            case "service-put-file":
                base.keys = stdin
            case "service-stop":
                base.stop(rest[0])
            case "service-retire":
                del self._bases[place]
            case "prune" | "service-claim":
                pass
            case "bases":
                return Completed(0, b"end\n", b"")
            case _:
                raise AssertionError(f"a healthy host was asked for {argv[3:]}")
        return Completed(0, b"", b"")

    async def stream(self, argv: Sequence[str], *, stdin: bytes = b"") -> AsyncIterator[bytes]:
        """`watch.sh`, every second."""
        place = argv[8]
        named = [one.split("/") for one in argv[14:]]
        cached = {stream: Playing(run, tuple(names.split(",")), SEGMENT) for stream, run, names in named}
        while True:
            body = self._bases.get(place, Base()).report(cached)
            yield b"report\t%d\n%s\n" % (len(body), body)
            await asyncio.sleep(1.0)

    async def close(self) -> None:
        """There is no connection."""


class LiveHosts:
    """In the place of a link pool. `missing`: the name of the host that does not answer; "" for none."""

    def __init__(self) -> None:
        self.missing = ""
        self._links: dict[str, LiveLink] = {}

    async def link(self, name: str) -> LiveLink:
        if name == self.missing:
            raise HostUnreachable(name, "TimedOut", "no answer")
        return self._links.setdefault(name, LiveLink(name))
