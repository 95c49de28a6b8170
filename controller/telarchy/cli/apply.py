"""`telarchy apply` and `telarchy delete`: desired state kept in the embedded store."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from telarchy.cli import completing, options
from telarchy.cli.client import connect
from telarchy.cli.targets import parse_targets
from telarchy.errors import ConfigError
from telarchy.resources import references
from telarchy.resources.loader import Loaded, load_paths, load_text
from telarchy.resources.meta import Resource

files = click.option(
    "--filename",
    "-f",
    "filenames",
    metavar="FILE|DIR|-",
    multiple=True,
    shell_complete=completing.complete_files,
    help="Manifests to read.",
)


@click.command(short_help="Declare resources in the embedded store.")
@files
@click.option("--dry-run", is_flag=True, help="Check the manifests, and change nothing.")
@options.namespace
@options.state
def apply(filenames: tuple[str, ...], dry_run: bool, namespace: str, state: Path) -> None:
    """Declare resources in the embedded store: all of them, or none when one is wrong.

    For a controller that runs without --source. With one, change the files or the repository instead.
    """
    if not filenames:
        raise click.UsageError("name the manifests with -f")
    resources = _read(filenames)
    if dry_run:
        for one in resources:
            click.echo(f"{one.ref} is valid (dry run)")
        return
    text = "\n---\n".join(json.dumps(one.manifest()) for one in resources)
    for change in connect(state, quiet=True).tell("apply", text=text, file=filenames[0]):
        click.echo(f"{change['ref']} {change['verb']}")


@click.command(short_help="Take resources out of the embedded store.")
@click.argument(
    "words", metavar="[KIND NAME... | KIND/NAME...]", nargs=-1, shell_complete=completing.complete_kind
)
@files
@options.namespace
@options.state
def delete(words: tuple[str, ...], filenames: tuple[str, ...], namespace: str, state: Path) -> None:
    """Take resources out of the embedded store. What they kept on hosts stays where it is."""
    refs = [
        {"kind": one.kind, "namespace": one.namespace, "name": one.name}
        for one in (_read(filenames) if filenames else [])
    ]
    if words:
        targets = parse_targets(words)
        if not all(targets.names.values()):
            raise click.UsageError("name what to delete: kind/name, or a kind and names")
        for kind, names in targets.names.items():
            refs += [{"kind": kind, "namespace": namespace, "name": name} for name in names]
    if not refs:
        raise click.UsageError("name what to delete: kind/name, or -f FILE")
    for change in connect(state, quiet=True).tell("delete", refs=refs):
        click.echo(f"{change['ref']} {change['verb']}")


def _read(filenames: tuple[str, ...]) -> list[Resource]:
    """The resources of these files. Raises ConfigError with every error; warnings go to stderr."""
    loaded, known = Loaded(), set[str]()
    for name in filenames:
        if name == "-":
            loaded.add(load_text(sys.stdin.buffer.read(), "-"))
        else:
            loaded.add(load_paths([name], known=known))
    problems = loaded.problems + [one for one in references.check(loaded) if one.severity == "error"]
    if errors := [one for one in problems if one.severity == "error"]:
        raise ConfigError(errors)
    for problem in problems:
        click.echo(str(problem), err=True)
    if not loaded.resources:
        raise ConfigError(f"{', '.join(filenames)}: nothing is declared there")
    return [one.resource for one in loaded.resources]
