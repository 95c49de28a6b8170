"""What tests ask of an API server, real or not: past the gate, with full rights."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import kopf

from telarchy.resources.registry import KINDS
from telarchy.runtime.kubernetes.login import connection
from tests.operator.storage import Storage

Object = dict[str, Any]
GROUP = "/apis/telarchy.dev/v1alpha1"
PLURALS = {kind.name: kind.plural for kind in KINDS.values()}


def session_of(kubeconfig: Path) -> tuple[str, kopf.ConnectionInfo]:
    info = connection(kubeconfig)
    return info.server.rstrip("/"), info


class ApiClient:
    """`storage` is there when the server is not a real one."""

    def __init__(self, url: str, info: kopf.ConnectionInfo | None, storage: Storage | None = None) -> None:
        self.url, self.storage, self.namespace = url, storage, ""
        self._info = info
        self._namespaces: list[str] = []

    async def __aenter__(self) -> Self:
        self._session = self.new_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def new_session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        if self._info is None:
            return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        return aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=0, ssl=self._info.as_ssl_context()),
            headers=self._info.as_http_headers(),
        )

    async def call(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json"
    ) -> Object:
        """Raises aiohttp.ClientResponseError whose message is the server's."""
        async with self._session.request(
            method, self.url + path, json=body, headers={"Content-Type": kind}
        ) as answer:
            text = await answer.text()
            try:
                said: Object = json.loads(text)
            except ValueError:  # of what it does not serve (yet), an API server says so in plain words
                said = {"message": text}
            if answer.status >= 400:
                raise aiohttp.ClientResponseError(
                    answer.request_info, (), status=answer.status, message=str(said.get("message", said))
                )
            return said

    async def install_crd(self, crd: Object) -> None:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        name = crd["metadata"]["name"]
        try:
            await self.call("POST", path, crd)
        except aiohttp.ClientResponseError as error:
            if error.status != 409:
                raise
            await self.call(
                "PATCH", f"{path}/{name}", {"spec": crd["spec"]}, kind="application/merge-patch+json"
            )
        plural = crd["spec"]["names"]["plural"]

        async def served() -> bool:
            try:
                await self.call("GET", f"{GROUP}/{plural}?limit=1")
            except aiohttp.ClientResponseError:
                return False
            return True

        await until(served, f"{name} is served")

    async def new_namespace(self) -> str:
        name = f"t-{uuid.uuid4().hex[:8]}"
        await self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self._namespaces.append(name)
        return name

    async def clean(self) -> None:
        """Without a controller manager, nobody else empties the namespaces of a test. What a finalizer holds goes too:
        a later test's operator for all namespaces would set about undoing it."""
        for namespace in self._namespaces:
            for plural in PLURALS.values():
                path = f"{GROUP}/namespaces/{namespace}/{plural}"
                await self.call("DELETE", path)
                for one in (await self.call("GET", path))["items"]:
                    await self._let_go(f"{path}/{one['metadata']['name']}")
            await self.call("DELETE", f"/api/v1/namespaces/{namespace}")

    async def _let_go(self, path: str) -> None:
        try:
            await self.call(
                "PATCH", path, {"metadata": {"finalizers": None}}, kind="application/merge-patch+json"
            )
        except aiohttp.ClientResponseError as error:
            if error.status != 404:
                raise

    async def apply(
        self, kind: str, name: str, spec: Object, *, namespace: str = "", **metadata: Any
    ) -> Object:
        """Create, or replace the spec, labels and annotations of what is there."""
        namespace = namespace or self.namespace
        base = f"{GROUP}/namespaces/{namespace}/{PLURALS[kind]}"
        body = {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace} | metadata,
            "spec": spec,
        }
        try:
            now = await self.get(kind, name, namespace)
        except aiohttp.ClientResponseError:
            return await self.call("POST", base, body)
        body["metadata"] = now["metadata"] | metadata
        return await self.call("PUT", f"{base}/{name}", body)

    async def get(self, kind: str, name: str, namespace: str = "") -> Object:
        return await self.call(
            "GET", f"{GROUP}/namespaces/{namespace or self.namespace}/{PLURALS[kind]}/{name}"
        )

    async def delete(self, kind: str, name: str, namespace: str = "") -> None:
        await self.call("DELETE", f"{GROUP}/namespaces/{namespace or self.namespace}/{PLURALS[kind]}/{name}")

    async def annotate(self, kind: str, name: str, **annotations: str | None) -> None:
        """`telarchy.dev/` before each; dashes for underscores."""
        named = {f"telarchy.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        await self.call(
            "PATCH",
            f"{GROUP}/namespaces/{self.namespace}/{PLURALS[kind]}/{name}",
            {"metadata": {"annotations": named}},
            kind="application/merge-patch+json",
        )

    async def lease(self, namespace: str = "") -> Object:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace or self.namespace}/leases/telarchy"
        return await self.call("GET", path)

    async def events(self, name: str) -> list[Object]:
        found = await self.call("GET", f"/api/v1/namespaces/{self.namespace}/events")
        return [one for one in found["items"] if one["involvedObject"]["name"] == name]

    async def condition(self, kind: str, name: str, condition: str, namespace: str = "") -> Object:
        """The condition of this type as it is now; {} when there is none."""
        status = (await self.get(kind, name, namespace)).get("status", {})
        return next((one for one in status.get("conditions", []) if one["type"] == condition), {})

    async def until_ready(
        self, kind: str, name: str, *, status: str = "True", namespace: str = "", seconds: float = 60
    ) -> Object:
        """Wait until Ready has this status for the present generation. Returns the object."""
        found: Object = {}

        async def is_so() -> bool:
            nonlocal found
            found = await self.get(kind, name, namespace)
            told = found.get("status") or {}
            ready = [one["status"] for one in told.get("conditions", []) if one["type"] == "Ready"]
            return ready == [status] and told.get("observedGeneration") == found["metadata"]["generation"]

        await until(is_so, f"{kind} {name} has Ready={status}", seconds, lambda: found.get("status"))
        return found


async def until(
    asked: Callable[[], Any], what: str, seconds: float = 60, shown: Callable[[], Any] = lambda: ""
) -> None:
    """Poll until it is true; a failure says what was waited for."""
    end = time.monotonic() + seconds
    while not await asked():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}; now: {shown()}")
        await asyncio.sleep(0.05)
