"""A small client of the API server: what Telarchy asks and writes, with retries and typed errors.

Not kopf's: kopf writes whenever it is told to and without a limit. Not the official one either, which alone would
take more memory than the whole operator.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import aiohttp
import kopf

from telarchy.errors import TelarchyError
from telarchy.resources.meta import GROUP, VERSION, Kind

FIELD_MANAGER = "telarchy"
CONNECT_SECONDS = 10.0
REQUEST_SECONDS = 30.0
ATTEMPTS = 5
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
LONGEST_RETRY_AFTER_SECONDS = 60.0
PAGE = 500  # objects of one answer to a LIST

TRANSIENT = frozenset({429, 500, 502, 503, 504})
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML, as `encoded` writes it
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

REPLACEMENT = r"\ufffd"
_NOT_ASCII = re.compile(r"[\x7f-\uffff]")

Body = dict[str, Any]


class ClusterError(TelarchyError):
    """The API server refused or did not answer. `status` is HTTP's, 0 when there was no answer at all; `causes` are
    CamelCase words for what else it said."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        causes: tuple[str, ...] = (),
    ) -> None:
        self.status, self.reason, self.retry_after, self.causes = status, reason, retry_after, causes
        super().__init__(message)

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in TRANSIENT or self.status in (0, 401, 409)


@dataclass(frozen=True)
class Collection:
    """Where the objects of one kind are; `namespace` None means all namespaces."""

    path: str

    @classmethod
    def of(cls, kind: Kind, namespace: str | None) -> Self:
        return cls(_path(f"/apis/{GROUP}/{VERSION}", namespace, kind.plural))

    @classmethod
    def leases(cls, namespace: str) -> Self:
        return cls(_path("/apis/coordination.k8s.io/v1", namespace, "leases"))

    @classmethod
    def events(cls, namespace: str) -> Self:
        return cls(_path("/api/v1", namespace, "events"))

    @classmethod
    def secrets(cls, namespace: str) -> Self:
        return cls(_path("/api/v1", namespace, "secrets"))

    def item(self, name: str, subresource: str = "") -> str:
        return f"{self.path}/{name}" + (f"/{subresource}" if subresource else "")


def _path(base: str, namespace: str | None, plural: str) -> str:
    return f"{base}/{plural}" if namespace is None else f"{base}/namespaces/{namespace}/{plural}"


class Cluster:
    """One session to one API server. Open it with `async with`."""

    def __init__(self, login: Callable[[], kopf.ConnectionInfo]) -> None:
        self._login = login
        self._session: aiohttp.ClientSession | None = None
        self._server = ""
        self.reached_at: float | None = None  # loop time of the last answer

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str) -> Body:
        """Raises ClusterError."""
        return await self.request("GET", path)

    async def list_metadata(self, collection: Collection) -> AsyncIterator[Body]:
        """The metadata of every object, page by page. Raises ClusterError; 410 when the pages got too old."""
        token = ""
        while True:
            params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
            page = await self.request("GET", collection.path, params=params, accept=METADATA_ONLY)
            for item in page.get("items") or []:
                yield item.get("metadata") or {}
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    async def create(self, collection: Collection, body: Body, *, attempts: int = ATTEMPTS) -> Body:
        params = {"fieldManager": FIELD_MANAGER}
        return await self.request("POST", collection.path, body, params=params, attempts=attempts)

    async def may_create(self, collection: Collection, body: Body) -> None:
        """Ask whether this could be created, and create nothing. Raises ClusterError where it could not."""
        params = {"fieldManager": FIELD_MANAGER, "dryRun": "All"}
        await self.request("POST", collection.path, body, params=params, attempts=1)

    async def replace(self, path: str, body: Body, *, attempts: int = ATTEMPTS) -> Body:
        """PUT; refused with 409 when the object changed since the `resourceVersion` in `body`."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self.request("PUT", path, body, params=params, attempts=attempts)

    async def merge(self, path: str, patch: Body) -> Body:
        params = {"fieldManager": FIELD_MANAGER}
        return await self.request("PATCH", path, patch, params=params, content_type=MERGE_PATCH)

    async def apply(self, path: str, body: Body, *, attempts: int = ATTEMPTS) -> Body:
        """Server-side apply. What we said before and no longer say is taken out; others' fields stay."""
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self.request(
            "PATCH", path, body, params=params, content_type=APPLY_PATCH, attempts=attempts
        )

    async def request(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        attempts: int = ATTEMPTS,
    ) -> Body:
        """One answer, after retries of what may pass. Raises ClusterError."""
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": content_type})
        data = None if body is None else encoded(body)
        for attempt in range(1, attempts + 1):
            try:
                return await self._once(method, path, data, params, headers)
            except ClusterError as error:
                if attempt == attempts or (error.status not in TRANSIENT and error.status not in (0, 401)):
                    raise
                if error.status == 401:
                    await self._renew()
                await asyncio.sleep(backoff(attempt, error.retry_after))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(
        self,
        method: str,
        path: str,
        data: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Body:
        if self._session is None:
            self._open()
        assert self._session is not None
        try:
            async with self._session.request(
                method, self._server + path, data=data, params=params, headers=headers
            ) as response:
                text = await response.read()
                self.reached_at = asyncio.get_running_loop().time()
                if response.status >= 400:
                    raise _refusal(response, text, f"{method} {path}")
                answer: Body = json.loads(text) if text else {}
                return answer
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise ClusterError(0, "Unreachable", f"the API server does not answer: {why}") from None

    def _open(self) -> None:
        info = self._login()
        self._server = info.server.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=20, ssl=info.as_ssl_context()),
            headers=info.as_http_headers() | {"User-Agent": FIELD_MANAGER},
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS),
            proxy=info.proxy_url,
            trust_env=info.trust_env,
        )

    async def _renew(self) -> None:
        """The token was refused: it may have been replaced since."""
        before, self._session = self._session, None
        if before is not None:
            await before.close()
        self._open()


def encoded(body: Body) -> bytes:
    """JSON that is YAML as well, since the API server reads an apply as that.

    YAML knows no surrogates and fewer characters without an escape: what is beyond the basic plane stands as it is, the
    rest that is not ASCII is escaped, and half a pair (Python's way with bytes that are no UTF-8) is replaced."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return _NOT_ASCII.sub(_escaped, text).encode()


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return REPLACEMENT if 0xD800 <= code < 0xE000 else f"\\u{code:04x}"


def backoff(attempt: int, retry_after: float | None) -> float:
    """Seconds before the next attempt: what the server asks for, else twice as long each time, never in step."""
    if retry_after is not None:
        return min(retry_after, LONGEST_RETRY_AFTER_SECONDS) * random.uniform(1.0, 1.2)
    return min(FIRST_BACKOFF_SECONDS * 2.0 ** (attempt - 1), LONGEST_BACKOFF_SECONDS) * random.uniform(
        0.5, 1.0
    )


def _refusal(response: aiohttp.ClientResponse, text: bytes, what: str) -> ClusterError:
    """The Status object that the API server answers with, as an error."""
    try:
        status = json.loads(text)
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    reason = str(status.get("reason") or response.reason or response.status)
    message = str(status.get("message") or f"status {response.status}")
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    after = _seconds(response.headers.get("Retry-After"))
    if after is None:
        after = _seconds(details.get("retryAfterSeconds"))
    causes = tuple(str(one.get("reason", "")) for one in details.get("causes") or () if isinstance(one, dict))
    return ClusterError(response.status, reason, f"{what}: {message}", after, causes)


def _seconds(value: Any) -> float | None:
    """`Retry-After` in either of its two forms; details carry a number."""
    if value in (None, "", 0):
        return None
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        pass
    try:
        return max(0.0, (parsedate_to_datetime(str(value)) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
