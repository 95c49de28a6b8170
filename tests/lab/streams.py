"""A story with streams: what is declared of them, and what publishers and viewers of them would do."""

from __future__ import annotations

import http.client
import itertools
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Self

from tests.lab.host import LabHost
from tests.lab.story import Story

SMALL = [{"name": "240p", "height": 240, "videoBitrate": "300k"}]
CALM = {"clearAfter": "10s", "minSwitchInterval": "5s"}
BASE = "/home/media/.local/state/telarchy/streaming/default."


class Streams:
    """A story with streams, and what a viewer of them would do."""

    def __init__(self, story: Story) -> None:
        self.story = story

    # --- what is declared --------------------------------------------------------------------------------------

    def stream(self, name: str = "garden", **spec: Any) -> None:
        base = {
            "visibility": "Public",
            "ingest": {"test": {}},
            "renditions": SMALL,
            "encoder": {"preset": "ultrafast"},
        }
        self.story.declare(f"stream-{name}", "Stream", name, base | spec)

    def origin(self, name: str, host: str, **spec: Any) -> None:
        self.story.declare(
            f"endpoint-{name}", "MediaEndpoint", name, {"role": "Origin", "hostRef": host} | spec
        )

    def edge(self, name: str, host: str, *sources: str, **spec: Any) -> None:
        listed = [{"endpointRef": one, "priority": at} for at, one in enumerate(sources, start=1)]
        base = {"role": "Edge", "hostRef": host, "sources": listed, "thresholds": CALM}
        self.story.declare(f"endpoint-{name}", "MediaEndpoint", name, base | spec)

    def url(self, host: str, port: int = 8080) -> str:
        """Where viewers and edges reach an endpoint on a host."""
        return f"http://{self.story.hosts[host].address}:{port}"

    def delete(self, file: str) -> None:
        (self.story.manifests / f"{file}.yaml").unlink()

    # --- what is reported --------------------------------------------------------------------------------------

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.story.get(name).get("status", {})
        return status

    def endpoint(self, name: str, *fields: str) -> tuple[str, ...]:
        """Some of an endpoint's status, as text."""
        status = self.status(f"mediaendpoint/{name}")
        return tuple(str(status.get(one, "")) for one in fields)

    def ready(self, name: str) -> tuple[str, str]:
        return self.condition(name)[:2]

    def condition(self, name: str, kind: str = "Ready") -> tuple[str, str, str]:
        """Status, reason and message."""
        for one in self.status(name).get("conditions", []):
            if one["type"] == kind:
                return one["status"], one["reason"], one.get("message", "")
        return "", "", ""

    def starts(self, name: str) -> dict[str, int]:
        """How often each service of an endpoint was started anew."""
        return {
            one["name"]: one["restarts"] for one in self.status(f"mediaendpoint/{name}").get("services", [])
        }

    # --- what viewers find -------------------------------------------------------------------------------------

    def below(self, host: LabHost, stream: str = "garden", port: int = 8080) -> str:
        """Where the stream's present generation plays on a host."""
        generation = self.status(f"stream/{stream}")["generation"]
        return f"http://{host.address}:{port}/live/{stream}/{generation}"

    def plays(self, host: LabHost, stream: str = "garden", port: int = 8080) -> int:
        """Fetch as a player does: the master, a playlist, its newest segment. The number of that segment."""
        return plays_at(self.below(host, stream, port))


def plays_at(below: str, rendition: str = "240p") -> int:
    """The number of the newest segment there, having fetched it as a player does. `below`: of a generation."""
    master = fetch(f"{below}/master.m3u8").decode()
    assert f"{rendition}/index.m3u8" in master
    segments = numbers(fetch(f"{below}/{rendition}/index.m3u8"))
    assert len(fetch(f"{below}/{rendition}/s{segments[-1]}.m4s")) > 1000
    return segments[-1]


def landed(url: str) -> str:
    """Where an address that stays leads now: the master playlist of the stream's present generation."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        final: str = answer.url
        return final


def plays_past(below: str, number: int) -> bool:
    try:
        return plays_at(below) > number
    except (http.client.HTTPException, OSError, IndexError, AssertionError):
        return False


def numbers(playlist: bytes) -> list[int]:
    """The segments that a playlist lists."""
    return [int(one) for one in re.findall(r"^s(\d+)\.m4s$", playlist.decode(), re.MULTILINE)]


def fetch(url: str, timeout: float = 5) -> bytes:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        body: bytes = answer.read()
        return body


def answered(url: str) -> int:
    """The HTTP status of what is fetched there."""
    try:
        fetch(url)
    except urllib.error.HTTPError as told:
        with told:
            return told.code
    return 200


@dataclass
class Viewer:
    """Somebody who watches: fetches a playlist every second, and each new segment of it, until told to stop.

    news:    (when, newest number) each time that something new could be fetched; monotonic seconds
    errors:  (when, what) each time that something could not
    """

    below: str
    rendition: str = "240p"
    news: list[tuple[float, int]] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    backwards: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(20)

    def _watch(self) -> None:
        last, seen = 0, 0
        while not self._end.wait(0.5):
            try:
                listed = numbers(fetch(f"{self.below}/{self.rendition}/index.m3u8"))
                if not listed:
                    continue
                self.backwards += listed[-1] < seen
                seen = listed[-1]
                if listed[-1] > last:
                    fetch(f"{self.below}/{self.rendition}/s{listed[-1]}.m4s")
                    last = listed[-1]
                    self.news.append((time.monotonic(), last))
            except (http.client.HTTPException, OSError) as problem:
                self.errors.append((time.monotonic(), str(problem)))

    @property
    def last(self) -> int:
        """The newest segment that was got; 0 without any."""
        return self.news[-1][1] if self.news else 0

    def news_after(self, moment: float) -> int:
        """How many new segments came after a moment."""
        return sum(when > moment for when, _ in self.news)

    def longest_wait(self, since: float) -> float:
        """The most seconds without a new segment, from the last one before `since` until now."""
        before = [when for when, _ in self.news if when <= since][-1:] or [since]
        moments = [*before, *(when for when, _ in self.news if when > since), time.monotonic()]
        return max(b - a for a, b in itertools.pairwise(moments))


def running(host: LabHost, name: str) -> list[str]:
    """Processes of this name, by number."""
    return host.run(["pgrep", "-x", name], check=False).stdout.decode().split()


def publish(host: LabHost, key: str) -> subprocess.Popen[bytes]:
    """As OBS does."""
    picture, sound = "testsrc2=size=426x240:rate=25", "sine=frequency=300:sample_rate=44100"
    return subprocess.Popen(
        ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-re"]
        + ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
        + ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
        + ["-f", "flv", f"rtmp://{host.address}:1935/ingest/{key}"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
