"""Built-in endpoints whose address the controller's own server cannot have: told by who serves, read by who judges."""

from __future__ import annotations

from typing import Any, Protocol

from telarchy.resources.meta import DEFAULT_NAMESPACE

MEMORY_PREFIX = "unserved/"


class Memory(Protocol):
    """As `store.Memory` has it."""

    def under(self, prefix: str) -> dict[str, Any]: ...
    def put(self, key: str, value: Any, now: float | None = None) -> bool: ...
    def forget(self, key: str) -> None: ...


class UnservedBook:
    """Why, by endpoint of a fleet. Kept in the store, by the process that serves and for as long as it does."""

    def __init__(self, memory: Memory, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._memory, self._prefix = memory, f"{MEMORY_PREFIX}{namespace}/"

    def begin(self) -> None:
        """What a process before could not have may be free by now."""
        for key in self._memory.under(self._prefix):
            self._memory.forget(key)

    def note(self, endpoint: str, why: str) -> None:
        """`why` is "" once it is served."""
        if why:
            self._memory.put(self._prefix + endpoint, why)
        else:
            self._memory.forget(self._prefix + endpoint)

    def all(self) -> dict[str, str]:
        """Those that are not served."""
        found = self._memory.under(self._prefix)
        return {key.removeprefix(self._prefix): str(why) for key, why in found.items()}
