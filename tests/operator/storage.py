"""What an API server does with objects, in memory: versions, generations, pruning, schemas, patches, apply, watches.

Only what Telarchy's operator touches. It does what the real one documents and no more; where both differ, the real
one is right, and the same tests are run against it.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import uuid
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from tests.unit.resources.api_server import refusals

Object = dict[str, Any]
Key = tuple[str, str, str]  # plural, namespace, name

HISTORY = 20_000
SERVER_FIELDS = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
)


class Refused(Exception):
    """An answer other than 2xx, as a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code, self.reason, self.message = code, reason, message
        super().__init__(message)

    def status(self) -> Object:
        return {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": self.code, "reason": self.reason, "message": self.message,
        }  # fmt: skip


class Storage:
    """All objects by plural, namespace and name."""

    def __init__(self) -> None:
        self.version = 100
        self.objects: dict[Key, Object] = {}
        self.schemas: dict[str, Object] = {}  # plural → structural schema, for custom resources
        self.history: deque[tuple[int, str, str, Object]] = deque(maxlen=HISTORY)
        self.forgotten = 0  # versions up to this one are too old to watch from
        self.owners: dict[Key, dict[str, Object]] = {}  # what each field manager last applied to the status
        self._changed = asyncio.Event()

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Object:
        if key not in self.objects:
            raise Refused(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return self.objects[key]

    def listed(self, plural: str, namespace: str | None) -> list[Object]:
        return [
            found
            for key, found in sorted(self.objects.items())
            if key[0] == plural and namespace in (None, key[1])
        ]

    def forget_history(self) -> None:
        """Compaction: whoever watches from an older version gets 410 Gone."""
        self.forgotten = self.version
        self.history.clear()

    async def watch(
        self, plural: str, namespace: str | None, since: int | None, seconds: float
    ) -> AsyncIterator[Object]:
        last = self.version if since is None else since
        if since is None:
            for found in self.listed(plural, namespace):
                yield {"type": "ADDED", "object": found}
        end = asyncio.get_running_loop().time() + seconds
        while True:
            if last < self.forgotten:
                gone = Refused(410, "Expired", f"too old resource version: {last} ({self.forgotten})")
                yield {"type": "ERROR", "object": gone.status()}
                return
            changed = self._changed
            for version, kind, event, found in self._since(last):
                last = version
                if kind == plural and namespace in (None, found["metadata"].get("namespace")):
                    yield {"type": event, "object": found}
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                return

    def _since(self, version: int) -> list[tuple[int, str, str, Object]]:
        """What happened after a version, oldest first; found from the end, since watches are nearly up to date."""
        found = list(itertools.takewhile(lambda one: one[0] > version, reversed(self.history)))
        return found[::-1]

    # --- writing -------------------------------------------------------------------------------------------------

    def create(self, plural: str, namespace: str, body: Object, *, dry: bool = False) -> Object:
        """`dry`: say what would come of it, and keep nothing."""
        metadata = body.setdefault("metadata", {})
        name = metadata.get("name")
        if not name:
            raise Refused(422, "Invalid", "metadata.name: Required value")
        if metadata.get("namespace", namespace) != namespace:
            raise Refused(400, "BadRequest", "the namespace of the object does not match the request")
        if (plural, namespace, name) in self.objects:
            raise Refused(409, "AlreadyExists", f'{plural} "{name}" already exists')
        new = copy.deepcopy(body)
        for field in SERVER_FIELDS:
            new["metadata"].pop(field, None)
        new["metadata"] |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if not namespace:
            del new["metadata"]["namespace"]
        if plural in self.schemas:
            new["metadata"]["generation"] = 1
            new["status"] = copy.deepcopy(self.schemas[plural]["properties"]["status"]["default"])
        self._check(plural, new)
        if dry:
            return new
        return self._put((plural, namespace, name), new, "ADDED")

    def replace(self, key: Key, body: Object, subresource: str) -> Object:
        now = self.get(key)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != now["metadata"]["resourceVersion"]:
            raise Refused(
                409,
                "Conflict",
                "the object has been modified; please apply your changes to the latest version",
            )
        return self._update(key, now, copy.deepcopy(body), subresource)

    def patch(
        self, key: Key, patch: Any, content_type: str, subresource: str, manager: str, force: bool
    ) -> Object:
        """409 for a stale resourceVersion in the patch, 415 for a kind of patch that is not known."""
        if content_type == "application/apply-patch+yaml":
            return self._apply(key, patch, subresource, manager, force)
        now = self.get(key)
        if content_type == "application/merge-patch+json":
            new = merged(now, patch)
        elif content_type == "application/json-patch+json":
            import jsonpatch

            try:
                new = jsonpatch.apply_patch(now, patch)
            except jsonpatch.JsonPatchException as error:
                raise Refused(422, "Invalid", str(error)) from None
        else:
            raise Refused(415, "UnsupportedMediaType", f"the patch type {content_type} is not supported")
        wanted = patch.get("metadata", {}).get("resourceVersion") if isinstance(patch, dict) else None
        if wanted and wanted != now["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", "the object has been modified")
        return self._update(key, now, new, subresource)

    def delete(self, key: Key) -> Object:
        """With finalizers it is only marked, and waits for them."""
        found = copy.deepcopy(self.get(key))
        metadata = found["metadata"]
        if metadata.get("finalizers"):
            if "deletionTimestamp" in metadata:
                return found
            metadata["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["deletionGracePeriodSeconds"] = 0
            if "generation" in metadata:
                metadata["generation"] += 1
            return self._put(key, found, "MODIFIED")
        return self._remove(key)

    def _remove(self, key: Key) -> Object:
        found = copy.deepcopy(self.get(key))
        del self.objects[key]
        self.owners.pop(key, None)
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self._tell(key[0], "DELETED", found)
        return found

    def _apply(self, key: Key, body: Object, subresource: str, manager: str, force: bool) -> Object:
        """Server-side apply, as far as whole status fields and conditions by their type go."""
        for field in ("apiVersion", "kind", "metadata"):
            if field not in body:
                raise Refused(400, "BadRequest", f"{field} must be set in an apply patch")
        if body["metadata"].get("managedFields"):
            raise Refused(400, "BadRequest", "metadata.managedFields must be nil")
        if not manager:
            raise Refused(400, "BadRequest", "fieldManager is required for apply patch")
        if subresource != "status":
            if key not in self.objects:
                return self.create(key[0], key[1], body)
            return self._update(key, self.get(key), merged(self.get(key), body), subresource)
        now = self.get(key)
        # of a write to /status all metadata but the version is passed over, the uid too
        if (
            body["metadata"].get("resourceVersion", now["metadata"]["resourceVersion"])
            != now["metadata"]["resourceVersion"]
        ):
            raise Refused(409, "Conflict", "the object has been modified")
        if (schema := self.schemas.get(key[0])) is not None:
            known = copy.deepcopy(body.get("status") or {})
            prune(schema["properties"]["status"], known)
            if known != (body.get("status") or {}):
                raise Refused(
                    500, "InternalError", "failed to create typed patch object: field not declared in schema"
                )
        if not force:
            raise Refused(409, "Conflict", "apply failed with conflicts")
        status = copy.deepcopy(now.get("status") or {})
        before = self.owners.setdefault(key, {}).get(manager, {})
        wanted = copy.deepcopy(body.get("status") or {})
        for field in before.keys() - wanted.keys():
            status.pop(field, None)
        for field, value in wanted.items():
            if value == {} and before.get(field):  # its fields are taken out of it, and null is what is left
                raise Refused(422, "Invalid", f"status.{field}: must be of type object: null")
        conditions = {one["type"]: one for one in status.pop("conditions", [])}
        for one in before.get("conditions", []):
            conditions.pop(one["type"], None)
        fresh = wanted.pop("conditions", [])
        if len({one["type"] for one in fresh}) < len(fresh):
            raise Refused(422, "Invalid", "status.conditions: duplicate entries for key [type]")
        conditions |= {one["type"]: one for one in fresh}
        status |= wanted | {"conditions": list(conditions.values())}
        answer = self._update(key, now, now | {"status": status}, "status")
        self.owners[key][manager] = wanted | {"conditions": fresh}
        return answer

    def _update(self, key: Key, now: Object, new: Object, subresource: str) -> Object:
        new = copy.deepcopy(new)
        metadata = new["metadata"]
        if metadata.get("uid", now["metadata"]["uid"]) != now["metadata"]["uid"]:
            raise Refused(409, "Conflict", "Precondition failed: UID in precondition")
        if subresource == "status":
            # spec and metadata of a write to /status are ignored
            new = copy.deepcopy(now) | {"status": new.get("status")}
        else:
            for field in SERVER_FIELDS:
                metadata.pop(field, None)
                if field in now["metadata"]:
                    metadata[field] = now["metadata"][field]
            added = set(metadata.get("finalizers") or ()) - set(now["metadata"].get("finalizers") or ())
            if "deletionTimestamp" in metadata and added:
                raise Refused(
                    422, "Invalid", "metadata.finalizers: Forbidden: no new finalizers can be added"
                )
            if key[0] in self.schemas:
                new["status"] = copy.deepcopy(now.get("status"))
                if new.get("spec") != now.get("spec"):
                    metadata["generation"] = now["metadata"]["generation"] + 1
        self._check(key[0], new, now)
        if new == now:
            return now  # a write that changes nothing is none: no new version, no event
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            return self._remove(key)
        return self._put(key, new, "MODIFIED")

    def _put(self, key: Key, new: Object, event: str) -> Object:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = new
        self._tell(key[0], event, new)
        return new

    def _tell(self, plural: str, event: str, found: Object) -> None:
        if len(self.history) == HISTORY:
            self.forgotten = self.history[0][0]
        self.history.append((self.version, plural, event, found))
        self._changed.set()
        self._changed = asyncio.Event()

    def _check(self, plural: str, new: Object, now: Object | None = None) -> None:
        """Prune and validate a custom resource; the few rules of Leases and Events that we could break."""
        if (schema := self.schemas.get(plural)) is not None:
            for part in ("spec", "status"):
                if new.get(part) is not None:
                    prune(schema["properties"][part], new[part])
            problems = [
                problem
                for part in ("spec", "status")
                if new.get(part) is not None and (now is None or new[part] != now.get(part))
                for problem in refusals(schema["properties"][part], new[part], part)
            ]
            around = schema | {"properties": {"metadata": schema["properties"]["metadata"]}}
            problems += refusals(around, new, plural)
            if problems:
                raise Refused(422, "Invalid", f"{new['metadata']['name']} is invalid: {'; '.join(problems)}")
        if plural == "leases":
            spec = new.get("spec") or {}
            for field in ("acquireTime", "renewTime"):
                if field in spec:
                    datetime.strptime(spec[field], "%Y-%m-%dT%H:%M:%S.%fZ")
            if spec.get("leaseDurationSeconds", 1) <= 0 or spec.get("leaseTransitions", 0) < 0:
                raise Refused(422, "Invalid", "a Lease's numbers")
        if plural == "events":
            if new["involvedObject"]["namespace"] != new["metadata"]["namespace"]:
                raise Refused(422, "Invalid", "involvedObject.namespace: does not match event.namespace")
            for field in ("firstTimestamp", "lastTimestamp"):
                datetime.strptime(new[field], "%Y-%m-%dT%H:%M:%SZ")
            if (
                new["type"] not in ("Normal", "Warning")
                or not new["reason"]
                or len(new["message"].encode()) > 1024
            ):
                raise Refused(422, "Invalid", "an Event's words")


def merged(into: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(into) if isinstance(into, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def prune(schema: Object, value: Any) -> None:
    """Drop what the structural schema does not describe."""
    if isinstance(value, dict) and "properties" in schema:
        for name in list(value):
            if name not in schema["properties"]:
                del value[name]
            else:
                prune(schema["properties"][name], value[name])
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for inner in value.values():
            prune(schema["additionalProperties"], inner)
    elif isinstance(value, dict):
        value.clear()  # an object without fields
    elif isinstance(value, list) and "items" in schema:
        for inner in value:
            prune(schema["items"], inner)
