"""The chart as real Helm renders it: every case is taken by Helm, by kubectl and by Kubernetes' own schemas."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.kubernetes import helm
from tests.unit.kubernetes.charts import CASES, WRONG_FOR_HELM, container, the
from tests.unit.kubernetes.standin import standin

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")


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
def test_ports_of_services_name_their_protocol(rendered: dict[str, helm.Rendered], case: str) -> None:
    """It is half of the key by which a server-side apply tells ports apart, and older API servers add no default."""
    services = [one for one in rendered[case].objects if one["kind"] == "Service"]
    assert all(port.get("protocol") for one in services for port in one["spec"]["ports"])


@pytest.mark.parametrize("case", CASES["good"])
def test_the_pod_is_restricted(rendered: dict[str, helm.Rendered], case: str) -> None:
    """Pod Security Standards, level `restricted`, and a file system that cannot be written to."""
    deployment = the(rendered[case].objects, "Deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    mine = container(rendered[case].objects)
    assert mine["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    allowed = {"emptyDir", "persistentVolumeClaim", "secret"}
    assert {key for volume in pod["volumes"] for key in volume} - {"name"} <= allowed
    assert {mount["name"] for mount in mine["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    asked = {"path": "/healthz", "port": "web"}  # only viewers send requests to it
    served = any(one["name"] == "web" for one in mine["ports"])
    assert mine.get("readinessProbe", {}).get("httpGet") == (asked if served else None)
    assert mine["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
