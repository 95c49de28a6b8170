"""Playback as the owner asks for it: any stream, signed on the spot. Pure but for the secrets that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from telarchy.errors import ConfigError
from telarchy.links.secrets import FileSecrets, Secret
from telarchy.resources.host import Host
from telarchy.resources.loader import resource_from_manifest
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.meta import Resource
from telarchy.resources.stream import Stream
from telarchy.streaming import tokens
from telarchy.web.fleetview import FleetDoor, FleetView
from telarchy.web.playback import Token, playback


class StreamUnknown(ConfigError):
    """No stream of this name is declared."""


def signed_playback(
    resources: Sequence[Mapping[str, Any]],
    stream: str,
    until: int,
    here: str,
    secrets_of: Callable[[Stream], Sequence[Secret]],
) -> dict[str, Any]:
    """What a player is told of `stream`, with `here`, and for a Private one `token` (the prefix of its paths) and
    `expires`. `resources` are manifests with their statuses.

    Raises StreamUnknown, ConfigError for a time that cannot be signed, SecretMissing.
    """
    known = [one for one in map(_usable, resources) if one is not None]
    view = FleetView(
        FleetDoor("", dict, lambda ref: None, FileSecrets(None, {}), lambda one: ()),
        {one.name: one for one in known if isinstance(one, Stream)},
        {one.name: one for one in known if isinstance(one, MediaEndpoint)},
        {one.name: one for one in known if isinstance(one, Host)},
    )
    found = view.streams.get(stream)
    if found is None:
        from telarchy.resources.complaints import did_you_mean

        raise StreamUnknown(f"stream/{stream} not found{did_you_mean(stream, sorted(view.streams))}")
    token = None
    if found.spec.visibility == "Private":
        secret = secrets_of(found)[0].reveal().decode("utf-8", "surrogateescape")
        try:
            token = Token(tokens.signature(secret, stream, until), until)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    told = playback(view, found, token, here)
    return {**told, "here": here, "token": token.prefix if token is not None else ""}


def _usable(manifest: Mapping[str, Any]) -> Resource | None:
    """A manifest that cannot be used now is as good as not there; `validate` says what is wrong with it."""
    try:
        return resource_from_manifest(manifest)
    except ConfigError:
        return None
