"""`telarchy validate`: everything that is wrong with manifests, at once."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from telarchy.cli import address, completing, exits, options
from telarchy.cli.problems import FORMATS, render
from telarchy.core.words import plural


@click.command(short_help="Check manifests.")
@click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=completing.complete_files)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@options.output(*FORMATS)
def validate(paths: tuple[str, ...], strict: bool, output: str) -> int:
    """Check manifests: YAML, every field, and what holds between resources.

    PATH is a file, a folder, or `-` for standard input. Each finding is `file:line:column: message`. Ends with 1
    when there are errors; warnings alone end with 0 (with --strict, 1).

    Without PATH, as `kubectl telarchy validate`: what is in the cluster, in the namespace of the current context.
    """
    from telarchy.resources import references
    from telarchy.resources.loader import Loaded, load_paths, load_text

    loaded, known = Loaded(), set[str]()  # a folder, and a file in it: both may be named
    if not paths and address.chosen is not None:
        from telarchy.cli.cluster import ClusterClient

        loaded = ClusterClient(address.chosen).loaded()
    elif not paths:
        raise click.UsageError("Missing argument 'PATH...'.")
    for path in paths:
        if path == "-":
            loaded.add(load_text(sys.stdin.buffer.read(), "-"))
        else:
            loaded.add(load_paths([path], known=known))
    problems = loaded.problems + references.check(loaded, datetime.now(UTC))
    if text := render(problems, output):
        click.echo(text)
    errors = sum(problem.severity != "warning" for problem in problems)
    if output == "text":
        found = [plural(errors, "error"), plural(len(problems) - errors, "warning")]
        shown = ", ".join(part for part in found if not part.startswith("0 ")) or "no problems"
        click.echo(f"{plural(len(loaded.resources), 'resource')} read: {shown}", err=True)
    return exits.ERROR if errors or (strict and problems) else exits.OK
