"""`telarchy stream-key`: make a key to publish with. The manifest goes to stdout, the key itself to stderr, once."""

from __future__ import annotations

import os
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from telarchy.cli import completing, options
from telarchy.cli.client import connect
from telarchy.cli.outputs import document
from telarchy.cli.targets import not_found
from telarchy.errors import ConfigError, TelarchyError
from telarchy.resources.loader import resource_from_manifest
from telarchy.resources.meta import API_VERSION, DEFAULT_NAMESPACE, MAX_NAME, format_time, parse_time
from telarchy.resources.quantities import parse_duration
from telarchy.resources.registry import KINDS

KEY_BYTES = 32

Resources = Sequence[Mapping[str, Any]]


class Until(click.ParamType[datetime]):
    """A span from now (`30d`), a day (`2027-01-01`) or a time (RFC 3339)."""

    name = "expiry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            if len(value) == 10 and value.count("-") == 2:
                found = datetime.fromisoformat(value).replace(tzinfo=UTC)
            elif "T" in value:
                found = parse_time(value)
            else:
                found = now + timedelta(seconds=float(parse_duration(value)))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a span like 30d nor a time like 2027-01-01T00:00:00Z", param, ctx
            )
        if found <= now:
            self.fail(f"{value!r} is over already", param, ctx)
        return found


@click.group("stream-key", short_help="Make a key to publish with.")
def stream_key() -> None:
    """Keys with which publishers (OBS, ffmpeg) send to streams that come in by RTMP."""


@stream_key.command(short_help="Make a key, and print its manifest.")
@click.argument("stream", shell_complete=completing.complete_names("Stream"))
@click.option(
    "--name", default="", help="Name of the StreamKey; by default STREAM-key, or the next that is free."
)
@click.option(
    "--expires", type=Until(), metavar="SPAN|TIME", help="Like 30d or 2027-01-01; without it, never."
)
@click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the key into this new file (mode 0600) instead of showing it.",
)
@options.output("yaml", "json")
@options.namespace
@options.state
def create(
    stream: str,
    name: str,
    expires: datetime | None,
    key_file: Path | None,
    output: str,
    namespace: str,
    state: Path,
) -> None:
    """Make a key of 256 random bits for STREAM. Nothing is kept of it: it is shown once, on stderr, with what to
    enter in OBS. The manifest on stdout holds only a verifier, so it may go into git.

    \b
      telarchy stream-key create garden > garden-key.yaml       read the key on the screen
      telarchy stream-key create garden --key-file key | telarchy apply -f -

    To take a key back, set `revoked: true` in its manifest: whoever publishes with it is cut within seconds.
    """
    known: Resources = connect(state, quiet=True).ask(
        "resources", kinds=["Stream", "StreamKey", "MediaEndpoint", "Host"], namespace=namespace
    )
    key = randomness.token_hex(KEY_BYTES)
    manifest = _manifest(stream, name or _free_name(stream, known), namespace, key, expires)
    if key_file is not None:
        _write(key_file, key)
    for line in _told(stream, key, key_file, known, namespace):
        click.echo(line, err=True)
    click.echo(document(manifest, output))


def _manifest(stream: str, name: str, namespace: str, key: str, expires: datetime | None) -> dict[str, Any]:
    """Checked as `validate` would. Raises ConfigError."""
    from telarchy.resources.streamkey import verifier_of

    place = {} if namespace == DEFAULT_NAMESPACE else {"namespace": namespace}
    spec: dict[str, Any] = {"streamRef": stream, "verifier": verifier_of(key)}
    if expires is not None:
        spec["expiresAt"] = format_time(expires)
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "StreamKey",
        "metadata": {"name": name, **place},
        "spec": spec,
    }
    resource_from_manifest(manifest)
    return manifest


def _free_name(stream: str, known: Resources) -> str:
    taken = {one["metadata"]["name"] for one in known if one["kind"] == "StreamKey"}
    base = f"{stream[: MAX_NAME - 8].rstrip('-')}-key"
    numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (base, *numbered) if name not in taken)


def _write(path: Path, key: str) -> None:
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already, and may hold a key that is in use") from None
    except OSError as error:
        raise TelarchyError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
    with os.fdopen(number, "w") as file:
        file.write(key + "\n")


def _told(stream: str, key: str, key_file: Path | None, known: Resources, namespace: str) -> list[str]:
    """What a person needs beside the manifest."""
    if key_file is None:
        lines = [f"The key of {stream}, shown this once:", "", f"    {key}", ""]
    else:
        lines = [f"The key of {stream} is in {key_file}."]
    declared = {one["metadata"]["name"]: one for one in known if one["kind"] == "Stream"}
    if stream not in declared:
        hint = not_found(KINDS["Stream"], stream, list(declared))
        return [*lines, f"({hint}; the key works as soon as the stream and an origin are declared)"]
    ingest = declared[stream]["spec"].get("ingest", {})
    if "rtmp" not in ingest:
        way = next(iter(ingest), "another way")
        return [*lines, f"({stream} comes in by {way}; a key is for `ingest: {{rtmp: {{}}}}`)"]
    servers = publish_servers(declared[stream], known)
    if not servers:
        return [
            *lines,
            f"(no Origin for {stream} is declared in {namespace} yet, so there is no server to name)",
        ]
    lines.append("In OBS: Settings, Stream, Service `Custom…`:")
    for endpoint, url in servers:
        lines.append(f"    Server      {url}" + (f"   ({endpoint})" if len(servers) > 1 else ""))
    lines.append("    Stream Key  " + ("the key above" if key_file is None else f"what is in {key_file}"))
    return lines


def publish_servers(stream: Mapping[str, Any], known: Resources) -> list[tuple[str, str]]:
    """(endpoint, RTMP URL) of each Origin that takes the stream, as far as a host is known."""
    from telarchy.resources.host import Host
    from telarchy.resources.mediaendpoint import MediaEndpoint, address_of, served_at
    from telarchy.streaming.ingest import publish_url

    found = []
    labels = stream["metadata"].get("labels", {})
    resources = [_quietly(one) for one in known if one["kind"] in ("Host", "MediaEndpoint")]
    hosts = {one.name: one for one in resources if isinstance(one, Host)}
    for one in resources:
        if not isinstance(one, MediaEndpoint) or one.spec.role != "Origin":
            continue
        if not one.spec.stream_selector.matches(labels):
            continue
        host = hosts.get(one.spec.host_ref or "")
        served = served_at(one.spec, host)
        name = (urlsplit(served).hostname if served else None) or address_of(host)
        if name:
            found.append((one.name, publish_url(name.strip("[]"), one.spec.listen.rtmp)))
    return sorted(found)


def _quietly(manifest: Mapping[str, Any]) -> Any:
    """A resource, or None where its manifest is not usable now."""
    try:
        return resource_from_manifest({**manifest, "status": {}})
    except ConfigError:
        return None
