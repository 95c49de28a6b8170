"""A fleet as the web server sees it, made of manifests and statuses given in YAML."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from telarchy.links.secrets import Secret, SecretMissing
from telarchy.resources.loader import load_text
from telarchy.resources.meta import Ref
from telarchy.streaming.snapshots import SnapshotBook
from telarchy.web.fleetview import FleetDoor, Views
from telarchy.web.public import PublicServer

GENERATION = "g3-0badcafe"
SECRET = "for the tests of this page only"

MANIFESTS = """
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: black}
spec: {class: Server, connection: {ssh: {endpoints: [telarchy@192.0.2.11]}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: vps}
spec: {class: Server, connection: {ssh: {endpoints: [telarchy@192.0.2.12]}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: desk}
spec: {class: Consumer, connection: {local: {}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {name: black-origin}
spec: {hostRef: black, role: Origin, publicURL: "http://192.0.2.11:8080"}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {name: vps-edge}
spec: {hostRef: vps, role: Edge, publicURL: "https://edge.example", sources: [{endpointRef: black-origin}]}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {name: desk-origin}
spec: {hostRef: desk, role: Origin}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {name: cdn}
spec:
  role: ExternalEdge
  external:
    playlistURL: "https://cdn.example/{stream}/{rendition}/index.m3u8"
    report: {secretRef: {name: cdn, key: report}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: garden}
spec: {visibility: Public, ingest: {test: {}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: attic}
spec: {visibility: Unlisted, ingest: {test: {}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: nursery}
spec: {visibility: Private, ingest: {test: {}}}
"""


def served(*names: str, **states: str) -> list[dict[str, Any]]:
    return [{"name": one, "state": states.get(one.replace("-", "_"), "Healthy")} for one in names]


def live(*names: str, **states: str) -> dict[str, Any]:
    """The status of a stream that plays from these endpoints."""
    return {
        "phase": "Live",
        "source": "Present",
        "generation": GENERATION,
        "viewers": 3,
        "endpoints": served(*names, **states),
    }


class Secrets:
    def __init__(self, **known: str) -> None:
        self.known = known

    def resolve(self, name: str, key: str) -> Secret:
        if name not in self.known:
            raise SecretMissing(f"secret {name}/{key} is not there")
        return Secret(self.known[name].encode())


def door(
    statuses: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    manifests: str = MANIFESTS,
    book: SnapshotBook | None = None,
    secrets: Secrets | None = None,
) -> FleetDoor:
    """`statuses`: by name of stream or endpoint."""
    loaded = load_text(manifests, "fleet.yaml")
    assert not loaded.errors, loaded.errors
    resources = {one.resource.ref: one.resource for one in loaded.resources}
    known = statuses or {}

    def status(ref: Ref) -> Mapping[str, Any] | None:
        return known.get(ref.name)

    return FleetDoor(
        namespace="default",
        declared=lambda: resources,
        status=status,
        secrets=secrets or Secrets(cdn="signed with this"),
        playback=lambda stream: (Secret(SECRET.encode()),),
        snapshots=book,
    )


@asynccontextmanager
async def serving(
    *doors: FleetDoor, **more: Any
) -> AsyncIterator[tuple[PublicServer, aiohttp.ClientSession]]:
    """A server on a free port of this machine, and a client that begins its paths there."""
    server = PublicServer(Views(lambda: doors), ("127.0.0.1", 0), **more)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            yield server, client
    finally:
        await server.stop()
