"""Desired state as last accepted, with the identity that Kubernetes would give it.

Two origins live side by side and never touch each other: what a directory or git repository declares
(`source`, replaced as a whole by each good revision) and what a person applied to the embedded store
(`applied`). What was applied exists nowhere else, so it is also kept as plain YAML beside the store, from
which a damaged store is filled again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telarchy.errors import StoreError
from telarchy.resources.meta import Ref, Resource, format_time
from telarchy.resources.registry import resolve_kind
from telarchy.store.memory import to_json

SOURCE = "source"
APPLIED = "applied"
APPLIED_FILE = "applied.yaml"


@dataclass(frozen=True)
class Change:
    """What became of one resource: `created`, `configured`, `unchanged` or `deleted`."""

    ref: Ref
    verb: str


class Objects:
    """The ledger of declared resources."""

    def __init__(self, connection: sqlite3.Connection, folder: Path | None) -> None:
        self._connection = connection
        self._folder = folder  # where the plain copy of applied objects goes; None for a reader

    def all(self, origin: str) -> list[Resource]:
        """Every resource of an origin, by kind and name. One that this version cannot read is left out."""
        rows = self._connection.execute(
            "SELECT kind, uid, generation, created, manifest FROM objects WHERE origin = ? "
            "ORDER BY kind, namespace, name",
            (origin,),
        )
        found = (_resource(kind, json.loads(text), *identity) for kind, *identity, text in rows)
        return [resource for resource in found if resource is not None]

    def manifests(self, origin: str) -> dict[Ref, dict[str, Any]]:
        """The same as plain manifests with their identity, read without validating them again."""
        rows = self._connection.execute(
            "SELECT kind, namespace, name, uid, generation, created, manifest FROM objects WHERE origin = ?",
            (origin,),
        )
        found = {}
        for kind, namespace, name, uid, generation, created, text in rows:
            manifest = json.loads(text)
            identity = {"generation": generation, "uid": uid, "creationTimestamp": _stamp(created)}
            found[Ref(kind, namespace, name)] = manifest | {"metadata": manifest["metadata"] | identity}
        return found

    def replace(
        self, resources: Iterable[Resource], revision: str, now: float
    ) -> tuple[list[Resource], list[Change]]:
        """Make the `source` origin hold exactly these. Returns them with their identity, and what changed."""
        with self._connection:
            before = self._identities(SOURCE)
            kept, changes = self._keep(SOURCE, resources, revision, now)
            left = sorted(before.keys() - {resource.ref for resource in kept})
            self._drop(SOURCE, left)
        return kept, [*changes, *(Change(ref, "deleted") for ref in left)]

    def apply(self, resources: Iterable[Resource], now: float) -> list[Change]:
        """Add or change applied resources; others stay."""
        with self._connection:
            _, changes = self._keep(APPLIED, resources, "applied", now)
        self._write_plain_copy()
        return changes

    def delete(self, refs: Iterable[Ref]) -> list[Change]:
        """Take back applied resources. Those that are not there are not in the answer."""
        with self._connection:
            known = self._identities(APPLIED)
            left = [ref for ref in refs if ref in known]
            self._drop(APPLIED, left)
        self._write_plain_copy()
        return [Change(ref, "deleted") for ref in left]

    def restore(self, now: float) -> int:
        """Fill the applied origin from its plain copy, after a damaged store. Returns how many came back."""
        path = None if self._folder is None else self._folder / APPLIED_FILE
        if path is None or not path.exists():
            return 0
        parts = [part for part in path.read_text(encoding="utf-8").split("\n---\n") if part.strip(" -\n")]
        documents = [json.loads(part.removeprefix("---\n")) for part in parts if not part.startswith("#")]
        found = [_resource(document["kind"], document) for document in documents]
        with self._connection:
            kept, _ = self._keep(APPLIED, [one for one in found if one is not None], "restored", now)
        return len(kept)

    def _identities(self, origin: str) -> dict[Ref, tuple[str, int, float, str]]:
        rows = self._connection.execute(
            "SELECT kind, namespace, name, uid, generation, created, manifest FROM objects WHERE origin = ?",
            (origin,),
        )
        return {Ref(*row[:3]): row[3:] for row in rows}

    def _keep(
        self, origin: str, resources: Iterable[Resource], revision: str, now: float
    ) -> tuple[list[Resource], list[Change]]:
        before = self._identities(origin)
        kept, changes = [], []
        for resource in resources:
            ref, manifest = resource.ref, declared(resource)
            known = before.get(ref)
            if known is None:
                uid, generation, created, verb = str(uuid.uuid4()), 1, now, "created"
            else:
                uid, generation, created = known[:3]
                was = json.loads(known[3])
                generation += was.get("spec") != manifest["spec"]
                verb = "unchanged" if was == manifest else "configured"
            if verb != "unchanged":
                self._connection.execute(
                    "INSERT OR REPLACE INTO objects "
                    "(origin, kind, namespace, name, uid, generation, created, changed, manifest, revision) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        origin,
                        ref.kind,
                        ref.namespace,
                        ref.name,
                        uid,
                        generation,
                        created,
                        now,
                        to_json(manifest),
                        revision,
                    ),
                )
            kept.append(identified(resource, uid, generation, created))
            changes.append(Change(ref, verb))
        return kept, changes

    def _drop(self, origin: str, refs: Iterable[Ref]) -> None:
        self._connection.executemany(
            "DELETE FROM objects WHERE origin = ? AND kind = ? AND namespace = ? AND name = ?",
            [(origin, ref.kind, ref.namespace, ref.name) for ref in refs],
        )

    def _write_plain_copy(self) -> None:
        if self._folder is None:
            return
        documents = [declared(resource) for resource in self.all(APPLIED)]
        text = "".join("---\n" + json.dumps(document, indent=2) + "\n" for document in documents)
        path = self._folder / APPLIED_FILE
        staged = path.with_suffix(".new")
        try:
            with staged.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(path)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise StoreError(
                f"the change is made, but its plain copy {path} cannot be written: {why}"
            ) from error


def declared(resource: Resource) -> dict[str, Any]:
    """The manifest as a person declares it: without status, and without what an API server would write."""
    manifest = resource.manifest()
    manifest.pop("status", None)
    metadata = resource.metadata
    shown: dict[str, Any] = {"name": metadata.name, "namespace": metadata.namespace}
    if metadata.labels:
        shown["labels"] = dict(metadata.labels)
    if metadata.annotations:
        shown["annotations"] = dict(metadata.annotations)
    return manifest | {"metadata": shown}


def _stamp(created: float) -> str:
    return format_time(datetime.fromtimestamp(int(created), UTC))


def identified(resource: Resource, uid: str, generation: int, created: float) -> Resource:
    """The resource with the identity that the ledger knows it by."""
    moment = datetime.fromtimestamp(int(created), UTC)
    identity = {"uid": uid, "generation": generation, "creation_timestamp": moment}
    return resource.model_copy(update={"metadata": resource.metadata.model_copy(update=identity)})


def _resource(
    kind: str, document: dict[str, Any], uid: str = "", generation: int = 1, created: float | None = None
) -> Resource | None:
    known = resolve_kind(kind)
    if known is None:
        return None
    try:
        resource = known.model.model_validate(document)
    except ValueError:
        # Written by another version with other rules. The row stays; its source says it anew.
        return None
    return identified(resource, uid, generation, time.time() if created is None else created)
