"""StreamKey: the right to publish to a stream. The manifest holds only a verifier; the key itself is shown once.

A key is 256 random bits, so its verifier is a plain SHA-256: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from telarchy.resources.meta import (
    Bool,
    Column,
    Kind,
    LabelNamed,
    PartName,
    Resource,
    ResourceStatus,
    Spec,
    Time,
)
from telarchy.resources.rules import Shaped

KeyState = Literal["Active", "Expired", "Revoked"]

Verifier = Annotated[
    str,
    Field(min_length=71, max_length=71),
    Shaped(
        r"^sha256:[0-9a-f]{64}$",
        "a verifier is `sha256:` and 64 hex digits, as `telarchy stream-key create` prints it; the key itself does "
        "not belong in a manifest",
    ),
]


def verifier_of(key: str) -> str:
    """`sha256:<64 hex digits>` of a key's text."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


class StreamKeySpec(Spec):
    """Who may publish to what, and until when."""

    stream_ref: PartName = Field(description="The Stream that this key publishes to.")
    verifier: Verifier = Field(description="What recognises the key: `sha256:` of its text.")
    expires_at: Time | None = Field(default=None, description="Left out: it does not expire.")
    revoked: Bool = Field(
        default=False, description="True: refused from now on; who publishes with it is cut."
    )


class StreamKeyStatus(ResourceStatus):
    """How the key was used."""

    state: KeyState | None = None
    last_used: Time | None = Field(default=None, description="When somebody last published with it.")
    last_refused: Time | None = Field(default=None, description="When it was last refused.")
    refused_because: str = Field(default="", max_length=128)


class StreamKey(Resource):
    """The right to publish to a stream."""

    kind: Literal["StreamKey"] = "StreamKey"
    metadata: LabelNamed
    spec: StreamKeySpec
    status: StreamKeyStatus = Field(default_factory=StreamKeyStatus)

    def state(self, now: datetime) -> KeyState:
        """What the key is worth at `now`."""
        if self.spec.revoked:
            return "Revoked"
        return "Expired" if self.spec.expires_at is not None and self.spec.expires_at <= now else "Active"


KIND = Kind(
    model=StreamKey,
    plural="streamkeys",
    singular="streamkey",
    short_names=("sk",),
    columns=(
        Column("Stream", ".spec.streamRef"),
        Column("State", ".status.state"),
        Column("Expires", ".spec.expiresAt"),
        Column("LastUsed", ".status.lastUsed", priority=1),
        Column("LastRefused", ".status.lastRefused", priority=1),
    ),
)
