"""An edge leaves an origin that brings nothing forth, and viewers go on: what it costs them, by their player.

The whole controller over three endpoints on this machine. Of the first origin everything that encodes is stopped
(SIGSTOP), the watchdog on the host included, so that only the controller can notice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from telarchy.runtime.standalone import Running, RunOptions, controller
from tests.browser.stage import browser, free_port, missing, shown, state, watch

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}"),
    pytest.mark.timeout(240),
]
HOST = """
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {{name: {name}}}
spec: {{class: Server, connection: {{local: {{}}}}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {{name: {name}-{role}}}
spec:
  hostRef: {name}
  server: Nginx
  spool: {{path: "{spool}"}}
  listen: {{address: 127.0.0.1, http: {port}, rtmp: {rtmp}}}
  {more}
---
"""
STREAM = """
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: garden}
spec:
  visibility: Public
  ingest: {test: {}}
  encoder: {preset: ultrafast}
  renditions: [{name: 180p, height: 180, videoBitrate: 250k, frameRate: 25}]
"""


def fleet(spool: Path, mode: str) -> str:
    sources = "[{endpointRef: one-origin, priority: 1}, {endpointRef: two-origin, priority: 2}]"
    thresholds = "thresholds: {clearAfter: 15s, minSwitchInterval: 5s}"
    ends = [
        ("one", "origin", "role: Origin"),
        ("two", "origin", "role: Origin"),
        ("far", "edge", f"role: Edge\n  mode: {mode}\n  sources: {sources}\n  {thresholds}"),
    ]
    return "".join(
        HOST.format(name=name, role=role, spool=spool, port=free_port(), rtmp=free_port(), more=more)
        for name, role, more in ends
    )


@asynccontextmanager
async def running(tmp_path: Path, mode: str) -> AsyncIterator[tuple[Running, Path]]:
    spool, manifests = tmp_path / "spool", tmp_path / "fleet.yaml"
    spool.mkdir()
    hosts = fleet(spool, mode)
    manifests.write_text(hosts + STREAM)
    options = RunOptions(state=tmp_path / "state", source=str(manifests), listen="127.0.0.1:0")
    async with controller(options) as one:
        tasks = [
            asyncio.create_task(one.engine.follow_source()),
            asyncio.create_task(one.engine.reconciler.run()),
        ]
        try:
            yield one, spool
        finally:
            send(spool, "", signal.SIGCONT)
            hosts_only = [part for part in hosts.split("---") if "kind: Host" in part]
            manifests.write_text("---".join(hosts_only))
            one.engine.reconcile()
            with suppress(TimeoutError):
                async with asyncio.timeout(40):
                    while list(spool.iterdir()):
                        await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert not list(spool.iterdir())


def send(spool: Path, endpoint: str, number: int) -> int:
    """A signal to all that encodes or copies below an endpoint's folder; the server goes on. How many there were."""
    found = 0
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            base = (one / "cwd").readlink()
            words = (one / "cmdline").read_bytes()
            serves = (one / "comm").read_text().strip() == "nginx" or b"services/http" in words
            if spool in base.parents and base.name.endswith(endpoint) and not serves:
                os.kill(int(one.name), number)
                found += 1
    return found


def status(one: Running, kind: str, name: str) -> dict[str, Any]:
    for each in one.answers.resources(kinds=[kind]):
        if each["metadata"]["name"] == name:
            found: dict[str, Any] = each.get("status", {})
            return found
    return {}


async def until(truth: Any, within: float) -> float:
    began = time.monotonic()
    while not truth():
        assert time.monotonic() - began < within, "it never came true"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


@pytest.mark.parametrize("mode", ["Cache", "Relay"])
async def test_viewers_of_an_edge_go_on_when_its_origin_freezes(tmp_path: Path, mode: str) -> None:
    async with running(tmp_path, mode) as (one, spool), browser() as page:
        assert one.web.server is not None
        await until(lambda: status(one, "mediaendpoint", "far-edge").get("state") == "Healthy", 60)
        await until(lambda: status(one, "mediaendpoint", "two-origin").get("state") == "Healthy", 30)
        # whichever was there first
        await until(lambda: status(one, "mediaendpoint", "far-edge").get("source") == "one-origin", 60)
        # from the edge alone: the page would go to an origin, which is what it is for
        await page.route("**/playback*", only("far-edge"))
        await page.goto(f"{one.web.server.address}/watch/garden")
        await shown(page, 30)
        calm = await watch(page, 8)
        assert send(spool, "one-origin", signal.SIGSTOP) > 0
        watching = asyncio.create_task(watch(page, 45))
        moved = await until(
            lambda: status(one, "mediaendpoint", "far-edge").get("source") == "two-origin", 40
        )
        away = await watching
        after = await watch(page, 12)
        told = await state(page)
        print(f"\n{mode}: moved after {moved:.1f} s; calm {calm}, away {away}, after {after}")
        assert calm.frozen < 3  # three encoders and a browser share this machine
        assert away.frozen < 20
        assert after.frozen == 0 and after.progress > 10, "it plays again"
        assert told["endpoint"] == "far-edge" and told["reason"] == ""
        send(spool, "one-origin", signal.SIGCONT)
        back = await until(lambda: status(one, "mediaendpoint", "far-edge").get("source") == "one-origin", 90)
        returned = await watch(page, 25)
        print(f"{mode}: back after {back:.1f} s; {returned}")
        assert back > 10, "it returns calmly"
        assert returned.progress > 12


def only(name: str) -> Any:
    async def answer(route: Any) -> None:
        got = await route.fetch()
        body = await got.json()
        if "endpoints" in body:
            body["endpoints"] = [one for one in body["endpoints"] if one["name"] == name]
        await route.fulfill(response=got, json=body)

    return answer
