"""Label selectors as kubectl takes them: `a=b,c!=d,e,!f,g in (x,y),h notin (z)`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

from telarchy.resources.labels import LabelRequirement, LabelSelector, SelectorOperator

_SET = re.compile(r"(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_PAIR = re.compile(r"(?P<key>[^\s!=,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=,()]*)")
_WORD = re.compile(r"(?P<no>!?)\s*(?P<key>[^\s!=,()]+)")


def wanted(text: str, *, named: bool) -> LabelSelector | None:
    """The selector that `-l` was given, None for "". Raises click.UsageError; also when resources are named too."""
    if text and named:
        raise click.UsageError("give names or -l, not both")
    return parse_selector(text) if text else None


def parse_selector(text: str) -> LabelSelector:
    """Raises click.UsageError."""
    requirements = []
    for part in re.split(r",(?![^()]*\))", text):
        part = part.strip()
        operator: SelectorOperator
        values: tuple[str, ...] = ()
        if found := _SET.fullmatch(part):
            operator = "In" if found["operator"] == "in" else "NotIn"
            values = tuple(value.strip() for value in found["values"].split(","))
        elif found := _PAIR.fullmatch(part):
            operator = "NotIn" if found["operator"] == "!=" else "In"
            values = (found["value"],)
        elif found := _WORD.fullmatch(part):
            operator = "DoesNotExist" if found["no"] else "Exists"
        else:
            raise click.UsageError(
                f"`{text}` is not a label selector; write key=value, key!=value, key in (one, other), "
                "key notin (one, other), key or !key"
            )
        try:
            requirements.append(LabelRequirement(key=found["key"], operator=operator, values=values))
        except ValueError:
            raise click.UsageError(f"`{part}` is not a label selector: no label can look like that") from None
    return LabelSelector(match_expressions=tuple(requirements))


def matches(selector: LabelSelector | None, resource: Mapping[str, object]) -> bool:
    """Whether a manifest's labels satisfy the selector; without one, always."""
    metadata = resource.get("metadata")
    labels = metadata.get("labels", {}) if isinstance(metadata, Mapping) else {}
    return selector is None or selector.matches(labels)
