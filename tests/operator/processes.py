"""Operators as processes, so that they can be killed as machines kill them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.operator.client import until
from tests.operator.gate import Gate

ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """One operator."""

    identity: str
    process: asyncio.subprocess.Process
    port: int
    log: Path
    state: Path

    async def health(self) -> tuple[int, dict[str, Any]]:
        """(0, {}) while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}/healthz") as answer,
            ):
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return 0, {}

    async def metrics(self) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/metrics") as answer,
        ):
            return await answer.text()

    async def rounds(self, namespace: str) -> int:
        _, said = await self.health()
        return int(said.get("fleets", {}).get(namespace, {}).get("rounds", 0))

    async def leads(self, namespace: str) -> bool:
        _, said = await self.health()
        return bool(said.get("fleets", {}).get(namespace, {}).get("leading"))

    async def until_listed(self, seconds: float = 60) -> None:
        async def listed() -> bool:
            return bool((await self.health())[1].get("listed"))

        await until(listed, "everything was listed", seconds, self.log.read_text)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, as a kubelet does. Returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 30)


@dataclass
class Operators:
    """Starts them. `toys`: with the toy room of `toys.py` instead of the real rooms;
    `module`: one that brings rooms of its own."""

    gate: Gate
    folder: Path
    namespaces: list[str]
    started: list[Running] = field(default_factory=list)

    async def start(
        self,
        identity: str = "op-a",
        *options: str,
        toys: bool = True,
        module: str = "",
        state: str = "",
        all_namespaces: bool = False,
    ) -> Running:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(kubeconfig_for(self.gate.url)))
        log, where = self.folder / f"{identity}-{len(self.started)}.log", self.folder / (state or identity)
        words = [module] if module else ["tests.operator.toys"] if toys else ["telarchy", "operator"]
        chosen = (
            [] if all_namespaces else [word for name in self.namespaces for word in ("--namespace", name)]
        )
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *words,
                *chosen,
                *options,
                *("--identity", identity, "--kubeconfig", str(kubeconfig), "--state", str(where)),
                *("--liveness", f"http://127.0.0.1:{port}/healthz"),
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": f"{ROOT / 'controller'}:{ROOT}"},
                stdout=file,
                stderr=file,
            )
        running = Running(identity, process, port, log, where)
        self.started.append(running)
        return running

    async def stop_all(self) -> None:
        for one in self.started:
            if one.process.returncode is None:
                one.process.kill()
                await one.process.wait()


def kubeconfig_for(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gate", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": "nobody"}}],
        "current-context": "gate",
    }


def rss_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(json.dumps({"pid": pid}))
