"""kmock's Kubernetes with what it lacks: it serves HTTP, parses requests and answers discovery; storage is ours.

Of kmock's own emulator these are replaced, since Telarchy depends on them: uids, resourceVersions and generations;
the status subresource; patches by their content type, server-side apply among them; conflicts; schemas and pruning;
LIST in pages and of metadata alone; watches that begin at a version, time out, and end with 410 Gone.
"""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import kmock
from aiohttp import web

from tests.operator.storage import Refused, Storage

BUILTIN = {
    "v1/namespaces": ("Namespace", False),
    "v1/events": ("Event", True),
    "v1/secrets": ("Secret", True),
    "coordination.k8s.io/v1/leases": ("Lease", True),
    "apiextensions.k8s.io/v1/customresourcedefinitions": ("CustomResourceDefinition", False),
}
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}
PATCHES = ("merge-patch+json", "json-patch+json", "apply-patch+yaml")

SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")  # an escape that YAML does not know

STEP = re.compile(r"\.(\w+)|\[\?\(@\.(\w+)==\"(\w+)\"\)\]")


def cell(row: Any, column: dict[str, Any]) -> Any:
    """What stands in a column: the first value on its path, None when there is none or it is of another type."""
    for name, key, value in STEP.findall(column["jsonPath"]):
        if name:
            row = row.get(name) if isinstance(row, dict) else None
        else:
            row = next((one for one in row or () if one.get(key) == value), None)
    types = {"integer": int, "boolean": bool, "string": str, "date": str}
    if not isinstance(row, types[column["type"]]) or isinstance(row, bool) != (column["type"] == "boolean"):
        return None
    return "1s" if column["type"] == "date" else row  # the API server says how long ago


@attrs.define(kw_only=True)
class ApiServer(kmock.KubernetesScaffold):
    """An API server without schedulers, kubelets and admission."""

    storage: Storage = attrs.field(factory=Storage)
    kinds: dict[str, tuple[str, str]] = attrs.field(factory=dict)  # plural → (apiVersion, kind)
    columns: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        for name, (kind, namespaced) in BUILTIN.items():
            self._serve(name, kind, kind.lower(), namespaced, set())

    def _serve(self, name: str, kind: str, singular: str, namespaced: bool, subresources: set[str]) -> None:
        self.resources[name] = kmock.ResourceInfo(
            kind=kind, singular=singular, namespaced=namespaced, verbs=VERBS, subresources=subresources
        )
        group_version, _, plural = name.rpartition("/")
        self.kinds[plural] = (group_version, kind)

    async def __call__(self, raw_request: web.BaseRequest) -> web.StreamResponse:
        # kmock cannot read the addresses of namespaces themselves
        if raw_request.path.rstrip("/") == "/api/v1/namespaces" and raw_request.method == "POST":
            try:
                made = self._created("namespaces", "", await raw_request.json())
            except Refused as refused:
                return web.json_response(refused.status(), status=refused.code)
            return web.json_response(made, status=201)
        return await super().__call__(raw_request)

    async def _serve_version(self, request: kmock.Request) -> kmock.Payload:
        answer: dict[str, Any] = await super()._serve_version(request)  # type: ignore[assignment]
        for one in answer["resources"]:
            if "/" in one["name"]:  # what a kind is also called is not said of its subresources
                one |= {"shortNames": [], "categories": []}
        return answer | {"groupVersion": answer["groupVersion"].lstrip("/")}  # it is `v1`, not `/v1`

    async def _handle(self, request: kmock.Request) -> web.StreamResponse:
        try:
            if request.resource is None or not request.resource.plural:
                return await super()._handle(request)
            return await self._answer(request, str(request.resource.plural))
        except Refused as refused:
            return web.json_response(refused.status(), status=refused.code)
        finally:
            if request in self._requests:
                self._requests.remove(request)  # thousands of them would stay in memory

    async def _answer(self, request: kmock.Request, plural: str) -> web.StreamResponse:
        if plural not in self.kinds:
            return web.Response(status=404, text="404 page not found\n")
        method = request.method.value
        namespace, name = request.namespace or "", request.name
        if method == "GET" and name is None:
            if request.params.get("watch") in ("true", "1"):
                return await self._watched(request, plural)
            return web.json_response(self._as_asked(request, plural, self._listed(request, plural)))
        if method == "GET":
            found = self.storage.get((plural, namespace, str(name)))
            return web.json_response(self._as_asked(request, plural, found))
        if method == "POST" and request.params.get("dryRun") == "All":
            return web.json_response(
                self.storage.create(plural, namespace, request.data, dry=True), status=201
            )
        if method == "POST":
            return web.json_response(self._created(plural, namespace, request.data), status=201)
        key = (plural, namespace, str(name))
        if method == "DELETE":
            return web.json_response(self.storage.delete(key))
        subresource = request.subresource or ""
        if method == "PUT":
            return web.json_response(self.storage.replace(key, request.data, subresource))
        if method == "PATCH":
            content_type = request.headers.get("Content-Type", "").partition(";")[0]
            manager, force = request.params.get("fieldManager", ""), request.params.get("force") == "true"
            if content_type.endswith("apply-patch+yaml") and SURROGATE.search(request.body):
                raise Refused(
                    400, "BadRequest", "error decoding YAML: found invalid Unicode character escape code"
                )
            patch = json.loads(request.body)
            return web.json_response(
                self.storage.patch(key, patch, content_type, subresource, manager, force)
            )
        raise Refused(405, "MethodNotAllowed", method)

    def _listed(self, request: kmock.Request, plural: str) -> dict[str, Any]:
        found = self.storage.listed(plural, request.namespace)
        first, limit = int(request.params.get("continue") or 0), int(request.params.get("limit") or 0)
        page = found[first : first + limit] if limit else found[first:]
        more = {"continue": str(first + limit)} if limit and first + limit < len(found) else {}
        version, kind = self.kinds[plural]
        if "PartialObjectMetadataList" in request.headers.get("Accept", ""):
            version, kind = "meta.k8s.io/v1", "PartialObjectMetadata"
            page = [{"metadata": one["metadata"]} for one in page]
        return {
            "apiVersion": version,
            "kind": f"{kind}List",
            "metadata": {"resourceVersion": str(self.storage.version)} | more,
            "items": page,
        }

    def _as_asked(self, request: kmock.Request, plural: str, found: dict[str, Any]) -> dict[str, Any]:
        """As the table that kubectl prints, if that is wanted and the kind has columns."""
        columns = self.columns.get(plural)
        if columns is None or "as=Table" not in request.headers.get("Accept", ""):
            return found
        rows = found.get("items", [found])
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "columnDefinitions": [
                {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
                *({"format": "", "description": "", "priority": 0} | one for one in columns),
            ],
            "rows": [
                {
                    "cells": [row["metadata"]["name"], *(cell(row, one) for one in columns)],
                    "object": {
                        "kind": "PartialObjectMetadata",
                        "apiVersion": "meta.k8s.io/v1",
                        "metadata": row["metadata"],
                    },
                }
                for row in rows
            ],
        }

    def _created(self, plural: str, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        made = self.storage.create(plural, namespace, body)
        if plural == "customresourcedefinitions":
            spec = body["spec"]
            for version in spec["versions"]:
                names = spec["names"]
                self.storage.schemas[names["plural"]] = version["schema"]["openAPIV3Schema"]
                self.columns[names["plural"]] = version.get("additionalPrinterColumns", [])
                name = f"{spec['group']}/{version['name']}/{names['plural']}"
                self._serve(name, names["kind"], names["singular"], True, {"status"})
                self.resources[name].shortnames = set(names.get("shortNames", ()))
                self.resources[name].categories = set(names.get("categories", ()))
        return made

    async def _watched(self, request: kmock.Request, plural: str) -> web.StreamResponse:
        since = request.params.get("resourceVersion") or None
        seconds = float(request.params.get("timeoutSeconds") or 300)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request._raw_request)  # type: ignore[arg-type]
        start = int(since) if since not in (None, "0") else None
        async for event in self.storage.watch(plural, request.namespace, start, seconds):
            await response.write(json.dumps(event).encode() + b"\n")
        await response.write_eof()
        return response
