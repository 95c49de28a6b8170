"""What is deleted and what it stands on: finalizers, and what the loop still gets to see."""

from __future__ import annotations

from typing import Any

from telarchy.resources.host import Host
from telarchy.resources.meta import Ref
from telarchy.runtime.kubernetes.objects import FINALIZER, IN_USE, Objects

HERE, ORIGIN = Ref("Host", "home", "here"), Ref("MediaEndpoint", "home", "origin")
SPECS = {
    "Host": {"class": "Server", "connection": {"local": {}}},
    "MediaEndpoint": {"role": "Origin", "hostRef": "here"},
}


def body(ref: Ref, *, deleted: bool = False, final: bool = False, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "namespace": ref.namespace,
        "name": ref.name,
        "uid": ref.kind,
        "generation": 1,
    }
    metadata |= {"finalizers": [FINALIZER]} if final else {}
    metadata |= {"deletionTimestamp": "2026-11-21T06:00:00Z", "generation": 2} if deleted else {}
    return {
        "apiVersion": "telarchy.dev/v1alpha1",
        "kind": ref.kind,
        "metadata": metadata,
        "spec": SPECS[ref.kind] | spec,
    }


def objects(*bodies: dict[str, Any]) -> Objects:
    made = Objects("home")
    made.complete = True
    for one in bodies:
        made.take(one)
    return made


def wanted(of: Objects, *released: Ref) -> dict[Ref, bool]:
    return {ref: present for ref, _, present in of.finalizers(released)}


def test_a_host_is_held_while_something_that_is_to_be_undone_stands_on_it() -> None:
    assert wanted(objects(body(HERE), body(ORIGIN))) == {ORIGIN: True}
    assert wanted(objects(body(HERE), body(ORIGIN, final=True))) == {HERE: True}
    assert wanted(objects(body(HERE, final=True), body(ORIGIN, final=True))) == {}
    assert wanted(objects(body(HERE, final=True))) == {HERE: False}
    orphan = body(ORIGIN, deletionPolicy="Orphan")
    assert wanted(objects(body(HERE), orphan)) == {}


def test_a_deleted_host_stays_in_sight_until_the_last_of_it_is_undone() -> None:
    both = objects(body(HERE, deleted=True, final=True), body(ORIGIN, deleted=True, final=True))
    revision = both.revision()
    (host,) = revision.resources
    assert isinstance(host, Host) and host.spec.cordon, "nothing new is put there"
    assert set(revision.departing) == {ORIGIN} and not revision.stalled
    assert wanted(both) == {}
    assert wanted(both, ORIGIN) == {ORIGIN: False}, "and then the endpoint is let go of"
    both.drop(ORIGIN)
    assert wanted(both) == {HERE: False} and both.revision().resources == ()


def test_a_deleted_host_says_what_still_stands_on_it() -> None:
    revision = objects(body(HERE, deleted=True, final=True), body(ORIGIN, final=True)).revision()
    assert HERE not in {one.ref for one in revision.resources}
    assert [problem.message for problem in revision.stalled[HERE]] == [IN_USE]
