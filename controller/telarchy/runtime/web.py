"""The web server of a controller: its doors to the fleets, its built-in media plane, its figures.

With `--listen` there are pages and the API, with `--metrics-listen` the figures. Without them, endpoints on this
machine are served all the same where their manifests say: that is declared, and not a matter of how the controller was
started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from telarchy.core.plan import Event
from telarchy.errors import ConfigError
from telarchy.links.secrets import SecretResolver
from telarchy.resources.meta import Ref
from telarchy.runtime.engine import Engine
from telarchy.store import Store
from telarchy.streaming.playbacksecrets import PlaybackSecrets
from telarchy.streaming.snapshots import SnapshotBook
from telarchy.streaming.unserved import UnservedBook
from telarchy.web.fleetview import FleetDoor, Fleets, Views
from telarchy.web.forwarded import networks
from telarchy.web.listener import Listener
from telarchy.web.metrics import CONTENT_TYPE, FleetFigures, metrics_application, metrics_text
from telarchy.web.pagefiles import PageFiles, asset_folders
from telarchy.web.plane import MediaPlane
from telarchy.web.public import PublicServer, parse_listen
from telarchy.web.sites import PlaneSites

Tell = Callable[[Ref, str, bool], None]


def engine_door(engine: Engine, store: Store, secrets: SecretResolver, namespace: str) -> FleetDoor:
    """The door to a fleet on which this process acts."""
    return FleetDoor(
        namespace=namespace,
        declared=lambda: engine.reconciler.world.resources,
        status=engine.status,
        secrets=secrets,
        playback=PlaybackSecrets(secrets, store.memory, read_only=store.read_only).of,
        snapshots=SnapshotBook(store.memory, namespace),
    )


class Web:
    """Everything that is served. Raises ConfigError for `trusted` that are no proxies, and at `start` where `listen`
    cannot be had.

    fleets:   the doors, asked anew each time
    trusted:  reverse proxies in front of `listen`, as addresses or networks
    metrics:  `host:port` where Prometheus may ask; "" for nowhere, or where figures are served elsewhere
    figures:  of the fleets, for that
    health:   what /healthz says
    tell:     hears why an endpoint cannot be served ("" once it can), and whether nobody can watch without it
    """

    def __init__(
        self,
        fleets: Fleets,
        *,
        listen: str = "",
        trusted: tuple[str, ...] = (),
        state: Path | None = None,
        metrics: str = "",
        figures: Callable[[], Iterable[FleetFigures]] = list,
        health: Callable[[], Mapping[str, Any]] = dict,
        tell: Tell = lambda ref, why, needed: None,
    ) -> None:
        views = Views(fleets)
        proxies = networks(trusted)
        self._plane = MediaPlane(views, trusted=proxies)
        self._figures = figures
        address = parse_listen(listen) if listen else None
        self.server: PublicServer | None = None
        if address is not None:
            self.server = PublicServer(
                views,
                address,
                health=health,
                plane=self._plane,
                page_files=PageFiles(asset_folders(state)),
                trusted=proxies,
            )
        self.metrics: Listener | None = None
        if metrics:
            self.metrics = Listener(
                metrics_application(self._metrics), parse_listen(metrics), "--metrics-listen"
            )
        taken = frozenset((address[1],)) if address is not None else frozenset[int]()
        self._sites = PlaneSites(views, self._plane, tell, taken=taken)
        self._serving: asyncio.Task[None] | None = None

    @property
    def has_player(self) -> bool:
        """Whether hls.js is there for browsers that need it."""
        return PageFiles().has_hls if self.server is None else self.server.page_files.has_hls

    @property
    def here(self) -> str:
        """Where the server is found, as a URL without a path; "" when there is none, or when it listens everywhere."""
        if self.server is None or self.server.everywhere:
            return ""
        return self.server.address

    async def start(self) -> None:
        if self.server is not None:
            await self.server.start()
        if self.metrics is not None:
            try:
                await self.metrics.start()
            except ConfigError:
                await self.stop()
                raise
        self._serving = asyncio.create_task(self._sites.run(), name="serve endpoints of this machine")

    async def stop(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        for one in (self.metrics, self.server):
            if one is not None:
                await one.stop()
        await self._plane.close()

    def _metrics(self) -> tuple[bytes, str]:
        book = self.server.book if self.server is not None else None
        return metrics_text(self._figures, players=book), CONTENT_TYPE


def teller(store: Store, namespace: str) -> Tell:
    """Tells as an event of the endpoint, and whoever judges it."""
    book = UnservedBook(store.memory, namespace)
    if not store.read_only:
        book.begin()

    def tell(ref: Ref, why: str, needed: bool) -> None:
        book.note(ref.name, why if needed else "")
        if why:
            store.events.record([Event(ref, "CannotServe", f"{why}; it is tried again", "Warning")])

    return tell
