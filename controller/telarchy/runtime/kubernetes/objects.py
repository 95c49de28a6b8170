"""What is declared in one namespace, as the watch tells it, and the revision that comes of it.

A watch repeats itself: every status that we write comes back as an event. Only what a person declares counts as a
change here: the spec (by its generation), labels, the annotations that steer Telarchy, our finalizer, and whether the
object is there at all. One that was deleted and is still there (some finalizer holds it) is not declared any more. An
object that is invalid now (the models refuse something that the CRD's rules let through) stays in its last good
version and is shown as Stalled; so is one that does not fit together with the others.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from telarchy.core.action import stable_id
from telarchy.errors import ConfigError, Problem
from telarchy.resources import references
from telarchy.resources.host import Host
from telarchy.resources.loader import Loaded, LoadedResource, resource_from_manifest
from telarchy.resources.meta import GROUP, Ref, Resource
from telarchy.resources.yamltext import Node, Positions
from telarchy.runtime.manifests import UNUSABLE
from telarchy.runtime.revision import Revision

RECONCILE_AT = f"{GROUP}/reconcile-at"
APPROVE = f"{GROUP}/approve"
FINALIZER = f"{GROUP}/cleanup"
IN_USE = "it was deleted, and is kept until no MediaEndpoint stands on it: delete those, or give them another hostRef"
_MARKS = (RECONCILE_AT, APPROVE)
_NOWHERE = Positions(Node({}, 0, 0))

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Held:
    """One object as last seen.

    resource:  its last good version, None when there never was one
    problems:  why the present version cannot be used, () when it can
    deleted:   it only waits for its finalizers
    final:     whether ours is among them
    status:    as the API server had it last, in that version
    """

    ref: Ref
    uid: str
    generation: int
    created: str
    labels: tuple[tuple[str, str], ...]
    marks: tuple[tuple[str, str], ...]
    resource: Resource | None
    problems: tuple[Problem, ...] = ()
    deleted: bool = False
    final: bool = False
    status: Body = field(default_factory=dict, compare=False)
    version: str = field(default="", compare=False)

    @property
    def face(self) -> tuple[Any, ...]:
        """What makes it another object to the loop."""
        return self.uid, self.generation, self.labels, self.marks, self.deleted, self.final

    def mark(self, name: str) -> str:
        return dict(self.marks).get(name, "")


class Objects:
    """One namespace. No I/O."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.complete = False
        self._held: dict[Ref, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, ref: Ref) -> Held | None:
        return self._held.get(ref)

    def take(self, body: Body) -> bool:
        """Note an object as the API server has it. True when that changes what is declared."""
        before = self._held.get(ref_of(body))
        now = _held(body, before)
        self._held[now.ref] = now
        return before is None or before.face != now.face

    def drop(self, ref: Ref, uid: str = "") -> bool:
        """It is gone. An object of the same name that was created since stays."""
        held = self._held.get(ref)
        if held is None or (uid and held.uid != uid):
            return False
        del self._held[ref]
        return True

    def finalizers(self, released: Container[Ref]) -> Iterator[tuple[Ref, str, bool]]:
        """Objects, with their uid, whose finalizer is to be set (True) or taken away.

        What departs keeps it until it is released; a host, while something with a finalizer stands on it: without its
        address and its key nothing could be undone there."""
        used = _hosts_of(self)
        for one in self:
            undone = one.resource is not None and one.resource.undone
            if one.deleted:
                if one.final and one.ref not in used and not (undone and one.ref not in released):
                    yield one.ref, one.uid, False
            elif one.resource is not None and not one.problems:
                wanted = undone or one.ref in used
                if wanted != one.final:
                    yield one.ref, one.uid, wanted

    def marked(self, name: str) -> Mapping[Ref, str]:
        """The values of one of our annotations, by object."""
        return {one.ref: value for one in self if (value := one.mark(name))}

    def revision(self) -> Revision:
        """Desired state of this moment. The same objects make an equal revision."""
        return compose(tuple(self), complete=self.complete)


def compose(objects: Sequence[Held], *, complete: bool) -> Revision:
    """One revision out of objects. Pure, and slow enough with thousands of them to be worth a thread."""
    held = sorted(objects, key=lambda one: (one.created, one.ref))
    way_out = _hosts_of(one for one in held if one.deleted)
    resources = {
        one.ref: _cordoned(one.resource) if one.deleted else one.resource
        for one in held
        if one.resource is not None and (not one.deleted or (one.final and one.ref in way_out))
    }
    departing = {
        one.ref: one.resource for one in held if one.deleted and one.final and one.resource is not None
    }
    stalled = {one.ref: one.problems for one in held if one.problems and not one.deleted}
    for one in held:
        if one.deleted and one.final and one.ref.kind == Host.__name__ and one.ref not in resources:
            stalled[one.ref] = (Problem(IN_USE, rule="host-in-use"),)
    found = references.check(
        Loaded([LoadedResource(one, str(one.ref), _NOWHERE) for one in resources.values()])
    )
    by_name = {str(ref): ref for ref in resources}
    for problem in found:
        ref = by_name.get(problem.file)
        if ref is None or problem.severity != "error":
            continue
        stalled[ref] = (*stalled.get(ref, ()), replace(problem, file=""))
        if problem.rule in UNUSABLE:
            resources.pop(ref, None)
    return Revision(
        resources=tuple(resources.values()),
        stalled=stalled,
        problems=tuple(problem for problems in stalled.values() for problem in problems),
        revision=_digest(held),
        complete=complete,
        departing={ref: one for ref, one in departing.items() if one.undone},
    )


def _hosts_of(objects: Iterable[Held]) -> frozenset[Ref]:
    """The hosts on which something with our finalizer stands."""
    named = (
        (one.ref.namespace, getattr(one.resource.spec, "host_ref", None))
        for one in objects
        if one.final and one.resource is not None
    )
    return frozenset(Ref(Host.__name__, namespace, host) for namespace, host in named if host)


def _cordoned(resource: Resource) -> Resource:
    """A deleted host as it is used until what stands on it is undone: nothing new is put there."""
    if not isinstance(resource, Host):
        return resource
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"cordon": True})})


def ref_of(body: Body) -> Ref:
    """Which object this is."""
    metadata = body["metadata"]
    return Ref(str(body["kind"]), str(metadata.get("namespace", "")), str(metadata["name"]))


def _held(body: Body, before: Held | None) -> Held:
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    uid, generation = str(metadata.get("uid", "")), int(metadata.get("generation", 0))
    labels = tuple(sorted((metadata.get("labels") or {}).items()))
    resource, problems = _parsed(body, before if before is not None and before.uid == uid else None)
    return Held(
        ref=ref_of(body),
        uid=uid,
        generation=generation,
        created=str(metadata.get("creationTimestamp", "")),
        labels=labels,
        marks=tuple((name, str(annotations[name])) for name in _MARKS if name in annotations),
        resource=resource,
        problems=problems,
        deleted=bool(metadata.get("deletionTimestamp")),
        final=FINALIZER in (metadata.get("finalizers") or ()),
        status=body.get("status") or {},
        version=str(metadata.get("resourceVersion", "")),
    )


def _parsed(body: Body, before: Held | None) -> tuple[Resource | None, tuple[Problem, ...]]:
    """The resource, or its last good version and what is wrong with this one."""
    if before is not None and before.generation == body["metadata"].get("generation") and not before.problems:
        labels = tuple(sorted((body["metadata"].get("labels") or {}).items()))
        if labels == before.labels:
            return before.resource, ()
    # what only the API server writes is bulky and means nothing to the loop
    kept = ("name", "namespace", "labels", "generation", "uid", "creationTimestamp")
    metadata = {name: value for name, value in body["metadata"].items() if name in kept}
    manifest = {name: value for name, value in body.items() if name not in ("status", "metadata")}
    try:
        return resource_from_manifest(manifest | {"metadata": metadata}), ()
    except ConfigError as error:
        return (before.resource if before is not None else None), tuple(error.problems)


def _digest(held: Iterable[Held]) -> str:
    """Twelve digits that are the same for the same declaration."""
    return stable_id(
        *sorted(
            f"{one.ref.kind}/{one.ref.name}/{one.uid}/{one.generation}/{one.labels}"
            for one in held
            if not one.deleted
        )
    )[:12]
