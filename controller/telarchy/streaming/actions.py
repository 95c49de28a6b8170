"""What streaming does on hosts, as values. Each is safe to run twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telarchy.core.action import Action


@dataclass(frozen=True, kw_only=True)
class StreamingAction(Action):
    """Something about an endpoint on its host. `base` is the endpoint's folder there."""

    capability: ClassVar[str] = "streaming"

    endpoint: str
    base: str

    def identity(self) -> tuple[object, ...]:
        return (self.host, self.endpoint, self.base)


@dataclass(frozen=True, kw_only=True)
class PutService(StreamingAction):
    """Lay a service's files, and start, restart or reload it. `digest` is of the `core.service.Service`."""

    verb: ClassVar[str] = "PutService"

    service: str
    digest: str
    how: str = "start"  # start | restart | reload
    stream: str = ""
    generation: str = ""

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.service, self.digest)

    def __str__(self) -> str:
        return f"{self.how} {self.service} of {self.endpoint} on {self.host}"


@dataclass(frozen=True, kw_only=True)
class TakeOver(StreamingAction):
    """Mark the folder as ours, with what it is for. `replaces`: the id of another owner whose it is `since` then, and
    `of` its name; "" where it is nobody's, or ours already."""

    verb: ClassVar[str] = "TakeOver"

    owner: str
    term: int
    policy: str
    replaces: str = ""
    since: float = 0.0
    of: str = ""

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.owner, self.term, self.policy, self.replaces, self.since)

    def __str__(self) -> str:
        if self.replaces:
            return f"take over {self.endpoint} on {self.host} from controller {self.of} ({self.replaces})"
        return f"mark {self.endpoint} on {self.host} as this controller's"


@dataclass(frozen=True, kw_only=True)
class KickService(StreamingAction):
    """End the process of a service; its supervisor starts it again. For one that lives and brings nothing forth."""

    verb: ClassVar[str] = "KickService"

    service: str
    starts: int  # of the process that is meant, so that no younger one is hit

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.service, self.starts)

    def __str__(self) -> str:
        return f"start {self.service} of {self.endpoint} on {self.host} again: nothing comes of it"


@dataclass(frozen=True, kw_only=True)
class StopService(StreamingAction):
    """Stop a service and remove what was laid down for it."""

    verb: ClassVar[str] = "StopService"
    removes: ClassVar[bool] = True

    service: str

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.service)

    def __str__(self) -> str:
        return f"stop {self.service} of {self.endpoint} on {self.host}"


@dataclass(frozen=True, kw_only=True)
class PutKeys(StreamingAction):
    """Lay down which keys may publish."""

    verb: ClassVar[str] = "PutKeys"

    digest: str
    count: int

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.digest)

    def __str__(self) -> str:
        return f"give {self.endpoint} on {self.host} its {self.count} stream key(s)"


@dataclass(frozen=True, kw_only=True)
class Prune(StreamingAction):
    """Remove generations of a stream that ended longer ago than its retention."""

    verb: ClassVar[str] = "Prune"
    removes: ClassVar[bool] = True

    stream: str
    generations: tuple[str, ...]

    def identity(self) -> tuple[object, ...]:
        return (*super().identity(), self.stream, self.generations)

    def __str__(self) -> str:
        return f"remove {', '.join(self.generations)} of {self.stream} from {self.endpoint} on {self.host}"


@dataclass(frozen=True, kw_only=True)
class Retire(StreamingAction):
    """Stop everything of an endpoint and remove its folder: it is no longer declared, or elsewhere now."""

    verb: ClassVar[str] = "Retire"
    removes: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"stop and remove all of {self.endpoint} on {self.host}"
