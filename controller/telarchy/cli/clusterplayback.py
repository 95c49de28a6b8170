"""Playback URLs of streams in a cluster: signed here, with the Secret that the Stream names."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telarchy.errors import TelarchyError
from telarchy.links.secrets import Secret, SecretMissing
from telarchy.web.signing import signed_playback

if TYPE_CHECKING:
    from telarchy.resources.stream import Stream


def playback(
    resources: Sequence[Mapping[str, Any]], stream: str, until: int, here: str, run: Callable[..., str]
) -> dict[str, Any]:
    """As `Answers.playback`. `run` is kubectl in the namespace. RBAC: getting the Secret."""

    def secrets_of(found: Stream) -> tuple[Secret, ...]:
        ref = found.spec.playback.secret_ref
        if ref is None:
            raise TelarchyError(
                f"the operator keeps the playback secret of stream/{stream} to itself: name a Secret in the Stream's "
                "`playback.secretRef`, or ask `telarchy playback-url` inside the operator's pod"
            )
        data = json.loads(run("get", "secret", ref.name, "-o", "json")).get("data") or {}
        try:
            value = base64.b64decode(data[ref.key], validate=True)
        except (KeyError, binascii.Error):
            raise SecretMissing(f"the Secret {ref.name} has no key {ref.key}") from None
        return (Secret(value),)

    return signed_playback(resources, stream, until, here, secrets_of)
