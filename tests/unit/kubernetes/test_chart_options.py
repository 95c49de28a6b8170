"""What values change in the rendered chart."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml

from telarchy.resources.crd import crd_documents
from tests.unit.kubernetes import helm
from tests.unit.kubernetes.charts import ALERTS, DASHBOARD, container, kinds, the


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


def test_pages_are_for_viewers_where_they_are_wanted(rendered: dict[str, helm.Rendered]) -> None:
    plain = rendered["defaults"].objects
    assert not [one for one in container(plain)["args"] if one.startswith("--listen")]
    assert [one["metadata"]["name"] for one in plain if one["kind"] == "Service"] == ["telarchy-metrics"]
    objects = rendered["pages-for-viewers"].objects
    pod = container(objects)
    assert [one for one in pod["args"] if one.startswith(("--listen", "--trusted"))] == [
        "--listen=0.0.0.0:8443",
        "--trusted-proxy=10.0.0.0/8",
        "--trusted-proxy=fd00::1",
    ]
    assert {one["name"]: one["containerPort"] for one in pod["ports"]} == {"http": 8080, "web": 8443}
    service = the(objects, "Service", "-web")
    assert service["spec"]["type"] == "LoadBalancer" and service["metadata"]["annotations"] == {"a": "b"}
    assert service["spec"]["ports"] == [{"name": "web", "port": 8443, "targetPort": "web", "protocol": "TCP"}]
    assert the(objects, "Service", "-metrics")["spec"]["clusterIP"] == "None"
    holes = {
        rule["ports"][0]["port"]: rule.get("from")
        for rule in the(objects, "NetworkPolicy")["spec"]["ingress"]
    }
    ingress = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
    assert holes == {8080: None, 8443: [ingress]}
