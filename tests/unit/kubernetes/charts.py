"""The chart's files, and what the tests of it share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.unit.kubernetes import helm

CHART = helm.CHART
CASES = yaml.safe_load((Path(__file__).parent / "values_cases.yaml").read_text())
TEMPLATES = sorted(path for path in (CHART / "templates").iterdir())
ALERTS = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
DASHBOARD = json.loads((CHART / "files/dashboards/telarchy.json").read_text())

# That Helm's schema engine says what ours says is tried on a few.
WRONG_FOR_HELM = ("a-typing-error-further-in", "namespaces-and-all-of-them", "half-a-digest")


def the(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The only one of a kind, or the one whose name ends so."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"].endswith(name))
    return found


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The operator's."""
    (found,) = the(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def kinds(objects: list[dict[str, Any]]) -> set[str]:
    return {one["kind"] for one in objects}
