"""What the rendered chart lets the operator do, and where: the least, in each scope."""

from __future__ import annotations

import copy

import pytest

from telarchy.cli.operator import operator as operator_command
from telarchy.resources.registry import KINDS
from tests.unit.kubernetes import helm
from tests.unit.kubernetes.charts import CASES, kinds, the

PLURALS = sorted(kind.plural for kind in KINDS.values())
UNDONE = sorted(["hosts", *(kind.plural for kind in KINDS.values() if kind.can_be_undone)])

# Everything the operator may ever be given, as rules without their `resourceNames`.
NEEDED = {
    "what is declared": {
        "apiGroups": ["telarchy.dev"],
        "resources": PLURALS,
        "verbs": ["get", "list", "watch"],
    },
    "what was learned": {
        "apiGroups": ["telarchy.dev"],
        "resources": [f"{plural}/status" for plural in PLURALS],
        "verbs": ["patch"],
    },
    "what is to be undone": {"apiGroups": ["telarchy.dev"], "resources": UNDONE, "verbs": ["patch"]},
    "what happened": {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    "a first lease": {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    "its lease": {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]},
    "a secret": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
}


@pytest.mark.parametrize("case", CASES["good"])
def test_rights_are_the_least(rendered: dict[str, helm.Rendered], case: str) -> None:
    """Everything the service account may do, in any of the cases: nothing of anybody else's objects."""
    objects = copy.deepcopy(rendered[case].objects)
    bound = {
        (one["roleRef"]["kind"], one["metadata"].get("namespace"), one["roleRef"]["name"])
        for one in objects
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding")
    }
    roles = {
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one["rules"]
        for one in objects
        if one["kind"] in ("Role", "ClusterRole")
    }
    assert bound == {key for key in roles if not key[2].endswith(("-view", "-edit"))}
    for key in bound:
        for rule in roles[key]:
            named = rule.pop("resourceNames", [])
            if rule == NEEDED["a secret"]:
                assert named and key[0] == "Role"
            elif rule == NEEDED["its lease"]:
                assert named == ["telarchy"]
            else:
                assert rule in NEEDED.values() and not named, rule


def test_cluster_scope_watches_everything(rendered: dict[str, helm.Rendered]) -> None:
    objects = rendered["cluster-scope"].objects
    args = the(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not [one for one in args if one.startswith("--namespace")]
    assert the(objects, "ClusterRoleBinding")["subjects"] == [
        {"kind": "ServiceAccount", "name": "telarchy", "namespace": "media"}
    ]
    assert "Role" not in kinds(objects)


def test_namespace_scope_has_a_role_in_each_namespace(rendered: dict[str, helm.Rendered]) -> None:
    objects = rendered["three-fleets-in-one-operator"].objects
    args = the(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    named = [one for one in args if one.startswith("--namespace")]
    assert named == ["--namespace=home", "--namespace=cabin", "--namespace=friends"]
    for kind in ("Role", "RoleBinding"):
        found = {one["metadata"]["namespace"] for one in objects if one["kind"] == kind}
        assert found == {"cabin", "friends", "home"}
    assert "ClusterRoleBinding" not in kinds(objects)


def test_its_own_namespace_is_asked_of_the_pod(rendered: dict[str, helm.Rendered]) -> None:
    """So that a kustomization may move everything to another namespace."""
    container = the(rendered["defaults"].objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert "--namespace=$(POD_NAMESPACE)" in container["args"]
    assert "POD_NAMESPACE" in {one["name"] for one in container["env"]}


def test_a_replica_is_named_after_its_pod(rendered: dict[str, helm.Rendered]) -> None:
    """$POD_NAME is what the operator calls itself in Leases."""
    container = the(rendered["defaults"].objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    fields = {
        one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"]
        for one in container["env"]
        if "valueFrom" in one
    }
    assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    (identity,) = (one for one in operator_command.params if one.name == "identity")
    assert identity.envvar == "POD_NAME"


def test_only_named_secrets_can_be_read(rendered: dict[str, helm.Rendered]) -> None:
    def readable(case: str) -> dict[str, list[str]]:
        return {
            one["metadata"]["namespace"]: rule["resourceNames"]
            for one in rendered[case].objects
            if one["kind"] == "Role"
            for rule in one["rules"]
            if rule["resources"] == ["secrets"]
        }

    assert readable("defaults") == {}
    assert readable("secrets-of-its-own-namespace") == {"media": ["fleet-key"]}
    assert readable("secrets-of-two-namespaces") == {
        "home": ["black-login", "fleet-key"],
        "cabin": ["fleet-key"],
    }
