"""`telarchy describe`: everything about a resource, with its conditions and events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from telarchy.cli import completing, options, selector, table
from telarchy.cli.client import connect
from telarchy.cli.events import event_rows
from telarchy.cli.outputs import document
from telarchy.cli.targets import parse_targets, tell_missing

EVENTS_SHOWN = 20


@click.command(short_help="Show all that is known of a resource.")
@click.argument(
    "words", metavar="KIND [NAME...] | KIND/NAME...", nargs=-1, shell_complete=completing.complete_kind
)
@options.labels
@options.namespace
@options.all_namespaces
@options.state
def describe(words: tuple[str, ...], labels: str, namespace: str, all_namespaces: bool, state: Path) -> int:
    """Show what is declared, what is so, and what happened lately.

    Named ones that are not there are told after the others; it ends with 1 then.
    """
    targets = parse_targets(words)
    wanted = selector.wanted(labels, named=targets.named)
    namespace = options.within(namespace, all_namespaces=all_namespaces, named=targets.named)
    client = connect(state)
    answer = client.ask("resources", kinds=list(targets.names), namespace=namespace)
    picked, missing = targets.pick(answer)
    found = [one for one in picked if selector.matches(wanted, one)]
    if not found and not missing:
        click.echo(options.nothing_found("resources", namespace), err=True)
    for index, one in enumerate(found):
        if index:
            click.echo("\n")
        events = client.ask(
            "events",
            namespace=one["metadata"].get("namespace", namespace),
            kind=one["kind"],
            name=one["metadata"]["name"],
            limit=EVENTS_SHOWN,
        )
        click.echo("\n".join([*_lines(one), *_events(events)]))
    return tell_missing(missing)


def _lines(resource: Mapping[str, Any]) -> list[str]:
    metadata, status = resource["metadata"], dict(resource.get("status", {}))
    conditions = status.pop("conditions", [])
    lines = [
        f"Name:         {metadata['name']}",
        f"Namespace:    {metadata.get('namespace', 'default')}",
        f"Kind:         {resource['kind']}",
        *_pairs("Labels", metadata.get("labels", {})),
        *_pairs("Annotations", metadata.get("annotations", {})),
        f"Created:      {metadata.get('creationTimestamp', '<unknown>')}",
        f"Generation:   {metadata.get('generation', 0)} (observed: {status.pop('observedGeneration', 'none')})",
        "Spec:",
        *_indented(resource.get("spec", {})),
    ]
    if status:
        lines += ["Status:", *_indented(status)]
    if conditions:
        rows = [["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"]]
        for one in conditions:
            message = one.get("message", "") or table.NONE
            since = table.age(one.get("lastTransitionTime"))
            rows.append([one["type"], one["status"], one.get("reason", ""), since, message])
        lines += ["Conditions:", *_aligned(rows)]
    return lines


def _events(events: list[dict[str, Any]]) -> list[str]:
    if not events:
        return ["Events:       <none>"]
    rows = event_rows(events, with_object=False)
    return ["Events:", *_aligned(rows)]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = table.widths_of(rows)
    return ["  " + table.line_of(row, widths) for row in rows]


def _indented(value: Any) -> list[str]:
    if not value:
        return [f"  {table.NONE}"]
    return ["  " + line for line in document(value, "yaml").splitlines()]


def _pairs(title: str, pairs: Mapping[str, str]) -> list[str]:
    shown = [f"{key}={value}" for key, value in sorted(pairs.items())] or [table.NONE]
    return [f"{title + ':':<14}{shown[0]}", *(" " * 14 + one for one in shown[1:])]
