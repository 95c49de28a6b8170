"""From looks to revisions: what may be acted on. Additions are quick, removals are calm.

A manifest that is broken now stays as it was last good, and is shown as Stalled. A place that is away or
empty prunes nothing. A resource that is gone from a place that is otherwise healthy leaves desired state only
when a second look, a moment later, still does not find it: editors truncate, rename and write in steps, and
no step of theirs may look like a decision to let go of a library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from telarchy.core.plan import Event
from telarchy.core.words import listing, plural
from telarchy.errors import Problem
from telarchy.resources.meta import DEFAULT_NAMESPACE, Ref, Resource
from telarchy.runtime.revision import Look, Manifests, Revision
from telarchy.store import Store
from telarchy.store.objects import SOURCE
from telarchy.store.store import SOURCE_STATE

REMOVAL_SECONDS = 1.0  # how long a resource must be missing from a healthy place before it is pruned
PLACES = "source/places"  # memory key: which file each resource was last seen in
PROBLEMS_KEPT = 50

Findings = dict[Ref, tuple[Problem, ...]]


class Desired:
    """Folds looks into revisions, and keeps what is good in the store.

    patient:  removals wait for a second look. False for a single look (`plan`, `validate`).
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        patient: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self._store, self._patient, self._clock = name, store, patient, clock
        self._ref = Ref("Source", namespace, "desired")
        self._missing_since: dict[Ref, float] = {}
        self._stalled: Findings = {}
        self._advice: Findings = {}
        self._unread: tuple[Problem, ...] = ()
        self._failure = ""

    @property
    def waits(self) -> bool:
        """Whether a removal waits for another look."""
        return bool(self._missing_since)

    def take(self, look: Look, began: float = 0.0) -> Revision:
        """The revision that this look, begun at that time, makes. Writes the store: objects, events, what is known of
        the place."""
        refusal = self._refusal(look)
        revision = self._stay(look, *refusal) if refusal else self._follow(look)
        self._tell(revision, refusal[0] if refusal else "", began)
        return revision

    def _refusal(self, look: Look) -> tuple[str, str] | None:
        """Why nothing of this look may be followed, as (reason, sentence)."""
        if look.failure:
            return look.failure_reason or "SourceFailed", look.failure
        errors = look.manifests.errors
        if look.whole and errors:
            others = f" (and {plural(len(errors) - 1, 'more problem')})" if len(errors) > 1 else ""
            return "RevisionRefused", f"revision {look.revision} is not followed: {errors[0]}{others}"
        nothing = not look.manifests.resources and not look.manifests.broken and not look.manifests.damaged
        if nothing and self._store.objects.all(SOURCE):
            return "SourceEmpty", f"{self.name} declares nothing any more"
        return None

    def _stay(self, look: Look, reason: str, why: str) -> Revision:
        last_good = self._store.objects.all(SOURCE)
        stay = "stays" if len(last_good) == 1 else "stay"
        kept = f"; {plural(len(last_good), 'resource')} as last declared {stay}" if last_good else ""
        self._store.events.record([Event(self._ref, reason, why, "Warning")], self._clock())
        self._missing_since.clear()
        return Revision(
            resources=tuple(last_good),
            stalled=self._stalled,
            problems=look.manifests.problems,
            revision=self._known_revision(),
            message=f"{why}{kept}",
            healthy=False,
        )

    def _follow(self, look: Look) -> Revision:
        now, found = self._clock(), look.manifests
        last_good = {resource.ref: resource for resource in self._store.objects.all(SOURCE)}
        wanted: dict[Ref, Resource] = dict(found.resources)
        stalled = dict(found.broken)
        places: dict[str, str] = self._store.memory.get(PLACES, {})
        gone = [ref for ref in last_good if ref not in wanted]
        for ref in gone:
            if ref in stalled:
                wanted[ref] = last_good[ref]
            elif (place := _damaged_place(places.get(_key(ref)), found)) is not None:
                wanted[ref] = last_good[ref]
                stalled[ref] = tuple(problem for problem in found.errors if problem.file == place)
            elif self._patient and now - self._missing_since.setdefault(ref, now) < REMOVAL_SECONDS:
                wanted[ref] = last_good[ref]
        self._missing_since = {
            ref: since
            for ref, since in self._missing_since.items()
            if ref in wanted and ref not in found.resources and ref not in stalled
        }
        kept = self._store.sync_objects(list(wanted.values()), look.revision, now)
        known = {_key(ref): place for ref, place in found.places.items()}
        known |= {_key(ref): places[_key(ref)] for ref in wanted if _key(ref) in places.keys() - known.keys()}
        self._store.memory.put(PLACES, known, now)
        self._tell_problems(stalled, found, last_good, now)
        return Revision(
            resources=tuple(kept),
            stalled=stalled,
            unread=found.unread,
            leaving=tuple(sorted(self._missing_since)),
            problems=found.problems,
            revision=look.revision,
            message=_summary(len(kept), stalled, found.unread),
        )

    def _tell_problems(
        self,
        stalled: Findings,
        found: Manifests,
        last_good: Iterable[Ref],
        now: float,
    ) -> None:
        """An event for each resource that has problems, if they are others than before."""
        events, advice, unread = [], found.advice, found.unread
        for ref, problems in advice.items():
            if self._advice.get(ref) != problems:
                events += [Event(ref, "Questionable", str(problem), "Warning") for problem in problems]
        for ref, problems in stalled.items():
            if self._stalled.get(ref) == problems or not problems:
                continue
            ending = "; it stays as it last was" if ref in last_good else ""
            events.append(Event(ref, "Stalled", f"{problems[0]}{ending}", "Warning"))
        events += [
            Event(self._ref, "Unreadable", str(problem), "Warning")
            for problem in unread
            if problem not in self._unread
        ]
        self._stalled, self._advice, self._unread = stalled, dict(advice), tuple(unread)
        self._store.events.record(events, now)

    def _tell(self, revision: Revision, failure: str, began: float) -> None:
        if self._failure and not failure:
            self._store.events.record(
                [Event(self._ref, "SourceRecovered", f"{self.name}: {revision.message}")], self._clock()
            )
        self._failure = failure
        state = {
            "name": self.name,
            "at": began,
            "revision": revision.revision,
            "healthy": revision.healthy,
            "sound": revision.healthy and not revision.stalled and not revision.unread,
            "message": revision.message,
            "problems": [str(problem) for problem in revision.problems[:PROBLEMS_KEPT]],
            "stalled": {_key(ref): [str(one) for one in found] for ref, found in revision.stalled.items()},
        }
        self._store.memory.put(SOURCE_STATE, state, self._clock())

    def _known_revision(self) -> str:
        return str((self._store.memory.get(SOURCE_STATE) or {}).get("revision", ""))


def _key(ref: Ref) -> str:
    return f"{ref.kind}/{ref.namespace}/{ref.name}"


def _damaged_place(place: str | None, found: Manifests) -> str | None:
    """The damaged file or folder in which `place` lies. A place nobody remembers may lie in any of them."""
    for damaged in sorted(found.damaged):
        if place is None or place == damaged or place.startswith(damaged.rstrip("/") + "/"):
            return damaged
    return None


def _summary(count: int, stalled: Findings, unread: Sequence[Problem]) -> str:
    parts = [plural(count, "resource")]
    if stalled:
        parts.append(f"stalled: {listing([str(ref) for ref in sorted(stalled)])}")
    if unread:
        more = f" and {plural(len(unread) - 1, 'more problem')}" if len(unread) > 1 else ""
        parts.append(f"{unread[0]}{more}")
    return "; ".join(parts)
