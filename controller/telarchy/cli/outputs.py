"""How `get` prints: `-o` and its forms, as kubectl has them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from telarchy.cli import jsonpath, table
from telarchy.cli.jsonpathreader import read_path, read_template
from telarchy.errors import TelarchyError

PLAIN = ("wide", "json", "yaml", "name")
GIVEN = ("jsonpath", "jsonpath-file", "jsonpath-as-json", "custom-columns", "custom-columns-file")
GO = ("go-template", "go-template-file", "template", "templatefile")  # kubectl has these too
NULL = "<nil>"


@dataclass(frozen=True)
class Column:
    """A column that a person asked for by its path."""

    heading: str
    path: jsonpath.Path

    def cell(self, resource: Mapping[str, Any]) -> str:
        found = [NULL if one is None else jsonpath.shown(one) for one in self.path.values(resource)]
        return table.one_line(",".join(found)) if found else table.NONE


@dataclass(frozen=True)
class Output:
    """One way to print. `form` is "" for a table."""

    form: str = ""
    template: jsonpath.Template | None = None
    columns: tuple[Column, ...] = ()

    @property
    def tabular(self) -> bool:
        """Whether it is a table with the kind's own columns."""
        return self.form in ("", "wide")

    def text(self, what: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
        """A resource, or a list of them, in a form that has no columns, with the newlines that belong to it. Raises
        PathError."""
        if self.template is None:
            return document(what, self.form) + "\n"
        whole = _as_list(what)
        if self.form == "jsonpath":
            return self.template.render(whole)
        found = self.template.found(whole)
        return "".join(json.dumps(one, indent=4, sort_keys=True) + "\n" for one in found)

    def rows(self, resources: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        """The heading and a row for each, of custom columns."""
        heading = [column.heading for column in self.columns]
        return [heading, *([column.cell(one) for column in self.columns] for one in resources)]


TABLE = Output()


class OutputType(click.ParamType[Output]):
    """`-o wide`, `-o jsonpath='{.metadata.name}'`, `-o custom-columns=NAME:.metadata.name,…`."""

    name = "form"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Output:
        if isinstance(value, Output):
            return value
        form, _, given = value.partition("=")
        if value in PLAIN:
            return Output(value)
        if form in GO:
            self.fail(f"{form} is not known here; jsonpath='{{…}}' is", param, ctx)
        if form not in GIVEN:
            known = ", ".join([*PLAIN, *(f"{one}=…" for one in GIVEN)])
            self.fail(f"{value!r} is none of {known}", param, ctx)
        if not given:
            self.fail(f"{form} takes {_MISSING[form]}: {form}={_EXAMPLE[form]}", param, ctx)
        if form.endswith("-file"):
            given = _read(given)
            form = form.removesuffix("-file")
            read_columns = columns_of_file
        else:
            read_columns = columns_of
        try:
            if form == "custom-columns":
                return Output(form, columns=read_columns(given))
            return Output(form, template=read_template(given))
        except (TelarchyError, ValueError) as error:
            self.fail(f"{form}: {error}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        offered = [*PLAIN, *(f"{form}=" for form in GIVEN)]
        return [CompletionItem(one) for one in offered if one.startswith(incomplete)]


_MISSING = {
    "jsonpath": "a template",
    "jsonpath-as-json": "a template",
    "jsonpath-file": "the name of a file",
    "custom-columns": "headings and paths",
    "custom-columns-file": "the name of a file",
}
_EXAMPLE = {
    "jsonpath": "'{.items[*].metadata.name}'",
    "jsonpath-as-json": "'{.items[*].metadata.name}'",
    "jsonpath-file": "FILE",
    "custom-columns": "NAME:.metadata.name,CLASS:.spec.class",
    "custom-columns-file": "FILE",
}


def columns_of(text: str) -> tuple[Column, ...]:
    """`NAME:.path,OTHER:.path`; a comma within brackets belongs to the path. Raises ValueError, PathError."""
    columns = []
    for part in _split(text):
        heading, colon, path = part.partition(":")
        if not colon or not path:
            raise ValueError(f"`{part}` is no HEADING:.path")
        columns.append(Column(heading, read_path(path)))
    return tuple(columns)


def columns_of_file(text: str) -> tuple[Column, ...]:
    """Headings in the first line, paths in the second. Raises ValueError, PathError."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise ValueError("the file has a line of headings and a line with as many paths")
    return tuple(Column(heading, read_path(path)) for heading, path in zip(*lines, strict=True))


def document(value: Any, form: str) -> str:
    """A resource, or a list of them as a `List`, in JSON or YAML."""
    value = _as_list(value)
    if form == "json":
        return json.dumps(value, indent=2)
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)).rstrip()


def _as_list(value: Any) -> Any:
    """Several resources as the one document that kubectl makes of them."""
    return {"apiVersion": "v1", "kind": "List", "items": value} if isinstance(value, list) else value


def _split(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for one in text:
        if quote:
            quote = "" if one == quote else quote
        elif one in "'\"" and depth:
            quote = one
        elif one in "[{(":
            depth += 1
        elif one in "]})":
            depth -= 1
        elif one == "," and depth <= 0:
            parts.append("")
            continue
        parts[-1] += one
    return parts


def _read(name: str) -> str:
    """A template from a file, `-` for stdin. Raises TelarchyError."""
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return text.decode()
    except OSError as error:
        raise TelarchyError(f"{name} cannot be read: {str(error.strerror).lower()}") from None
    except UnicodeDecodeError:
        raise TelarchyError(f"{name} is no text in UTF-8") from None
