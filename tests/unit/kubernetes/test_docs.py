"""docs/kubernetes.md: its examples are taken by those who read them."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
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


_BLOCK = re.compile(r"```\w*\n(.*?)```", re.S)
_LINES = [line for block in _BLOCK.findall(TEXT.replace("\\\n", " ")) for line in block.splitlines()]
_INLINE = [one.replace("\n", " ") for one in re.findall(r"`(kubectl [^`]+)`", _BLOCK.sub("", TEXT))]
COMMANDS = sorted(
    {
        " ".join(re.sub(r"\s#.*", "", one).split())
        for one in (*_LINES, *_INLINE)
        if one.startswith("kubectl ") and not one.startswith("kubectl telarchy")
    }
)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.parametrize("command", [one for one in COMMANDS if len(one.split()) > 2])
def test_kubectl_understands_the_commands(command: str, tmp_path: Path) -> None:
    """There is no cluster to carry them out: what is looked at is that kubectl gets as far as asking one."""
    nowhere = {"clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}], "kind": "Config"}
    nowhere |= {"contexts": [{"name": "x", "context": {"cluster": "x", "user": ""}}], "current-context": "x"}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(nowhere | {"apiVersion": "v1"}))
    done = subprocess.run(
        shlex.split(command),
        cwd=ROOT,
        env=os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig")},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert not re.search(
        r"unknown (flag|command|shorthand)|invalid argument|for usage|Usage:|--help", said
    ), said


def test_there_are_commands() -> None:
    verbs = {re.sub(r" -n \S+", "", one).split()[1] for one in COMMANDS}
    assert {"apply", "set", "rollout", "wait", "create", "patch", "delete", "scale", "describe"} <= verbs


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
