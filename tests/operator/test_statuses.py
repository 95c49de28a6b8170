"""Whose status is written: what waited while its object was deleted, or changed by others, meets the right one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import yaml

from telarchy.resources.meta import Ref
from telarchy.runtime.kubernetes.cluster import Cluster
from telarchy.runtime.kubernetes.login import connection
from telarchy.runtime.kubernetes.objects import Objects
from telarchy.runtime.kubernetes.rates import TokenBucket
from telarchy.runtime.kubernetes.statuses import StatusWriter
from tests.operator.processes import kubeconfig_for
from tests.operator.test_objects import HOST, root

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Reachable",
    "message": "it answers",
    "lastTransitionTime": "2026-11-21T06:00:00Z",
}
STATUS = {"observedGeneration": 1, "state": "Up", "conditions": [READY]}


@asynccontextmanager
async def writer(api, gate, folder):
    """A writer that knows one host as a watch told of it, and what it found to be gone."""
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig_for(gate.url)))
    objects, gone = Objects(api.namespace), []

    def known(ref):
        held = objects.get(ref)
        return (held.uid, held.version) if held is not None else ("", "")

    async with Cluster(lambda: connection(folder / "kubeconfig")) as cluster:
        made = StatusWriter(cluster, TokenBucket(1000.0, 1000), known, gone.append)
        running = asyncio.create_task(made.run())
        try:
            yield made, objects, gone
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_status_never_reaches_another_object_of_the_same_name(api, gate, tmp_path):
    first = await api.apply("Host", "attic", HOST | root("attic"))
    ref = Ref("Host", api.namespace, "attic")
    async with writer(api, gate, tmp_path) as (made, objects, gone):
        objects.take(first)
        await api.delete("Host", "attic")
        second = await api.apply("Host", "attic", HOST | root("attic"))
        made.put(ref, first["metadata"]["uid"], STATUS)  # the watch has not told of either yet
        await made.flush(20)
        assert (await api.get("Host", "attic"))["status"] == second["status"]
        assert gone == [ref] and made.written == 0
        objects.take(second)
        before = gate.writes.copy()
        made.put(ref, first["metadata"]["uid"], STATUS)  # and now it has
        await made.flush(20)
        assert gate.writes == before and gone == [ref, ref]
        made.put(ref, second["metadata"]["uid"], STATUS)
        await made.flush(20)
        assert (await api.get("Host", "attic"))["status"] == STATUS


async def test_a_status_makes_nothing_where_its_object_is_gone(api, gate, tmp_path):
    first = await api.apply("Host", "attic", HOST | root("attic"))
    async with writer(api, gate, tmp_path) as (made, objects, gone):
        objects.take(first)
        await api.delete("Host", "attic")
        made.put(Ref("Host", api.namespace, "attic"), first["metadata"]["uid"], STATUS)
        await made.flush(20)
        assert len(gone) == 1
        objects.drop(Ref("Host", api.namespace, "attic"))
        await api.apply("Host", "attic", HOST | root("attic"))
        before = gate.writes.copy()
        made.put(Ref("Host", api.namespace, "attic"), first["metadata"]["uid"], STATUS)
        await made.flush(20)
        assert len(gone) == 2 and gate.writes == before, "of what the watch does not know nothing is said"
        await api.delete("Host", "attic")
        hosts = await api.call("GET", f"/apis/telarchy.dev/v1alpha1/namespaces/{api.namespace}/hosts")
        assert hosts["items"] == []


async def test_edits_of_others_in_between_cost_a_read_and_are_kept(api, gate, tmp_path):
    first = await api.apply("Host", "attic", HOST | root("attic"))
    ref, uid = Ref("Host", api.namespace, "attic"), first["metadata"]["uid"]
    async with writer(api, gate, tmp_path) as (made, objects, gone):
        objects.take(first)
        for number in range(3):  # the watch lags behind what is written here
            made.put(ref, uid, STATUS | {"endpoint": f"way-{number}"})
            await made.flush(20)
        assert gate.writes["PATCH hosts/status"] == 3 and gate.requests["GET hosts"] == 0
        await api.annotate("Host", "attic", note="mine")
        made.put(ref, uid, STATUS)
        await made.flush(20)
        found = await api.get("Host", "attic")
        assert found["status"] == STATUS and found["metadata"]["annotations"] == {"telarchy.dev/note": "mine"}
        assert gate.writes["PATCH hosts/status"] == 5 and gate.requests["GET hosts"] == 1
        await api.annotate("Host", "attic", note="again")
        objects.take(await api.get("Host", "attic"))  # this time the watch was quicker
        made.put(ref, uid, STATUS | {"endpoint": "way"})
        await made.flush(20)
        assert gate.writes["PATCH hosts/status"] == 6 and gone == []


async def test_what_has_no_fields_any_more_is_taken_out(api, gate, tmp_path):
    """Server-side apply makes null of an object that loses its last field, and its schema refuses the null: of a host
    that does not answer after a restart, nothing could be said any more."""
    first = await api.apply("Host", "attic", HOST | root("attic"))
    ref, uid = Ref("Host", api.namespace, "attic"), first["metadata"]["uid"]
    async with writer(api, gate, tmp_path) as (made, objects, _):
        objects.take(first)
        full = {"versions": {"rsync": "3.2.7"}, "capacity": {"free": 7}}
        made.put(ref, uid, STATUS | full)
        await made.flush(20)
        assert (await api.get("Host", "attic"))["status"] == STATUS | full
        made.put(ref, uid, STATUS | {"state": "Suspect", "versions": {}, "capacity": {"free": None}})
        await made.flush(20)
        assert (made.written, made.refused) == (2, 0)
        assert (await api.get("Host", "attic"))["status"] == STATUS | {"state": "Suspect"}


async def test_names_of_titles_may_be_any(api, gate, tmp_path):
    """The API server reads an apply as YAML, which knows no surrogates: neither pairs of them, as JSON may write what
    is beyond the basic plane, nor single ones, as Python has bytes that are no UTF-8."""
    first = await api.apply("Host", "attic", HOST | root("attic"))
    ref, uid = Ref("Host", api.namespace, "attic"), first["metadata"]["uid"]
    said = "\U0001f3ac Am\u00e9lie \\\\ud83c \u2028\x85\x7f\x9b\ufeff\uffff\t"
    async with writer(api, gate, tmp_path) as (made, objects, _):
        objects.take(first)
        made.put(ref, uid, STATUS | {"conditions": [READY | {"message": said + "\udcff"}]})
        await made.flush(20)
        assert (made.written, made.refused) == (1, 0)
    assert (await api.condition("Host", "attic", "Ready"))["message"] == said + "\ufffd"
