"""Values behind `secretRef`s: read from Secrets of the fleet's own namespace, by name, kept for a minute.

Only Secrets that some object names are read (`get`, never `list` or `watch`), so a Role can name them too. Values are
in memory alone: they reach no log, no status, no event and no disk.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from telarchy.links.secrets import Secret, SecretMissing
from telarchy.resources.meta import Model, Resource, SecretRef
from telarchy.runtime.kubernetes.cluster import Cluster, ClusterError, Collection

REFRESH_SECONDS = 60.0


class ClusterSecrets:
    """A `links.secrets.SecretResolver` over what was read last."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._read: dict[str, Mapping[str, Secret] | str] = {}  # by name: its values, or why there are none

    def resolve(self, name: str, key: str) -> Secret:
        """The value as last read. Raises SecretMissing."""
        found = self._read.get(name)
        if found is None:
            raise SecretMissing(f"Secret {name} in namespace {self._namespace} has not been read yet")
        if isinstance(found, str):
            raise SecretMissing(found)
        if key not in found:
            raise SecretMissing(f"Secret {name} in namespace {self._namespace} has no key {key}")
        return found[key]

    async def refresh(self, resources: Iterable[Resource], *, leaving: bool = False) -> bool:
        """Read every Secret that these name. True when a value changed. What cannot be read now stays as it was,
        unless it is gone or forbidden; a Secret that is gone stays too while something is `leaving`, since with a
        namespace they all go at once, and nothing could be undone without them."""
        before = dict(self._read)
        wanted = {one.name for resource in resources for one in secret_refs(resource.spec)}
        for name in self._read.keys() - wanted:
            del self._read[name]
        for name in sorted(wanted):
            self._read[name] = await self._get(name, leaving)
        return self._read != before

    async def _get(self, name: str, leaving: bool) -> Mapping[str, Secret] | str:
        where = f"Secret {name} in namespace {self._namespace}"
        try:
            body = await self._cluster.get(Collection.secrets(self._namespace).item(name))
        except ClusterError as error:
            known = self._read.get(name)
            if error.status == 404:
                return known if leaving and known is not None else f"{where} does not exist"
            if error.status == 403:
                return f"{where} may not be read: grant the operator's service account `get` on it"
            return known if known is not None else f"{where} could not be read (status {error.status})"
        return dict(_values(body.get("data") or {}))


def _values(data: Mapping[str, Any]) -> Iterator[tuple[str, Secret]]:
    for key, encoded in data.items():
        try:
            yield key, Secret(base64.b64decode(str(encoded), validate=True))
        except (binascii.Error, ValueError):
            continue  # the API server takes nothing else than base64


def secret_refs(value: Any) -> Iterator[SecretRef]:
    """Every SecretRef somewhere inside a model."""
    if isinstance(value, SecretRef):
        yield value
    elif isinstance(value, Model):
        for name in type(value).model_fields:
            yield from secret_refs(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secret_refs(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from secret_refs(inner)
