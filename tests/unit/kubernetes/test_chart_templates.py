"""Templates of the chart as text: plain, complete, and made of what is generated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from telarchy.resources.crd import crd_documents
from telarchy.resources.registry import KINDS
from tests.unit.kubernetes import helm
from tests.unit.kubernetes.charts import CHART, TEMPLATES

# The whole vocabulary of the templates. A new word here is a decision: plain templates can be read.
WORDS = set(
    re.findall(
        r"\w+",
        """
        and base contains default define else end eq fail first gt has if include int join list nindent not or
        printf quote range replace required toYaml trim trimPrefix trimSuffix trunc with
        """,
    )
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_are_plain(path: Path) -> None:
    text = path.read_text()
    assert "\t" not in text
    assert text.endswith("\n")
    assert not re.search(r"[ ]+$", text, re.M)
    assert text.count("{{") == text.count("}}")
    code = re.sub(r"\{\{/\*.*?\*/\}\}", "", text, flags=re.S)
    actions = re.findall(r"\{\{-?\s*(.*?)\s*-?\}\}", code, re.S)
    depth = 0
    for action in actions:
        bare = re.sub(r'"(\\.|[^"\\])*"', "", action)
        word = bare.split()[0] if bare.split() else ""
        depth += word in ("if", "range", "with", "define")
        depth -= word == "end"
        assert depth >= 0, action
        used = set(re.findall(r"(?<![.$\w])([a-z][A-Za-z]*)\b", bare))
        assert used <= WORDS, f"{action}: {used - WORDS}"
    assert depth == 0


def test_what_templates_include_is_defined() -> None:
    text = "\n".join(path.read_text() for path in TEMPLATES)
    defined = set(re.findall(r'define "([^"]+)"', text))
    assert set(re.findall(r'include "([^"]+)"', text)) == defined


def test_the_crds_of_the_chart_are_the_generated_ones() -> None:
    """`make crds` writes them; the template adds one annotation at most."""
    found = {path.name: path.read_text() for path in (CHART / "files/crds").iterdir()}
    assert found == crd_documents()
    for name, text in found.items():
        assert text.count("\nmetadata:\n") == 1, name
        assert "annotations" not in yaml.safe_load(text)["metadata"], name
        assert name == f"telarchy.dev_{yaml.safe_load(text)['spec']['names']['plural']}.yaml"


def test_chart_and_package_have_one_version() -> None:
    import tomllib

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((helm.ROOT / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == project["version"]
    assert chart["name"] == project["name"]


DOOR = sorted((helm.ROOT / "controller/telarchy/runtime/kubernetes").glob("*.py"))


@pytest.mark.parametrize(
    "path", [one for one in (*TEMPLATES, *DOOR) if one.suffix != ".txt"], ids=lambda path: path.name
)
def test_neither_templates_nor_the_door_name_a_kind(path: Path) -> None:
    """They take the kinds from the CRDs and from the registry, so that a new one is watched, listed and granted."""
    text = re.sub(r"(?s)\{\{/\*.*?\*/\}\}|\"{3}.*?\"{3}|#.*", "", path.read_text())
    for kind in KINDS.values():
        named = rf"\b({kind.name}|{kind.plural})\b"
        assert not re.search(rf'"{named}"' if path.suffix == ".py" else named, text), kind.name
