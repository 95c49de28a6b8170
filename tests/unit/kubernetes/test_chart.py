"""The Helm chart: what can be said of it without Helm, and, where real Helm is to be had, what Helm makes of it."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from telarchy.cli.operator import operator as operator_command
from telarchy.resources.crd import crd_documents
from telarchy.resources.registry import KINDS
from tests.unit.kubernetes import helm
from tests.unit.kubernetes.figures import documented, exported, metrics_in
from tests.unit.kubernetes.standin import standin

CHART = helm.CHART
CASES = yaml.safe_load((Path(__file__).parent / "values_cases.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = sorted(path for path in (CHART / "templates").iterdir())
PLURALS = sorted(kind.plural for kind in KINDS.values())
UNDONE = sorted(["hosts", *(kind.plural for kind in KINDS.values() if kind.can_be_undone)])
# What Kubernetes itself defines, and its own validation checks.
FREE_FORM = {
    "global",
    "networkPolicy.metricsFrom[]",
    "networkPolicy.extraEgress[]",
    "extraEnv[]",
    "tolerations[]",
    "affinity",
}

needs_helm = pytest.mark.skipif(not helm.available(), reason=helm.WHY_SKIPPED)
needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")


# --- values -------------------------------------------------------------------------------------------------------


def merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """As Helm lays given values over the chart's."""
    result = copy.deepcopy(values)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def refuses(over: dict[str, Any]) -> bool:
    return not jsonschema.Draft7Validator(SCHEMA).is_valid(merged(VALUES, over))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("case", CASES["good"])
def test_the_schema_takes_what_people_set(case: str) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(merged(VALUES, CASES["good"][case]))


@pytest.mark.parametrize("case", CASES["wrong"])
def test_the_schema_refuses_what_cannot_be_meant(case: str) -> None:
    assert refuses(CASES["wrong"][case])


def _schemas(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield place, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _schemas(inner, f"{place}.{name}".lstrip("."))
    if "items" in schema:
        yield from _schemas(schema["items"], f"{place}[]")


def test_no_object_takes_unknown_keys() -> None:
    for place, schema in _schemas(SCHEMA):
        if schema.get("type") != "object":
            continue
        if place in FREE_FORM:
            assert schema["additionalProperties"] is True, place
        elif "properties" in schema:
            assert schema["additionalProperties"] is False, place
        else:
            assert schema["additionalProperties"]["type"], f"{place}: a map without a type for its values"


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    """`global` belongs to Helm, and Kubernetes' own structures are not spelled out."""

    def values(found: Any, place: str = "") -> set[str]:
        if not isinstance(found, dict) or not found:
            return {place}
        return {one for key, inner in found.items() for one in values(inner, f"{place}.{key}".lstrip("."))}

    said = {place for place, schema in _schemas(SCHEMA) if "[]" not in place and "properties" not in schema}
    given = {
        place for place in values(VALUES) if not place.startswith(("resources.", "metrics.dashboard.labels."))
    }
    maps = {"resources.requests", "resources.limits", "metrics.dashboard.labels", "global"}
    assert said - given == maps
    assert given - said == set()


def test_every_value_is_used_and_no_other() -> None:
    text = "\n".join(path.read_text() for path in TEMPLATES)
    tops = set(re.findall(r"\.Values\.([A-Za-z]+)", text))
    assert tops == set(VALUES)


def test_every_value_is_explained() -> None:
    """A comment stands over each top-level value, or over what is in it."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    plain = {"serviceAccount", "podAnnotations", "podLabels", "priorityClassName", "nodeSelector"}
    plain |= {"tolerations", "affinity", "resources"}  # a pod's own words
    for before, line in pairwise(lines):
        if (found := re.match(r"([A-Za-z]+):", line)) and found[1] not in plain:
            after = lines[lines.index(line) + 1 :]
            inner = next((one for one in after if one.strip()), "")
            assert (
                before.startswith("#") or inner.strip().startswith("#") or found[1] in ("rbac", "metrics")
            ), line


# --- templates, as text -------------------------------------------------------------------------------------------

# The whole vocabulary of the templates. A new word here is a decision: plain templates can be read.
WORDS = set(
    re.findall(
        r"\w+",
        """
        and base contains default define else end eq fail first gt has if include int join list nindent not or
        printf quote range replace required toYaml trim trimPrefix trimSuffix trunc with
        """,
    )
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_are_plain(path: Path) -> None:
    text = path.read_text()
    assert "\t" not in text
    assert text.endswith("\n")
    assert not re.search(r"[ ]+$", text, re.M)
    assert text.count("{{") == text.count("}}")
    code = re.sub(r"\{\{/\*.*?\*/\}\}", "", text, flags=re.S)
    actions = re.findall(r"\{\{-?\s*(.*?)\s*-?\}\}", code, re.S)
    depth = 0
    for action in actions:
        bare = re.sub(r'"(\\.|[^"\\])*"', "", action)
        word = bare.split()[0] if bare.split() else ""
        depth += word in ("if", "range", "with", "define")
        depth -= word == "end"
        assert depth >= 0, action
        used = set(re.findall(r"(?<![.$\w])([a-z][A-Za-z]*)\b", bare))
        assert used <= WORDS, f"{action}: {used - WORDS}"
    assert depth == 0


def test_what_templates_include_is_defined() -> None:
    text = "\n".join(path.read_text() for path in TEMPLATES)
    defined = set(re.findall(r'define "([^"]+)"', text))
    assert set(re.findall(r'include "([^"]+)"', text)) == defined


def test_the_crds_of_the_chart_are_the_generated_ones() -> None:
    """`make crds` writes them; the template adds one annotation at most."""
    found = {path.name: path.read_text() for path in (CHART / "files/crds").iterdir()}
    assert found == crd_documents()
    for name, text in found.items():
        assert text.count("\nmetadata:\n") == 1, name
        assert "annotations" not in yaml.safe_load(text)["metadata"], name
        assert name == f"telarchy.dev_{yaml.safe_load(text)['spec']['names']['plural']}.yaml"


def test_chart_and_package_have_one_version() -> None:
    import tomllib

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((helm.ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]
    assert chart["name"] == project["name"]


DOOR = sorted((helm.ROOT / "controller/telarchy/runtime/kubernetes").glob("*.py"))


@pytest.mark.parametrize(
    "path", [one for one in (*TEMPLATES, *DOOR) if one.suffix != ".txt"], ids=lambda path: path.name
)
def test_neither_templates_nor_the_door_name_a_kind(path: Path) -> None:
    """They take the kinds from the CRDs and from the registry, so that a new one is watched, listed and granted."""
    text = re.sub(r"(?s)\{\{/\*.*?\*/\}\}|\"{3}.*?\"{3}|#.*", "", path.read_text())
    for kind in KINDS.values():
        named = rf"\b({kind.name}|{kind.plural})\b"
        assert not re.search(rf'"{named}"' if path.suffix == ".py" else named, text), kind.name


# --- alerts and dashboard -----------------------------------------------------------------------------------------

ALERTS = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
DASHBOARD = json.loads((CHART / "files/dashboards/telarchy.json").read_text())


def _panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def _expressions() -> Iterator[str]:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]
    for panel in _panels():
        for target in panel.get("targets", []):
            yield target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    known = exported()
    for expression in _expressions():
        named = metrics_in(expression)
        assert named, expression
        assert named <= known, f"{expression}: {named - known}"


def test_the_documentation_lists_every_metric() -> None:
    assert documented() == exported()


@pytest.mark.parametrize("expression", sorted(set(_expressions())))
def test_expressions_are_balanced(expression: str) -> None:
    bare = re.sub(r'"[^"]*"', '""', expression)
    for opening, closing in ("()", "[]", "{}"):
        assert bare.count(opening) == bare.count(closing)


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]]
    assert len(names) == len(set(names))
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert set(rule["annotations"]) == {"summary", "description"}
            grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
            labels = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
            assert labels <= {label.strip() for one in grouped for label in one.split(",")}, rule["alert"]


def test_the_dashboard_can_be_laid_out() -> None:
    ids = [panel["id"] for panel in _panels()]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in _panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


# --- rendered by real Helm ----------------------------------------------------------------------------------------

# That Helm's schema engine says what ours says is tried on a few.
WRONG_FOR_HELM = ("a-typing-error-further-in", "namespaces-and-all-of-them", "half-a-digest")


@pytest.fixture(scope="module")
def rendered() -> dict[str, helm.Rendered]:
    if not helm.available():
        pytest.skip(helm.WHY_SKIPPED)
    orders = {name: helm.Order(values, namespace="media") for name, values in CASES["good"].items()}
    orders |= {name: helm.Order(CASES["wrong"][name]) for name in WRONG_FOR_HELM}
    orders |= {name: helm.Order(case["values"]) for name, case in CASES["impossible"].items()}
    return dict(zip(orders, helm.render(list(orders.values())), strict=True))


def the(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


def kinds(objects: list[dict[str, Any]]) -> set[str]:
    return {one["kind"] for one in objects}


@pytest.mark.parametrize("case", WRONG_FOR_HELM)
def test_helm_refuses_wrong_values(rendered: dict[str, helm.Rendered], case: str) -> None:
    assert "schema" in rendered[case].error


@pytest.mark.parametrize("case", CASES["impossible"])
def test_helm_says_what_cannot_go_together(rendered: dict[str, helm.Rendered], case: str) -> None:
    assert CASES["impossible"][case]["says"] in rendered[case].error


@pytest.mark.parametrize("case", CASES["good"])
def test_helm_renders(rendered: dict[str, helm.Rendered], case: str) -> None:
    assert rendered[case].error == ""
    assert rendered[case].objects


@needs_kubectl
def test_kubectl_takes_what_helm_renders(rendered: dict[str, helm.Rendered], tmp_path: Path) -> None:
    """All cases in one call, since kubectl takes its time."""
    found = [one for case in CASES["good"] for one in rendered[case].objects]
    with standin(tmp_path) as kubeconfig:
        done = subprocess.run(
            [
                "kubectl",
                f"--kubeconfig={kubeconfig}",
                "create",
                "--dry-run=client",
                "--validate=false",
                "-f",
                "-",
            ],
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": found}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(found)


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_kubernetes_own_schemas_take_what_helm_renders(
    rendered: dict[str, helm.Rendered], version: str
) -> None:
    """Strictly: unknown fields are refused. From the oldest version that the chart takes to the newest there is."""
    schemas = pytest.importorskip(
        "kubernetes_validate", reason="the package kubernetes-validate is not installed"
    )
    foreign = ("monitoring.coreos.com/", "telarchy.dev/")
    for case in CASES["good"]:
        for one in rendered[case].objects:
            if not one["apiVersion"].startswith(foreign):
                schemas.validate(one, version, strict=True)


@pytest.mark.parametrize("case", CASES["good"])
def test_every_object_is_named_and_labelled(rendered: dict[str, helm.Rendered], case: str) -> None:
    seen = set()
    for one in rendered[case].objects:
        metadata = one["metadata"]
        key = (one["kind"], metadata.get("namespace"), metadata["name"])
        assert key not in seen
        seen.add(key)
        if one["kind"] != "CustomResourceDefinition":
            assert metadata["labels"]["app.kubernetes.io/instance"] == "telarchy"
            assert bool(metadata.get("namespace")) != one["kind"].startswith("Cluster")


@pytest.mark.parametrize("case", CASES["good"])
def test_the_pod_is_restricted(rendered: dict[str, helm.Rendered], case: str) -> None:
    """Pod Security Standards, level `restricted`, and a file system that cannot be written to."""
    deployment = the(rendered[case].objects, "Deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    allowed = {"emptyDir", "persistentVolumeClaim", "secret"}
    assert {key for volume in pod["volumes"] for key in volume} - {"name"} <= allowed
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    assert "readinessProbe" not in container
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


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


def test_crds_are_kept_unless_told_otherwise(rendered: dict[str, helm.Rendered]) -> None:
    def crds(case: str) -> list[dict[str, Any]]:
        return [one for one in rendered[case].objects if one["kind"] == "CustomResourceDefinition"]

    generated = {one["metadata"]["name"]: one for one in map(yaml.safe_load, crd_documents().values())}
    assert crds("crds-by-others") == []
    assert {one["metadata"]["name"]: one for one in crds("crds-that-go-with-the-release")} == generated
    for one in copy.deepcopy(crds("defaults")):
        assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert one == generated.pop(one["metadata"]["name"])
    assert not generated


def test_the_claim(rendered: dict[str, helm.Rendered]) -> None:
    claim = the(rendered["defaults"].objects, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    claim = the(rendered["claim-with-a-class"].objects, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"who": "me"}
    assert claim["spec"]["storageClassName"] == "fast"
    for case, volume in {
        "own-claim": {"name": "state", "persistentVolumeClaim": {"claimName": "films"}},
        "a-standby-without-a-claim": {"name": "state", "emptyDir": {}},
    }.items():
        assert "PersistentVolumeClaim" not in kinds(rendered[case].objects)
        pod = the(rendered[case].objects, "Deployment")["spec"]["template"]["spec"]
        assert volume in pod["volumes"]


def test_mounted_secrets_are_for_the_operator_alone(rendered: dict[str, helm.Rendered]) -> None:
    pod = the(rendered["everything-else"].objects, "Deployment")["spec"]["template"]["spec"]
    secrets = [one["secret"] for one in pod["volumes"] if "secret" in one]
    assert [one["secretName"] for one in secrets] == ["fleet-key", "other-key"]
    assert {one["defaultMode"] for one in secrets} == {0o400}
    mounts = [one for one in pod["containers"][0]["volumeMounts"] if one["name"].startswith("secret-")]
    assert all(one["readOnly"] for one in mounts)


def test_what_watches_it_comes_on_demand(rendered: dict[str, helm.Rendered]) -> None:
    extra = {"ServiceMonitor", "PrometheusRule", "ConfigMap"}
    assert not extra & kinds(rendered["defaults"].objects)
    objects = rendered["everything-watched"].objects
    assert extra <= kinds(objects)
    assert the(objects, "PrometheusRule")["spec"] == ALERTS
    assert json.loads(the(objects, "ConfigMap")["data"]["telarchy.json"]) == DASHBOARD
    monitor, service = the(objects, "ServiceMonitor"), the(objects, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_the_wall_has_just_these_holes(rendered: dict[str, helm.Rendered]) -> None:
    policy = the(rendered["walled-in"].objects, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    holes = [
        ([port["port"] for port in rule["ports"]], [to["ipBlock"]["cidr"] for to in rule.get("to", [])])
        for rule in policy["egress"]
    ]
    assert holes == [
        ([53, 53], []),
        ([6443], ["10.0.0.1/32"]),
        ([22, 2222], ["192.168.1.0/24", "fd00::/64"]),
        ([53], ["192.0.2.1/32"]),
    ]
    assert [port["port"] for port in policy["ingress"][0]["ports"]] == [8080]
    assert "NetworkPolicy" not in kinds(rendered["defaults"].objects)


def test_the_budget_is_off_by_default(rendered: dict[str, helm.Rendered]) -> None:
    assert "PodDisruptionBudget" not in kinds(rendered["defaults"].objects)
    assert the(rendered["a-standby"].objects, "PodDisruptionBudget")["spec"]["minAvailable"] == 1
