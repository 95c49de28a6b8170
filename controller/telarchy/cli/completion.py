"""`telarchy completion`: a script for the shell to complete verbs, options, kinds and names."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class

VARIABLE = "_TELARCHY_COMPLETE"


@click.command(short_help="Print a shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script.

    \b
      bash   source <(telarchy completion bash)
      zsh    source <(telarchy completion zsh)
      fish   telarchy completion fish | source
    """
    from telarchy.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    complete = found(cli, {}, "telarchy", VARIABLE)
    if isinstance(complete, BashComplete):
        # its source() would start bash only to read its version
        click.echo(complete.source_template % complete.source_vars())
    else:
        click.echo(complete.source())
