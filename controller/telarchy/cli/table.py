"""Tables as kubectl prints them, with the same columns as the CRDs' printer columns."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from telarchy.cli.jsonpath import PathError
from telarchy.cli.jsonpathreader import read_path
from telarchy.core.words import format_bytes, format_span
from telarchy.resources.meta import MESSAGE, Column, Kind
from telarchy.resources.quantities import format_bit_rate

NONE = "<none>"
GAP = "   "
ELASTIC = "STATUS"  # the column that gives way on a narrow terminal
ELASTIC_LEAST = 24

_path = lru_cache(maxsize=256)(read_path)


@dataclass(frozen=True)
class Shape:
    """Which columns a table has besides its kind's own.

    wide:        also the kind's columns of lower priority
    prefixed:    names as `host/black`
    namespaced:  the namespace, in front
    label_keys:  a column for each of these labels
    labels:      all labels, at the end
    """

    wide: bool = False
    prefixed: bool = False
    namespaced: bool = False
    label_keys: tuple[str, ...] = ()
    labels: bool = False


def at_path(document: Any, path: str) -> Any:
    """The first value at a path (`.a.b`, `[0]`, `[?(@.type=="Ready")]`); None if there is none."""
    try:
        return next(iter(_path(path).values(document)), None)
    except PathError:
        return None  # not of the shape that the path speaks of


def age(stamp: str | None, now: float | None = None) -> str:
    """How long ago an RFC 3339 time was, in a few characters."""
    if not stamp:
        return "<unknown>"
    moment = datetime.fromisoformat(stamp).timestamp()
    return short_span((time.time() if now is None else now) - moment)


def short_span(seconds: float) -> str:
    """A span with one unit where that is enough: `45s`, `12m`, `3h`, `6d`."""
    return format_span(seconds if seconds < 600 else seconds // 60 * 60)


def rows_of(kind: Kind, resources: Sequence[Mapping[str, Any]], shape: Shape) -> list[list[str]]:
    """The heading and a row per resource."""
    columns = [column for column in kind.printer_columns if shape.wide or column.priority == 0]
    heading = ["NAME", *(column.name.upper() for column in columns)]
    heading += [key.rpartition("/")[2].upper() for key in shape.label_keys]
    rows = [heading + ["LABELS"] * shape.labels]
    for one in resources:
        metadata = one["metadata"]
        labels = metadata.get("labels") or {}
        name = f"{kind.singular}/{metadata['name']}" if shape.prefixed else metadata["name"]
        row = [name, *(_cell(one, column) for column in columns)]
        row += [labels.get(key, "") for key in shape.label_keys]
        if shape.labels:
            row.append(",".join(f"{key}={labels[key]}" for key in sorted(labels)) or NONE)
        rows.append(row)
    if shape.namespaced:
        spaces = ["NAMESPACE", *(one["metadata"].get("namespace", "") for one in resources)]
        rows = [[space, *row] for space, row in zip(spaces, rows, strict=True)]
    return rows


def one_line(text: str) -> str:
    """A cell's text: what would begin a new line does not."""
    return text.replace("\n", " ")


def _cell(resource: Mapping[str, Any], column: Column) -> str:
    value = at_path(resource, column.path)
    if column == MESSAGE and not value:
        # a condition may say all in its reason
        value = at_path(resource, '.status.conditions[?(@.type=="Ready")].reason')
    if column.type == "date":
        return age(value)
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and "bytes" in column.description.lower():
        return format_bytes(value)
    if isinstance(value, int) and "bits per second" in column.description.lower():
        return format_bit_rate(value)
    return one_line(str(value)) or NONE


def widths_of(rows: Sequence[Sequence[str]], *, room: int | None = None) -> list[int]:
    """Column widths. With `room`, the elastic column shrinks so that a row fits."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    if room is not None and ELASTIC in rows[0]:
        elastic = rows[0].index(ELASTIC)
        too_much = sum(widths) + len(GAP) * (len(widths) - 1) - room
        if too_much > 0:
            widths[elastic] = max(min(ELASTIC_LEAST, widths[elastic]), widths[elastic] - too_much)
    return widths


def line_of(row: Sequence[str], widths: Sequence[int]) -> str:
    """One row. Cells that are too long end in `…`; the last one is not padded."""
    cells = [
        cell if len(cell) <= width else cell[: width - 1] + "…"
        for cell, width in zip(row, widths, strict=True)
    ]
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def terminal_room() -> int | None:
    """Columns of the terminal that stdout is, None when it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned lines, fitted to the terminal if there is one."""
    widths = widths_of(rows, room=terminal_room())
    return "\n".join(line_of(row, widths) for row in rows)
