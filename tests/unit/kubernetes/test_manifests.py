"""The kustomizations: that they are what the chart renders, that kubectl takes them, and that what they tell Flux and
Argo CD about our kinds' health is right."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml

from telarchy.resources.registry import KINDS
from tests.unit.kubernetes import helm
from tests.unit.kubernetes.manifests import CLUSTERROLE, MANIFESTS, chart, rendered, without_helms_own
from tests.unit.kubernetes.standin import standin

CRDS = helm.ROOT / "crds"
FOLDERS = [CRDS, MANIFESTS / "operator", MANIFESTS / "base", *sorted((MANIFESTS / "overlays").iterdir())]
LUA = next(filter(shutil.which, ("lua5.1", "lua5.3", "lua5.4", "lua")), "")

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")


def _is_old() -> bool:
    """Debian 12's kubectl (1.20) has kustomize 2: no folders among `resources`, no targets in `patches`."""
    if not shutil.which("kubectl"):
        return False
    said = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=False)
    client = yaml.safe_load(said.stdout or b"{}").get("clientVersion", {})
    return (int(client.get("major", 1)), int(str(client.get("minor", 99)).rstrip("+"))) < (1, 22)


needs_kustomize_4 = pytest.mark.skipif(_is_old(), reason="this kubectl's kustomize is older than 4")
needs_helm = pytest.mark.skipif(not helm.available(), reason=helm.WHY_SKIPPED)
needs_cluster = pytest.mark.skipif(
    not os.environ.get("TELARCHY_TEST_KUBECONFIG"), reason="no API server in TELARCHY_TEST_KUBECONFIG"
)

Objects = list[dict[str, Any]]


def run(*argv: str, text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def built(folder: Path) -> str:
    return run("kubectl", "kustomize", str(folder))


def objects(folder: Path) -> Objects:
    return [one for one in yaml.load_all(built(folder), helm.LOADER) if one]


def by_name(found: Objects) -> dict[tuple[str, str], dict[str, Any]]:
    named = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(named) == len(found)
    return named


@pytest.mark.parametrize(
    "folder",
    [pytest.param(one, marks=[needs_kustomize_4] if one.name == "cluster" else []) for one in FOLDERS],
    ids=lambda folder: folder.name,
)
def test_kubectl_takes_them(folder: Path, tmp_path: Path) -> None:
    """As far as a client can tell; see below for what an API server says."""
    text = built(folder)
    with standin(tmp_path) as kubeconfig:
        told = run(
            "kubectl",
            f"--kubeconfig={kubeconfig}",
            "create",
            "--dry-run=client",
            "--validate=false",
            "-f",
            "-",
            text=text,
        )
    assert len(told.splitlines()) == len([one for one in yaml.load_all(text, helm.LOADER) if one])


@needs_cluster
@pytest.mark.parametrize("name", ["operator", "base", "overlays/cluster"])
def test_an_api_server_takes_them(name: str) -> None:
    """Strictly: unknown and misplaced fields are refused. The namespace is there already, or objects in it would not
    be looked at."""
    text = built(MANIFESTS / name)
    kubectl = ["kubectl", f"--kubeconfig={os.environ['TELARCHY_TEST_KUBECONFIG']}"]
    subprocess.run([*kubectl, "create", "namespace", "telarchy"], capture_output=True, check=False)
    run(*kubectl, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", text=text)


@needs_helm
def test_they_are_what_the_chart_renders() -> None:
    """`make manifests` writes them."""
    for path, text in rendered().items():
        assert by_name(list(yaml.safe_load_all(path.read_text()))) == by_name(
            list(yaml.safe_load_all(text))
        ), path


@needs_helm
def test_the_base_is_the_chart() -> None:
    wanted = by_name([without_helms_own(one) for one in chart("namespace").objects])
    found = by_name(objects(MANIFESTS / "base"))
    del found["Namespace", "telarchy"]
    assert found == wanted


@needs_helm
@needs_kustomize_4
def test_the_cluster_overlay_is_the_chart_with_cluster_scope() -> None:
    wanted = by_name([without_helms_own(one) for one in chart("cluster").objects])
    found = by_name(objects(MANIFESTS / "overlays/cluster"))
    del found["Namespace", "telarchy"]
    assert found == wanted


def test_all_kinds_are_in_it() -> None:
    """Without Helm too: a new kind is in crds/Kustomization and in every role."""
    plurals = sorted(kind.plural for kind in KINDS.values())
    listed = yaml.safe_load((CRDS / "Kustomization").read_text())["resources"]
    assert listed == [f"telarchy.dev_{plural}.yaml" for plural in plurals]
    base = by_name(objects(MANIFESTS / "base"))
    assert sorted(name for kind, name in base if kind == "CustomResourceDefinition") == [
        f"{plural}.telarchy.dev" for plural in plurals
    ]
    clusterrole = next(
        one for one in yaml.safe_load_all(CLUSTERROLE.read_text()) if one["kind"] == "ClusterRole"
    )
    for role in (base["Role", "telarchy"], clusterrole):
        read, wrote = role["rules"][:2]
        assert read["resources"] == plurals
        assert wrote["resources"] == [f"{plural}/status" for plural in plurals]
    for name in ("telarchy-view", "telarchy-edit"):
        assert base["ClusterRole", name]["rules"][0]["resources"] == plurals


def test_arguments_are_those_that_the_operator_takes() -> None:
    operator = pytest.importorskip("telarchy.cli.operator").operator
    (container,) = by_name(objects(MANIFESTS / "base"))["Deployment", "telarchy"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["args"][0] == "operator"
    context = operator.make_context("operator", [*container["args"][1:]])
    assert context.params["namespaces"] == ("$(POD_NAMESPACE)",)
    assert str(context.params["state"]) == "/var/lib/telarchy"
    assert context.params["liveness"] == "http://0.0.0.0:8080/healthz"
    taken_from = {one.envvar for one in operator.params}
    assert "POD_NAME" in taken_from, "the pod's name says who holds a Lease"


@needs_kustomize_4
def test_a_kustomization_can_move_it_and_name_its_image(tmp_path: Path) -> None:
    """As docs/kubernetes.md shows it."""
    root = tmp_path / "root"
    for name in ("crds", "manifests"):
        shutil.copytree(helm.ROOT / name, root / name)
    own = root / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "namespace": "media",
                "resources": ["../manifests/base"],
                "images": [
                    {"name": "telarchy", "newName": "registry.example.org/media/telarchy", "newTag": "7"}
                ],
            }
        )
    )
    found = by_name(objects(own))
    assert ("Namespace", "media") in found
    assert found["RoleBinding", "telarchy"]["subjects"][0]["namespace"] == "media"
    deployment = found["Deployment", "telarchy"]
    assert deployment["metadata"]["namespace"] == "media"
    assert (
        deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        == "registry.example.org/media/telarchy:7"
    )


# --- Flux and Argo CD ---------------------------------------------------------------------------------------------


def condition(kind: str, status: str, message: str = "because") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": "Because", "message": message}


NEW = {"observedGeneration": -1}
# name: (status, generation, what Flux makes of it, what Argo CD makes of it)
STATES: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "just-created": (NEW, 1, "InProgress", "Progressing"),
    "seen": ({"observedGeneration": 1}, 1, "InProgress", "Progressing"),
    "ready": (
        {"observedGeneration": 1, "conditions": [condition("Ready", "True")]},
        1,
        "Current",
        "Healthy",
    ),
    "edited": (
        {"observedGeneration": 1, "conditions": [condition("Ready", "True")]},
        2,
        "InProgress",
        "Progressing",
    ),
    "copying": (
        {
            "observedGeneration": 1,
            "conditions": [condition("Ready", "False"), condition("Reconciling", "True")],
        },
        1,
        "Current",
        "Progressing",
    ),
    "lacking": (
        {"observedGeneration": 1, "conditions": [condition("Ready", "False")]},
        1,
        "Current",
        "Degraded",
    ),
    "stalled": (
        {"observedGeneration": 1, "conditions": [condition("Ready", "False"), condition("Stalled", "True")]},
        1,
        "Failed",
        "Degraded",
    ),
    "not-known": (
        {"observedGeneration": 1, "conditions": [condition("Ready", "Unknown")]},
        1,
        "Current",
        "Progressing",
    ),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", KINDS)
def test_flux_waits_until_an_object_is_taken(kind: str, state: str) -> None:
    """In the order in which kustomize-controller asks: generation, inProgress, failed, current."""
    status, generation, wanted, _ = STATES[state]
    fleet = by_name(objects(MANIFESTS / "overlays/flux"))["Kustomization", "fleet"]
    (expressions,) = (one for one in fleet["spec"]["healthCheckExprs"] if one["kind"] == kind)
    assert expressions["apiVersion"] == "telarchy.dev/v1alpha1"
    assert set(expressions) == {"apiVersion", "kind", "failed", "current"}
    found = "InProgress"
    if status["observedGeneration"] == generation:
        for word in ("failed", "current"):
            if cel.evaluate(expressions[word], {"status": status, "metadata": {"generation": generation}}):
                found = word.capitalize()
                break
    assert found == wanted


def test_flux_applies_in_order_and_never_prunes_a_crd() -> None:
    found = by_name(objects(MANIFESTS / "overlays/flux"))
    order = {name: one["spec"] for (kind, name), one in found.items() if kind == "Kustomization"}
    assert [one["name"] for one in order["telarchy"]["dependsOn"]] == ["telarchy-crds"]
    assert [one["name"] for one in order["fleet"]["dependsOn"]] == ["telarchy"]
    assert order["telarchy-crds"]["prune"] is False
    sources = {name for kind, name in found if kind == "GitRepository"}
    for spec in order.values():
        assert {"interval", "path", "prune", "sourceRef", "timeout", "wait"} <= set(spec)
        assert spec["sourceRef"]["name"] in sources
    for name in ("telarchy-crds", "telarchy"):
        folder = helm.ROOT / order[name]["path"]
        kinds = {one["kind"] for one in objects(folder)}
        assert ("CustomResourceDefinition" in kinds) == (name == "telarchy-crds")
    sparse = found["GitRepository", "telarchy"]["spec"]["sparseCheckout"]
    assert {Path(order[name]["path"]).parts[0] for name in ("telarchy-crds", "telarchy")} <= set(sparse)


def _lua(kind: str) -> str:
    settings = by_name(objects(MANIFESTS / "overlays/argocd"))["ConfigMap", "argocd-cm"]["data"]
    return str(settings[f"resource.customizations.health.telarchy.dev_{kind}"])


def test_argocd_knows_the_health_of_every_kind() -> None:
    settings = by_name(objects(MANIFESTS / "overlays/argocd"))["ConfigMap", "argocd-cm"]["data"]
    assert set(settings) == {f"resource.customizations.health.telarchy.dev_{kind}" for kind in KINDS}
    assert len(set(settings.values())) == 1


def _table(value: Any) -> str:
    """A Lua literal."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'["{key}"] = {_table(inner)}' for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(_table(inner) for inner in value) + "}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.mark.skipif(not LUA, reason="Lua is not installed")
@pytest.mark.parametrize("state", [*STATES, "suspended"])
def test_argocd_calls_it_by_the_right_name(state: str) -> None:
    suspended = state == "suspended"
    status, generation, _, wanted = STATES["ready" if suspended else state]
    seen = {"metadata": {"generation": generation}, "spec": {"suspend": suspended}, "status": status}
    script = f"local obj = {_table(seen)}\nlocal function health()\n{_lua('Host')}end\nprint(health().status)"
    assert run(LUA, "-", text=script).strip() == ("Suspended" if suspended else wanted)


@needs_kustomize_4
def test_argocd_neither_prunes_nor_deletes_a_crd(tmp_path: Path) -> None:
    """Argo CD puts an Application's patches into a kustomization of its own; so does this."""
    application = by_name(objects(MANIFESTS / "overlays/argocd"))["Application", "telarchy"]["spec"]
    assert {"ServerSideApply=true", "PruneLast=true"} <= set(application["syncPolicy"]["syncOptions"])
    for name in ("crds", "manifests"):
        shutil.copytree(helm.ROOT / name, tmp_path / name)
    own = tmp_path / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [f"../{application['source']['path']}"],
                "patches": application["source"]["kustomize"]["patches"],
            }
        )
    )
    for one in objects(own):
        options = one["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-options")
        assert options == ("Prune=false,Delete=false" if one["kind"] == "CustomResourceDefinition" else None)
