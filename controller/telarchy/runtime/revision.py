"""What a source of desired state says: a look at the place itself, and the revision that comes of it.

A `Look` is raw: what stands in the folder or the commit at this moment. A `Revision` is what may be acted on:
the last good version of whatever is broken now, nothing pruned because a source was empty or away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from telarchy.core.world import World
from telarchy.errors import Problem
from telarchy.resources.meta import Ref, Resource

NOTHING_DECLARED = "nothing is declared: no manifest of a fleet was found there"
NOTHING_APPLIED = "nothing is declared: name a --source, or give the store manifests with `telarchy apply -f`"


@dataclass(frozen=True)
class Manifests:
    """The manifests of one place at one moment.

    places:   which file each resource stands in
    broken:   resources that are named there but cannot be used as written
    advice:   resources that are followed, although something between them and others is wrong
    unread:   errors in text that names no resource
    damaged:  files and folders whose content is not fully known; nothing that stood in them has left
    """

    resources: Mapping[Ref, Resource] = field(default_factory=dict)
    places: Mapping[Ref, str] = field(default_factory=dict)
    broken: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)
    advice: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)
    unread: tuple[Problem, ...] = ()
    damaged: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


@dataclass(frozen=True)
class Look:
    """What a place showed. `failure` is a sentence when it showed nothing that can be trusted."""

    revision: str
    manifests: Manifests = Manifests()
    failure: str = ""
    failure_reason: str = ""  # one CamelCase word
    whole: bool = False  # any error refuses all of it (a commit), not only what is broken (a folder)


@dataclass(frozen=True)
class Revision:
    """Desired state as it may be acted on.

    resources:  with their identity; a broken one in its last good version
    stalled:    what cannot be used as written, whether or not a last good version stands in for it
    unread:     errors in text that names no resource
    problems:   every finding, warnings too, in the order of the files
    leaving:    gone from the place, and kept until a second look confirms it
    healthy:    the place could be read; False means that all of this is what was known before
    applied:    the place is the embedded store
    complete:   every kind has been read at least once; until then nothing is removed or stopped
    departing:  deleted, and kept until what they have on hosts is undone (see `World`)
    message:    one sentence about the place as a whole
    """

    resources: tuple[Resource, ...] = ()
    stalled: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)
    unread: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()
    revision: str = ""
    message: str = ""
    leaving: tuple[Ref, ...] = ()
    healthy: bool = True
    applied: bool = False
    complete: bool = True
    departing: Mapping[Ref, Resource] = field(default_factory=dict)

    def world(self, namespace: str) -> World:
        """The part of it that is one fleet."""
        return World(
            resources={one.ref: one for one in self.resources if one.namespace == namespace},
            revision=self.revision,
            namespace=namespace,
            complete=self.complete,
            stalled={ref: found for ref, found in self.stalled.items() if ref.namespace == namespace},
            departing={ref: one for ref, one in self.departing.items() if ref.namespace == namespace},
            source=self.message,
            followed=self.healthy,
        )


def wanting(revision: Revision) -> str:
    """Why a settled fleet is still not all that was declared: "" when it is."""
    if not revision.healthy:
        return revision.message
    if revision.unread:
        return str(revision.unread[0])
    if revision.stalled:
        first = next(iter(sorted(revision.stalled)))
        problems = revision.stalled[first]
        return f"{first} cannot be used as written: {problems[0] if problems else 'its manifest is broken'}"
    if not revision.resources:
        return NOTHING_APPLIED if revision.applied else NOTHING_DECLARED
    return ""


class Source(Protocol):
    """Where desired state comes from. `name` is how a person wrote it."""

    name: str

    async def read(self) -> Revision:
        """Look once. Never raises for what stands in the place: that is in the revision."""
        ...

    def revisions(self) -> AsyncIterator[Revision]:
        """The current revision, then each that differs from the one before it, for ever."""
        ...

    def reread(self) -> None:
        """Look again now (SIGHUP, `telarchy reconcile`)."""
        ...


class Place(Protocol):
    """A folder or a repository: what can be looked at, and when looking again is worth it."""

    name: str

    async def look(self) -> Look:
        """What stands there now. Never raises for what a person or a network did."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """One item whenever the place may have changed. Watching begins before the first item is awaited."""
        ...
