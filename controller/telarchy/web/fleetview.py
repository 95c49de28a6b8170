"""What the public side of the web server sees of a fleet: its streams and endpoints with their statuses.

Both runtimes have it: a controller that runs alone shows its one fleet, a replica of the operator every fleet that it
watches, whether it acts on it or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from telarchy.links.secrets import Secret, SecretResolver
from telarchy.resources.host import Host
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.meta import Ref, Resource, Status
from telarchy.resources.stream import Stream
from telarchy.streaming.snapshots import SnapshotBook

FRESH_SECONDS = 0.5  # statuses are read again no sooner; a thousand viewers may ask at once

S = TypeVar("S", bound=Resource)


@dataclass(frozen=True)
class FleetDoor:
    """How the web server asks one fleet. Every field is asked anew each time.

    declared:   resources by ref
    status:     what was last reported about one
    secrets:    where `secretRef`s lead
    playback:   the secrets that sign playback URLs of a stream, the one in force first; () when there is none
    snapshots:  where reports of external endpoints are kept; None on a replica that does not act
    acts:       whether this process acts on the fleet, so that "this machine" means this one
    """

    namespace: str
    declared: Callable[[], Mapping[Ref, Resource]]
    status: Callable[[Ref], Mapping[str, Any] | None]
    secrets: SecretResolver
    playback: Callable[[Stream], tuple[Secret, ...]]
    snapshots: SnapshotBook | None = None
    acts: bool = True


Fleets = Callable[[], Iterable[FleetDoor]]


@dataclass(frozen=True)
class FleetView:
    """Streams, endpoints and hosts of a fleet by name, each with its status."""

    door: FleetDoor
    streams: Mapping[str, Stream] = field(default_factory=dict)
    endpoints: Mapping[str, MediaEndpoint] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    declared: Mapping[Ref, Resource] = field(default_factory=dict)

    def host_of(self, endpoint: MediaEndpoint) -> Host | None:
        return self.hosts.get(endpoint.spec.host_ref or "")


class Views:
    """The fleets as they are now, read at most twice a second."""

    def __init__(self, fleets: Fleets, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fleets, self._monotonic = fleets, monotonic
        self._read: dict[str, tuple[float, FleetView]] = {}

    def doors(self) -> list[FleetDoor]:
        """The fleets that there are now."""
        return list(self._fleets())

    def all(self) -> list[FleetView]:
        doors = {one.namespace: one for one in self._fleets()}
        for gone in self._read.keys() - doors.keys():
            del self._read[gone]
        return [self._view(one) for one in doors.values()]

    def get(self, namespace: str) -> FleetView | None:
        """None when there is no such fleet."""
        for one in self._fleets():
            if one.namespace == namespace:
                return self._view(one)
        return None

    def _view(self, door: FleetDoor) -> FleetView:
        now = self._monotonic()
        known = self._read.get(door.namespace)
        declared = door.declared()
        if known is not None and now - known[0] < FRESH_SECONDS and known[1].declared is declared:
            return known[1]
        view = _look(door, declared)
        self._read[door.namespace] = (now, view)
        return view


def _look(door: FleetDoor, declared: Mapping[Ref, Resource]) -> FleetView:
    return FleetView(
        door,
        {one.metadata.name: _reported(one, door) for one in declared.values() if isinstance(one, Stream)},
        {
            one.metadata.name: _reported(one, door)
            for one in declared.values()
            if isinstance(one, MediaEndpoint)
        },
        {one.metadata.name: one for one in declared.values() if isinstance(one, Host)},
        declared,
    )


def _reported(one: S, door: FleetDoor) -> S:
    """The resource with what was last reported about it; with an empty status when that cannot be read."""
    said = door.status(one.ref)
    if not said:
        return one
    model = type(one).model_fields["status"].annotation
    try:
        assert isinstance(model, type) and issubclass(model, Status)
        return one.model_copy(update={"status": model.model_validate(said)})
    except ValidationError:
        return one  # written by another version
