"""The operator under just the rights that manifests/ give it: a gate that knows the roles stands where Kubernetes'
own access control would, refuses everything else, and remembers what it refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.operator.client import until
from tests.operator.conftest import ROOT
from tests.operator.gate import Gate
from tests.operator.processes import Operators
from tests.unit.kubernetes.figures import documented, plain

NAMESPACED = ROOT / "manifests/operator/operator.yaml"
CLUSTERWIDE = ROOT / "manifests/overlays/cluster/clusterrole.yaml"
SECRET = "fleet-key"
# As docs/kubernetes.md has it created.
READ_SECRET = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["get"]}


@dataclass(frozen=True)
class Asked:
    """A request as access control sees it."""

    verb: str
    group: str
    resource: str  # with its subresource
    namespace: str
    name: str


def asked(request: web.Request) -> Asked | None:
    """None for what everybody may ask: which kinds there are."""
    parts = request.path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:2]), parts[3:])
    if parts[0] not in ("api", "apis") or not rest:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name, *sub = [*rest, ""] if len(rest) < 2 else rest
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, "")
    if not verb:
        watching = request.query.get("watch") in ("true", "1")
        verb = "watch" if watching else "get" if name else "list"
    return Asked(verb, group, "/".join([resource, *sub]), namespace, name)


class Warden(Gate):
    """A gate with rules. `everywhere` is a ClusterRole's, the others are a Role's in `namespace`."""

    rules: list[dict[str, Any]]
    everywhere = False
    namespace = ""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.refused: list[Asked] = []
        self.used: set[tuple[str, str, str]] = set()

    def allows(self, one: Asked) -> bool:
        return (self.everywhere or one.namespace == self.namespace) and any(
            one.group in rule["apiGroups"]
            and one.resource in rule["resources"]
            and one.verb in rule["verbs"]
            and ("resourceNames" not in rule or one.name in rule["resourceNames"])
            for rule in self.rules
        )

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        one = asked(request)
        if one is not None and not self.allows(one):
            self.refused.append(one)
            body = {
                "kind": "Status",
                "status": "Failure",
                "code": 403,
                "reason": "Forbidden",
                "message": f"{one}",
            }
            return web.json_response(body, status=403)
        if one is not None:
            self.used.add((one.group, one.resource, one.verb))
        return await super()._pass(request)


def rules_of(path: Path, kind: str) -> list[dict[str, Any]]:
    (found,) = (
        one["rules"]
        for one in yaml.safe_load_all(path.read_text())
        if one["kind"] == kind and one["metadata"]["name"] == "telarchy"
    )
    return [*found, READ_SECRET]


@pytest.fixture
async def gate(api) -> AsyncIterator[Warden]:
    made = Warden(api.url, api.new_session)
    await made.start()
    yield made
    await made.stop()


async def play(api, gate: Warden, operators: Operators, **how: Any) -> str:
    """A fleet with a host whose key is in a Secret, from nothing until the operator ended. Returns its metrics."""
    secret = {"metadata": {"name": SECRET}, "stringData": {"id": "no key"}}
    await api.call("POST", f"/api/v1/namespaces/{api.namespace}/secrets", secret)
    await api.apply("Fleet", "home", {"probes": {"every": "1s", "timeout": "1s", "misses": 1}})
    connection = {
        "endpoints": ["media@127.0.0.1:1"],
        "hostKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC0nFbXhTTyFzYRkpDEwVpYAkzCbTrvmVsXCVYDZ2dmb",
        "identity": {"secretRef": {"name": SECRET, "key": "id"}},
    }
    host = {"class": "Server", "alwaysOn": True, "connection": {"ssh": connection}}
    await api.apply("Host", "black", host | {"mediaRoots": [{"name": "films", "path": "/srv/films"}]})
    await api.apply("CustodyFloor", "films", {"select": {"paths": ["*"]}})
    running = await operators.start(toys=False, **how)

    async def told() -> bool:
        ready = await api.condition("Host", "black", "Ready")
        return ready.get("reason", "Probing") != "Probing" and bool(await api.events("black"))

    await until(told, "the host is reported on, with an event", 30, running.log.read_text)
    figures = await running.metrics()
    assert await running.stop() == 0
    # there may be other fleets in a real cluster, with Secrets that nobody granted
    assert [one for one in gate.refused if one.namespace in ("", api.namespace)] == []
    return figures


def needed() -> set[tuple[str, str, str]]:
    """Everything that the roles grant, as (group, resource, verb)."""
    return {
        (group, resource, verb)
        for rule in rules_of(NAMESPACED, "Role")
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


async def test_a_role_is_enough_for_a_namespace(api, gate, operators):
    gate.rules, gate.namespace = rules_of(NAMESPACED, "Role"), api.namespace
    figures = await play(api, gate, operators)
    there = {plain(name) for name in re.findall(r"(?m)^# TYPE (telarchy_\w+)", figures)}
    # who watches is told where pages are served, which the operator does not do
    assert there == {name for name in documented() if not name.startswith("telarchy_player_")}
    # what was granted and not needed here: a repeated event, kinds that this fleet has none of, and `get` beside
    # `list`, which tells no more than that
    unused = needed() - gate.used
    # (`patch` on hosts is for a finalizer, while an endpoint stands on one)
    here = {"fleets", "custodyfloors"}
    ours = {(what.partition("/")[0], verb) for group, what, verb in unused if group == "telarchy.dev"}
    assert {verb for what, verb in ours if what in here} <= {"get"}
    assert {verb for _, verb in ours} <= {"get", "patch"}
    assert {one for one in unused if one[0] != "telarchy.dev"} <= {("", "events", "patch")}


async def test_a_cluster_role_is_enough_for_all_namespaces(api, gate, operators):
    gate.rules, gate.everywhere = rules_of(CLUSTERWIDE, "ClusterRole"), True
    await play(api, gate, operators, all_namespaces=True)


async def test_without_a_right_to_the_secret_the_host_says_so(api, gate, operators):
    gate.rules, gate.namespace = rules_of(NAMESPACED, "Role")[:-1], api.namespace
    with pytest.raises(AssertionError, match="secrets"):
        await play(api, gate, operators)
    assert {(one.verb, one.resource, one.name) for one in gate.refused} == {("get", "secrets", SECRET)}
    condition = await api.condition("Host", "black", "Ready")
    assert f"Secret {SECRET} in namespace {api.namespace} may not be read" in condition["message"]
