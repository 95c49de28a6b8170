"""A controller that runs alone: it follows its source, answers on its socket, and ends cleanly."""

import asyncio
import os
import shutil
import signal
import time
from dataclasses import replace

import pytest

from telarchy.cli.client import SocketClient, StoreClient, connect
from telarchy.errors import StoreError, TelarchyError
from telarchy.runtime import standalone
from telarchy.runtime.evidence import EVIDENCE
from telarchy.runtime.standalone import Ended, RunOptions, controller, run
from telarchy.store import Store
from tests.unit.runtime.toyroom import Toys

HOSTS = """\
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: black, labels: {site: home}}
spec:
  class: Server
  alwaysOn: true
  connection: {local: {}}
  mediaRoots: [{name: main, path: /srv/black}]
"""
FLOOR = """\
apiVersion: telarchy.dev/v1alpha1
kind: CustodyFloor
metadata: {name: films}
spec:
  select: {paths: ["films/*"]}
  copies: 1
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "fleet"
    path.mkdir()
    (path / "hosts.yaml").write_text(HOSTS)
    (path / "floor.yaml").write_text(FLOOR)
    return path


def options(tmp_path, folder=None, **more):
    return RunOptions(state=tmp_path / "state", source=str(folder) if folder else "", **more)


async def ask(client, question, **arguments):
    return await asyncio.to_thread(client.ask, question, **arguments)


async def until(truth, within=5.0):
    deadline = time.monotonic() + within
    while not await asyncio.to_thread(truth):
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)


async def test_until_settled_ends_when_everything_is_so(tmp_path, folder):
    toys = Toys()
    asked = options(tmp_path, folder, until_settled=True)
    async with controller(asked, rooms=toys.rooms()) as running:
        assert await run(running, asked) == Ended.SETTLED
    assert len(toys.placed) == 2
    assert toys.closed


async def test_not_settled_in_time(tmp_path, folder):
    asked = options(tmp_path, folder, until_settled=True, timeout=0.3)
    async with controller(asked, rooms=Toys(seconds=60).rooms()) as running:
        assert await run(running, asked) == Ended.NOT_SETTLED


@pytest.mark.parametrize("fault", ["stalled", "missing"])
async def test_settled_is_not_enough_when_something_declared_cannot_be_used(tmp_path, folder, fault):
    if fault == "stalled":
        (folder / "floor.yaml").write_text(FLOOR.replace("copies: 1", "copies: one"))
    else:
        folder = folder / "nowhere"
    asked = options(tmp_path, folder, until_settled=True, timeout=5)
    async with controller(asked, rooms=Toys().rooms()) as running:
        assert await run(running, asked) == Ended.FAILED


async def test_a_second_controller_is_refused_and_told_who_is_first(tmp_path, folder):
    asked = options(tmp_path, folder)
    async with controller(asked, rooms=Toys().rooms()):
        with pytest.raises(StoreError, match=rf"another controller \(pid {os.getpid()}\)"):
            async with controller(asked, rooms=Toys().rooms()):
                pass
    async with controller(asked, rooms=Toys().rooms()):
        pass


@pytest.mark.parametrize(
    ("number", "ended"), [(signal.SIGTERM, Ended.SETTLED), (signal.SIGINT, Ended.INTERRUPTED)]
)
async def test_signals_end_it_cleanly(tmp_path, folder, number, ended):
    asked, toys = options(tmp_path, folder), Toys(seconds=60)
    async with controller(asked, rooms=toys.rooms()) as running:
        asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), number)
        assert await run(running, asked) == ended
    assert toys.closed
    assert not (tmp_path / "state" / "control.sock").exists()


async def test_who_waits_until_all_is_so_is_not_told_so_when_it_is_stopped(tmp_path, folder):
    asked, toys = replace(options(tmp_path, folder), until_settled=True), Toys(seconds=60)
    async with controller(asked, rooms=toys.rooms()) as running:
        asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGTERM)
        assert await run(running, asked) == Ended.TERMINATED


async def test_sighup_looks_again(tmp_path, folder):
    asked, toys = options(tmp_path, folder), Toys()
    async with controller(asked, rooms=toys.rooms()) as running:
        task = asyncio.create_task(run(running, asked))
        await running.engine.declared.wait()
        looks = toys.looks
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: toys.looks > looks)
        os.kill(os.getpid(), signal.SIGTERM)
        await task


@pytest.mark.parametrize(("begun_with", "goes_on"), [(signal.SIG_DFL, False), (signal.SIG_IGN, True)])
async def test_a_run_ends_with_its_terminal_but_not_under_nohup(
    tmp_path, folder, monkeypatch, begun_with, goes_on
):
    terminal = [True]
    monkeypatch.setattr(standalone, "has_terminal", lambda: terminal[0])
    former = signal.signal(signal.SIGHUP, begun_with)
    try:
        asked, toys = options(tmp_path, folder), Toys()
        async with controller(asked, rooms=toys.rooms()) as running:
            task = asyncio.create_task(run(running, asked))
            await running.engine.declared.wait()
            terminal[0], looks = False, toys.looks
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: toys.looks > looks if goes_on else task.done())
            assert task.done() is not goes_on
            if goes_on:
                os.kill(os.getpid(), signal.SIGTERM)
            await task
        assert signal.getsignal(signal.SIGHUP) is begun_with
    finally:
        signal.signal(signal.SIGHUP, former)


async def test_no_evidence_is_kept_of_what_is_not_listed_yet(tmp_path, folder):
    asked, toys, behind, saves = options(tmp_path, folder), Toys(), [True], []

    def save():
        saves.append(1)
        behind[0] = False

    rooms = replace(toys.rooms(), behind=lambda: behind[0], save=save)
    async with controller(asked, rooms=rooms) as running:
        task = asyncio.create_task(run(running, asked))
        await until(lambda: running.store.memory.get("controller"))
        assert running.store.memory.get(EVIDENCE) is None and not saves
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert saves == [1]
    store = Store.open(asked.state, read_only=True)
    assert store.memory.get(EVIDENCE) is not None


@pytest.fixture
async def alive(tmp_path, folder):
    """A controller on a folder, and a client of its socket."""
    asked = options(tmp_path, folder)
    async with controller(asked, rooms=Toys().rooms()) as running:
        task = asyncio.create_task(run(running, asked))
        client = await asyncio.to_thread(connect, asked.state)
        assert isinstance(client, SocketClient)
        await until(lambda: (client.ask("plan") or {}).get("settled"))
        yield client, running, folder
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_socket_is_private(alive, tmp_path):
    assert (tmp_path / "state" / "control.sock").stat().st_mode & 0o777 == 0o600


async def test_socket_and_store_give_the_same_answers(tmp_path, folder):
    questions = [
        ("resources", {}),
        ("resources", {"kinds": ["hosts"]}),
        ("events", {}),
        ("events", {"kind": "floor", "name": "films"}),
        ("holds", {}),
        ("source", {}),
    ]
    asked = options(tmp_path, folder)
    async with controller(asked, rooms=Toys().rooms()) as running:
        task = asyncio.create_task(run(running, asked))
        client = await asyncio.to_thread(connect, asked.state)
        await until(lambda: (client.ask("plan") or {}).get("settled"))
        before = [await ask(client, question, **arguments) for question, arguments in questions]
        plan = await ask(client, "plan")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    store = connect(asked.state, quiet=True)
    assert isinstance(store, StoreClient)
    assert [store.ask(question, **arguments) for question, arguments in questions] == before
    assert store.ask("plan")["floors"] == plan["floors"]
    assert "s old; no controller is running" in store.note()


async def test_why_and_refusals_over_the_socket(alive):
    client, _, _ = alive
    assert await ask(client, "why", topic="title", name="films/ä") == ["title films/ä: 2 toys are placed"]
    with pytest.raises(TelarchyError, match="no kind `unicorns`"):
        await ask(client, "resources", kinds=["unicorns"])
    with pytest.raises(TelarchyError, match="desired state comes from"):
        await asyncio.to_thread(client.tell, "apply", text=FLOOR)
    with pytest.raises(TelarchyError, match="nothing waits for approval"):
        await asyncio.to_thread(client.tell, "approve", prefix="abcdef")
    with pytest.raises(TelarchyError, match="does not know the question `secrets`"):
        await ask(client, "secrets")


async def test_watching_gives_the_answer_again_when_it_changed(alive):
    client, _, folder = alive
    answers = client.follow("resources", kinds=["floors"])
    assert len(await asyncio.to_thread(next, answers)) == 1
    (folder / "more.yaml").write_text(FLOOR.replace("films", "more"))
    names = {one["metadata"]["name"] for one in await asyncio.to_thread(next, answers)}
    assert names == {"films", "more"}


async def test_a_save_is_acted_on_within_a_blink(alive):
    _, running, folder = alive
    quickest = 9.0  # of several, since the machine that tests may be busy
    for name in ("white", "grey", "brown"):
        rounds, began = running.engine.reconciler.rounds, time.perf_counter()
        (folder / "hosts.yaml").write_text(HOSTS + "---\n" + HOSTS.replace("black", name))
        while running.engine.reconciler.rounds == rounds:
            await asyncio.sleep(0.005)
        quickest = min(quickest, time.perf_counter() - began)
        await asyncio.sleep(0.6)
    assert quickest < 0.3


async def test_the_embedded_store_is_applied_to_while_it_runs(tmp_path):
    asked, toys = options(tmp_path), Toys()
    async with controller(asked, rooms=toys.rooms()) as running:
        task = asyncio.create_task(run(running, asked))
        client = await asyncio.to_thread(connect, asked.state)
        changes = await asyncio.to_thread(client.tell, "apply", text=f"{HOSTS}---\n{FLOOR}")
        assert changes == [
            {"ref": "host/black", "verb": "created"},
            {"ref": "custodyfloor/films", "verb": "created"},
        ]
        await until(lambda: len(toys.placed) == 2)
        gone = await asyncio.to_thread(
            client.tell, "delete", refs=[{"kind": "floor", "namespace": "default", "name": "films"}]
        )
        assert gone == [{"ref": "custodyfloor/films", "verb": "deleted"}]
        assert [one["kind"] for one in await ask(client, "resources")] == ["Host"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_held_change_waits_for_a_word(tmp_path, folder):
    asked, toys = options(tmp_path, folder), Toys(hold=True)
    async with controller(asked, rooms=toys.rooms()) as running:
        task = asyncio.create_task(run(running, asked))
        client = await asyncio.to_thread(connect, asked.state)
        await until(lambda: client.ask("holds")["waiting"])
        (hold,) = (await ask(client, "holds"))["waiting"]
        assert not toys.placed
        with pytest.raises(TelarchyError, match="too short"):
            await asyncio.to_thread(client.tell, "approve", prefix=hold["hash"][:3])
        await asyncio.to_thread(client.tell, "approve", prefix=hold["hash"][:6], who="me")
        await until(lambda: len(toys.placed) == 2)
        (approved,) = (await ask(client, "holds"))["approved"]
        assert approved["who"] == "me"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_state_folder_with_a_long_path_still_has_a_socket(tmp_path, folder):
    deep = tmp_path.joinpath(*["a-rather-long-folder-name"] * 6)
    asked = RunOptions(state=deep, source=str(folder))
    async with controller(asked, rooms=Toys().rooms()):
        client = await asyncio.to_thread(connect, deep)
        assert (await ask(client, "health"))["running"]


@pytest.mark.parametrize("then", ["gone", "another"])
async def test_without_its_state_folder_it_ends_and_says_so(tmp_path, folder, monkeypatch, then):
    monkeypatch.setattr(standalone, "STATE_SECONDS", 0.1)
    asked = options(tmp_path, folder)
    async with controller(asked, rooms=Toys().rooms()) as running:
        running_on = asyncio.ensure_future(run(running, asked))
        await asyncio.sleep(0.5)
        assert not running_on.done()
        shutil.rmtree(asked.state)
        if then == "another":
            asked.state.mkdir()
            (asked.state / "lock").touch()
        with pytest.raises(StoreError, match=r"state folder .*/state is gone"):
            await asyncio.wait_for(running_on, 10)


async def test_settled_means_that_what_left_has_left(tmp_path, folder):
    asked = options(tmp_path, folder, until_settled=True, timeout=10)
    for kept in (2, 1):
        async with controller(asked, rooms=Toys().rooms()) as running:
            assert await run(running, asked) == Ended.SETTLED
            assert len(running.store.objects.all("source")) == kept
        (folder / "floor.yaml").unlink(missing_ok=True)


async def test_an_empty_folder_is_not_a_fleet_that_is_as_declared(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    asked = options(tmp_path, empty, until_settled=True, timeout=10.0)
    async with controller(asked, rooms=Toys().rooms()) as running:
        assert await run(running, asked) == Ended.FAILED
