"""A stream on this machine from end to end: ffmpeg fills a spool, nginx or the built-in plane serves it, the page
plays it. All services are real, started as on a host."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from telarchy.links import services
from telarchy.links.local import LocalLink
from telarchy.streaming import layout, serving
from telarchy.streaming.ladder import FfmpegBackend, Ladder, Pattern, Rendition
from telarchy.streaming.tokens import tokens_json
from telarchy.web.fleetview import FleetDoor, Views
from telarchy.web.pagefiles import PageFiles
from telarchy.web.plane import MediaPlane
from telarchy.web.public import PublicServer
from tests.unit.web.doors import SECRET, door

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--disable-gpu", "--mute-audio"]
ASSETS = Path(sys.prefix) / "share" / "telarchy" / "assets"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
RENDITIONS = (
    Rendition(name="360p", height=360, bitrate=600_000, frame_rate=25),
    Rendition(name="180p", height=180, bitrate=200_000, frame_rate=25),
)
GENERATION = "g1-0badcafe"


def missing() -> str:
    """What these tests lack on this machine; "" when nothing."""
    lacking = [
        one
        for one in ("ffmpeg", "nginx")
        if shutil.which(one, path=os.environ["PATH"] + ":/usr/sbin") is None
    ]
    lacking += [] if CHROMIUM else ["chromium"]
    lacking += [] if (ASSETS / "hls.min.js").is_file() else ["hls.js (`make assets`)"]
    return ", ".join(lacking)


def free_port() -> int:
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                other.bind(("127.0.0.1", layout.health_port(port)))
            except OSError:
                continue
            return port


@dataclass
class Stage:
    """An endpoint `desk-origin` with one stream, `garden`, and the server of the page.

    status:  what is reported of the stream; the page asks for it
    """

    base: Path
    port: int
    nginx: bool
    visibility: str
    status: dict[str, Any]
    link: LocalLink = field(default_factory=lambda: LocalLink("desk"))
    server: PublicServer | None = None
    generation: str = GENERATION

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.address

    @property
    def folder(self) -> Path:
        return self.base / layout.generation_folder("garden", self.generation)

    async def encode(self, segment: float = 2.0) -> None:
        """Start the ladder and wait for its first playlists."""
        ladder = Ladder(
            stream="garden",
            generation=self.generation,
            source=Pattern(),
            renditions=RENDITIONS,
            preset="ultrafast",
            segment=segment,
        )
        await services.put(self.link, str(self.base), FfmpegBackend().service(ladder), {})
        await self.until(self.playable, 30)
        self.status.update(
            phase="Live",
            source="Present",
            generation=self.generation,
            viewers=1,
            endpoints=[{"name": "desk-origin", "role": "Origin", "state": "Healthy"}],
        )

    def playable(self) -> bool:
        lists = [self.folder / one.name / "index.m3u8" for one in RENDITIONS]
        return (self.folder / "master.m3u8").is_file() and all(
            one.is_file() and one.read_text().count("#EXTINF") > 0 for one in lists
        )

    async def serve(self) -> None:
        """nginx with the configuration that is rendered for hosts."""
        private = self.visibility == "Private"
        site = serving.OriginSite(
            http_port=self.port,
            address="127.0.0.1",
            streams=(serving.SiteStream(name="garden", private=private),),
            secrets="mark" if private else "",
        )
        secrets = {"tokens.json": tokens_json({"garden": [SECRET]})} if private else {}
        await services.put(self.link, str(self.base), serving.service(site), secrets)
        await self.until(self._listening, 10)

    def _listening(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def encoders(self) -> list[int]:
        """Processes of ffmpeg that work in this base."""
        found = []
        for one in Path("/proc").glob("[0-9]*"):
            try:
                if (one / "comm").read_text().strip() == "ffmpeg" and (one / "cwd").readlink() == self.base:
                    found.append(int(one.name))
            except OSError:
                continue
        return found

    def kill_encoder(self) -> None:
        for one in self.encoders():
            os.kill(one, signal.SIGKILL)

    async def until(self, truth: Any, within: float) -> None:
        deadline = time.monotonic() + within
        while not truth():
            assert time.monotonic() < deadline, f"{truth} never came true"
            await asyncio.sleep(0.1)

    def door(self) -> FleetDoor:
        public = f'publicURL: "http://127.0.0.1:{self.port}"' if self.nginx else "server: BuiltIn"
        return door(
            {"garden": self.status},
            manifests=_MANIFESTS.format(
                spool=self.base.parent, port=self.port, public=public, visibility=self.visibility
            ),
        )


_MANIFESTS = """
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {{name: desk}}
spec: {{class: Consumer, connection: {{local: {{}}}}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {{name: desk-origin}}
spec:
  hostRef: desk
  role: Origin
  {public}
  spool: {{path: "{spool}"}}
  listen: {{http: {port}, address: 127.0.0.1}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {{name: garden}}
spec: {{visibility: {visibility}, ingest: {{test: {{}}}}}}
"""


@asynccontextmanager
async def staged(
    tmp_path: Path, *, nginx: bool = True, visibility: str = "Public", hls: bool = True
) -> AsyncIterator[Stage]:
    base = Path(layout.base("desk-origin", "default", str(tmp_path / "spool")))
    base.parent.mkdir(parents=True)
    stage = Stage(base, free_port(), nginx, visibility, {})
    fleet = stage.door()
    views = Views(lambda: [fleet])
    plane = MediaPlane(views)
    files = PageFiles([ASSETS] if hls else [])
    stage.server = PublicServer(views, ("127.0.0.1", 0), plane=plane, page_files=files)
    await stage.server.start()
    try:
        yield stage
    finally:
        await stage.server.stop()
        await plane.close()
        await services.retire(stage.link, str(base))


@asynccontextmanager
async def browser(size: dict[str, int] | None = None, *, scale: float = 1.0) -> AsyncIterator[Page]:
    """A page in Debian's Chromium."""
    phone = size is PHONE
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await chromium.new_context(
            viewport=size or DESKTOP,
            device_scale_factor=scale,
            is_mobile=phone,
            has_touch=phone,  # type: ignore[arg-type]
        )
        page = await context.new_page()
        try:
            yield page
        finally:
            await chromium.close()


async def state(page: Page) -> dict[str, Any]:
    """What the page knows of its player."""
    found: dict[str, Any] = await page.evaluate("() => window.telarchy.state")
    return found


async def shown(page: Page, within: float = 25.0) -> dict[str, Any]:
    """Wait for the first picture."""
    await page.wait_for_function("() => window.telarchy.state.startup !== null", timeout=within * 1000)
    return await state(page)


@dataclass(frozen=True)
class Watched:
    """How playing went over a while, by the player's own clock. Seconds."""

    frozen: float
    stalls: int
    latency: float
    moves: int
    progress: float


async def watch(page: Page, seconds: float, every: float = 0.25) -> Watched:
    """Look at the player again and again: time that passed while its picture stood still is `frozen`."""
    before = await state(page)
    began, frozen, standing, last = time.monotonic(), 0.0, 0.0, before["time"]
    moment = began
    while time.monotonic() - began < seconds:
        await asyncio.sleep(every)
        now = await state(page)
        passed, moment = time.monotonic() - moment, time.monotonic()
        if now["time"] == last:
            standing += passed
        else:
            # less than this is a hiccup of whoever looks, on a busy machine
            frozen += standing if standing > 0.6 else 0.0
            standing = 0.0
        last = now["time"]
    frozen += standing if standing > 0.6 else 0.0
    after = await state(page)
    return Watched(
        frozen=round(frozen, 2),
        stalls=after["stalls"] - before["stalls"],
        latency=round(after["latency"] or 0.0, 2),
        moves=after["moves"] - before["moves"],
        progress=round(after["time"] - before["time"], 2),
    )


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
