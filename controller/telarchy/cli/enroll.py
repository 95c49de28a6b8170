"""`telarchy enroll`: make a machine a host. The manifest goes to stdout, everything else to stderr."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from telarchy.cli import completing, options, table
from telarchy.cli.client import connect
from telarchy.core.words import plural
from telarchy.errors import ConfigError, TelarchyError


@dataclass(frozen=True)
class Declared:
    """What the manifest of a host that is declared already says of it."""

    endpoint: str
    roots: tuple[str, ...]
    host_key: str
    host_class: str
    secret: tuple[str, str] | None  # with the key to log in with


@click.command(short_help="Prepare a host, and print its manifest.")
@click.argument("target", metavar="USER@HOST[:PORT] | NAME", shell_complete=completing.complete_names("Host"))
@click.option("--name", default="", help="Name of the Host; by default the machine's own.")
@click.option(
    "--root", "roots", metavar="PATH", multiple=True, help="A media root that exists there; repeatable."
)
@click.option("--class", "host_class", default="", help="Server, Roamer, Consumer, Seedbox or Broadcast.")
@click.option(
    "--identity",
    "-i",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key to log in with; without it, your own keys and agent.",
)
@click.option("--ask-password", is_flag=True, help="Log in with a password, and leave a key for later.")
@click.option(
    "--public-key",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The controller's public key, to be let in from now on.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@options.namespace
@options.state
def enroll(
    target: str,
    name: str,
    roots: tuple[str, ...],
    host_class: str,
    identity: Path | None,
    ask_password: bool,
    public_key: Path | None,
    dry_run: bool,
    namespace: str,
    state: Path,
) -> None:
    """Check a machine for what a host needs, install what is missing, mark its media roots, pin its host key,
    authorise pulls between it and the hosts that are declared already, and print its manifest. Run it again at any
    time: what is in order stays as it is.

    \b
      telarchy enroll media@192.0.2.11 --name attic --root /srv/media > attic.yaml
      telarchy enroll attic              again, with what its manifest says
    """
    known = None if "@" in target else _declared(target, namespace, state)
    password = None
    if ask_password:
        password = click.prompt(f"Password of {target}", hide_input=True, err=True)

    from telarchy.links.enrol import enrol
    from telarchy.links.secrets import SECRETS_FOLDER, FileSecrets, Secret, SecretMissing

    kept = known.secret if known else None
    login: Path | Secret | None = identity
    if login is None and password is None and kept is not None:
        try:
            login = FileSecrets(state / SECRETS_FOLDER).resolve(*kept)
        except SecretMissing as problem:
            click.echo(f"{problem}; trying your own keys and agent", err=True)

    enrolment = enrol(
        known.endpoint if known else target,
        name=name or (target if known else ""),
        roots=roots or (known.roots if known else ()),
        fleet=namespace,
        identity=login,
        secret=kept,
        password=Secret(password.encode("utf-8", "surrogateescape")) if password is not None else None,
        public_key=_text(public_key),
        host_class=host_class or (known.host_class if known else ""),
        pinned=known.host_key if known else "",
        dry_run=dry_run,
        say=lambda line: click.echo(line, err=True),
    )
    by_hand = [step.description for step in enrolment.steps if step.outcome == "by-hand"]
    if by_hand:
        click.echo(f"{plural(len(by_hand), 'thing')} left to do by hand:", err=True)
        for description in by_hand:
            click.echo(f"  {description}", err=True)
    click.echo(enrolment.yaml, nl=False)
    _authorise_pulls(enrolment.manifest, namespace, state, dry_run=dry_run)


def _authorise_pulls(manifest: dict[str, Any], namespace: str, state: Path, *, dry_run: bool) -> None:
    """Between this host and those that are declared. What goes wrong with it is told, and the host is enrolled."""
    import asyncio

    from telarchy.links.pool import LinkPool
    from telarchy.links.pulls import authorise_pulls
    from telarchy.links.routes import ROUTES_FOLDER, Routes
    from telarchy.links.secrets import SECRETS_FOLDER, FileSecrets
    from telarchy.resources.host import Host

    def say(line: str) -> None:
        click.echo(line, err=True)

    try:
        found = connect(state, quiet=True).ask("resources", kinds=["Host"], namespace=namespace)
    except TelarchyError as problem:
        say(f"pulls are authorised at the first copy, since who is declared is not known: {problem}")
        return
    others = []
    for one in found:
        name = str(one["metadata"]["name"])
        if name == manifest["metadata"]["name"]:
            continue
        try:
            others.append(Host.model_validate({key: value for key, value in one.items() if key != "status"}))
        except ValueError:
            say(f"not now, but at the first copy: pulls between it and {name}, whose manifest has an error")
    if not others:
        return
    hosts = [Host.model_validate(manifest), *others]
    pool = LinkPool(FileSecrets(state / SECRETS_FOLDER))
    routes = Routes(pool, fleet=namespace, folder=state / ROUTES_FOLDER)
    asyncio.run(authorise_pulls(pool, routes, hosts, manifest["metadata"]["name"], dry_run=dry_run, say=say))


def _declared(name: str, namespace: str, state: Path) -> Declared:
    """A host by its name. Raises TelarchyError when it is not declared, or not reached by ssh."""
    found: list[dict[str, Any]] = connect(state, quiet=True).ask(
        "resources", kinds=["Host"], namespace=namespace
    )
    host = next((one for one in found if one["metadata"]["name"] == name), None)
    if host is None:
        raise ConfigError(f"no host {name} is declared; for a new one, write user@address")
    endpoints = table.at_path(host, ".spec.connection.ssh.endpoints")
    if not endpoints:
        raise TelarchyError(f"host/{name} is not reached by ssh: there is nothing to enroll")
    roots = table.at_path(host, ".spec.mediaRoots") or []
    secret = table.at_path(host, ".spec.connection.ssh.identity.secretRef")
    return Declared(
        endpoints[0],
        tuple(root["path"] for root in roots),
        table.at_path(host, ".spec.connection.ssh.hostKey") or "",
        host["spec"].get("class", ""),
        (secret["name"], secret["key"]) if secret else None,
    )


def _text(path: Path | None) -> str:
    return "" if path is None else path.read_text(encoding="utf-8").strip()
