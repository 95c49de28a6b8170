"""The declared world: every valid resource of one namespace at one revision. Immutable, and cheap to compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from telarchy.errors import Problem
from telarchy.resources.meta import Ref, Resource

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True)
class World:
    """Desired state.

    complete:  every kind has been read at least once; until then nothing is removed or stopped
    stalled:   resources that cannot be used as they are, with the problems that say why; they are shown
               and left out of `resources`, so that one bad manifest stops nothing else
    departing: resources that a person deleted and that are kept (Kubernetes: by a finalizer) until what they have
               on hosts is undone; not in `resources`. Alone, what is gone from the source is simply gone: rooms
               compare hosts with `resources` either way, and take this for the names of what they undo
    source:    what is said of the place all this came from, "" where nothing is
    followed:  False: the place cannot be followed now, and this is what it last declared
    """

    resources: Mapping[Ref, Resource] = field(default_factory=dict)
    revision: str = ""
    namespace: str = "default"
    complete: bool = True
    stalled: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)
    departing: Mapping[Ref, Resource] = field(default_factory=dict)
    source: str = ""
    followed: bool = True

    def of(self, kind: type[R]) -> list[R]:
        """All resources of a kind, by name."""
        found = [resource for resource in self.resources.values() if isinstance(resource, kind)]
        return sorted(found, key=lambda resource: resource.metadata.name)

    @classmethod
    def from_resources(
        cls, resources: Iterable[Resource], *, revision: str = "", namespace: str = "default"
    ) -> World:
        return cls({resource.ref: resource for resource in resources}, revision=revision, namespace=namespace)
