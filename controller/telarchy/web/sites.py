"""Where built-in endpoints listen: each at its own address and port, as its manifest says, while it is declared.

Beside it stands the listener that only this machine reaches and that asks no token: there the endpoint is looked at
as a viewer would look.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import web

from telarchy.resources.host import Host
from telarchy.resources.mediaendpoint import MediaEndpoint, health_port
from telarchy.resources.meta import Ref
from telarchy.web.fleetview import FleetDoor, Views
from telarchy.web.plane import MediaPlane
from telarchy.web.playback import built_in
from telarchy.web.safety import Handler, harden

LOOK_SECONDS = 1.0
RETRY_SECONDS = 5.0
HEALTH_ADDRESS = "127.0.0.1"

Told = Callable[[Ref, str, bool], None]


@dataclass
class _Site:
    """A listener. `lacks`: why it cannot be opened."""

    runner: web.AppRunner | None = None
    lacks: str = ""
    again: float = 0.0


@dataclass(frozen=True)
class _Wanted:
    endpoint: str  # namespace/name
    address: str
    port: int
    health: bool
    ref: Ref = field(compare=False)
    needed: bool = field(compare=False)  # whether nobody can watch, or nobody can look, without it


class PlaneSites:
    """Opens and closes listeners as endpoints come and go.

    taken:  ports that this process serves otherwise (`--listen`), where the plane answers too
    told:   hears why an endpoint cannot be served, and "" once it can; and whether nobody can watch for it: where this
            process serves pages, too, it serves there what has no address of its own
    """

    def __init__(
        self, views: Views, plane: MediaPlane, told: Told, *, taken: frozenset[int] = frozenset()
    ) -> None:
        self._views, self._plane, self._told, self._taken = views, plane, told, taken
        self._sites: dict[_Wanted, _Site] = {}
        self._lacking: dict[Ref, tuple[str, bool]] = {}  # what was told last
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled; everything is closed then."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await asyncio.gather(*(self._close(one) for one in list(self._sites)))

    async def look(self) -> None:
        """Listen where it is wanted, and nowhere else."""
        async with self._looking:
            wanted = set(self._wanted())
            for gone in self._sites.keys() - wanted:
                await self._close(gone)
            now = asyncio.get_running_loop().time()
            for one in wanted:
                site = self._sites.setdefault(one, _Site())
                if site.runner is None and now >= site.again:
                    await self._open(one, site, now)
            self._tell()

    def _wanted(self) -> list[_Wanted]:
        found = []
        for door in self._views.doors():
            if not door.acts or not _has_local(door):
                continue  # without reading a status: this is asked every second
            view = self._views.get(door.namespace)
            if view is None:
                continue
            for name, endpoint in view.endpoints.items():
                if not built_in(view, endpoint) or endpoint.spec.suspend:
                    continue
                key = f"{view.door.namespace}/{name}"
                alone = not self._taken or endpoint.spec.public_url is not None
                for address, port, health in _listeners(endpoint, self._taken):
                    found.append(_Wanted(key, address, port, health, endpoint.ref, health or alone))
        return found

    async def _open(self, one: _Wanted, site: _Site, now: float) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._plane.answer(request, one.endpoint, health=one.health)

        app = web.Application(middlewares=[_hardened])
        app.router.add_route("*", "/{rest:.*}", answer)
        app.on_response_prepare.append(self._plane.sent)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, one.address, one.port).start()
        except OSError as error:
            await runner.cleanup()
            site.again = now + RETRY_SECONDS
            said = os.strerror(error.errno) if error.errno else str(error)
            site.lacks = (
                f"{one.address}:{one.port} cannot be listened on ({said}): free that port, or declare another"
            )
        else:
            site.runner, site.lacks = runner, ""

    def _tell(self) -> None:
        """Once, when an endpoint begins to lack something, another thing than before, or nothing any more."""
        lacking: dict[Ref, tuple[str, bool]] = {}
        for one, site in sorted(self._sites.items(), key=lambda each: (not each[0].needed, each[0].health)):
            if site.lacks:
                lacking.setdefault(one.ref, (site.lacks, one.needed))
        nothing = ("", False)
        for ref in lacking.keys() | self._lacking.keys():
            if lacking.get(ref, nothing) != self._lacking.get(ref, nothing):
                self._told(ref, *lacking.get(ref, nothing))
        self._lacking = lacking

    async def _close(self, one: _Wanted) -> None:
        site = self._sites.pop(one, None)
        if site is not None and site.runner is not None:
            with suppress(OSError):
                await site.runner.cleanup()


def _has_local(door: FleetDoor) -> bool:
    return any(
        isinstance(one, Host) and one.spec.connection.local is not None for one in door.declared().values()
    )


def _listeners(endpoint: MediaEndpoint, taken: frozenset[int]) -> list[tuple[str, int, bool]]:
    listen = endpoint.spec.listen
    found = [(HEALTH_ADDRESS, health_port(listen.http), True)]
    if listen.http not in taken:
        found.append((listen.address, listen.http, False))
    return found


@web.middleware
async def _hardened(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.Response(status=error.status)
    except Exception as bug:  # noqa: BLE001 - kept in the crash file; the others go on
        asyncio.get_running_loop().call_exception_handler({"message": str(bug), "exception": bug})
        response = web.Response(status=500)
    if not response.prepared:
        harden(response)
    return response
