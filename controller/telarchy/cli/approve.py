"""`telarchy approve` and `telarchy reconcile`: a person's word to the loop."""

from __future__ import annotations

import getpass
import time
from pathlib import Path

import click

from telarchy.cli import completing, exits, options, table
from telarchy.cli.client import Client, connect
from telarchy.core.words import format_bytes, format_span, plural
from telarchy.errors import TelarchyError


@click.command(short_help="Release a held change.")
@click.argument("prefix", metavar="HASH", required=False, shell_complete=completing.complete_hash)
@click.option("--list", "listing", is_flag=True, help="Show what waits, and what was released.")
@options.state
def approve(prefix: str | None, listing: bool, state: Path) -> None:
    """Release a change that is too large to make unasked.

    HASH (its first few digits are enough) stands for exactly the actions that `plan` shows; another change needs
    another word. It counts for a week.
    """
    client = connect(state)
    if listing:
        _list(client)
        return
    if not prefix:
        raise click.UsageError("name the change by its hash; `telarchy approve --list` shows what waits")
    released = client.tell("approve", prefix=prefix, who=_who())
    ending = "" if released["running"] else "; the next `telarchy run` acts on it"
    click.echo(f"{released['hash']} released: {released['summary']}{ending}")


@click.command(short_help="Look at everything again, now.")
@click.option("--wait", is_flag=True, help="Wait until everything declared is so.")
@click.option("--timeout", type=options.SPAN, default="2m", show_default=True, help="How long to wait.")
@options.state
def reconcile(wait: bool, timeout: float, state: Path) -> int:
    """Ask the running controller to read its source and look at its hosts again, and to retry what failed.

    With --wait it ends with 0 when everything declared is so, with 1 when something that is declared cannot be used
    as written, and with 3 when the timeout passes first.
    """
    client = connect(state, quiet=True)
    if not client.live:
        raise TelarchyError("no controller is running: start one with `telarchy run`")
    asked, deadline = time.time(), time.monotonic() + timeout
    client.tell("reconcile")
    if not wait:
        return exits.OK
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if client.ask("settled", since=asked):
            return _settled(client)
    click.echo(f"not settled within {format_span(timeout)}", err=True)
    if plan := client.ask("plan"):
        from telarchy.cli.plantext import failed_lines, summary, trouble_lines

        for line in (*trouble_lines(plan), *failed_lines(plan), summary(plan)):
            click.echo(line, err=True)
    return exits.NOT_SETTLED


def _settled(client: Client) -> int:
    """All that is followed is so. What of the source is not followed is told."""
    known = client.ask("source") or {}
    if known.get("sound", True):
        return exits.OK
    click.echo(f"telarchy: {known['message']}", err=True)
    return exits.ERROR


def _list(client: Client) -> None:
    found, now = client.ask("holds"), time.time()
    if not found["waiting"] and not found["approved"]:
        click.echo("Nothing waits for approval.", err=True)
        return
    rows = [["HASH", "STATE", "ACTIONS", "BYTES", "WHAT"]]
    approved = {one["hash"] for one in found["approved"]}
    for hold in found["waiting"]:
        if hold["hash"] not in approved:
            count, size = plural(len(hold["actions"]), "action"), format_bytes(hold["bytes"])
            rows.append([hold["hash"], "waits", count, size, f"{hold['summary']} ({hold['reason']})"])
    for one in found["approved"]:
        left = f"released by {one['who'] or 'someone'}, {format_span(one['expires'] - now)} left"
        rows.append([one["hash"], left, "", "", one["summary"]])
    click.echo(table.table(rows))


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
