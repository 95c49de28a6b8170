"""`telarchy get`: resources as tables, or as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from telarchy.cli import completing, exits, options, outputs, selector, table
from telarchy.cli.client import connect
from telarchy.cli.printing import end_with_reader
from telarchy.cli.sorting import in_order, sort_path
from telarchy.cli.targets import Targets, parse_targets, tell_missing
from telarchy.resources.meta import Kind

Resource = Mapping[str, Any]


@click.command(short_help="List resources.")
@click.argument(
    "words", metavar="KIND [NAME...] | KIND/NAME...", nargs=-1, shell_complete=completing.complete_kind
)
@click.option(
    "--output",
    "-o",
    type=outputs.OutputType(),
    default=outputs.TABLE,
    help="How to print, instead of a table: wide, json, yaml, name, jsonpath='{.items[*].metadata.name}', "
    "custom-columns=NAME:.metadata.name,…; also jsonpath-as-json=…, and jsonpath-file=FILE, custom-columns-file=FILE.",
)
@click.option(
    "--sort-by",
    metavar="JSONPATH",
    default="",
    shell_complete=completing.complete_path,
    help="In the order of this field: .metadata.creationTimestamp, '{.status.capacity.free}'.",
)
@click.option("--watch", "-w", is_flag=True, help="Go on, and print what changes.")
@options.labels
@click.option("--show-labels", is_flag=True, help="A last column with all labels.")
@click.option(
    "--label-columns",
    "-L",
    metavar="KEY,...",
    multiple=True,
    shell_complete=completing.complete_label_keys,
    help="A column for each of these labels.",
)
@click.option("--no-headers", is_flag=True, help="Without the heading line.")
@click.option(
    "--ignore-not-found", is_flag=True, help="Ask for what may not be there: that is no error then."
)
@options.namespace
@options.all_namespaces
@options.state
def get(
    words: tuple[str, ...],
    output: outputs.Output,
    sort_by: str,
    watch: bool,
    labels: str,
    show_labels: bool,
    label_columns: tuple[str, ...],
    no_headers: bool,
    ignore_not_found: bool,
    namespace: str,
    all_namespaces: bool,
    state: Path,
) -> int:
    """List resources with their state.

    KIND is singular, plural or short (`host`, `hosts`, `ho`), several with commas, or `all`. Named ones that are not
    there are told after the others; it ends with 1 then.

    \b
      telarchy get hosts,floors -o wide
      telarchy get hosts --sort-by=.status.capacity.free -L site
      telarchy get host black -o jsonpath='{.status.endpoint}{"\\n"}'
      telarchy get floors -o custom-columns=FLOOR:.metadata.name,LACKING:.status.lacking
    """
    targets = parse_targets(words)
    wanted = selector.wanted(labels, named=targets.named)
    order = sort_path(sort_by)
    if show_labels and not output.tabular:
        raise click.UsageError(f"--show-labels is for tables; -o {output.form} has the labels in it")
    namespace = options.within(namespace, all_namespaces=all_namespaces, named=targets.named)
    keys = tuple(dict.fromkeys(key for one in label_columns for key in one.split(",") if key))
    prefixed = len(targets.names) > 1
    shape = table.Shape(output.form == "wide", prefixed, all_namespaces, keys, show_labels)
    printing = Printing(targets, output, shape, headed=not no_headers)
    client = connect(state)
    arguments: dict[str, Any] = {"kinds": list(targets.names), "namespace": namespace}

    def chosen(answer: Sequence[Resource], *, first: bool = True) -> tuple[list[Resource], list[str]]:
        picked, missing = targets.pick(answer)
        found: list[Resource] = [one for one in picked if selector.matches(wanted, one)]
        if order is not None and first:
            found = in_order(found, order, sort_by)
        return found, [] if ignore_not_found else missing

    if watch:
        end_with_reader()
        answers = enumerate(client.follow("resources", **arguments))
        return printing.watched(chosen(answer, first=turn == 0) for turn, answer in answers)
    found, missing = chosen(client.ask("resources", **arguments))
    if targets.single and not found:
        return tell_missing(missing)
    if found or not output.tabular:
        click.echo(printing.whole(found), nl=False)
    elif not missing and not ignore_not_found:
        click.echo(options.nothing_found("resources", namespace), err=True)
    return tell_missing(missing)


@dataclass(frozen=True)
class Printing:
    """How what was found is printed.

    shape:   of tables, unless the columns are a person's own
    headed:  with a heading line
    """

    targets: Targets
    output: outputs.Output
    shape: table.Shape
    headed: bool

    def whole(self, found: Sequence[Resource]) -> str:
        """All of it. A table per kind, with a line between."""
        if self.output.form == "name":
            return "".join(f"{_name(one)}\n" for one in found)
        if self.output.columns or self.output.tabular:
            tables = [rows[not self.headed :] for _, rows in self._tables(found)]
            return "\n".join(table.table(rows) + "\n" for rows in tables if rows)
        return self.output.text(found[0] if self.targets.single else list(found))

    def _tables(self, found: Sequence[Resource]) -> list[tuple[str, list[list[str]]]]:
        """The heading and a row for each, with what the table is of."""
        if self.output.columns:
            return [("", self.output.rows(found))]
        kinds = [kind for kind in self.targets.kinds if any(one["kind"] == kind.name for one in found)]
        return [(kind.name, table.rows_of(kind, _of(kind, found), self.shape)) for kind in kinds]

    def watched(self, answers: Iterable[tuple[Sequence[Resource], Sequence[str]]]) -> int:
        """The table, then each row again when it changed. Widths stay those of the first table.

        A named one has to be there at first; later it may come and go. Returns the exit code.
        """
        shown: dict[tuple[str, str, str], Resource] | None = None
        widths: dict[str, list[int]] = {}
        for found, missing in answers:
            if shown is None and missing:
                return tell_missing(missing)
            shown = shown or {}
            now = {_identity(one): one for one in found}
            new = [one for key, one in now.items() if shown.get(key) != one]
            if self.output.columns or self.output.tabular:
                self._rows(new, widths)
            else:
                for one in new:
                    click.echo(self._one(one), nl=False)
            for kind, _, name in shown.keys() - now.keys():
                # whoever reads documents has no use for a line between them
                click.echo(f"{kind.lower()}/{name} deleted", err=self.output.form not in ("", "wide", "name"))
            shown = now
        return exits.OK

    def _rows(self, new: Sequence[Resource], widths: dict[str, list[int]]) -> None:
        for what, rows in self._tables(new) if new else ():
            if what not in widths:
                widths[what] = table.widths_of(rows, room=table.terminal_room())
                if self.headed:
                    click.echo(table.line_of(rows[0], widths[what]))
            for row in rows[1:]:
                fitted = [
                    width if heading == table.ELASTIC and table.terminal_room() else max(width, len(cell))
                    for heading, width, cell in zip(rows[0], widths[what], row, strict=True)
                ]
                click.echo(table.line_of(row, fitted))

    def _one(self, one: Resource) -> str:
        if self.output.form == "name":
            return f"{_name(one)}\n"
        return "---\n" * (self.output.form == "yaml") + self.output.text(one)


def _name(one: Resource) -> str:
    return f"{one['kind'].lower()}/{one['metadata']['name']}"


def _identity(one: Resource) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def _of(kind: Kind, found: Sequence[Resource]) -> list[Resource]:
    return [one for one in found if one["kind"] == kind.name]
