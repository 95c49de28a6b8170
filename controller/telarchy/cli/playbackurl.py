"""`telarchy playback-url`: where a stream plays now, signed if it is Private. Only the URL goes to stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from telarchy.cli import completing, options
from telarchy.cli.client import connect
from telarchy.core.words import format_span, rfc3339
from telarchy.errors import TelarchyError

LONGEST = 366 * 86400.0
DEFAULT_SECONDS = 2 * 3600.0


class NotPlayable(TelarchyError):
    """The stream cannot be played now; the message says why."""


@click.command("playback-url", short_help="Print where a stream plays, signed if it is Private.")
@click.argument("stream", shell_complete=completing.complete_names("Stream"))
@click.option(
    "--for",
    "seconds",
    type=options.SPAN,
    default=DEFAULT_SECONDS,
    metavar="SPAN",
    help="How long a Private stream's URL lets somebody in; 2h by default. Whoever plays by then plays on.",
)
@click.option("--endpoint", default="", help="Which MediaEndpoint; by default the healthiest.")
@click.option("--page", is_flag=True, help="The page to watch on instead of the playlist.")
@click.option(
    "--at",
    metavar="URL",
    default="",
    help="The controller's web server (`run --listen`), if it is not known.",
)
@options.namespace
@options.state
def playback_url(
    stream: str, seconds: float, endpoint: str, page: bool, at: str, namespace: str, state: Path
) -> None:
    """Print the URL of a stream's playlist, or with --page of a page that plays it.

    \b
      telarchy playback-url garden --for 2h
      mpv "$(telarchy playback-url garden)"
      telarchy playback-url garden --page --for 7d
    """
    if not 0 < seconds <= LONGEST:
        raise click.UsageError("--for is longer than nothing and at most a year (366d)")
    at = at.rstrip("/")
    if at and not at.startswith(("http://", "https://")):
        raise click.UsageError(f"--at: {at} is no http:// or https:// URL")
    told: dict[str, Any] = connect(state).ask(
        "playback", stream=stream, seconds=seconds, here=at, namespace=namespace
    )
    if page:
        click.echo(_page(told, stream, namespace))
        _note(told, "")
        return
    chosen = _chosen(told, stream, endpoint)
    click.echo(chosen["entry"])  # which a player may keep: it leads to whatever generation plays
    _note(told, f"{chosen['name']}, {chosen['state']}")


def _page(told: dict[str, Any], stream: str, namespace: str) -> str:
    """The page says by itself when there is nothing to see, so it has a URL at any time."""
    if not told["here"]:
        raise NotPlayable(
            "no web server of the controller is known: start it with `telarchy run --listen ADDRESS:PORT`, or say "
            "where it is reached with --at URL"
        )
    query = "" if namespace == "default" else f"?namespace={namespace}"
    return f"{told['here']}{told['token']}/watch/{stream}{query}"


def _chosen(told: dict[str, Any], stream: str, endpoint: str) -> dict[str, Any]:
    playable = [one for one in told["endpoints"] if one["url"].startswith("http")]
    if endpoint:
        playable = [one for one in playable if one["name"] == endpoint]
    if playable:
        found: dict[str, Any] = playable[0]
        return found
    if told["endpoints"] and endpoint:
        names = ", ".join(one["name"] for one in told["endpoints"])
        raise NotPlayable(f"{endpoint} does not have {stream} now; it plays from {names}")
    if told["endpoints"]:
        raise NotPlayable(
            f"{stream} is served by the controller itself, whose address is not known: say where it is reached with "
            "--at URL, or give the endpoint a publicURL"
        )
    why = told.get("detail") or told.get("message") or "it cannot be played now"
    raise NotPlayable(f"{stream}: {told['reason']}. {why} `telarchy why stream {stream}` says more.")


def _note(told: dict[str, Any], where: str) -> None:
    """For a person, on stderr."""
    said = [where] if where else []
    if told["token"]:
        import time

        left = format_span(told["expires"] - time.time())
        said.append(f"lets in until {rfc3339(told['expires'])} ({left})")
    if said:
        click.echo(f"({'; '.join(said)})", err=True)
