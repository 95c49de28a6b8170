"""A whole controller on this machine: declared, encoded, served, watched, counted, taken away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from telarchy.runtime.standalone import RunOptions, controller
from tests.browser.stage import browser, free_port, missing, shown, watch

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}"),
    pytest.mark.timeout(180),
]

FLEET = """
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {{name: here}}
spec: {{class: Server, connection: {{local: {{}}}}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {{name: here-origin}}
spec:
  role: Origin
  hostRef: here
  spool: {{path: "{spool}"}}
  listen: {{address: 127.0.0.1, http: {port}}}
"""
STREAM = """
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: pattern}
spec:
  visibility: Public
  ingest: {test: {}}
  encoder: {preset: ultrafast}
  renditions: [{name: 180p, height: 180, videoBitrate: 250k}]
"""


async def test_from_a_manifest_to_a_picture_and_away_again(tmp_path: Path) -> None:
    fleet, spool = tmp_path / "fleet.yaml", tmp_path / "spool"
    spool.mkdir()
    empty = FLEET.format(spool=spool, port=free_port())
    fleet.write_text(empty + STREAM)
    options = RunOptions(
        state=tmp_path / "state", source=str(fleet), listen="127.0.0.1:0", metrics="127.0.0.1:0"
    )
    async with controller(options) as running, browser() as page:
        assert running.web.server is not None
        url = running.web.server.address
        tasks = [
            asyncio.create_task(running.engine.follow_source()),
            asyncio.create_task(running.engine.reconciler.run()),
        ]
        try:
            began = time.monotonic()
            await page.goto(f"{url}/watch/pattern")
            await shown(page, 40)
            print(f"\nfrom a manifest to a picture: {time.monotonic() - began:.1f} s")
            watched = await watch(page, 15)
            assert watched.frozen == 0 and watched.progress > 13
            async with aiohttp.ClientSession(url) as client:
                told = await ask(
                    client, "/api/v1/streams/pattern/playback", lambda told: told["viewers"] == 1
                )
                assert told["endpoints"][0]["state"] == "Healthy"
                assert running.web.metrics is not None
                async with client.get(f"{running.web.metrics.address}/metrics") as answer:
                    figures = await answer.text()
                labels = 'endpoint="here-origin",namespace="default",stream="pattern"'
                assert f"telarchy_stream_viewers{{{labels}}} 1.0" in figures
                assert 'telarchy_stream_playlist_age_seconds{endpoint="here-origin"' in figures
                assert (
                    'telarchy_stream_phase{namespace="default",phase="Live",stream="pattern"} 1.0' in figures
                )
                assert (
                    'telarchy_player_startup_seconds_count{namespace="default",stream="pattern"} 1.0'
                    in figures
                )
                fleet.write_text(empty)
                running.engine.reconcile()
                await ask(client, "/api/v1/streams/pattern/playback", lambda told: "error" in told)
            async with asyncio.timeout(30):
                while list(spool.glob("*/spool/pattern")) or list(spool.glob("*/services/ladder-pattern")):
                    await asyncio.sleep(0.2)
        finally:
            fleet.write_text(FLEET.format(spool=spool, port=1).split("---")[0])
            running.engine.reconcile()
            try:
                async with asyncio.timeout(30):
                    while list(spool.iterdir()):
                        await asyncio.sleep(0.2)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def ask(client: aiohttp.ClientSession, path: str, truth: Any, within: float = 30.0) -> dict[str, Any]:
    deadline = time.monotonic() + within
    while True:
        async with client.get(path) as answer:
            told: dict[str, Any] = await answer.json()
        if truth(told):
            return told
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.5)
