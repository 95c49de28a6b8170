"""Marks of secrets: they change when a secret does, and tell nothing about it. Plans compare them.

A mark is keyed with random bytes of this controller's own, so that a short secret cannot be guessed from it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as randomness
from collections.abc import Iterable
from typing import Any, Protocol

from telarchy.core.world import World
from telarchy.errors import ConfigError, TelarchyError
from telarchy.links.secrets import Secret, SecretResolver
from telarchy.resources.stream import Stream
from telarchy.streaming.playbacksecrets import PlaybackSecrets
from telarchy.streaming.wanted import playback_mark, secret_mark, secret_of

KEY = "streaming/mark-key"
UNMADE = "unmade"  # by a controller that only looks


class Memory(Protocol):
    """What must outlive the process."""

    def get(self, key: str, default: Any = None) -> Any: ...
    def put(self, key: str, value: Any) -> bool: ...


class SecretMarks:
    """The marks of every secret that a world's streams name. `by_name` is as `StreamingSeen.marks` has it."""

    def __init__(self, secrets: SecretResolver, playback: PlaybackSecrets, memory: Memory) -> None:
        self._secrets, self._playback = secrets, playback
        known = memory.get(KEY)
        if not isinstance(known, str):
            known = randomness.token_hex(32)
            memory.put(KEY, known)
        self._key = known.encode()
        self.by_name: dict[str, str | None] = {}

    def refresh(self, world: World) -> bool:
        """Read them anew; whether any is another than before."""
        found: dict[str, str | None] = {}
        for stream in world.of(Stream):
            if stream.spec.visibility == "Private":
                found[playback_mark(stream.namespace, stream.name)] = self._of_playback(stream)
            if (wanted := secret_of(stream)) is not None:
                name = secret_mark(stream.namespace, wanted.name, wanted.key)
                found[name] = self._of_secret(wanted.name, wanted.key)
        changed = found != self.by_name
        self.by_name = found
        return changed

    def _of_playback(self, stream: Stream) -> str | None:
        try:
            return self._mark(self._playback.of(stream))
        except ConfigError:
            return UNMADE
        except TelarchyError:
            return None

    def _of_secret(self, name: str, key: str) -> str | None:
        try:
            return self._mark([self._secrets.resolve(name, key)])
        except TelarchyError:
            return None

    def _mark(self, values: Iterable[Secret]) -> str:
        told = b"\0".join(hashlib.sha256(one.reveal()).digest() for one in values)
        return hmac.new(self._key, told, hashlib.sha256).hexdigest()[:16]
