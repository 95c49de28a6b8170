"""A proxy between operator and API server that counts, refuses and cuts. The same for a real server and for kmock.

It holds the credentials; behind it a kubeconfig needs an address only.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web


@dataclass
class Refusal:
    """The next `times` requests that match are answered so, instead of being passed on."""

    method: str
    path: str  # a regular expression, searched
    status: int
    times: int
    headers: dict[str, str] = field(default_factory=dict)
    answered: int = 0
    causes: tuple[str, ...] = ()

    def takes(self, request: web.Request) -> bool:
        return (
            self.times > 0
            and request.method == self.method
            and re.search(self.path, request.path) is not None
        )


class Gate:
    """`url` is where to connect. `writes` counts requests that change something, by `METHOD resource[/status]`."""

    def __init__(self, upstream: str, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._upstream, self._make = upstream.rstrip("/"), session
        self.requests: Counter[str] = Counter()
        self.refusals: list[Refusal] = []
        self.closed = False
        self._watches: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self.url = ""

    @property
    def writes(self) -> Counter[str]:
        """Everything but reads and the renewal of Leases."""
        return Counter(
            {
                what: count
                for what, count in self.requests.items()
                if not what.startswith(("GET ", "WATCH ")) and "leases" not in what
            }
        )

    def refuse(self, method: str, path: str, status: int, times: int, **headers: str) -> Refusal:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.refusals.append(Refusal(method, path, status, times, named))
        return self.refusals[-1]

    async def cut_watches(self) -> int:
        """Break every watch in the middle, as a dying load balancer does."""
        broken = list(self._watches)
        for task in broken:
            task.cancel()
        await asyncio.gather(*broken, return_exceptions=True)
        return len(broken)

    async def start(self) -> None:
        self._session = self._make()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self.cut_watches()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._session.close()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        watching = request.query.get("watch") in ("true", "1")
        self.requests[_name(request, watching)] += 1
        if self.closed:
            return web.json_response({"kind": "Status", "code": 503, "message": "closed"}, status=503)
        for refusal in self.refusals:
            if refusal.takes(request):
                refusal.times -= 1
                refusal.answered += 1
                body = {
                    "kind": "Status",
                    "status": "Failure",
                    "code": refusal.status,
                    "message": "refused by the test",
                    "details": {"causes": [{"reason": one} for one in refusal.causes]},
                }
                return web.json_response(body, status=refusal.status, headers=refusal.headers)
        kept = ("Accept", "Content-Type")
        async with self._session.request(
            request.method,
            self._upstream + request.path_qs,
            data=await request.read() or None,
            headers={name: request.headers[name] for name in kept if name in request.headers},
        ) as answer:
            headers = {
                name: answer.headers[name]
                for name in ("Content-Type", "Retry-After")
                if name in answer.headers
            }
            if not watching:
                return web.Response(status=answer.status, body=await answer.read(), headers=headers)
            response = web.StreamResponse(status=answer.status, headers=headers)
            await response.prepare(request)
            task = asyncio.create_task(_pump(answer, response))
            self._watches.add(task)
            task.add_done_callback(self._watches.discard)
            await asyncio.gather(task, return_exceptions=True)
            if request.transport is not None:
                request.transport.abort()
            return response


async def _pump(answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    async for chunk in answer.content.iter_any():
        await response.write(chunk)


def _name(request: web.Request, watching: bool) -> str:
    parts = [part for part in request.path.split("/") if part]
    parts = parts[3:] if parts[:1] == ["apis"] else parts[2:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    resource = "/".join(parts[:1] + parts[2:3])
    return f"{'WATCH' if watching else request.method} {resource}"
