"""`telarchy help` and `telarchy version`."""

from __future__ import annotations

import platform

import click

from telarchy import __version__
from telarchy.cli import exits

TOPICS = {"exit-codes": exits.TEXT}


def _known(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    assert ctx.parent is not None and isinstance(ctx.parent.command, click.Group)
    return [one for one in (*ctx.parent.command.list_commands(ctx), *TOPICS) if one.startswith(incomplete)]


@click.command("help", short_help="Show help on a verb or a topic.")
@click.argument("topic", metavar="[VERB|exit-codes]", required=False, shell_complete=_known)
@click.pass_context
def help_(ctx: click.Context, topic: str | None) -> None:
    """Show help on a verb, or on a topic (exit-codes)."""
    parent = ctx.parent
    assert parent is not None
    if topic in TOPICS:
        click.echo(TOPICS[topic], nl=False)
        return
    if topic is None:
        click.echo(parent.get_help())
        return
    assert isinstance(parent.command, click.Group)
    _, command, _ = parent.command.resolve_command(parent, [topic])
    assert command is not None
    with click.Context(command, info_name=topic, parent=parent) as inner:
        click.echo(command.get_help(inner))


@click.command(short_help="Print the version.")
def version() -> None:
    """Print the version of Telarchy, and of the Python and SQLite that it runs on."""
    import sqlite3

    click.echo(
        f"telarchy {__version__} (Python {platform.python_version()}, SQLite {sqlite3.sqlite_version})"
    )
