"""What lies on hosts and is not declared there: undone where it is ours, shown where it is not, and never guessed."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telarchy.core.clock import SteadyClock
from telarchy.core.owner import Claim, Holding, Owner
from telarchy.core.plan import Decision
from telarchy.core.world import World
from telarchy.errors import HostUnreachable
from telarchy.links import services
from telarchy.links.link import Completed, Link
from telarchy.links.local import LocalLink
from telarchy.links.secrets import FileSecrets
from telarchy.resources.fleet import Fleet
from telarchy.resources.meta import Ref
from telarchy.streaming import layout
from telarchy.streaming.act import Bench, act
from telarchy.streaming.actions import Retire, TakeOver
from telarchy.streaming.capability import Streaming
from telarchy.streaming.evidence import BaseSeen, Deployed, Tools
from telarchy.streaming.observe import Observer
from telarchy.streaming.playbacksecrets import PlaybackSecrets
from telarchy.streaming.remembering import Remembered
from telarchy.streaming.snapshots import SnapshotBook
from telarchy.streaming.survey import Survey, read_survey, survey_argv
from tests.unit.custody.fleet import MemoryInRam
from tests.unit.streaming.stage import Stage, edge, origin, ssh_host, stream
from tests.world import NOW

ME = Owner("aaaa", "home-1")
FLEET = Fleet.model_validate({"kind": "Fleet", "metadata": {"name": "home"}, "spec": {}})
BLACK, VPS = ssh_host("black"), ssh_host("vps")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, since what lies in a real one is found too."""
    made = tmp_path / "home"
    made.mkdir()
    monkeypatch.setenv("HOME", str(made))
    return made


def held(resource: str = "old", **told: Any) -> Holding:
    usual = {"id": "aaaa", "since": NOW - 9e5, "namespace": "default", "policy": "Release"}
    return Holding(**({"resource": resource} | usual | told))


def lying(resource: str = "old", **told: Any) -> BaseSeen:
    return BaseSeen(layout.base(resource), held(resource, **told))


def stage(*lies: BaseSeen, on: str = "black", more: Any = ()) -> Stage:
    made = Stage(FLEET, BLACK, VPS, *more)
    made.memory = replace(made.memory, owner=ME, bases={on: lies})
    return made


def left(stage: Stage) -> str:
    conditions = stage.plan.statuses.get(Ref("Fleet", "default", "home"), {}).get("conditions", [])
    return str(next((one["message"] for one in conditions if one["type"] == "LeftBehind"), ""))


def retired(stage: Stage) -> list[tuple[str, str, str]]:
    return [
        (one.action.endpoint, one.action.host, one.action.base)
        for one in stage.plan.steps
        if isinstance(one.action, Retire) and one.decision is Decision.START
    ]


def test_what_is_ours_and_no_longer_declared_is_undone_though_nobody_remembers_it() -> None:
    made = stage(lying())
    made.settle()
    assert retired(made)[0] == ("old", "black", layout.base("old"))
    assert made.plan.lingering and not made.plan.settled and not left(made)
    made.memory = replace(made.memory, bases={"black": ()})
    made.settle()
    assert not made.plan.steps and made.plan.settled


@pytest.mark.parametrize(
    "told",
    [
        {"policy": "Orphan"},
        {"namespace": "garden"},
        {"namespace": ""},
        {"resource": ""},
        {"id": "bbbb"},
        {"id": ""},
        {"id": "aaaa", "term": 3},  # of a later tenure
    ],
)
def test_what_is_not_ours_to_remove_stays(told: dict[str, Any]) -> None:
    made = stage(lying(**told))
    made.settle()
    assert not retired(made) and not made.plan.lingering
    if told.get("id", "aaaa") != "aaaa":
        assert "left as it is" in left(made) and layout.base("old") in left(made)


def test_a_folder_that_was_moved_is_not_undone_by_its_old_path() -> None:
    made = stage(BaseSeen("/mnt/elsewhere", held(), leads=False))
    made.settle()
    assert not retired(made)


def test_what_somebody_looks_after_is_nobody_elses_concern() -> None:
    made = stage(lying(id="bbbb", alive=NOW - 10))
    made.settle()
    assert left(made) == "" and made.plan.settled
    made.now += 600
    made.round()
    assert "of controller" in left(made) and "silent since" in left(made)
    assert made.events == [("host/black", "LeftBehind")]
    made.round()
    assert len(made.events) == 1


def test_what_moved_to_another_host_leaves_the_old_one_once_it_is_known_to_be_another() -> None:
    old = lying("origin", since=NOW - 9e5)
    made = stage(old, on="vps", more=(origin(), stream(ingest={"test": {}})))
    made.off.add("black")
    made.run(3)
    assert not retired(made), "black may be vps by another name"
    made.off.clear()
    made.settle()
    assert ("origin", "vps", old.base) in [(a, b, c) for a, b, c in retired(made)] or "remove all" in str(
        made.log
    )
    assert made.there["origin@black"].services, "and goes on where it is declared"


def test_what_moved_to_another_path_leaves_the_old_one_unless_it_is_the_same_folder() -> None:
    made = stage(more=(origin(spool={"path": "/srv"}), stream(ingest={"test": {}})))
    made.settle()
    made.run(3)
    since = made.holdings["origin@black"].since
    made.memory = replace(made.memory, bases={"black": (lying("origin", since=since),)})
    made.run(3)
    assert not any(isinstance(one.action, Retire) for one in made.plan.steps), "one is a link to the other"
    made.memory = replace(made.memory, bases={"black": (lying("origin", since=since - 9),)})
    made.round()
    assert retired(made) == [("origin", "black", layout.base("origin"))]


def test_two_hosts_that_are_one_machine_do_not_undo_what_is_declared_there() -> None:
    made = stage(on="vps", more=(origin(), stream(ingest={"test": {}})))
    made.settle()
    made.run(3)
    since = made.holdings["origin@black"].since
    made.memory = replace(made.memory, bases={"vps": (lying("origin", since=since),)})
    made.run(5)
    assert not retired(made) and "stop and remove" not in str(made.log)


def test_what_is_on_a_host_that_is_away_or_not_declared_is_said() -> None:
    made = stage(more=(origin(), edge(), stream(ingest={"test": {}})))
    made.settle()
    assert left(made) == ""
    made.delete(origin(), edge())
    made.off.add("black")
    made.delete(VPS)
    made.run(2)
    said = left(made)
    assert "on black, which is not reached: removed when it returns" in said
    assert "on vps, which is not declared any more: declare vps again" in said
    assert ("mediaendpoint/origin", "LeftBehind") in made.events and (
        "mediaendpoint/edge",
        "LeftBehind",
    ) in made.events
    assert Ref("MediaEndpoint", "default", "origin") in made.plan.lingering
    told = len(made.events)
    made.run(5)
    assert len(made.events) == told, "once"
    made.off.clear()
    made.declare(VPS)
    made.run(5)
    assert left(made) == "" and not made.plan.lingering and not made.there


def test_a_stream_departs_only_when_every_endpoint_that_may_have_it_was_looked_at() -> None:
    one = stream(ingest={"test": {}})
    made = Stage(BLACK, origin())
    made.off.add("black")
    made.departing = {one.ref: one}
    made.round()
    assert made.plan.lingering == {one.ref: "origin may have it, and could not be looked at yet"}
    made.off.clear()
    made.settle()
    assert not made.plan.lingering


# --- the script --------------------------------------------------------------------------------------------------


async def test_a_survey_finds_what_lies_there_and_changes_nothing(tmp_path: Path, home: Path) -> None:
    spool = tmp_path / "it's a spool"
    spool.mkdir()
    link = LocalLink("black")
    usual, given = layout.base("origin"), layout.base("edge", spool=str(spool))
    await services.put_file(link, usual, "keys.json", b"", by=Claim(ME, "default", "origin", "Orphan"))
    await services.put_file(link, given, "keys.json", b"", by=Claim(Owner("bbbb", "x y"), "garden", "edge"))
    (spool / "films").mkdir()
    (spool / "telarchy-films").mkdir()  # no marker
    (spool / "telarchy-link").symlink_to(home / ".local/state/telarchy/streaming/default.origin")
    old = home / ".local/state/telarchy/streaming/default.old"
    old.mkdir()
    (old / services.MARKER).write_text("Made by Telarchy\n")
    moved = spool / "telarchy-default.moved"
    moved.mkdir()
    (moved / services.MARKER).write_text(f"owner aaaa 0 7 me\nmade-for default moved Release\nbase {spool}\n")
    for one in tmp_path.rglob(services.MARKER):
        os.utime(one, (1e9, 1e9))
    answer = await link.run(survey_argv([str(spool), str(tmp_path / "nowhere")]))
    found = read_survey(answer.stdout)
    assert found is not None and found.tools is None and answer.stderr == b""
    by_name = {one.base: one for one in found.bases}
    assert set(by_name) == {usual, given, str(old), str(moved)}
    mine = by_name[usual]
    assert mine.leads and abs(mine.holding.since - time.time()) < 100
    assert replace(mine.holding, since=0) == Holding(
        "aaaa", "home-1", 0, 0, 1e9, "default", "origin", "Orphan"
    )
    assert (by_name[given].holding.name, by_name[given].holding.namespace) == ("x y", "garden")
    assert by_name[given].leads and not by_name[str(moved)].leads and not by_name[str(old)].leads
    assert by_name[str(old)].holding.id == ""
    assert all(one.stat().st_mtime == 1e9 for one in tmp_path.rglob(services.MARKER))


async def test_what_endpoints_run_with_is_asked_for_where_there_are_any(tmp_path: Path) -> None:
    tools = {
        "nginx": "echo nginx version: nginx/1.22.1 >&2",
        "ffmpeg": "echo ffmpeg version 5.1.8-0+deb12u1 Copyright",
    }
    tools["varnishd"] = "echo 'varnishd (varnish-7.1.1 revision x)' >&2"
    for name, script in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    argv = ["env", f"PATH={tmp_path}:/usr/bin:/bin", *survey_argv([], tools=True)]
    answer = await LocalLink("black").run(argv)
    found = read_survey(answer.stdout, tools=True)
    assert found is not None and found.tools is not None
    assert replace(found.tools, modules=()) == Tools("1.22.1", "5.1.8", "7.1.1")
    none = await LocalLink("black").run(survey_argv([]))
    assert b"tool" not in none.stdout and b"module" not in none.stdout


def test_an_endpoint_tells_its_versions_once_they_are_known() -> None:
    made = Stage(BLACK, origin())
    made.settle()
    assert "versions" not in made.status("MediaEndpoint", "origin")
    known = Tools("1.22.1", "5.1.8", "", ("ngx_http_js_module", "ngx_rtmp_module"))
    made.memory = replace(made.memory, tools={"black": known})
    made.run(3)
    assert made.status("MediaEndpoint", "origin")["versions"] == {
        "nginx": "1.22.1",
        "ffmpeg": "5.1.8",
        "varnish": "",
        "modules": "http_js, rtmp",
    }
    made.off.add("black")
    made.run(30)
    assert made.status("MediaEndpoint", "origin")["versions"]["nginx"] == "1.22.1"


def test_half_an_answer_is_none() -> None:
    line = "base\t/a\taaaa\t0\t1\t2\tdefault\ta\tRelease\tme"
    assert read_survey(f"{line}\nend\n".encode()) == Survey(
        (BaseSeen("/a", Holding("aaaa", "me", 0, 1, 2, "default", "a", "Release")),)
    )
    for text in ("", line, f"{line}\n", f"{line}\nend", "end"):
        assert read_survey(text.encode()) is None
    assert read_survey(b"base\tx\nwhat\nend\n") == Survey()
    long = b"tool\tnginx\t" + b"1." * 500 + b"\x1b\nmodule\tm\x07\nend\n"
    found = read_survey(long, tools=True)
    assert found is not None and found.tools == Tools(nginx="1." * 22, modules=("m",))
    assert Deployed("a", "h", "/a").policy == "Release"


# --- acting on it ------------------------------------------------------------------------------------------------


class Here:
    """This machine, whatever the host is called."""

    async def link(self, name: str) -> Link:
        return LocalLink(name)


async def retire(memory: MemoryInRam, base: Path) -> Remembered:
    secrets = FileSecrets(None, {})
    remembered = Remembered.recalled(memory)
    remembered.is_owner(ME)
    await act(
        Bench(Here(), secrets, PlaybackSecrets(secrets, memory), remembered, ME),
        Retire(host="black", endpoint="old", base=str(base)),
    )
    return remembered


async def test_what_we_marked_under_an_earlier_id_is_removed_too(tmp_path: Path) -> None:
    """Or it ran on for ever, and was found and given up again and again."""
    memory, base = MemoryInRam(), tmp_path / "telarchy-default.old"
    memory.put("streaming/owners", ["lease-0", "lease-1"])
    by = Claim(Owner("lease-1", "pod-1", 7), "default", "old")
    await services.put_file(LocalLink("black"), str(base), "keys.json", b"", by=by)
    await retire(memory, base)
    assert not base.exists()


async def test_what_another_has_taken_over_stays_and_is_ours_no_more(tmp_path: Path) -> None:
    memory, base = MemoryInRam(), tmp_path / "telarchy-default.old"
    memory.put("streaming/owners", ["lease-0"])
    deployed = Deployed("old", "black", str(base))
    memory.put(f"streaming/deployed/{deployed.key}", {"endpoint": "old", "host": "black", "base": str(base)})
    by = Claim(Owner("bbbb", "nas"), "default", "old")
    await services.put_file(LocalLink("black"), str(base), "keys.json", b"", by=by)
    remembered = await retire(memory, base)
    assert (base / "keys.json").exists() and not remembered.deployed


async def test_a_declaration_while_a_host_is_asked_does_no_harm() -> None:
    """It asks for the host's tools, so that the look under way is not the one that is wanted."""
    world = World.from_resources([BLACK, origin()])
    observer: Observer

    class Away(Here):
        async def link(self, name: str) -> Link:
            if observer.surveys.bases():
                observer.configure(world)
                raise HostUnreachable(name, "Unreachable", "nobody answers")
            return LocalLink(name)

    observer = Observer(Away(), SteadyClock(), SnapshotBook(MemoryInRam()))
    observer.configure(World.from_resources([BLACK]))
    await observer.surveys.survey("black")
    observer.configure(world)
    await observer.surveys.survey("black")
    assert "black" in observer.surveys.bases() and not observer.surveys.tools


async def test_what_was_seen_of_a_folder_before_it_was_marked_anew_counts_no_more(tmp_path: Path) -> None:
    """By its old mark it looked like another folder than the declared one, and what plays there was removed."""
    base, memory = tmp_path / "telarchy-default.origin", MemoryInRam()
    memory.put("streaming/owners", ["lease-1"])
    earlier = Claim(Owner("lease-1"), "default", "origin")
    await services.put_file(LocalLink("black"), str(base), "keys.json", b"", by=earlier)
    room: Streaming
    looked = 0

    class Slow(Here):
        async def link(self, name: str) -> Link:
            nonlocal looked
            looked += 1
            if looked == 2:  # a look that began before ends after
                self.answer = await read()
                await room.act(mark, lambda progress: None)
                return Said(self.answer)
            return LocalLink(name)

    class Said(LocalLink):
        def __init__(self, answer: Completed) -> None:
            super().__init__("vps")
            self.answer = answer

        async def run(self, *args: Any, **more: Any) -> Completed:
            return self.answer

    async def read() -> Completed:
        return await LocalLink("vps").run(survey_argv([str(tmp_path)]))

    mark = TakeOver(
        host="black",
        endpoint="origin",
        base=str(base),
        owner="aaaa",
        term=0,
        policy="Release",
        replaces="lease-1",
    )
    room = Streaming(Slow(), FileSecrets(None, {}), memory, SteadyClock(), namespace="default", owner=ME)
    room.configure(World.from_resources([BLACK, VPS, origin(spool={"path": str(tmp_path)})]))
    await room.observer.surveys.survey("vps")
    assert [one.holding.id for one in room.observer.surveys.bases()["vps"]] == ["lease-1"]
    await room.observer.surveys.survey("vps")
    assert [one.holding.id for one in room.observer.surveys.bases()["vps"]] == []
    await room.observer.surveys.survey("vps")
    assert [one.holding.id for one in room.observer.surveys.bases()["vps"]] == ["aaaa"]
