"""The rooms of this version, wired to links and store. Adding a capability is adding it here."""

from __future__ import annotations

import os
import secrets as randomness
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telarchy.core.capability import Capability
from telarchy.core.clock import SteadyClock
from telarchy.core.loop import HostsSeen
from telarchy.core.observation import Observation
from telarchy.core.owner import Owner
from telarchy.core.world import World
from telarchy.custody.capability import Custody
from telarchy.custody.lease import Controller
from telarchy.hosts.observe import HostWatch
from telarchy.links.pool import LinkPool
from telarchy.links.routes import ROUTES_FOLDER, Routes
from telarchy.links.secrets import FileSecrets, SecretResolver
from telarchy.resources.meta import DEFAULT_NAMESPACE
from telarchy.runtime.evidence import from_memory
from telarchy.runtime.explain import why
from telarchy.runtime.tenure import Tenure
from telarchy.store import Store
from telarchy.store.catalogue import FILE, CatalogueFile
from telarchy.streaming.capability import Streaming

Why = Callable[[str, str, World, Observation, float], list[str]]
"""(topic, name, world, seen, now) → lines that explain it. Raises TelarchyError when there is no such thing."""

SECRETS_FOLDER = "secrets"
CONTROLLER_ID = "controller/id"


async def _nothing() -> None:
    """There are no links to let go of."""


@dataclass(frozen=True)
class Rooms:
    """The capabilities of a fleet in the order in which they look, and what else the runtime asks of them.

    looked:  when each host's evidence was last brought up to date, seconds since the epoch
    recall:  the observation that was kept by an earlier controller, from what the store holds of it
    behind:  whether more was seen than what was seen in detail, the catalogue, has on the disk
    save:    brings that up to date. Raises StoreError
    close:   lets go of the links, after the rooms are closed
    lost:    what could not be read of what was remembered, in plain words; "" when nothing
    """

    capabilities: Sequence[Capability]
    hosts: HostsSeen
    why: Why
    looked: Callable[[], Mapping[str, float]] = dict
    recall: Callable[[Mapping[str, Any], frozenset[str]], Observation] = lambda kept, approved: Observation()
    behind: Callable[[], bool] = lambda: False
    save: Callable[[], None] = lambda: None
    close: Callable[[], Awaitable[None]] = _nothing
    lost: str = ""


def furnish(
    store: Store,
    clock: SteadyClock,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    secrets: SecretResolver | None = None,
    tenure: Tenure | None = None,
) -> Rooms:
    """Every capability this version has, wired to the links and the store. Raises StoreError.

    secrets:  where `secretRef`s lead; None: to files below the state folder and environment variables
    tenure:   the right to act as granted from above; None: the hosts' own lease files decide
    """
    secrets = secrets or FileSecrets(store.folder / SECRETS_FOLDER)
    pool = LinkPool(secrets)
    kept = CatalogueFile(store.folder / FILE, read_only=store.read_only)
    catalogue = kept.load()
    hosts = HostWatch(pool, store.memory)
    identity = controller_identity(store, tenure)
    custody = Custody(
        pool,
        Routes(pool, fleet=namespace, folder=store.folder / ROUTES_FOLDER),
        catalogue,
        store.memory,
        clock,
        identity,
        lambda: kept.save(catalogue),
        epoch=tenure.epoch if tenure is not None else 0,
    )
    streaming = Streaming(
        pool,
        secrets,
        store.memory,
        clock,
        namespace=namespace,
        owner=Owner(identity.id, identity.name, tenure.epoch if tenure is not None else 0),
        read_only=store.read_only,
    )
    return Rooms(
        capabilities=(hosts, custody, streaming),
        hosts=hosts,
        why=why,
        looked=custody.observer.looked,
        behind=lambda: kept.is_behind(catalogue),
        save=lambda: kept.save(catalogue),
        close=pool.close,
        recall=lambda known, approved: from_memory(known, catalogue, approved),
        lost=kept.lost,
    )


def controller_identity(store: Store, tenure: Tenure | None = None) -> Controller:
    """Who writes to the hosts: the state folder's own id, so that after a crash the next run is the same writer."""
    if tenure is not None:
        return Controller(tenure.id, tenure.name)
    known = store.memory.get(CONTROLLER_ID)
    if not isinstance(known, str):
        known = randomness.token_hex(8)
        if not store.read_only:
            store.memory.put(CONTROLLER_ID, known)
    return Controller(known, f"{socket.gethostname()}-{os.getpid()}")
