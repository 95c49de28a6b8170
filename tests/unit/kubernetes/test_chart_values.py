"""Values of the chart: what the schema takes and refuses, and that values, schema and templates know the same ones."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import jsonschema
import pytest
import yaml

from tests.unit.kubernetes.charts import CASES, CHART, TEMPLATES

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
# What Kubernetes itself defines, and its own validation checks.
FREE_FORM = {
    "global",
    "networkPolicy.metricsFrom[]",
    "networkPolicy.webFrom[]",
    "networkPolicy.extraEgress[]",
    "extraEnv[]",
    "tolerations[]",
    "affinity",
}


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
