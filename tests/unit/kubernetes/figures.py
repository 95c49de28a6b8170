"""The names of the metrics: as the operator has them, as the documentation has them, as others ask for them."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from tests.unit.kubernetes.helm import ROOT

PREFIX = "telarchy_"
MODULES = ("metrics", "loopfigures", "streamfigures")
_NAME = re.compile(rf"\b{PREFIX}[a-z_]+\b")


def documented() -> set[str]:
    """What the table in docs/kubernetes.md promises."""
    table = (ROOT / "docs/kubernetes.md").read_text()
    return {plain(name) for name in re.findall(rf"^\| `({PREFIX}[a-z_]+)", table, re.M)}


def exported() -> set[str]:
    """What the modules of the operator's metrics name: in full, as a gauge of a fleet, or among the further figures."""
    text = "\n".join(_source(f"telarchy.web.{one}") for one in MODULES)
    names = re.findall(rf'"{PREFIX}([a-z_]+)"', text)
    names += re.findall(r'_(?:gauge|counter)\(\s*"([a-z_]+)"', text)
    names += re.findall(r'(?m)^    "([a-z_]+)": "', text)
    return {plain(PREFIX + name) for name in names}


def _source(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()


def metrics_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression names; a histogram's parts count as the histogram."""
    return {plain(name) for name in _NAME.findall(re.sub(r'"[^"]*"', "", expression))}


def plain(name: str) -> str:
    """The name without what the client library puts behind it."""
    return re.sub(r"_(bucket|sum|count|total|info)$", "", name)
