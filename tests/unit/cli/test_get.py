"""`get` and `describe` with what kubectl users give them: several names, of which one is not there."""

import asyncio
import json
import signal

import pytest
import yaml

from telarchy.runtime.standalone import RunOptions, controller, run
from tests.unit.cli.calling import watcher


@pytest.fixture(params=["controller", "store"])
async def ask(request, telarchy, fleet, tmp_path, toys):
    """The command line, answered by a running controller or from the store."""

    async def call(*words):
        return await asyncio.to_thread(telarchy, *words)

    if request.param == "store":
        await call("apply", "-f", fleet)
        yield call
        return
    asked = RunOptions(state=tmp_path / "state", source=str(fleet))
    async with controller(asked, rooms=toys.rooms()) as running:
        keeping = asyncio.create_task(run(running, asked))
        await running.engine.declared.wait()
        yield call
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


NOPE = "telarchy: host/nope not found"


def complaints(ended):
    return [line for line in ended.err.splitlines() if line.startswith("telarchy: ")]


async def test_those_that_are_there_are_shown_and_each_missing_one_is_told(ask):
    ended = await ask("get", "hosts", "nope", "black", "atic")
    assert ended.code == 1
    heading, black = ended.out.splitlines()
    assert heading.startswith("NAME ") and black.startswith("black ")
    assert complaints(ended) == [NOPE, "telarchy: host/atic not found; did you mean host/attic?"]


async def test_kind_slash_name(ask):
    ended = await ask("get", "ho/black", "cf/nope", "-o", "name")
    assert (ended.code, ended.out) == (1, "host/black\n")
    assert complaints(ended) == ["telarchy: custodyfloor/nope not found"]


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
async def test_programs_get_a_list_of_those_that_are_there(ask, form, read):
    ended = await ask("get", "hosts", "black", "nope", "-o", form)
    assert (ended.code, complaints(ended)) == (1, [NOPE])
    told = read(ended.out)
    assert told["kind"] == "List"
    assert [one["metadata"]["name"] for one in told["items"]] == ["black"]


async def test_where_none_is_there_no_table_is_shown(ask):
    ended = await ask("get", "hosts", "nope", "nine")
    assert (ended.code, ended.out) == (1, "")
    assert complaints(ended) == [NOPE, "telarchy: host/nine not found"]
    assert "No resources found" not in ended.err


async def test_one_that_is_not_there_is_no_document(ask):
    ended = await ask("get", "host", "nope", "-o", "json")
    assert (ended.code, ended.out, complaints(ended)) == (1, "", [NOPE])


async def test_describe(ask):
    ended = await ask("describe", "hosts", "black", "nope")
    assert (ended.code, complaints(ended)) == (1, [NOPE])
    assert "Name:         black" in ended.out


async def test_who_watches_for_one_that_is_not_there_is_told_at_once(ask):
    ended = await ask("get", "hosts", "nope", "-w")
    assert (ended.code, ended.out, complaints(ended)) == (1, "", [NOPE])


@pytest.mark.parametrize("form", ["json", "yaml", "name", "wide"])
async def test_names_and_a_selector_contradict_each_other(ask, form):
    ended = await ask("get", "host", "black", "-l", "site=away", "-o", form)
    assert (ended.code, ended.out) == (64, "")
    assert "give names or -l, not both" in ended.err


def test_one_that_goes_away_while_it_is_watched(telarchy, fleet):
    telarchy("apply", "-f", fleet)
    with watcher("get", "host", "black", "-w", "--no-headers") as watch:
        assert watch.stdout.readline().split()[:2] == ["black", "Server"]
        telarchy("delete", "host/black")
        assert watch.stdout.readline() == "host/black deleted\n"
        watch.send_signal(signal.SIGINT)
        assert watch.wait() == 130
        assert "Traceback" not in watch.stderr.read()


async def test_describe_takes_a_selector(ask):
    ended = await ask("describe", "hosts", "-l", "site=away")
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if line.startswith("Name:")] == ["Name:         attic"]
    assert (await ask("describe", "host", "black", "-l", "site=away")).code == 64


def test_a_folder_of_another_user_is_not_called_a_controller(telarchy, monkeypatch, tmp_path):
    def refused(_):
        raise PermissionError(13, "Permission denied")  # nothing is closed to the root that may run this test

    monkeypatch.setattr("telarchy.cli.client._Connection.connect", refused)
    ended = telarchy("get", "hosts")
    assert ended.code == 1
    assert ended.err == (
        f"telarchy: {tmp_path / 'state'} is closed to this user; "
        "a controller answers only to the user that it runs as\n"
    )


@pytest.mark.parametrize("asked", ["events", "ev"])
def test_who_gets_events_is_told_the_verb(telarchy, asked):
    assert (
        "telarchy: events are no resources here; `telarchy events` shows them" in telarchy("get", asked).err
    )


def test_no_kind_at_all(telarchy):
    ended = telarchy("get", ",")
    assert (ended.code, ended.out) == (64, "")


def test_events_of_a_bare_name(telarchy):
    ended = telarchy("events", "--for", "attic")
    assert ended.code == 64
    assert "--for takes one kind/name" in ended.err


@pytest.mark.parametrize("asked", ["site in home", "site=home,", "=home"])
def test_what_is_no_selector_is_told_how_one_looks(telarchy, asked):
    ended = telarchy("get", "hosts", "-l", asked)
    assert ended.code == 64
    assert f"`{asked}` is not a label selector" in ended.err
    assert "key in (one, other), key notin (one, other)" in ended.err


def test_watched_documents_can_be_told_apart(telarchy, fleet):
    telarchy("apply", "-f", fleet)
    with watcher("get", "hosts", "-w", "-o", "yaml") as watch:
        shown = [watch.stdout.readline()]
        while "name: black\n" not in "".join(shown):
            shown.append(watch.stdout.readline())
        telarchy("delete", "host/black")
        while "deleted" not in (told := watch.stderr.readline()):
            assert told  # the watch goes on
        watch.kill()
        shown += watch.stdout.readlines()
    documents = list(yaml.safe_load_all("".join(shown)))
    assert [one["metadata"]["name"] for one in documents] == ["attic", "black"]
