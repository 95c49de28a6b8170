"""The whole room on this machine: a controller, a real encoder, a real server; nothing is left at the end."""

from __future__ import annotations

import asyncio
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from telarchy.resources.meta import Ref
from telarchy.runtime.standalone import Running, RunOptions, controller
from telarchy.store import Store

pytestmark = pytest.mark.skipif(
    shutil.which("ffmpeg") is None or shutil.which("nginx") is None, reason="needs ffmpeg and nginx"
)

HEAD = "apiVersion: telarchy.dev/v1alpha1\n"
HOST = HEAD + "kind: Host\nmetadata: {name: here}\nspec: {class: Server, connection: {local: {}}}\n"
STREAM = (
    HEAD
    + """kind: Stream
metadata: {name: garden}
spec:
  ingest: {test: {}}
  segment: {duration: 1s}
  renditions: [{name: small, height: 120, videoBitrate: 100k}]
  encoder: {preset: ultrafast}
"""
)


def free_port() -> int:
    """One whose health port is free too."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            number = int(one.getsockname()[1])
            other_number = number + 10000 if number + 10000 <= 65535 else number - 10000
            try:
                other.bind(("127.0.0.1", other_number))
            except OSError:
                continue
            return number


def origin(spool: Path, port: int) -> str:
    return (
        HEAD
        + "kind: MediaEndpoint\nmetadata: {name: origin}\nspec:\n  role: Origin\n  hostRef: here\n  server: Nginx\n"
        + f"  listen: {{http: {port}, address: 127.0.0.1}}\n  spool: {{path: {spool}}}\n"
    )


def status(running: Running, kind: str, name: str) -> dict[str, object]:
    return dict(running.engine.status(Ref(kind, "default", name)) or {})


async def until(true: Callable[[], bool], tasks: list[asyncio.Task[None]], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.1)


async def test_a_private_stream_plays_and_leaves_nothing(tmp_path: Path) -> None:
    fleet, spool, port = tmp_path / "fleet", tmp_path / "spool", free_port()
    fleet.mkdir()
    (fleet / "host.yaml").write_text(HOST)
    (fleet / "stream.yaml").write_text(STREAM)
    (fleet / "origin.yaml").write_text(origin(spool, port))
    base = spool / "telarchy-default.origin"
    async with controller(RunOptions(state=tmp_path / "state", source=str(fleet))) as running:
        engine = running.engine
        tasks = [
            asyncio.create_task(engine.follow_source()),
            asyncio.create_task(engine.reconciler.run()),
        ]
        try:
            await until(lambda: status(running, "Stream", "garden").get("phase") == "Live", tasks)
            path = str(status(running, "Stream", "garden")["playbackPath"])
            with pytest.raises(urllib.error.HTTPError) as refused:
                await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}{path}", timeout=5)
            assert refused.value.code == 403
            text = (base / "services/http/files/nginx.conf").read_text()
            kept = running.store.memory.under("streaming/playback/")
            assert len(kept) == 1 and str(next(iter(kept.values()))) not in text
            (fleet / "stream.yaml").unlink()
            await until(lambda: not (base / "spool/garden").exists(), tasks)
            assert not (base / "services/ladder-garden").exists()
            await until(lambda: not running.store.memory.under("streaming/playback/"), tasks)
        finally:
            (fleet / "stream.yaml").unlink(missing_ok=True)
            (fleet / "origin.yaml").unlink()
            await until(lambda: not base.exists(), tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert not list(spool.iterdir())


async def test_of_two_controllers_with_one_endpoint_one_acts_and_the_other_says_whose_it_is(
    tmp_path: Path,
) -> None:
    fleet, spool, port = tmp_path / "fleet", tmp_path / "spool", free_port()
    fleet.mkdir()
    (fleet / "host.yaml").write_text(HOST)
    (fleet / "stream.yaml").write_text(STREAM.replace("spec:", "spec:\n  visibility: Public"))
    (fleet / "origin.yaml").write_text(origin(spool, port))
    other = tmp_path / "other"
    shutil.copytree(fleet, other)
    (other / "stream.yaml").unlink()  # alone, it would stop what the first one started
    base = spool / "telarchy-default.origin"

    def processes() -> list[str]:
        return [(base / "services" / name / "supervisor").read_text() for name in ("http", "ladder-garden")]

    async with AsyncExitStack() as stack:
        tasks: list[asyncio.Task[None]] = []

        async def begin(name: str, source: Path) -> Running:
            options = RunOptions(state=tmp_path / name, source=str(source))
            running = await stack.enter_async_context(controller(options))
            tasks.append(asyncio.create_task(running.engine.follow_source()))
            tasks.append(asyncio.create_task(running.engine.reconciler.run()))
            return running

        first = await begin("first", fleet)
        try:
            await until(lambda: status(first, "Stream", "garden").get("phase") == "Live", tasks)
            before = processes()
            second = await begin("second", other)
            await until(lambda: "ForeignOwner" in str(status(second, "MediaEndpoint", "origin")), tasks)
            await asyncio.sleep(3)
            mine = str(first.store.memory.get("controller/id"))
            assert f"({mine})" in str(status(second, "MediaEndpoint", "origin")["conditions"])
            assert processes() == before
            assert second.store.memory.under("streaming/deployed/") == {}
            assert "Serving" in str(status(first, "MediaEndpoint", "origin")["conditions"])
            # a controller that has lost its state folder begins so, too: a person says that it may go on
            shutil.copy(fleet / "stream.yaml", other)
            await until(lambda: status(second, "Stream", "garden") != {}, tasks)
            (held,) = second.engine.reconciler.plan.holds
            now = second.engine.clock.now()
            second.store.approvals.grant(held.hash, held.action_ids, summary="", who="me", now=now)
            second.engine.nudge()
            await until(lambda: status(second, "Stream", "garden").get("phase") == "Live", tasks)
            await until(lambda: "ForeignOwner" in str(status(first, "MediaEndpoint", "origin")), tasks)
            assert processes() == before, "and plays on meanwhile"
            (fleet / "origin.yaml").unlink()
            await until(lambda: not status(first, "MediaEndpoint", "origin"), tasks)
            await until(lambda: not first.store.memory.under("streaming/deployed/"), tasks)
            assert processes() == before, "what was taken over is not removed by who had it before"
        finally:
            for folder in (fleet, other):
                for name in ("stream", "origin"):
                    (folder / f"{name}.yaml").unlink(missing_ok=True)
            await until(lambda: not base.exists(), tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_was_deleted_while_the_memory_was_lost_is_undone_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a cluster whose operator has an empty state folder: it is still the same owner, by its Lease."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    fleet, port = tmp_path / "fleet", free_port()
    fleet.mkdir()
    (fleet / "host.yaml").write_text(HOST)
    (fleet / "stream.yaml").write_text(STREAM)
    text = origin(tmp_path / "spool", port).partition("  spool:")[0]
    (fleet / "origin.yaml").write_text(text)
    base = home / ".local/state/telarchy/streaming/default.origin"
    for life in ("first", "second"):
        with Store.open(tmp_path / life) as store:
            store.memory.put("controller/id", "0123456789abcdef")
        async with controller(RunOptions(state=tmp_path / life, source=str(fleet))) as running:
            tasks = [
                asyncio.create_task(running.engine.follow_source()),
                asyncio.create_task(running.engine.reconciler.run()),
            ]
            try:
                if life == "first":
                    await until(lambda: (base / "services/http/applied").exists(), tasks)
                else:
                    await until(lambda: not base.exists(), tasks)
                    await until(lambda: running.engine.reconciler.plan.settled, tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        (fleet / "origin.yaml").unlink(missing_ok=True)
        (fleet / "stream.yaml").unlink(missing_ok=True)
