"""`telarchy why`: the reasons behind what is, and what will be done about it when."""

from __future__ import annotations

from pathlib import Path

import click

from telarchy.cli import options
from telarchy.cli.client import connect


@click.command(short_help="Explain a title, a host or a floor.")
@click.argument("topic", type=click.Choice(["title", "host", "floor"]))
@click.argument("name")
@options.namespace
@options.state
def why(topic: str, name: str, namespace: str, state: Path) -> None:
    """Explain a title, a host or a floor: what is known of it, what is wanted, what happens next and when.

    \b
      telarchy why title "tv/Show/Season 01"
      telarchy why host attic
      telarchy why floor series-twice
    """
    for line in connect(state).ask("why", topic=topic, name=name, namespace=namespace):
        click.echo(line)
