"""Alerts and dashboard of the chart: they ask for figures that there are, and say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.kubernetes.charts import ALERTS, DASHBOARD
from tests.unit.kubernetes.figures import documented, exported, metrics_in


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
