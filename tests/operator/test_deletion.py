"""Deleting what has something on hosts: the object stays until that is undone, or goes at once with Orphan."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from telarchy.resources.crd import crd
from tests.operator.client import PLURALS, until
from tests.operator.gadgets import AWAY, FOLDER, KIND
from tests.operator.test_objects import HOST, root

FINALIZER = "telarchy.dev/cleanup"
MODULE = "tests.operator.gadgets"


@pytest.fixture
async def folder(api, monkeypatch, tmp_path):
    """The host. The kind is known to the API server meanwhile."""
    made = tmp_path / "box"
    made.mkdir()
    monkeypatch.setenv(FOLDER, str(made))
    monkeypatch.setitem(PLURALS, KIND.name, KIND.plural)
    await api.install_crd(crd(KIND))
    return made


def finalizers(one):
    return one["metadata"].get("finalizers") or []


async def until_gone(api, name="lamp"):
    async def gone() -> bool:
        try:
            await api.get("Gadget", name)
        except aiohttp.ClientResponseError as error:
            return error.status == 404
        return False

    await until(gone, f"{name} is gone")


async def until_final(api, wanted, name="lamp"):
    async def final() -> bool:
        return finalizers(await api.get("Gadget", name)) == wanted

    await until(final, f"{name} has the finalizers {wanted}")


async def test_a_deleted_object_stays_until_what_it_has_on_hosts_is_undone(api, gate, operators, folder):
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("Gadget", "lamp", {}, finalizers=["example.org/other"])
    await operators.start(module=MODULE)
    await api.until_ready("Gadget", "lamp")
    await until_final(api, ["example.org/other", FINALIZER])
    assert (folder / "lamp").read_text() == "Release"
    (folder / AWAY).touch()
    await api.delete("Gadget", "lamp")

    async def told() -> bool:
        one = await api.condition("Gadget", "lamp", "Ready")
        return one["reason"] == "Releasing" and one["message"] == "the host does not answer"

    await until(told, "its status says why it is still there")
    await asyncio.sleep(1)
    assert (folder / "lamp").exists()
    (folder / AWAY).unlink()
    await until_final(api, ["example.org/other"])
    assert not (folder / "lamp").exists()
    metadata = (await api.get("Gadget", "lamp"))["metadata"]
    version = metadata["resourceVersion"]
    await api.call(
        "PATCH",
        f"/apis/telarchy.dev/v1alpha1/namespaces/{api.namespace}/gadgets/lamp",
        {"metadata": {"finalizers": [], "resourceVersion": version}},
        kind="application/merge-patch+json",
    )
    await until_gone(api)
    writes = {what for what in gate.writes if "gadgets" in what or "hosts" in what}
    assert writes == {"PATCH gadgets", "PATCH gadgets/status"}, "what has no deletionPolicy gets no finalizer"
    assert 2 <= gate.writes["PATCH gadgets"] <= 4  # each of both may meet a status that is written meanwhile


async def test_what_is_to_be_left_on_hosts_has_no_finalizer_and_goes_at_once(api, gate, operators, folder):
    await api.apply("Gadget", "lamp", {"deletionPolicy": "Orphan"})
    await operators.start(module=MODULE)
    await api.until_ready("Gadget", "lamp")
    await api.delete("Gadget", "lamp")
    await until_gone(api)
    await asyncio.sleep(1)
    assert (folder / "lamp").exists()
    assert gate.writes["PATCH gadgets"] == 0


async def test_a_changed_policy_is_followed_even_when_it_is_late(api, operators, folder):
    await api.apply("Gadget", "lamp", {"deletionPolicy": "Orphan"})
    await operators.start(module=MODULE)
    await api.until_ready("Gadget", "lamp")
    assert finalizers(await api.get("Gadget", "lamp")) == []
    await api.apply("Gadget", "lamp", {"deletionPolicy": "Release"})
    await until_final(api, [FINALIZER])
    (folder / AWAY).touch()
    await api.delete("Gadget", "lamp")
    await asyncio.sleep(0.5)
    await api.apply("Gadget", "lamp", {"deletionPolicy": "Orphan"})  # the host will never come back
    await until_gone(api)


async def test_what_was_deleted_while_no_operator_ran_is_undone_by_the_next(api, operators, folder):
    await api.apply("Gadget", "lamp", {})
    first = await operators.start(module=MODULE)
    await api.until_ready("Gadget", "lamp")
    await until_final(api, [FINALIZER])
    await first.kill()
    await api.delete("Gadget", "lamp")
    assert (await api.get("Gadget", "lamp"))["metadata"]["deletionTimestamp"]
    await operators.start("op-b", module=MODULE)
    await until_gone(api)
    assert not (folder / "lamp").exists()
