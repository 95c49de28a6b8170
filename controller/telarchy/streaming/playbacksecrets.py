"""The secrets that sign playback URLs: those that a manifest names, else one that the controller makes and keeps."""

from __future__ import annotations

import secrets as randomness
from typing import Any, Protocol

from telarchy.errors import ConfigError
from telarchy.links.secrets import Secret, SecretMissing, SecretResolver
from telarchy.resources.stream import Stream

KEPT = "streaming/playback"  # memory key, followed by /<namespace>/<stream>
SECRET_BYTES = 32


class Memory(Protocol):
    """What must outlive the process."""

    def get(self, key: str, default: Any = None) -> Any: ...

    def put(self, key: str, value: Any) -> bool: ...

    def forget(self, key: str) -> None: ...


class PlaybackSecrets:
    """Answers for each stream. `read_only`: the memory is another's, and nothing new is made."""

    def __init__(self, secrets: SecretResolver, memory: Memory, *, read_only: bool = False) -> None:
        self._secrets, self._memory, self._read_only = secrets, memory, read_only

    def of(self, stream: Stream) -> tuple[Secret, ...]:
        """The one in force, and after it the one before, if URLs signed with that still play.

        Raises SecretMissing where a manifest names one that is not there, ConfigError when none was made yet.
        """
        playback = stream.spec.playback
        if playback.secret_ref is None:
            return (self._kept(stream.namespace, stream.name),)
        found = [self._secrets.resolve(playback.secret_ref.name, playback.secret_ref.key)]
        if (before := playback.previous_secret_ref) is not None:
            try:
                found.append(self._secrets.resolve(before.name, before.key))
            except SecretMissing:
                pass  # it has been thrown away, which is how a rotation ends
        for one in found:
            if not one.reveal():
                raise SecretMissing(f"the playback secret of {stream.ref} is empty")
        return tuple(found)

    def forget(self, namespace: str, stream: str) -> None:
        """Throw away what was made for a stream: its signed URLs end."""
        self._memory.forget(_key(namespace, stream))

    def _kept(self, namespace: str, stream: str) -> Secret:
        key = _key(namespace, stream)
        known = self._memory.get(key)
        if not isinstance(known, str):
            if self._read_only:
                raise ConfigError(f"no controller has made a playback secret for stream/{stream} yet")
            known = randomness.token_hex(SECRET_BYTES)
            self._memory.put(key, known)
        return Secret(known.encode())


def _key(namespace: str, stream: str) -> str:
    return f"{KEPT}/{namespace}/{stream}"
