"""`telarchy doctor`: what a host has, and what it lacks for what is declared of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from telarchy.cli import completing, exits, options, table
from telarchy.cli.bugs import run_quietly
from telarchy.cli.client import connect
from telarchy.cli.targets import not_found
from telarchy.errors import ActionFailed, ConfigError, HostUnreachable
from telarchy.resources.registry import KINDS

if TYPE_CHECKING:
    from telarchy.resources.host import Host
    from telarchy.resources.meta import Resource
    from telarchy.streaming.doctor import Check

SECONDS = 60.0


@click.command(short_help="Check what a host lacks for what is declared.")
@click.argument("host", shell_complete=completing.complete_names("Host"))
@options.output("table", "json")
@options.namespace
@options.state
@click.pass_context
def doctor(ctx: click.Context, host: str, output: str, namespace: str, state: Path) -> None:
    """Log in to HOST and look: programs and their versions, nginx's modules, ports, where segments would lie and how
    much room is there, the clock, and what keeps services up. Nothing is changed.

    Ends with 1 when something is missing that a declared resource needs.
    """
    found: list[dict[str, Any]] = connect(state, quiet=True).ask("resources", namespace=namespace)
    resources = [one for one in map(_usable, found) if one is not None]
    hosts = {one.name: one for one in resources if one.kind == "Host"}
    name = host.removeprefix("host/")
    if name not in hosts:
        raise ConfigError(not_found(KINDS["Host"], name, list(hosts)))

    from telarchy.resources.host import Host
    from telarchy.streaming.doctor import Verdict, packages, summary

    subject = hosts[name]
    assert isinstance(subject, Host)
    checks = run_quietly(_examine(subject, resources, state), state)
    failed = any(one.verdict is Verdict.MISSING for one in checks)
    if output == "json":
        click.echo(
            json.dumps({"host": name, "ok": not failed, "checks": [_plain(one) for one in checks]}, indent=2)
        )
    else:
        rows = [["CHECK", "STATE", "FOUND", "NEEDED BY"]]
        for one in checks:
            rows.append([one.about, str(one.verdict), one.says, ", ".join(one.needed_by) or table.NONE])
        click.echo(table.table(rows))
        click.echo(f"\nhost/{name}: {summary(checks)}", err=True)
        if wanted := packages(checks):
            click.echo(f"On Debian: apt-get install {' '.join(wanted)}", err=True)
    if failed:
        ctx.exit(exits.ERROR)


async def _examine(host: Host, resources: list[Resource], state: Path) -> list[Check]:
    """Raises HostUnreachable, ActionFailed."""
    from telarchy.links.pool import LinkPool
    from telarchy.links.scripts import script
    from telarchy.links.secrets import SECRETS_FOLDER, FileSecrets
    from telarchy.streaming.doctor import arguments, examine, needs_of, read_facts

    needs = needs_of(host, resources)
    pool = LinkPool(FileSecrets(state / SECRETS_FOLDER))
    pool.configure([host])
    try:
        link = await pool.link(host.name)
        answer = await link.run(script("doctor", *arguments(needs)), timeout=SECONDS)
    except TimeoutError:
        raise HostUnreachable(host.name, "Timeout", f"it did not answer within {SECONDS:.0f} s") from None
    finally:
        await pool.close()
    if not answer.ok:
        raise ActionFailed(
            f"host/{host.name} cannot be looked at: {answer.complaint}",
            reason="CommandFailed",
            transient=False,
        )
    return examine(read_facts(answer.stdout.decode("utf-8", "replace")), needs, time.time())


def _plain(check: Check) -> dict[str, Any]:
    return {
        "check": check.about,
        "state": str(check.verdict),
        "found": check.says,
        "neededBy": list(check.needed_by),
    }


def _usable(manifest: dict[str, Any]) -> Resource | None:
    from telarchy.resources.loader import resource_from_manifest

    try:
        return resource_from_manifest({**manifest, "status": {}})
    except ConfigError:
        return None
