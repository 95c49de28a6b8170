"""docs/kubernetes.md: its examples are taken by those who read them."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from telarchy.resources.loader import resource_from_manifest
from tests.unit.kubernetes.helm import CHART, ROOT

TEXT = (ROOT / "docs/kubernetes.md").read_text()
BLOCKS = [list(yaml.safe_load_all(block)) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.S)]
MANIFESTS = [
    one for block in BLOCKS for one in block if one.get("apiVersion", "").startswith("telarchy.dev/")
]
VALUES = [one for block in BLOCKS for one in block if "apiVersion" not in one]


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_there_are_examples() -> None:
    assert {one["kind"] for one in MANIFESTS} == {"Host", "CustodyFloor"}
    assert len(VALUES) == 2


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: str(one["kind"]))
def test_manifests_are_valid(manifest: dict[str, Any]) -> None:
    resource_from_manifest(copy.deepcopy(manifest))


@pytest.mark.parametrize("values", VALUES)
def test_values_are_valid(values: dict[str, Any]) -> None:
    jsonschema.validate(values, json.loads((CHART / "values.schema.json").read_text()))


def test_links_lead_somewhere() -> None:
    headings = {_anchor(line.lstrip("# ")) for line in TEXT.splitlines() if line.startswith("#")}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_named_paths_and_values_are_there() -> None:
    for path in set(re.findall(r"`((?:charts|crds|manifests|examples)(?:/[\w./-]+)?)`", TEXT)):
        assert (ROOT / path).exists(), path
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    tops = "|".join(values)
    for name in set(re.findall(rf"`((?:{tops})\.[A-Za-z.]+)", TEXT)):
        found: Any = values
        for part in name.split("."):
            assert part in found, name
            found = found[part]
