"""What scripts wait for: nobody is told that all is as declared while the source could not be read, or not yet."""

import asyncio
import shutil

import pytest

from telarchy.cli import cluster
from telarchy.cli.address import Address
from telarchy.runtime.directory import Directory
from telarchy.runtime.standalone import RunOptions, controller, run
from tests.unit.cli.smallfleet import MANIFESTS

MORE = MANIFESTS.rpartition("---\n")[2].replace("{name: films}", "{name: more}")


@pytest.fixture
async def ask(telarchy, fleet, tmp_path, toys):
    """The command line, answered by a controller that follows a folder."""
    asked = RunOptions(state=tmp_path / "state", source=str(fleet))
    async with controller(asked, rooms=toys.rooms()) as running:
        keeping = asyncio.create_task(run(running, asked))
        await running.engine.declared.wait()

        async def call(*words):
            return await asyncio.to_thread(telarchy, *words)

        assert (await call("reconcile", "--wait", "--timeout", "10s")) == (0, "", "")
        yield call
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


class TestWaiting:
    async def test_what_was_declared_before_the_question_is_waited_for(self, ask, fleet, toys, monkeypatch):
        quick = Directory.look

        async def slow(self):
            await asyncio.sleep(1.0)  # as a fetch over the network takes it
            return await quick(self)

        monkeypatch.setattr(Directory, "look", slow)
        (fleet / "more.yaml").write_text(MANIFESTS.partition("---\n")[0].replace("black", "grey"))
        assert (await ask("reconcile", "--wait", "--timeout", "10s")).code == 0
        assert len(toys.placed) == 6  # two on each of three hosts

    async def test_a_manifest_in_error_is_not_as_declared(self, ask, fleet):
        (fleet / "more.yaml").write_text(MORE.replace("copies: 1", "copies: lots"))
        ended = await ask("reconcile", "--wait", "--timeout", "10s")
        assert ended.code == 1 and "stalled: custodyfloor/more" in ended.err

    async def test_a_host_that_is_not_in_order_holds_it_up(self, ask, toys):
        toys.stuck = "its key has changed"
        ended = await ask("reconcile", "--wait", "--timeout", "1s")
        assert ended.code == 3
        assert "not settled within 1s" in ended.err and "host/black: its key has changed" in ended.err


class TestSourceAway:
    async def test_the_plan_says_so_and_ends_with_1(self, ask, fleet):
        shutil.rmtree(fleet)
        await ask("reconcile", "--wait", "--timeout", "10s")
        ended = await ask("plan")
        assert ended.code == 1
        assert (
            f"telarchy: {fleet} cannot be read: no such file or directory; 3 resources as last" in ended.err
        )


class TestNothingDeclared:
    async def test_nor_does_a_controller_say_so_that_was_given_none(self, telarchy, tmp_path, toys):
        asked = RunOptions(state=tmp_path / "state")
        async with controller(asked, rooms=toys.rooms()) as running:
            keeping = asyncio.create_task(run(running, asked))
            await running.engine.declared.wait()
            ended = await asyncio.to_thread(telarchy, "plan")
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        assert ended.code == 1 and "telarchy: nothing is declared" in ended.err
        assert "as declared" not in ended.out

    def test_an_empty_store_is_no_fleet_as_declared(self, telarchy, tmp_path):
        for words in (("plan",), ("run", "--until-settled", "--timeout", "5s")):
            ended = telarchy(*words)
            assert ended.code == 1 and "as declared" not in ended.out
            assert "telarchy: nothing is declared: name a --source, or " in ended.err

    def test_nor_is_a_damaged_one(self, telarchy, fleet, tmp_path):
        telarchy("apply", "-f", fleet)
        (tmp_path / "state" / "store.sqlite").write_bytes(b"\xff" * 5000)
        ended = telarchy("plan")
        assert ended.code == 1 and "is damaged" in ended.err and "as declared" not in ended.out


def test_on_a_cluster_the_operator_has_to_have_heard_it(monkeypatch):
    fleet = {"kind": "Fleet", "metadata": {"name": "home", "namespace": "home"}}
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Running",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    fleet["status"] = {"conditions": [ready]}
    client = cluster.ClusterClient(Address(options=(), namespace="home"))
    monkeypatch.setattr(client, "_resources", lambda **_: [fleet])
    said = []
    monkeypatch.setattr(client, "_run", lambda *words, **_: said.append(words))
    client.tell("reconcile")
    assert not client.ask("settled", since=0.0)
    fleet["status"]["lastHandledReconcileAt"] = said[0][3].partition("=")[2]
    assert client.ask("settled", since=0.0)
