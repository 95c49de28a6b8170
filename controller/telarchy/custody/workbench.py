"""What an action has at hand: links, volumes, the catalogue, the right to write. Shared by all of custody's actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from telarchy.core.clock import SteadyClock
from telarchy.custody.actions import VolumeAction
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.evidence import VolumeSeen, VolumeState
from telarchy.custody.lease import Writer, WriterLease
from telarchy.custody.manifest import Manifest
from telarchy.custody.survey import Place
from telarchy.custody.terms import RootTerms
from telarchy.custody.transfer import Routing, Rsyncs
from telarchy.errors import ActionFailed, SafetyRefusal
from telarchy.links.link import Link
from telarchy.resources.fleet import FleetSpec
from telarchy.resources.host import Host


class Links(Protocol):
    """Where links come from; `links.pool.LinkPool` is one."""

    async def link(self, name: str) -> Link: ...


@dataclass
class Workbench:
    """The custody room's tools. One per controller; `policy` and `hosts` change with the world.

    volumes:   as last seen, by key
    save:      store what changed in the catalogue
    rescan:    ask for a scan of a volume (by key) soon
    touched:   tell that the catalogue got a title (volume key, name) from elsewhere than a scan
    detached:  whether the controller is stopping, so that jobs on hosts are left to go on
    """

    links: Links
    routing: Routing
    catalogue: Catalogue
    clock: SteadyClock
    lease: WriterLease
    save: Callable[[], None]
    rescan: Callable[[str], None]
    touched: Callable[[str, str], None]
    detached: Callable[[], bool] = lambda: False
    volumes: Mapping[str, VolumeSeen] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    rsyncs: Rsyncs = field(default_factory=Rsyncs)
    policy: FleetSpec = field(default_factory=FleetSpec)

    def writer(self) -> Writer:
        """The right to write. Raises SafetyRefusal(single-writer) while another controller has it."""
        writer = self.lease.writer
        if writer is None:
            raise SafetyRefusal("single-writer", self.lease.fenced)
        return writer

    def volume(self, key: str) -> VolumeSeen:
        """A volume that can be read. Raises ActionFailed(VolumeGone)."""
        seen = self.volumes.get(key)
        if seen is None:
            raise ActionFailed(f"no declared host has volume {key} now", reason="VolumeGone")
        if seen.state not in (VolumeState.MOUNTED, VolumeState.READ_ONLY, VolumeState.NEW):
            raise ActionFailed(
                f"{seen.path} on {seen.host}: {seen.message or seen.state}", reason="VolumeGone"
            )
        return seen

    async def place(self, key: str) -> Place:
        """A volume to read from. Raises ActionFailed, HostUnreachable."""
        seen = self.volume(key)
        return Place(await self.links.link(seen.host), seen.path, seen.id)

    async def place_to_change(self, action: VolumeAction) -> Place:
        """The volume of an action that writes. Raises ActionFailed(VolumeGone, ReadOnly)."""
        seen = self.volume(action.volume)
        if not seen.id:
            raise ActionFailed(f"{seen.path} on {seen.host} has not been adopted yet", reason="NotAdopted")
        if seen.state is VolumeState.READ_ONLY:
            raise ActionFailed(f"{seen.path} on {seen.host} is read-only", reason="ReadOnly")
        return Place(await self.links.link(seen.host), seen.path, seen.id)

    def note_title(self, volume: str, title: str, seen: Manifest, before: Manifest | None = None) -> Manifest:
        """Take a fresh look at a title into the catalogue; returns it with the digests that still hold: `before`, which
        is what the catalogue has, where nothing changed."""
        if before is None:
            before = self.catalogue.manifest(volume, title)
        if [one[:3] for one in before] == [one[:3] for one in seen]:  # path, size, mtime
            return before
        self.patch(volume, title, seen)
        return self.catalogue.manifest(volume, title)

    def patch(self, volume: str, title: str, files: Manifest) -> None:
        """Put what an action saw or did into the catalogue; the next scan looks at that title once more."""
        self.catalogue.patch_volume(volume, {title: files or None}, self.clock.now())
        self.touched(volume, title)

    def reserve(self, host: str, root: str, total: int | None) -> int:
        """Bytes that copies leave free on a root, as the plan reckons them."""
        declared = None
        if host in self.hosts:
            roots = {one.name: one for one in self.hosts[host].spec.media_roots}
            declared = roots[root].reserve if root in roots else None
        terms = RootTerms(host, root, "", declared.bytes if declared is not None else None)
        return terms.kept_free(total)

    def bandwidth(self, source: str, target: str) -> int | None:
        """Bytes per second for one transfer: its share of the fleet's budget and of both hosts', the least of them.

        A share is what is left to each when all that may run at once do run, so that no budget is ever exceeded.
        """
        fleet = self.policy.transfers
        shares = [(fleet.bandwidth, fleet.max_parallel)]
        if source in self.hosts:
            own = self.hosts[source].spec.transfers
            shares.append((own.bandwidth, own.max_out if own.max_out is not None else fleet.per_host_out))
        if target in self.hosts:
            own = self.hosts[target].spec.transfers
            shares.append((own.bandwidth, own.max_in if own.max_in is not None else fleet.per_host_in))
        limits = [whole.bytes // max(1, parts) for whole, parts in shares if whole is not None]
        return max(1024, min(limits)) if limits else None

    def domain(self, host: str) -> str:
        """What copies on a host are counted under."""
        manifest = self.hosts.get(host)
        return manifest.failure_domain if manifest is not None else host
