"""The web server of a whole controller: what it declares is what is served, and figures come out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from telarchy.errors import ConfigError
from telarchy.runtime.standalone import Running, RunOptions, controller
from tests.unit.web.doors import MANIFESTS


async def declared(running: Running) -> asyncio.Task[None]:
    following = asyncio.create_task(running.engine.follow_source())
    async with asyncio.timeout(10):
        await running.engine.declared.wait()
    return following


async def test_a_controller_serves_what_it_declares(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    # nothing on this machine's own ports
    (fleet / "fleet.yaml").write_text(
        MANIFESTS.replace("connection: {local: {}}", "connection: {ssh: {endpoints: [a@192.0.2.9]}}")
    )
    options = RunOptions(
        state=tmp_path / "state", source=str(fleet), listen="127.0.0.1:0", metrics="127.0.0.1:0"
    )
    async with controller(options) as running:
        assert running.web.server is not None and running.web.metrics is not None
        following = await declared(running)
        try:
            async with aiohttp.ClientSession(running.web.server.address) as client:
                async with client.get("/api/v1/streams/garden/playback") as answer:
                    assert (await answer.json())["reason"] == "Pending"
                async with client.get("/api/v1/streams/nursery/playback") as answer:
                    assert answer.status == 403
                async with client.get("/healthz") as answer:
                    assert (await answer.json())["running"] is True
                report = {"session": "0123456789abcdef", "startup": 1.5, "errors": [{"kind": "media"}]}
                async with client.post("/api/v1/streams/garden/reports", json=report) as answer:
                    assert answer.status == 204
                async with client.get("/metrics") as answer:
                    assert answer.status == 404, "viewers need not know"
                async with client.get(f"{running.web.metrics.address}/healthz") as answer:
                    assert answer.status == 404
                async with client.get(f"{running.web.metrics.address}/metrics") as answer:
                    assert answer.content_type == "text/plain"
                    figures = await answer.text()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    labels = 'namespace="default",stream="garden"'
    assert f'telarchy_player_startup_seconds_bucket{{le="2.0",{labels}}} 1.0' in figures
    assert f"telarchy_player_reports_total{{{labels}}} 1.0" in figures
    assert "telarchy_rounds_total" in figures


async def test_an_address_that_cannot_be_had_ends_the_start_cleanly(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no address to listen on"):
        async with controller(RunOptions(state=tmp_path / "state", listen="nowhere")):
            pass
    taken = RunOptions(state=tmp_path / "state", listen="127.0.0.1:0", metrics="192.0.2.1:1")
    with pytest.raises(ConfigError, match="another `--metrics-listen`"):
        async with controller(taken):
            pass
    async with controller(RunOptions(state=tmp_path / "state")) as running:
        assert running.web.server is None and running.web.metrics is None
