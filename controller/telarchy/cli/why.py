"""`telarchy why`: the reasons behind what is, and what will be done about it when."""

from __future__ import annotations

import os
from pathlib import Path

import click

from telarchy.cli import completing, options
from telarchy.cli.client import connect

TOPICS = ("title", "host", "floor", "stream", "endpoint")
_KINDS = {"Host": "host", "CustodyFloor": "floor", "Stream": "stream", "MediaEndpoint": "endpoint"}


def _known(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Topics; names, once a topic is there. There are too many titles to offer."""
    given: tuple[str, ...] = ctx.params.get("words") or ()
    topic, slash, begun = incomplete.partition("/") if not given else (given[0], "", incomplete)
    if not given and not slash:
        return [one for one in TOPICS if one.startswith(incomplete)]
    kind = next((kind for kind, called in _KINDS.items() if called == topic.lower()), "")
    if not kind or len(given) > 1:
        return []
    names = completing.complete_names(kind)(ctx, param, begun)
    return [f"{topic}/{name}" for name in names] if slash else names


@click.command(short_help="Explain a title, a host, a floor, a stream or an endpoint.")
@click.argument("words", metavar="TOPIC NAME | TOPIC/NAME", nargs=-1, required=True, shell_complete=_known)
@options.namespace
@options.state
def why(words: tuple[str, ...], namespace: str, state: Path) -> None:
    """Explain a title, a host, a floor, a stream or an endpoint: what is known of it, what is wanted, what happens
    next and when.

    \b
      telarchy why title "tv/Show/Season 01"
      telarchy why host attic
      telarchy why floor series-twice
      telarchy why stream/garden
      telarchy why endpoint/vps-edge
    """
    topic, name = _asked(words)
    for line in connect(state).ask("why", topic=topic, name=name, namespace=namespace):
        click.echo(line)


def _asked(words: tuple[str, ...]) -> tuple[str, str]:
    """`host attic`, `host/attic`; kinds by all their names."""
    first, *rest = words
    if not rest and "/" in first:
        first, _, name = first.partition("/")
        rest = [name] if name else []
    topic = first.lower()
    if topic not in TOPICS:
        from telarchy.resources.registry import resolve_kind

        kind = resolve_kind(topic)
        topic = _KINDS.get(kind.name, "") if kind is not None else ""
    if not topic:
        raise click.UsageError(f"`{first}` cannot be explained; ask about {', '.join(TOPICS)}")
    if len(rest) != 1:
        raise click.UsageError(f"say what to explain and its name, like `{first} NAME` or `{first}/NAME`")
    # names on disks are UTF-8 (or bytes), whatever the locale makes of what is typed
    return topic, os.fsencode(rest[0]).decode(errors="surrogateescape")
