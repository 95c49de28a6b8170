"""Whose a folder on a host is: which controller made it and may change it, as the folder itself says. Pure.

Two controllers that declare the same thing at the same place cannot see each other's manifests. The host can tell
them apart: what is made there is marked with who made it, and its scripts refuse everybody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Owner:
    """A controller as hosts get to see it.

    id:    the same for as long as it is the same controller: over restarts, and for every replica of a fleet; no spaces
    name:  of its process, for people
    term:  of its tenure; a host refuses a lower one of the same id. 0 where there is only ever one at a time
    """

    id: str
    name: str = ""
    term: int = 0

    def __post_init__(self) -> None:
        if not self.id or not self.id.isprintable() or " " in self.id:
            raise ValueError(f"{self.id!r} cannot be the id of an owner")
        plain = "".join(c if c.isprintable() else "?" for c in self.name)
        object.__setattr__(self, "name", plain.strip() or self.id)


@dataclass(frozen=True)
class Claim:
    """What a controller writes on a folder: whose it is, for which resource, and its `deletionPolicy`."""

    owner: Owner
    namespace: str
    resource: str
    policy: str = "Release"


class Standing(StrEnum):
    """How a controller stands to a folder."""

    UNKNOWN = "Unknown"  # nobody could look
    UNCLAIMED = "Unclaimed"  # nobody's: not there yet, or made before folders said whose they are
    OURS = "Ours"
    OUTDATED = "Outdated"  # ours, of an earlier tenure: to be marked anew
    FENCED = "Fenced"  # ours, of a later tenure: this one is over
    FOREIGN = "Foreign"


@dataclass(frozen=True)
class Holding:
    """What a folder says of itself. Times are seconds since the epoch, 0.0 where it does not tell.

    id, name, term:  of its owner; "" and 0 where it names none
    since:           when the owner took it
    alive:           when the owner last looked after it
    """

    id: str = ""
    name: str = ""
    term: int = 0
    since: float = 0.0
    alive: float = 0.0
    namespace: str = ""
    resource: str = ""
    policy: str = ""

    def standing(self, me: Owner) -> Standing:
        """How `me` stands to it."""
        if not self.id:
            return Standing.UNCLAIMED
        if self.id != me.id:
            return Standing.FOREIGN
        if self.term > me.term:
            return Standing.FENCED
        return Standing.OUTDATED if self.term < me.term else Standing.OURS
