"""What the shell offers for arguments and for the values of options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from telarchy.errors import TelarchyError
from telarchy.resources.meta import ALL_NAMESPACES, DEFAULT_NAMESPACE, Kind
from telarchy.resources.registry import KINDS, resolve_kind

COMMON_PATHS = (".metadata.name", ".metadata.creationTimestamp")


def kinds_asked(ctx: click.Context) -> list[Kind]:
    """Those that the words before name; all, if none do."""
    words: tuple[str, ...] = ctx.params.get("words") or ()
    found = (resolve_kind(part) for word in words for part in word.partition("/")[0].split(","))
    return [kind for kind in found if kind is not None] or list(KINDS.values())


def complete_kind(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Kinds; names too, once a kind is there."""
    given: tuple[str, ...] = ctx.params.get(param.name or "") or ()
    if not given and "/" not in incomplete:
        before, comma, begun = incomplete.rpartition(",")
        return [before + comma + one.plural for one in KINDS.values() if one.plural.startswith(begun)]
    prefix = f"{incomplete.partition('/')[0]}/" if "/" in incomplete else ""
    kind = resolve_kind(prefix.rstrip("/") or given[0])
    if kind is None:
        return []
    found = asked(ctx, [kind.name], ctx.params.get("namespace") or DEFAULT_NAMESPACE)
    names = [prefix + one["metadata"]["name"] for one in found]
    return [name for name in names if name.startswith(incomplete) and name not in given]


def complete_reference(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """`kind/name` of what is there."""
    if "/" in incomplete:
        return complete_kind(ctx, param, incomplete)
    found = asked(ctx, list(KINDS), ctx.params.get("namespace") or DEFAULT_NAMESPACE)
    references = (f"{one['kind'].lower()}/{one['metadata']['name']}" for one in found)
    return [one for one in references if one.startswith(incomplete)]


def complete_names(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Names of what there is of this kind."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        found = asked(ctx, [kind], ctx.params.get("namespace") or DEFAULT_NAMESPACE)
        return [name for one in found if (name := one["metadata"]["name"]).startswith(incomplete)]

    return complete


def complete_hash(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Changes that wait for a word."""
    from telarchy.cli.client import connect

    try:
        waiting = connect(ctx.params["state"], quiet=True).ask("holds")["waiting"]
    except TelarchyError:
        return []
    return [
        CompletionItem(one["hash"], help=one["summary"])
        for one in waiting
        if one["hash"].startswith(incomplete)
    ]


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own completion of files and folders."""
    return [CompletionItem(incomplete, type="file")]


def complete_path(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Fields that the kinds' own columns show."""
    paths = dict.fromkeys(COMMON_PATHS)
    for kind in kinds_asked(ctx):
        paths |= dict.fromkeys(column.path for column in kind.printer_columns if "[" not in column.path)
    return [path for path in paths if path.startswith(incomplete)]


def complete_label_keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Labels that some resource has; after a comma, a further one."""
    before, comma, begun = incomplete.rpartition(",")
    return [before + comma + key for key in sorted(set(_label_keys(ctx))) if key.startswith(begun)]


def complete_namespace(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Fleets that are known."""
    known = {one["metadata"].get("namespace", "") for one in asked(ctx, list(KINDS), ALL_NAMESPACES)}
    return sorted(name for name in known if name.startswith(incomplete))


def _label_keys(ctx: click.Context) -> Iterator[str]:
    kinds = [kind.name for kind in kinds_asked(ctx)]
    for one in asked(ctx, kinds, ctx.params.get("namespace") or DEFAULT_NAMESPACE):
        yield from one["metadata"].get("labels") or ()


def asked(ctx: click.Context, kinds: list[str], namespace: str) -> list[dict[str, Any]]:
    """Resources, for a person who waits at the prompt: none when they cannot be had."""
    from telarchy.cli.client import connect

    try:
        found: list[dict[str, Any]] = connect(ctx.params["state"], quiet=True).ask(
            "resources", kinds=kinds, namespace=namespace
        )
    except TelarchyError:
        return []
    return found
