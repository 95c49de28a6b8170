"""Streams under the operator, really: ffmpeg encodes a test picture on this machine, viewers fetch it over HTTP."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from telarchy.links import services
from telarchy.links.local import LocalLink
from telarchy.resources.streamkey import verifier_of
from telarchy.streaming import layout, tokens
from tests.operator.client import GROUP, PLURALS, until
from tests.operator.test_secrets import put
from tests.unit.streaming.running import free_endpoint_port, need

FINALIZER = "telarchy.dev/cleanup"
SECONDS = 90.0  # for what takes a few on an idle machine
SECRETS = ("the first of two secrets", "the second of two secrets")
RENDITION = {"name": "180p", "height": 180, "videoBitrate": "200k", "frameRate": 15}
STREAM = {
    "visibility": "Private",
    "ingest": {"test": {}},
    "renditions": [RENDITION],
    "segment": {"duration": "1s", "window": 4},
    "encoder": {"preset": "ultrafast"},
    "playback": {"secretRef": {"name": "pattern-playback", "key": "secret"}},
}

pytestmark = pytest.mark.timeout(400)


@dataclass
class Stage:
    """A machine with one endpoint, declared in a cluster."""

    api: Any
    spool: Path
    port: int
    secret: str = SECRETS[0]

    @property
    def base(self) -> Path:
        return Path(layout.base("origin", self.api.namespace, str(self.spool)))

    async def declare(self, *, server: str = "BuiltIn", policy: str = "Release", **stream: Any) -> None:
        secret = self.secret.encode()
        await put(self.api, "pattern-playback", secret=secret)
        await self.api.apply("Fleet", "home", {"probes": {"every": "1s", "timeout": "5s"}})
        await self.api.apply(
            "Host", "here", {"class": "Server", "alwaysOn": True, "connection": {"local": {}}}
        )
        key = {"streamRef": "pattern", "verifier": verifier_of("0" * 64)}
        await self.api.apply("StreamKey", "pattern-obs", key)
        await self.api.apply("Stream", "pattern", STREAM | {"deletionPolicy": policy} | stream)
        endpoint = {
            "role": "Origin",
            "hostRef": "here",
            "server": server,
            "listen": {"address": "127.0.0.1", "http": self.port},
            "spool": {"path": str(self.spool), "reserve": 0},
            "deletionPolicy": policy,
        }
        await self.api.apply("MediaEndpoint", "origin", endpoint)

    async def live(self) -> dict[str, Any]:
        """Wait until the present declaration plays, and is said to. Returns the Stream."""
        await self.api.until_ready("MediaEndpoint", "origin", seconds=SECONDS)
        found = await self.api.until_ready("Stream", "pattern", seconds=SECONDS)
        assert found["status"]["phase"] == "Live"
        return found

    async def fetch(self, *path: str, signed: bool = True) -> tuple[int, str]:
        """What a viewer gets below the present generation; (0, "") when nobody answers."""
        generation = (await self.api.get("Stream", "pattern"))["status"]["generation"]
        token = tokens.sign(self.secret, "pattern", int(time.time()) + 600) if signed else ""
        url = f"http://127.0.0.1:{self.port}{token}{layout.live_path('pattern', generation, *path)}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status, (await answer.read()).decode("latin-1")
        except aiohttp.ClientError:
            return 0, ""

    async def newest(self, rendition: str = "180p") -> int:
        """The last segment that viewers are told of; -1 when nothing is."""
        _, text = await self.fetch(rendition, "index.m3u8")
        return max((int(one) for one in re.findall(r"(?m)^s(\d+)\.m4s", text)), default=-1)

    async def processes(self) -> dict[str, str]:
        """The process of each service that runs, by name."""
        seen = await services.status(LocalLink("here"), str(self.base))
        return {
            one.name: (self.base / "services" / one.name / "pid").read_text()
            for one in seen
            if str(one.state) == "Running"
        }

    async def until_gone(self, kind: str, name: str) -> None:
        async def gone() -> bool:
            try:
                await self.api.get(kind, name)
            except aiohttp.ClientResponseError as error:
                return error.status == 404
            return False

        await until(gone, f"{kind} {name} is gone", SECONDS)


@pytest.fixture
async def stage(api, tmp_path) -> AsyncIterator[Stage]:
    need("ffmpeg")
    made = Stage(api, tmp_path / "spool", free_endpoint_port())
    yield made
    if made.base.exists():  # left on purpose, or by a test that failed
        (made.base / services.MARKER).write_text("")  # its owner is gone: it is nobody's
        await services.retire(LocalLink("here"), str(made.base))


async def test_from_apply_to_nothing_left(api, operators, stage):
    await stage.declare()
    running = await operators.start(toys=False)
    first = (await stage.live())["status"]
    assert first["observedGeneration"] == 1 and first["generation"].startswith("g1-")
    status, master = await stage.fetch("master.m3u8")
    assert status == 200 and "180p/index.m3u8" in master
    status, playlist = await stage.fetch("180p", "index.m3u8")
    (segment, *_) = re.findall(r"(?m)^s\d+\.m4s", playlist)
    assert (await stage.fetch("180p", segment))[0] == 200
    assert (await stage.fetch("master.m3u8", signed=False))[0] == 403
    key = await api.until_ready("StreamKey", "pattern-obs", seconds=SECONDS)
    assert key["status"]["state"] == "Active"
    for kind in ("Stream", "MediaEndpoint"):
        name = "pattern" if kind == "Stream" else "origin"
        assert (await api.get(kind, name))["metadata"]["finalizers"] == [FINALIZER]

    # another declaration is another generation, and a new secret signs from now on
    stage.secret = SECRETS[1]
    await put(api, "pattern-playback-2", secret=stage.secret.encode())
    named = {"secretRef": {"name": "pattern-playback-2", "key": "secret"}}
    smaller = {"name": "90p", "height": 90, "videoBitrate": "80k", "frameRate": 15}
    await api.apply("Stream", "pattern", STREAM | {"renditions": [RENDITION, smaller], "playback": named})

    async def second() -> bool:
        now = (await api.get("Stream", "pattern"))["status"]
        return (
            now["generation"].startswith("g2-") and now["phase"] == "Live" and now["observedGeneration"] == 2
        )

    await until(second, "the second generation plays", SECONDS, running.log.read_text)
    assert (await stage.fetch("90p", "index.m3u8"))[0] == 200
    stage.secret = SECRETS[0]
    assert (await stage.fetch("master.m3u8"))[0] == 403
    told = (
        running.log.read_text() + str(await api.events("pattern")) + str(await api.get("Stream", "pattern"))
    )
    assert not any(one in told for one in SECRETS)

    assert stage.base.is_dir() and await stage.processes()
    for kind, name in (("StreamKey", "pattern-obs"), ("Stream", "pattern"), ("MediaEndpoint", "origin")):
        await api.delete(kind, name)
    for kind, name in (("StreamKey", "pattern-obs"), ("Stream", "pattern"), ("MediaEndpoint", "origin")):
        await stage.until_gone(kind, name)
    assert not stage.base.exists() and not _running(stage.spool)
    assert await running.stop() == 0


async def test_what_is_orphaned_goes_on_without_its_declaration(api, operators, stage):
    await stage.declare(policy="Orphan")
    running = await operators.start(toys=False)
    await stage.live()
    for kind, name in (("Stream", "pattern"), ("MediaEndpoint", "origin")):
        assert "finalizers" not in (await api.get(kind, name))["metadata"]
        await api.delete(kind, name)
        await stage.until_gone(kind, name)
    before = await stage.processes()
    await asyncio.sleep(5)
    assert await running.stop() == 0
    assert before and await stage.processes() == before


async def test_viewers_notice_nothing_of_a_killed_operator(api, operators, stage):
    need("nginx")
    await stage.declare(server="Nginx")
    first = await operators.start("op-a", toys=False)
    status = (await stage.live())["status"]
    before = await stage.processes()
    assert set(before) == {"http", "ladder-pattern"}
    await first.kill()
    at_death = await stage.newest()

    async def goes_on() -> bool:
        return await stage.newest() > at_death + 2

    await until(goes_on, "it plays on without an operator", SECONDS)
    again = await operators.start("op-a", toys=False, state="op-a")
    await api.apply("Host", "here", (await api.get("Host", "here"))["spec"] | {"alwaysOn": False})
    await api.until_ready("Host", "here", seconds=SECONDS)  # the new one acts

    async def judged() -> bool:
        return await again.rounds(api.namespace) > 3

    await until(judged, "it looked, and thought", SECONDS)
    at_return = await stage.newest()

    async def still() -> bool:
        return await stage.newest() > at_return + 2

    await until(still, "it plays on", SECONDS)
    assert await stage.processes() == before
    now = (await stage.live())["status"]
    assert {one: now[one] for one in ("generation", "startedAt", "liveSince")} == {
        one: status[one] for one in ("generation", "startedAt", "liveSince")
    }
    assert await again.stop() == 0


async def test_a_namespace_that_is_deleted_takes_its_streams_along(api, gate, operators, stage):
    """As the namespace controller does it: nothing can be made there any more, and everything is deleted at once, the
    Host, the Secret and the operator's Lease too. They come before what needs them: that order is the worst."""
    await stage.declare()
    running = await operators.start(toys=False)
    await stage.live()
    for kind, name in (("Stream", "pattern"), ("MediaEndpoint", "origin"), ("Host", "here")):

        async def final(kind=kind, name=name) -> bool:
            return (await api.get(kind, name))["metadata"].get("finalizers") == [FINALIZER]

        await until(final, f"{kind} {name} has its finalizer", SECONDS)
    terminating = f"/namespaces/{api.namespace}/"
    gate.refuse("POST", terminating, 403, 1_000_000).causes = ("NamespaceTerminating",)
    await api.call("DELETE", f"/apis/coordination.k8s.io/v1{terminating}leases/telarchy")
    await api.call("DELETE", f"/api/v1{terminating}secrets/pattern-playback")
    for kind in ("Host", "StreamKey", "Fleet", "Stream", "MediaEndpoint"):
        for one in (await api.call("GET", f"{GROUP}{terminating}{PLURALS[kind]}"))["items"]:
            await api.delete(kind, one["metadata"]["name"])
    for kind, name in (("Stream", "pattern"), ("MediaEndpoint", "origin"), ("Host", "here")):
        await stage.until_gone(kind, name)
    assert not stage.base.exists() and not _running(stage.spool)
    assert await running.stop() == 0


def _running(spool: Path) -> list[str]:
    """Command lines of processes that work below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").resolve()
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1")
        except OSError:
            continue
        if here.is_relative_to(spool) or str(spool) in line:
            found.append(line)
    return found
