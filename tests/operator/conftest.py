"""An API server, a gate in front of it, and operators behind the gate.

With `TELARCHY_TEST_KUBECONFIG` the API server is a real one (kube-apiserver and etcd are enough: no kubelet, no
controller manager); without it, kmock's (`apiserver.py` says what was added to it). The tests are the same.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import kmock
import pytest
import yaml

from tests.operator.apiserver import ApiServer
from tests.operator.client import ApiClient, session_of
from tests.operator.gate import Gate
from tests.operator.processes import Operators

ROOT = Path(__file__).parents[2]
REAL = os.environ.get("TELARCHY_TEST_KUBECONFIG", "")


@pytest.fixture
async def api() -> AsyncIterator[ApiClient]:
    """A client of the API server, in a namespace of its own, with our CRDs installed."""
    if REAL:
        async with ApiClient(*session_of(Path(REAL))) as client:
            await _ready(client)
            yield client
            await client.clean()
        return
    async with (
        ApiServer() as server,
        kmock.Server(server) as http,
        ApiClient(str(http.url).rstrip("/"), None, storage=server.storage) as client,
    ):
        await _ready(client)
        yield client


async def _ready(client: ApiClient) -> None:
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        await client.install_crd(yaml.safe_load(path.read_text()))
    client.namespace = await client.new_namespace()


@pytest.fixture
async def gate(api: ApiClient) -> AsyncIterator[Gate]:
    made = Gate(api.url, api.new_session)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def operators(api: ApiClient, gate: Gate, tmp_path: Path) -> AsyncIterator[Operators]:
    """Starts operators in processes of their own, and ends those that still run."""
    made = Operators(gate, tmp_path, [api.namespace])
    yield made
    await made.stop_all()


@pytest.fixture
def some_name() -> str:
    return f"n{uuid.uuid4().hex[:6]}"
