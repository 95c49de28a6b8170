"""An action is a value: what would be done, to what, where. Printing it is the plan; running it is the loop.

Identity is stable: the same wish has the same `id` in every round and after every restart, which is how a
running job on a host is recognised again and how a failure is remembered against what failed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, ClassVar


@lru_cache(maxsize=1 << 14, typed=True)  # a plan that stays the same asks for the same ids every round
def stable_id(*parts: object) -> str:
    """16 hex digits of BLAKE2b over the parts; the same on every machine and in every process."""
    raw = [str(part).encode("utf-8", "surrogateescape") for part in parts]
    told = b"".join(len(one).to_bytes(4, "big") + one for one in raw)
    return hashlib.blake2b(told, digest_size=8).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing to do. Subclasses are frozen, add their fields, and say in `identity()` what makes them the same.

    host:    name of the host whose lane the work takes
    bytes:   bytes that will move or be read (0 where that makes no sense)
    """

    verb: ClassVar[str] = ""
    capability: ClassVar[str] = ""
    removes: ClassVar[bool] = False  # takes something away, so it is frozen by unknown evidence

    host: str
    bytes: int = 0

    def identity(self) -> tuple[object, ...]:
        raise NotImplementedError

    @cached_property
    def id(self) -> str:
        return stable_id(self.capability, self.verb, *self.identity())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: id, verb, capability, the sentence, and every field that has a value."""
        shown: dict[str, Any] = {"id": self.id, "verb": self.verb, "capability": self.capability}
        for field in fields(self):
            value = getattr(self, field.name)
            if value not in (None, (), ""):
                shown[field.name] = list(value) if isinstance(value, tuple) else value
        shown["summary"] = str(self)
        return shown
