"""Every rule says the same to pydantic, to the CRD, and to the person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.resources.crd import structural_schema
from telarchy.resources.loader import load_text
from telarchy.resources.meta import API_VERSION, Model
from telarchy.resources.registry import KINDS

from .api_server import refusals

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("rule_cases.yaml").read_text())


def spec_of(case: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = case["spec"]
    return spec


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: yaml.safe_dump(case["spec"], default_flow_style=True)[:90]
)
def test_models_and_crds_agree(case: dict[str, Any]) -> None:
    manifest = {
        "apiVersion": API_VERSION,
        "kind": case["kind"],
        "metadata": {"name": case.get("name", "x")},
        "spec": spec_of(case),
    }
    loaded = load_text(json.dumps(manifest), "x.yaml")
    wanted = {case["breaks"]} if "breaks" in case else set()
    assert {problem.rule for problem in loaded.problems} == wanted
    refused = list(refusals(structural_schema(KINDS[case["kind"]]), manifest, case["kind"]))
    assert bool(refused) == bool(wanted), refused


def all_models(model: type[Model]) -> set[type[Model]]:
    found: set[type[Model]] = set()
    for one in model.__subclasses__():
        found |= {one} | all_models(one)
    return found


def test_every_rule_is_broken_by_some_case() -> None:
    declared = {rule.id for model in all_models(Model) for rule in model.rules}
    broken = {case["breaks"] for case in CASES if "breaks" in case}
    assert declared <= broken


def test_a_model_that_breaks_several_rules_hears_of_all() -> None:
    text = f"""
apiVersion: {API_VERSION}
kind: CustodyFloor
metadata: {{name: x}}
spec:
  select: {{paths: [a/*]}}
  copies: 3
  alwaysOn: 4
  maxCopies: 2
"""
    problems = load_text(text, "x.yaml").problems
    assert [(p.line, p.column, p.rule) for p in problems] == [
        (8, 13, "always-on-above-copies"),
        (9, 14, "max-copies-below-copies"),
        (9, 14, "max-copies-below-always-on"),
    ]
