"""What manifests/ holds of the chart: `make manifests` writes it, with real Helm.

Two labels stay out, which say that Helm keeps the objects and from which chart: here it does not.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from tests.unit.kubernetes import helm

MANIFESTS = helm.ROOT / "manifests"
OPERATOR = MANIFESTS / "operator/operator.yaml"
CLUSTERROLE = MANIFESTS / "overlays/cluster/clusterrole.yaml"
HELMS_OWN = ("app.kubernetes.io/managed-by", "helm.sh/chart", "helm.sh/resource-policy")
HEAD = "# Rendered from charts/telarchy by `make manifests`; do not edit.\n"


def chart(scope: str) -> helm.Rendered:
    """The chart with its default values, but for the scope. Both are rendered at once, since Helm takes its time."""
    return _charts()[scope]


@functools.cache
def _charts() -> dict[str, helm.Rendered]:
    scopes = ("namespace", "cluster")
    return dict(
        zip(scopes, helm.render([helm.Order({"rbac": {"scope": one}}) for one in scopes]), strict=True)
    )


def rendered() -> dict[Path, str]:
    """File → its text, as the chart gives it now."""
    operator = [text for text in _documents(chart("namespace").text) if "\nkind: CustomResource" not in text]
    own = [text for text in _documents(chart("cluster").text) if "\nkind: ClusterRole" in text]
    return {
        OPERATOR: _joined(operator),
        CLUSTERROLE: _joined(
            [text for text in own if not re.search(r"\n  name: telarchy-(view|edit)\n", text)]
        ),
    }


def without_helms_own(one: dict[str, Any]) -> dict[str, Any]:
    """An object without what only Helm says of it."""
    if not isinstance(one, dict):
        return [without_helms_own(inner) for inner in one] if isinstance(one, list) else one
    found = {key: without_helms_own(value) for key, value in one.items() if key not in HELMS_OWN}
    return {key: value for key, value in found.items() if key != "annotations" or value}


def _documents(text: str) -> list[str]:
    """The documents of Helm's output, sorted as Helm sorts them, without what is Helm's own."""
    documents = []
    for document in re.split(r"(?m)^---\n", text):
        lines = [
            line
            for line in document.splitlines()
            if not line.startswith("# Source:")
            and not line.strip().startswith(tuple(f"{one}:" for one in HELMS_OWN))
        ]
        plain = re.sub(r"(?m)^  annotations:\n(?!    )", "", "\n".join(lines).strip("\n") + "\n")
        if plain.strip():
            documents.append(plain)
    return documents


def _joined(documents: list[str]) -> str:
    return HEAD + "---\n".join(documents)


if __name__ == "__main__":
    for path, text in rendered().items():
        path.write_text(text)
