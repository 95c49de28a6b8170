"""Findings for programs: what SARIF 2.1.0 and GitHub's workflow commands ask of each character."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from telarchy.cli.problems import render
from telarchy.errors import Problem

URI = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@/:-]|%[0-9A-F]{2})+")  # RFC 3986, without query and fragment
SARIF_LEVELS = ("none", "note", "warning", "error")


def sarif(*problems: Problem) -> dict[str, Any]:
    """The log; what its schema requires is checked on the way."""
    log: dict[str, Any] = json.loads(render(problems, "sarif"))
    assert log.keys() == {"$schema", "version", "runs"} and log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run.keys() == {"tool", "columnKind", "results"}
    assert run["columnKind"] == "unicodeCodePoints"
    driver = run["tool"]["driver"]
    assert driver["name"] == "telarchy"
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(rules) == len(set(rules)) and all(rule["shortDescription"]["text"] for rule in driver["rules"])
    for result in run["results"]:
        assert result["message"]["text"] and result["level"] in SARIF_LEVELS and result["ruleId"] in rules
        for one in result.get("locations", []):
            place = one["physicalLocation"]
            assert URI.fullmatch(place["artifactLocation"]["uri"])
            assert all(number >= 1 for number in place.get("region", {}).values())
    return run


def uri_of(file: str) -> str:
    (result,) = sarif(Problem("wrong", file, 2, 3))["results"]
    uri: str = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    return uri


@pytest.mark.parametrize(
    "file",
    [
        "fleet/a.yaml",
        "my fleet/ä#1?.yaml",
        "50%.yaml",
        "a:b.yaml",
        "a\\b.yaml",
        "../x.yaml",
        "-",
        "c\udcff.yaml",
    ],
)
def test_a_relative_name_is_a_relative_uri_and_can_be_had_back(file: str) -> None:
    parts = urlsplit(uri_of(file))
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert unquote_to_bytes(parts.path) == os.fsencode(file)


def test_an_absolute_name_is_a_file_uri(tmp_path: Path) -> None:
    file = tmp_path / "my fleet.yaml"
    assert uri_of(str(file)) == file.as_uri()


def test_what_has_no_place_or_no_line_says_none() -> None:
    nowhere, whole = sarif(Problem("nowhere"), Problem("whole", "fleet"))["results"]
    assert "locations" not in nowhere
    assert whole["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "fleet"}}}]


def test_braces_are_no_placeholders_and_bytes_are_no_half_characters() -> None:
    (result,) = sarif(Problem("write {local: {}} in c\udcff", "a.yaml", 1, 1))["results"]
    assert result["message"]["text"] == "write {{local: {{}}}} in c\\udcff"


def test_two_findings_of_a_rule_are_two_results_and_one_rule() -> None:
    run = sarif(*[Problem("wrong", "a.yaml", 1, 1, rule="unknown-field")] * 2)
    assert (len(run["results"]), len(run["tool"]["driver"]["rules"])) == (2, 1)


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (
            Problem("100 % of `a`: b,\r\nnext", "50%, a:b.yaml", 2, 5, rule="x"),
            "::error file=50%25%2C a%3Ab.yaml,line=2,col=5,title=x::100 %25 of `a`: b,%0D%0Anext",
        ),
        (Problem("a %0A b", "a\nb.yaml", severity="warning"), "::warning file=a%0Ab.yaml::a %250A b"),
        (Problem("no place"), "::error::no place"),
    ],
)
def test_no_character_ends_an_annotation_early(problem: Problem, shown: str) -> None:
    assert render([problem], "github") == shown
