"""`telarchy operator`: the same loop, fed by a Kubernetes cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from pathlib import Path

import click

from telarchy.cli import options
from telarchy.errors import ConfigError


@click.command(short_help="Keep the fleets of a Kubernetes cluster.")
@click.option(
    "--namespace",
    "-n",
    "namespaces",
    multiple=True,
    envvar="TELARCHY_NAMESPACES",
    show_envvar=True,
    help="A fleet; may be given several times. Without it: every namespace.",
)
@click.option(
    "--liveness",
    metavar="http://HOST:PORT/PATH",
    default="",
    envvar="TELARCHY_LIVENESS",
    help="Answer probes there, with /metrics beside it.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="",
    envvar="TELARCHY_LISTEN",
    show_envvar=True,
    help="Serve pages and the playback API there. Without it: not at all.",
)
@click.option(
    "--trusted-proxy",
    "trusted",
    metavar="ADDRESS|CIDR",
    multiple=True,
    envvar="TELARCHY_TRUSTED_PROXY",
    show_envvar=True,
    help="A reverse proxy in front of --listen: its X-Forwarded-For tells who asks. May be given several times.",
)
@click.option(
    "--identity",
    default="",
    envvar="POD_NAME",
    show_envvar=True,
    help="Name of this replica in Leases. Without it: the host's name and chance.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Without it: the pod's service account, else $KUBECONFIG, else ~/.kube/config.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much is told on stderr.",
)
@options.state
def operator(
    namespaces: tuple[str, ...],
    liveness: str,
    listen: str,
    trusted: tuple[str, ...],
    identity: str,
    kubeconfig: Path | None,
    log_level: str,
    state: Path,
) -> None:
    """Watch the objects of every kind, act on what they declare, and report in their statuses.

    A namespace is a fleet. Of several replicas one acts on each fleet, by a Lease in its namespace. SIGTERM ends it
    cleanly: jobs on hosts go on, and are found again by the next replica.
    """
    try:
        import kopf  # noqa: F401
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the operator needs a package that is not installed ({error.name}): pip install 'telarchy[operator]'"
        ) from None
    from telarchy.runtime.garbage import spare_what_stays
    from telarchy.runtime.kubernetes.fleet import FleetOptions
    from telarchy.runtime.kubernetes.health import parse_address
    from telarchy.runtime.kubernetes.login import connection
    from telarchy.runtime.kubernetes.operator import OperatorOptions, run_operator
    from telarchy.web.forwarded import networks
    from telarchy.web.public import parse_listen

    if liveness:
        parse_address(liveness)
    if listen:
        parse_listen(listen)
    networks(trusted)
    log_to_stderr(log_level)
    wanted = OperatorOptions(
        FleetOptions(state, identity or some_identity()),
        namespaces=tuple(dict.fromkeys(name for text in namespaces for name in text.split(",") if name)),
        liveness=liveness,
        listen=listen,
        trusted=trusted,
    )
    spare_what_stays()
    asyncio.run(run_operator(lambda: connection(kubeconfig), wanted))


def some_identity() -> str:
    """Unique among the replicas that run; a pod has a better one in $POD_NAME."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def log_to_stderr(level: str) -> None:
    """One line per happening. kopf and asyncssh are only heard when something is wrong."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    if level != "debug":
        for handler in logging.getLogger().handlers:
            handler.addFilter(_without_trace)
        for loud in ("kopf", "asyncssh", "aiohttp.access"):
            logging.getLogger(loud).setLevel(logging.WARNING)


def _without_trace(record: logging.LogRecord) -> bool:
    """What kopf met is told in its first line; its traces tell of nothing but kopf."""
    if record.name.partition(".")[0] in ("kopf", "asyncio") and record.exc_info:
        kind = record.exc_info[0]
        record.msg = f"{record.getMessage().partition(chr(10))[0]} ({kind.__name__ if kind else 'no error'})"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True
