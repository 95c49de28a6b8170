"""A stand-in for an API server, for clients that only ask which kinds there are: `kubectl create --dry-run=client`
and Helm's own library. It answers discovery, says "not found" to every other read, and gives back what it is sent.

It checks nothing: what an API server makes of an object, only an API server can tell.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from telarchy.resources.meta import API_VERSION
from telarchy.resources.registry import KINDS

VERSION = "v1.32.0"
# apiVersion: {Kind: (plural, namespaced)}
SERVED: dict[str, dict[str, tuple[str, bool]]] = {
    "v1": {
        "ConfigMap": ("configmaps", True),
        "Namespace": ("namespaces", False),
        "PersistentVolumeClaim": ("persistentvolumeclaims", True),
        "Secret": ("secrets", True),
        "Service": ("services", True),
        "ServiceAccount": ("serviceaccounts", True),
    },
    "apps/v1": {"Deployment": ("deployments", True)},
    "apiextensions.k8s.io/v1": {"CustomResourceDefinition": ("customresourcedefinitions", False)},
    "argoproj.io/v1alpha1": {"Application": ("applications", True), "AppProject": ("appprojects", True)},
    "kustomize.toolkit.fluxcd.io/v1": {"Kustomization": ("kustomizations", True)},
    "monitoring.coreos.com/v1": {
        "PrometheusRule": ("prometheusrules", True),
        "ServiceMonitor": ("servicemonitors", True),
    },
    "networking.k8s.io/v1": {"NetworkPolicy": ("networkpolicies", True)},
    "policy/v1": {"PodDisruptionBudget": ("poddisruptionbudgets", True)},
    "rbac.authorization.k8s.io/v1": {
        "ClusterRole": ("clusterroles", False),
        "ClusterRoleBinding": ("clusterrolebindings", False),
        "Role": ("roles", True),
        "RoleBinding": ("rolebindings", True),
    },
    "source.toolkit.fluxcd.io/v1": {"GitRepository": ("gitrepositories", True)},
    API_VERSION: {kind.name: (kind.plural, True) for kind in KINDS.values()},
}


def _resources(api_version: str) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": [
            {
                "name": plural,
                "singularName": kind.lower(),
                "namespaced": namespaced,
                "kind": kind,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            }
            for kind, (plural, namespaced) in SERVED[api_version].items()
        ],
    }


def _groups() -> dict[str, Any]:
    versions = [name for name in SERVED if "/" in name]
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": name.split("/")[0],
                "versions": [{"groupVersion": name, "version": name.split("/")[1]}],
                "preferredVersion": {"groupVersion": name, "version": name.split("/")[1]},
            }
            for name in versions
        ],
    }


def discovery(path: str) -> dict[str, Any] | None:
    """The answer to a question about kinds; None where it is about something else."""
    if path == "/version":
        major, minor = VERSION[1:].split(".")[:2]
        return {"major": major, "minor": minor, "gitVersion": VERSION}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return _groups()
    name = path.removeprefix("/apis/").removeprefix("/api/")
    return _resources(name) if name in SERVED else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, the second waits 40 ms for the first's acknowledgement

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        found = discovery(self.path.split("?")[0])
        if found is None:
            status = {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": "NotFound",
                "code": 404,
            }
            self._answer(404, json.dumps(status).encode())
        else:
            self._answer(200, json.dumps(found).encode())

    def do_POST(self) -> None:
        self._answer(201, self.rfile.read(int(self.headers.get("content-length") or 0)))

    do_PUT = do_PATCH = do_POST

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def standin(folder: Path) -> Iterator[Path]:
    """Runs while inside `with`; gives a kubeconfig that leads to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig.yaml"
    named = {"name": "standin"}
    cluster = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [named | {"cluster": cluster}],
                "users": [named | {"user": {}}],
                "contexts": [named | {"context": {"cluster": "standin", "user": "standin"}}],
                "current-context": "standin",
            }
        )
    )
    try:
        yield config
    finally:
        server.shutdown()
        server.server_close()
