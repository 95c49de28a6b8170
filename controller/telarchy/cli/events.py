"""`telarchy events`: what happened, oldest first."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from telarchy.cli import completing, options, table
from telarchy.cli.client import connect
from telarchy.cli.printing import end_with_reader
from telarchy.cli.targets import parse_targets


@click.command(short_help="Show what happened.")
@click.option(
    "--for",
    "about",
    metavar="KIND/NAME",
    help="Only events of this resource.",
    shell_complete=completing.complete_reference,
)
@click.option("--watch", "-w", is_flag=True, help="Go on, and print new ones.")
@click.option(
    "--limit", type=click.IntRange(1, 20_000), default=500, show_default=True, help="The last so many."
)
@click.option("--warnings", is_flag=True, help="Only warnings.")
@options.output("text", "json")
@options.namespace
@options.all_namespaces
@options.state
def events(
    about: str | None,
    watch: bool,
    limit: int,
    warnings: bool,
    output: str,
    namespace: str,
    all_namespaces: bool,
    state: Path,
) -> None:
    """Show what happened, oldest first. Equal events in a row are one line with a count."""
    namespace = options.within(namespace, all_namespaces=all_namespaces, named=bool(about))
    arguments: dict[str, Any] = {"namespace": namespace, "limit": limit}
    if about:
        if "/" not in about:
            raise click.UsageError("--for takes one kind/name")
        targets = parse_targets([about])
        kind, names = next(iter(targets.names.items()))
        arguments |= {"kind": kind, "name": names[0]}
    client = connect(state)

    def wanted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for one in found if not warnings or one["type"] == "Warning"]

    if not watch:
        found = wanted(client.ask("events", **arguments))
        if output == "json":
            click.echo(json.dumps(found, indent=2))
        elif found:
            click.echo(table.table(event_rows(found, with_namespace=all_namespaces)))
        else:
            click.echo(options.nothing_found("events", namespace), err=True)
        return
    end_with_reader()
    shown: dict[int, int] = {}
    widths: list[int] = []
    for answer in client.follow("events", **arguments):
        new = [one for one in wanted(answer) if shown.get(one["id"]) != one["count"]]
        shown |= {one["id"]: one["count"] for one in new}
        if output == "json":
            for one in new:
                click.echo(json.dumps(one))
            continue
        rows = event_rows(new, with_namespace=all_namespaces)
        if not widths and new:
            widths = table.widths_of(rows)
            click.echo(table.line_of(rows[0], widths))
        for row in rows[1:]:
            fitted = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
            click.echo(table.line_of(row, fitted))


def event_rows(
    events: Sequence[dict[str, Any]], *, with_object: bool = True, with_namespace: bool = False
) -> list[list[str]]:
    """Heading and rows."""
    now = time.time()
    heading = ["LAST SEEN", "COUNT", "TYPE", "REASON", *(["OBJECT"] if with_object else []), "MESSAGE"]
    rows = [["NAMESPACE"] * with_namespace + heading]
    for one in events:
        target = [f"{one['kind'].lower()}/{one['name']}"] if with_object else []
        seen = table.short_span(now - one["last"])
        rows.append(
            [one["namespace"]] * with_namespace
            + [
                seen,
                str(one["count"]),
                one["type"],
                one["reason"],
                *target,
                one["message"].replace("\n", " "),
            ]
        )
    return rows
