"""`telarchy get`: resources as tables, or as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from telarchy.cli import exits, options, selector, table
from telarchy.cli.client import connect
from telarchy.cli.targets import Targets, complete_kind, parse_targets, tell_missing
from telarchy.resources.meta import Kind

Resources = Sequence[Mapping[str, Any]]


@click.command(short_help="List resources.")
@click.argument("words", metavar="KIND [NAME...] | KIND/NAME...", nargs=-1, shell_complete=complete_kind)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["wide", "json", "yaml", "name"]),
    help="How to print; without it, a table.",
)
@click.option("--watch", "-w", is_flag=True, help="Go on, and print what changes.")
@options.labels
@click.option("--no-headers", is_flag=True, help="Without the heading line.")
@options.namespace
@options.state
def get(
    words: tuple[str, ...],
    output: str | None,
    watch: bool,
    labels: str,
    no_headers: bool,
    namespace: str,
    state: Path,
) -> int:
    """List resources with their state.

    KIND is singular, plural or short (`host`, `hosts`, `ho`), several with commas, or `all`. Named ones that are not
    there are told after the others; it ends with 1 then.
    """
    targets = parse_targets(words)
    wanted = selector.wanted(labels, named=targets.named)
    client = connect(state)
    arguments: dict[str, Any] = {"kinds": list(targets.names), "namespace": namespace}

    def chosen(answer: Resources) -> tuple[list[dict[str, Any]], list[str]]:
        picked, missing = targets.pick(answer)
        return [one for one in picked if selector.matches(wanted, one)], missing

    if watch:
        return _watch(client.follow("resources", **arguments), targets, chosen, output, headed=not no_headers)
    found, missing = chosen(client.ask("resources", **arguments))
    if missing and targets.single:
        return tell_missing(missing)
    if output in ("json", "yaml"):
        click.echo(document(found if not targets.single else found[0], output))
    elif output == "name":
        for one in found:
            click.echo(f"{one['kind'].lower()}/{one['metadata']['name']}")
    elif not found and not missing:
        click.echo(f"No resources found in {namespace} namespace.", err=True)
    elif found:
        blocks = _tables(targets, found, wide=output == "wide")
        texts = [table.table(rows[1:] if no_headers else rows) for rows in blocks]
        click.echo("\n\n".join(texts))
    return tell_missing(missing)


def document(value: Any, form: str) -> str:
    """A resource, or a list of them as a `List`, in JSON or YAML."""
    if isinstance(value, list):
        value = {"apiVersion": "v1", "kind": "List", "items": value}
    if form == "json":
        return json.dumps(value, indent=2)
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)).rstrip()


def _tables(targets: Targets, found: Resources, *, wide: bool) -> list[list[list[str]]]:
    kinds = [kind for kind in targets.kinds if any(one["kind"] == kind.name for one in found)]
    prefixed = len(targets.names) > 1
    return [table.rows_of(kind, _of(kind, found), wide=wide, prefixed=prefixed) for kind in kinds]


def _of(kind: Kind, found: Resources) -> list[Mapping[str, Any]]:
    return [one for one in found if one["kind"] == kind.name]


def _watch(answers: Any, targets: Targets, chosen: Any, output: str | None, *, headed: bool) -> int:
    """The table, then each row again when it changed. Widths stay those of the first table.

    A named one has to be there at first; later it may come and go. Returns the exit code.
    """
    shown: dict[tuple[str, str], Any] | None = None
    widths: dict[str, list[int]] = {}
    for answer in answers:
        found, missing = chosen(answer)
        if shown is None and missing:
            return tell_missing(missing)
        shown = shown or {}
        keys = {(one["kind"], one["metadata"]["name"]): one for one in found}
        for kind in targets.kinds:
            mine = [one for key, one in keys.items() if key[0] == kind.name and shown.get(key) != one]
            if not mine:
                continue
            if output in ("json", "yaml", "name"):
                for one in mine:
                    name = f"{kind.singular}/{one['metadata']['name']}"
                    if output == "yaml":
                        click.echo("---")
                    click.echo(name if output == "name" else document(one, output))
                continue
            rows = table.rows_of(kind, mine, wide=output == "wide", prefixed=len(targets.names) > 1)
            if kind.name not in widths:
                widths[kind.name] = table.widths_of(rows, room=table.terminal_room())
                if headed:
                    click.echo(table.line_of(rows[0], widths[kind.name]))
            for row in rows[1:]:
                click.echo(table.line_of(row, widths[kind.name]))
        for key in shown.keys() - keys.keys():
            # whoever reads documents has no use for a line between them
            click.echo(f"{key[0].lower()}/{key[1]} deleted", err=output in ("json", "yaml"))
        shown = keys
    return exits.OK
