"""`get --sort-by`: resources in the order of something in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from telarchy.cli.jsonpath import Path, shown
from telarchy.cli.jsonpathreader import read_path
from telarchy.errors import TelarchyError
from telarchy.resources.quantities import parse_duration, parse_quantity

R = TypeVar("R", bound=Mapping[str, Any])


def sort_path(text: str) -> Path | None:
    """The path that --sort-by was given, None for "". Raises click.UsageError."""
    try:
        return read_path(text) if text else None
    except TelarchyError as error:
        raise click.UsageError(f"--sort-by: {error}") from None


def in_order(resources: Sequence[R], path: Path, text: str) -> list[R]:
    """Those without such a field first, like kubectl; then by amount where all are amounts (numbers, `50Gi`), by span
    where all are spans (`30d`), else by their letters. Equal ones stay as they are.

    Raises TelarchyError when no resource has the field, or one has a list or a map there.
    """
    values = [next(iter(path.values(one)), None) for one in resources]
    if len(resources) > 1 and all(value is None for value in values):
        raise TelarchyError(f"--sort-by: none of these resources has a field {text}")
    for one, value in zip(resources, values, strict=True):
        if isinstance(value, (list, dict)):
            what = f"{one['kind'].lower()}/{one['metadata']['name']}"
            raise TelarchyError(
                f"--sort-by: {text} of {what} is a {'list' if isinstance(value, list) else 'map'}; name a field in it"
            )
    keys = _keys([value for value in values if value is not None])
    order = sorted(
        range(len(resources)),
        key=lambda index: (1, keys[_text(values[index])]) if values[index] is not None else (0, 0),
    )
    return [resources[index] for index in order]


def _keys(values: Sequence[Any]) -> dict[str, Any]:
    """What to compare, by text: numbers if all values are some, else the texts."""
    texts = {_text(value) for value in values}
    for reading in _READINGS:
        try:
            return {text: reading(text) for text in texts}
        except ValueError:
            continue
    return {text: text for text in texts}


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else shown(value)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)  # a name like `inf`
    return number


_READINGS: tuple[Callable[[str], Any], ...] = (_number, parse_quantity, parse_duration)
