"""What the web server of a replica sees of fleets: its own, and those on which another replica acts.

Any replica can say where a stream plays, since statuses come with the watch. What is only with the one that acts
(the secrets that sign, where reports are kept) is missing elsewhere: a Private stream is not told of there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from telarchy.core.plan import Event
from telarchy.errors import TelarchyError
from telarchy.links.secrets import FileSecrets, Secret
from telarchy.resources.meta import Ref, Resource
from telarchy.resources.stream import Stream
from telarchy.runtime.web import Web
from telarchy.web.fleetview import FleetDoor

if TYPE_CHECKING:
    from telarchy.runtime.kubernetes.health import HealthServer
    from telarchy.runtime.kubernetes.objects import Objects
    from telarchy.runtime.kubernetes.operator import OperatorOptions


def watched_door(namespace: str, objects: Objects) -> FleetDoor:
    """The door to a fleet that is only watched."""

    def declared() -> Mapping[Ref, Resource]:
        return {one.ref: one.resource for one in objects if one.resource is not None and not one.deleted}

    def status(ref: Ref) -> Mapping[str, Any] | None:
        held = objects.get(ref)
        return held.status if held is not None else None

    def playback(stream: Stream) -> tuple[Secret, ...]:
        raise TelarchyError(f"another replica keeps the playback secret of {stream.ref}")

    return FleetDoor(namespace, declared, status, FileSecrets(None, {}), playback, acts=False)


@asynccontextmanager
async def web_server(health: HealthServer, options: OperatorOptions) -> AsyncIterator[None]:
    """Pages, playback and reports of all fleets, while inside. Raises ConfigError."""

    def tell(ref: Ref, why: str, _: bool) -> None:
        fleet = health.operator.fleets.get(ref.namespace)
        if fleet is not None and why:
            fleet.events.post(Event(ref, "CannotServe", f"{why}; it is tried again", "Warning"))

    web = Web(
        lambda: [one.door() for one in health.operator.fleets.values()],
        listen=options.listen,
        trusted=options.trusted,
        state=options.fleets.state,
        # who probes and scrapes does so at its own port; this one may be open to everybody
        health=dict if options.liveness else health.report,
        tell=tell,
    )
    if web.server is not None:
        health.players = web.server.book
    await web.start()
    try:
        yield
    finally:
        await web.stop()
