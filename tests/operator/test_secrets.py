"""Secrets: only those that are named, changes noticed, and never shown."""

from __future__ import annotations

import base64

import pytest
import yaml

from telarchy.links.secrets import SecretMissing
from telarchy.resources.loader import resource_from_manifest
from telarchy.runtime.kubernetes.cluster import Cluster
from telarchy.runtime.kubernetes.login import connection
from telarchy.runtime.kubernetes.secrets import ClusterSecrets
from tests.operator.processes import kubeconfig_for
from tests.operator.test_objects import root


def host(namespace, secret):
    named = {"secretRef": {"name": secret, "key": "id_ed25519"}}
    connection = {"ssh": {"endpoints": ["media@attic.example"], "identity": named}}
    return resource_from_manifest(
        {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": "Host",
            "metadata": {"name": "attic", "namespace": namespace},
            "spec": {"class": "Server", "connection": connection} | root("attic"),
        }
    )


async def put(api, name, **values):
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    base = f"/api/v1/namespaces/{api.namespace}/secrets"
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    if any(one["metadata"]["name"] == name for one in (await api.call("GET", base))["items"]):
        await api.call("PATCH", f"{base}/{name}", {"data": data}, kind="application/merge-patch+json")
    else:
        await api.call("POST", base, body)


async def test_secrets_are_read_by_name_and_again_when_they_change(api, gate, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(kubeconfig_for(gate.url)))
    async with Cluster(lambda: connection(kubeconfig)) as cluster:
        secrets = ClusterSecrets(cluster, api.namespace)
        declared = [host(api.namespace, "attic-login")]
        assert await secrets.refresh(declared)
        with pytest.raises(SecretMissing, match="does not exist"):
            secrets.resolve("attic-login", "id_ed25519")
        await put(api, "attic-login", id_ed25519=b"first")
        assert await secrets.refresh(declared)
        assert secrets.resolve("attic-login", "id_ed25519").reveal() == b"first"
        assert not await secrets.refresh(declared)
        await put(api, "attic-login", id_ed25519=b"second")
        assert await secrets.refresh(declared)
        assert secrets.resolve("attic-login", "id_ed25519").reveal() == b"second"
        with pytest.raises(SecretMissing, match="has no key other"):
            secrets.resolve("attic-login", "other")
        with pytest.raises(SecretMissing, match="has not been read"):
            secrets.resolve("somebody-elses", "key")
        await api.call("DELETE", f"/api/v1/namespaces/{api.namespace}/secrets/attic-login")
        assert not await secrets.refresh(declared, leaving=True)  # it may be what something is undone with
        assert secrets.resolve("attic-login", "id_ed25519").reveal() == b"second"
        assert await secrets.refresh(declared)
        with pytest.raises(SecretMissing, match="does not exist"):
            secrets.resolve("attic-login", "id_ed25519")
        await put(api, "attic-login", id_ed25519=b"second")
        assert await secrets.refresh(declared)
        gate.refuse("GET", "/secrets/", 503, 100)
        assert not await secrets.refresh(declared)  # what was read stays while nothing answers
        assert secrets.resolve("attic-login", "id_ed25519").reveal() == b"second"
        gate.refusals[-1].times = 0
        gate.refuse("GET", "/secrets/", 403, 1)
        await secrets.refresh(declared)
        with pytest.raises(SecretMissing, match="grant the operator's service account"):
            secrets.resolve("attic-login", "id_ed25519")
        assert not gate.requests["GET secrets"] or "second" not in repr(secrets.__dict__)
