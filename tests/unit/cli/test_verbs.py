"""The command line as a person and as a script meet it: what is printed where, and how it ends."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
import yaml

from telarchy.cli import main as entry
from telarchy.runtime.standalone import RunOptions, controller, run
from telarchy.store import Store
from tests.unit.cli.calling import completed
from tests.unit.cli.smallfleet import BROKEN, MANIFESTS


class TestStart:
    def test_help_imports_nothing_heavy(self):
        code = (
            "import sys\nfrom telarchy.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
            "print(sorted({'pydantic', 'numpy', 'rich', 'asyncssh', 'aiohttp', 'yaml', 'sqlite3'} & set(sys.modules)))"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert shown.stdout.splitlines()[-1] == "[]"

    def test_every_verb_has_help(self, telarchy):
        for verb in entry.VERBS:
            assert telarchy(verb, "--help").code == 0
            assert telarchy("help", verb).out.startswith("Usage: telarchy")

    def test_a_misspelt_verb_gets_a_suggestion(self, telarchy):
        ended = telarchy("aply")
        assert ended.code == 64
        assert "Did you mean `apply`?" in ended.err

    def test_exit_codes_are_documented(self, telarchy):
        assert "not settled before the timeout" in telarchy("help", "exit-codes").out

    def test_a_bug_is_one_sentence_and_a_file(self, telarchy, monkeypatch, tmp_path):
        def burst(*_, **__):
            raise RuntimeError("boom")

        (tmp_path / "state").mkdir()
        monkeypatch.setattr("telarchy.cli.get.connect", burst)
        monkeypatch.setattr("telarchy.cli.bugs.default_state", lambda: str(tmp_path / "state"))
        ended = telarchy("get", "hosts")
        assert ended.code == 70
        assert len(ended.err.splitlines()) == 1
        (crash,) = (tmp_path / "state").glob("crash-*.log")
        assert str(crash) in ended.err
        assert "Traceback" in crash.read_text()

    def test_a_reader_that_goes_away_is_no_error(self, tmp_path):
        code = "import os, sys\nfrom telarchy.cli.main import main\nmain(['help', 'exit-codes'])"
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.close()
        assert process.wait() in (0, 141)
        assert process.stderr.read() == b""

    def test_closed_streams_are_no_error(self, tmp_path):
        command = f"{sys.executable} -m telarchy get all --state {tmp_path}"
        ended = subprocess.run(["sh", "-c", f"{command} <&- >&-"], capture_output=True, text=True)
        assert ended.returncode == 0 and "Traceback" not in ended.stderr
        assert subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"]).returncode == 0

    def test_a_full_disk_under_the_output_is_no_bug(self, tmp_path):
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            ended = subprocess.run(
                [sys.executable, "-m", "telarchy", "get", "all", "--state", tmp_path, "-o", "json"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert ended.returncode == 1
        assert "telarchy: cannot write: no space left on device" in ended.stderr
        assert "bug" not in ended.stderr and "Traceback" not in ended.stderr

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion(self, telarchy, shell):
        assert "_TELARCHY_COMPLETE" in telarchy("completion", shell).out

    def test_completion_knows_kinds_and_names(self, telarchy, fleet):
        telarchy("apply", "-f", fleet)

        assert completed("telarchy get ho") == ["hosts"]
        assert completed("telarchy get hosts ") == ["attic", "black"]
        assert completed("telarchy get host/a") == ["host/attic"]
        assert completed("telarchy events --for h") == ["host/attic", "host/black"]
        assert completed("telarchy why f") == ["floor"]
        assert completed("telarchy why floor ") == ["films"]
        assert completed("telarchy why host/b") == ["host/black"]
        assert completed("telarchy doctor ") == ["attic", "black"]
        assert completed("telarchy help exit") == ["exit-codes"]

    @pytest.mark.parametrize("words", ["validate", "apply -f", "run --source", "plan --source"])
    def test_completion_leaves_files_to_the_shell(self, telarchy, words):
        assert completed(f"telarchy {words} fl", "type") == ["file"]


class TestValidate:
    def test_good_manifests(self, telarchy, fleet):
        ended = telarchy("validate", fleet)
        assert (ended.code, ended.out) == (0, "")
        assert "3 resources read: no problems" in ended.err

    def test_all_problems_at_once_each_at_its_place(self, telarchy, fleet):
        (fleet / "fleet.yaml").write_text(BROKEN)
        ended = telarchy("validate", fleet)
        assert ended.code == 1
        first, second = ended.out.splitlines()[:2]
        assert first.startswith(f"{fleet}/fleet.yaml:6:3: ")
        assert "alwaysOn" in first
        assert second.startswith(f"{fleet}/fleet.yaml:23:11: ")

    def test_a_file_that_is_named_twice_is_read_once(self, telarchy, fleet):
        (fleet.parent / "link").symlink_to(fleet)
        for words in (("validate",), ("apply", "--dry-run", "-f")):
            again = [
                one for path in (fleet / "fleet.yaml", fleet.parent / "link") for one in (*words[2:], path)
            ]
            ended = telarchy(*words, fleet, *again)
            assert ended.code == 0, ended.err
        (fleet / "more.yaml").write_text(MANIFESTS)
        assert "declared twice" in telarchy("validate", fleet).out

    def test_standard_input(self, telarchy):
        assert telarchy("validate", "-", stdin=BROKEN).out.startswith("-:6:3: ")

    @pytest.mark.parametrize("form", ["github", "json", "sarif"])
    def test_forms_for_programs(self, telarchy, fleet, form):
        (fleet / "fleet.yaml").write_text(BROKEN)
        ended = telarchy("validate", fleet, "-o", form)
        assert ended.code == 1
        match form:
            case "github":
                assert ended.out.startswith(f"::error file={fleet}/fleet.yaml,line=6,col=3,title=")
            case "json":
                assert [problem["line"] for problem in json.loads(ended.out)] == [6, 23]
            case "sarif":
                results = json.loads(ended.out)["runs"][0]["results"]
                place = results[0]["locations"][0]["physicalLocation"]
                assert place["region"] == {"startLine": 6, "startColumn": 3}

    def test_warnings_alone_are_no_error_unless_strict(self, telarchy, tmp_path):
        empty = tmp_path / "nothing"
        empty.mkdir()
        assert telarchy("validate", empty).code == 0
        assert telarchy("validate", "--strict", empty).code == 1


class TestEmbeddedStore:
    def test_apply_get_delete(self, telarchy, fleet):
        assert telarchy("apply", "-f", fleet).out.splitlines() == [
            "host/black created",
            "host/attic created",
            "custodyfloor/films created",
        ]
        assert "host/black unchanged" in telarchy("apply", "-f", fleet).out
        assert telarchy("get", "hosts", "-o", "name").out.splitlines() == ["host/attic", "host/black"]
        assert telarchy("delete", "ho/black", "cf/films").out.splitlines() == [
            "host/black deleted",
            "custodyfloor/films deleted",
        ]
        assert telarchy("get", "all", "-o", "name").out == "host/attic\n"

    def test_apply_is_all_or_nothing(self, telarchy, fleet):
        (fleet / "more.yaml").write_text(BROKEN)
        ended = telarchy("apply", "-f", fleet)
        assert ended.code == 1
        assert "more.yaml:6:3" in ended.err
        assert telarchy("get", "all").err.endswith("No resources found in default namespace.\n")

    def test_delete_of_what_is_not_there_deletes_nothing(self, telarchy, fleet):
        telarchy("apply", "-f", fleet)
        ended = telarchy("delete", "host/black", "host/none")
        assert (ended.code, ended.err) == (1, "telarchy: there is no host/none; nothing was deleted\n")
        assert "host/black" in telarchy("get", "ho", "-o", "name").out

    def test_dry_run(self, telarchy, fleet):
        assert "host/black is valid" in telarchy("apply", "--dry-run", "-f", fleet).out
        assert telarchy("get", "all", "-o", "name").out == ""


class TestReading:
    @pytest.fixture(autouse=True)
    def settled(self, telarchy, fleet):
        assert telarchy("run", "--source", fleet, "--until-settled", "--timeout", "20s").code == 0

    def test_the_age_of_what_is_known_goes_to_stderr(self, telarchy):
        ended = telarchy("get", "hosts")
        assert re.search(r"^\(from the store, \d+s old; no controller is running\)$", ended.err, re.MULTILINE)
        assert "from the store" not in ended.out

    def test_a_delete_that_is_refused_leaves_everything_as_it_was(self, telarchy):
        ended = telarchy("delete", "host/black")
        assert ended.code == 1
        assert "host/black: declared in " in ended.err
        assert "take it out there; nothing was deleted" in ended.err
        assert "host/black" in telarchy("get", "ho", "-o", "name").out

    def test_table(self, telarchy):
        heading, attic, black = telarchy("get", "ho").out.splitlines()
        assert heading.split() == ["NAME", "CLASS", "STATE", "READY", "STATUS", "AGE"]
        assert attic.split()[:5] == ["attic", "Server", "Up", "True", "answers"]
        assert black.startswith("black ")

    def test_wide_and_selector_and_several_kinds(self, telarchy):
        wide = telarchy("get", "hosts", "-o", "wide", "-l", "site=home").out.splitlines()
        assert len(wide) == 2
        assert "123 GiB" in wide[1]
        several = telarchy("get", "ho,cf").out
        assert "host/black" in several
        assert "custodyfloor/films" in several
        assert telarchy("get", "hosts", "-l", "site in (home, away),!gone", "-o", "name").out.count("\n") == 2

    def test_structured_output(self, telarchy):
        (one,) = [yaml.safe_load(telarchy("get", "host/black", "-o", "yaml").out)]
        assert one["status"]["conditions"][0]["type"] == "Ready"
        listed = json.loads(telarchy("get", "hosts", "-o", "json").out)
        assert (listed["kind"], len(listed["items"])) == ("List", 2)

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["get", "host", "blck"], "host/blck not found; did you mean host/black?"),
            (["get", "hotsts"], "there is no kind `hotsts`; did you mean `hosts`?"),
            (["why", "floor", "none"], ""),
        ],
    )
    def test_what_is_not_there(self, telarchy, words, says):
        ended = telarchy(*words)
        assert says in ended.err
        assert ended.code == (1 if says else 0)

    def test_no_headers_and_empty(self, telarchy):
        assert len(telarchy("get", "hosts", "--no-headers").out.splitlines()) == 2
        assert telarchy("get", "fleets").err.endswith("No resources found in default namespace.\n")
        assert telarchy("get", "hosts", "-n", "other").out == ""

    def test_describe(self, telarchy):
        shown = telarchy("describe", "host/black").out
        for part in (
            "Name:         black",
            "Labels:       site=home",
            "  class: Server",
            "Conditions:",
            "Events:",
        ):
            assert part in shown

    def test_events(self, telarchy):
        assert "every toy is in its place" in telarchy("events").out
        about = telarchy("events", "--for", "floor/films", "-o", "json").out
        assert {one["name"] for one in json.loads(about)} == {"films"}

    def test_why_without_a_controller(self, telarchy):
        assert telarchy("why", "title", "films/a").out == "title films/a: 4 toys are placed\n"

    def test_approve_and_reconcile_say_what_they_lack(self, telarchy):
        assert telarchy("approve", "--list").err.endswith("Nothing waits for approval.\n")
        assert telarchy("approve", "abcd").code == 1
        assert telarchy("reconcile").code == 1


class TestPlan:
    def test_changes_end_with_2_and_leave_no_trace(self, telarchy, fleet, toys, tmp_path):
        ended = telarchy("plan", "--source", fleet, "--timings")
        assert ended.code == 2
        assert "+ copy 'films/a' from box to black" in ended.out
        assert ended.out.splitlines()[-1] == "Plan: 4 copies (3.9 KiB); floor 'films' 0/4 met"
        assert "think" in ended.err
        assert toys.looked_read_only
        assert not toys.placed
        assert not (tmp_path / "state").exists()

    def test_nothing_to_do_ends_with_0(self, telarchy, fleet):
        telarchy("run", "--source", fleet, "--until-settled")
        before = (fleet.parent / "state" / "store.sqlite").read_bytes()
        ended = telarchy("plan", "--source", fleet)
        assert ended.code == 0
        assert "Nothing to do: everything is as declared (floor 'films' 4/4 met)." in ended.out
        assert (fleet.parent / "state" / "store.sqlite").read_bytes() == before

    def test_a_folder_that_declares_nothing_is_no_fleet_as_declared(self, telarchy, tmp_path):
        (tmp_path / "empty").mkdir()
        ended = telarchy("plan", "--source", tmp_path / "empty")
        assert ended.code == 1
        assert "telarchy: nothing is declared" in ended.err and "Nothing to do" not in ended.out

    def test_errors_end_with_1_and_the_rest_is_planned(self, telarchy, fleet):
        (fleet / "broken.yaml").write_text(BROKEN.partition("---")[0].replace("black", "other"))
        ended = telarchy("plan", "--source", fleet)
        assert ended.code == 1
        assert "broken.yaml:6:3" in ended.err
        assert "+ copy 'films/a' from box to attic" in ended.out

    def test_json_has_the_very_actions(self, telarchy, fleet):
        ended = telarchy("plan", "--source", fleet, "-o", "json")
        plan = json.loads(ended.out)
        assert plan["kind"] == "Plan"
        assert {step["verb"] for step in plan["steps"]} == {"Copy"}
        assert len({step["id"] for step in plan["steps"]}) == 4

    def test_a_source_that_is_not_there(self, telarchy, tmp_path):
        ended = telarchy("plan", "--source", tmp_path / "none")
        assert ended.code == 1
        assert "cannot be read: no such file or directory" in ended.err

    def test_signatures_are_not_left_unverified_in_silence(self, telarchy, fleet):
        for source in ((), ("--source", fleet)):
            ended = telarchy("plan", *source, "--verify-signatures", fleet / "fleet.yaml")
            assert ended.code == (1 if source else 64)
            assert "commits" in ended.err and ended.out == ""

    def test_a_held_change_names_the_word_that_releases_it(self, telarchy, fleet, toys):
        toys.hold = True
        ended = telarchy("plan", "--source", fleet)
        assert ended.code == 2
        assert "release it with: telarchy approve " in ended.out
        assert "1 held" in ended.out


class TestRun:
    def test_plain_lines_and_the_last_word(self, telarchy, fleet):
        ended = telarchy("run", "--source", fleet, "--until-settled")
        assert ended.code == 0
        assert "fleet.yaml" not in ended.err
        assert "settled: everything is as declared (floor 'films' 4/4 met)" in ended.out
        assert "custodyfloor/films" in ended.out

    def test_a_repository_is_not_asked_without_a_pause(self, telarchy, fleet):
        ended = telarchy("run", "--source", fleet, "--until-settled", "--poll", "0")
        assert ended.code == 64 and "without a pause" in ended.err

    def test_a_source_that_is_away_is_named_once(self, telarchy, tmp_path):
        away = tmp_path / "none"
        ended = telarchy("run", "--source", away, "--until-settled", "--timeout", "0.5s", "--plain")
        [line] = [
            one for one in ended.out.splitlines() if one.endswith("no such file or directory") and "/" in one
        ][:1]
        assert line.endswith(f" {away} cannot be read: no such file or directory")
        assert line.count(str(away)) == 1

    def test_what_is_wrong_with_it_is_one_line_however_often_it_is_asked(self, telarchy, tmp_path):
        folder = tmp_path / "repository"
        folder.mkdir()
        (folder / "fleet.yaml").write_text(BROKEN)
        git = (
            "git",
            "-C",
            folder,
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "-c",
            "init.defaultBranch=main",
        )
        for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "one")):
            subprocess.run([*git, *words], check=True)
        ended = telarchy(
            *("run", "--source", f"git+file://{folder}#main", "--poll", "100ms", "--plain"),
            *("--until-settled", "--timeout", "2s"),
        )
        told = [line for line in ended.out.splitlines() if "is not followed" in line]
        assert len(told) == 1 and " warning: git+file://" in told[0]

    def test_a_host_in_trouble_is_not_everything_that_was_declared(self, telarchy, fleet, toys):
        toys.stuck = "/srv cannot be written to"
        ended = telarchy("run", "--source", fleet, "--until-settled", "--timeout", "1s")
        assert ended.code == 3
        assert "not settled within 1s\nNot as declared:\n" in ended.err
        assert "  ! host/black: /srv cannot be written to\n" in ended.err
        assert len(toys.placed) == 4 and "settled: " not in ended.out

    def test_trouble_that_ends_in_time_is_waited_for(self, telarchy, fleet, toys):
        toys.stuck = "/srv cannot be written to"
        asked = RunOptions(state=fleet.parent / "state", source=str(fleet), until_settled=True, timeout=60)

        async def mended():
            async with controller(asked, rooms=toys.rooms()) as running:
                keeping = asyncio.create_task(run(running, asked))
                while len(toys.placed) < 4 or not running.engine.reconciler.settled:
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.5)
                assert not keeping.done()
                toys.stuck = ""
                running.engine.nudge()
                return await keeping

        assert asyncio.run(mended()) == 0

    def test_not_settled_ends_with_3(self, telarchy, fleet, toys):
        toys.seconds = 60
        ended = telarchy("run", "--source", fleet, "--until-settled", "--timeout", "300ms")
        assert ended.code == 3
        assert "not settled within" in ended.err

    def test_stopped_before_it_is_settled_it_does_not_say_that_it_is(self, telarchy, fleet, toys):
        toys.seconds = 60
        stop = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
        stop.start()
        ended = telarchy("run", "--source", fleet, "--until-settled")
        assert ended.code == 143
        assert "told to stop before everything was as declared" in ended.err
        assert "settled: " not in ended.out

    def test_observe_only_does_nothing(self, telarchy, fleet, toys):
        ended = telarchy("run", "--source", fleet, "--until-settled", "--timeout", "300ms", "--observe-only")
        assert ended.code == 3
        assert not toys.placed

    def test_a_full_disk_under_its_log_ends_no_run(self, tmp_path):
        for host in ("black", "attic"):
            (tmp_path / host / "films/one").mkdir(parents=True)
        film = tmp_path / "black/films/one/one.mkv"
        film.write_bytes(b"film")
        os.utime(film, (1_700_000_000, 1_700_000_000))
        told = MANIFESTS.replace("/srv/", f"{tmp_path}/").replace("copies: 1", "copies: 2")
        (tmp_path / "fleet.yaml").write_text(told)
        command = [sys.executable, "-m", "telarchy", "run", "--source", tmp_path / "fleet.yaml"]
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            ended = subprocess.run(
                [*command, "--state", tmp_path / "state", "--until-settled"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert (tmp_path / "attic/films/one/one.mkv").read_bytes() == b"film"
        assert ended.returncode in (0, 1) and "bug" not in ended.stderr

    def test_a_damaged_store_is_told_and_the_run_goes_on(self, telarchy, fleet, tmp_path):
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "store.sqlite").write_bytes(b"garbage" * 1000)
        ended = telarchy("run", "--source", fleet, "--until-settled")
        assert ended.code == 0
        assert "is set aside as store.sqlite.corrupt-" in ended.err

    def test_what_else_is_lost_is_told_too(self, telarchy, fleet, monkeypatch):
        monkeypatch.setattr("telarchy.runtime.engine.Engine.lost", "catalogue.sqlite was corrupt")
        ended = telarchy("run", "--source", fleet, "--until-settled")
        assert ended.code == 0
        assert "telarchy: warning: catalogue.sqlite was corrupt" in ended.err

    def test_a_newer_store_is_refused(self, telarchy, fleet, tmp_path):
        with Store.open(tmp_path / "state") as store:
            store.connection.execute("PRAGMA user_version = 99")
        ended = telarchy("run", "--source", fleet, "--until-settled")
        assert ended.code == 1
        assert ended.err.startswith("telarchy: the store ")
        assert "was written by a newer Telarchy" in ended.err


class TestSchema:
    @pytest.mark.parametrize("what", ["crds", "json"])
    def test_write_then_check(self, telarchy, tmp_path, what):
        out = tmp_path / "out"
        assert telarchy("schema", what, "--out", out, "--check").code == 1
        assert telarchy("schema", what, "--out", out).code == 0
        assert telarchy("schema", what, "--out", out, "--check").code == 0
        changed = next(iter(out.iterdir()))
        changed.write_text("stale")
        ended = telarchy("schema", what, "--out", out, "--check")
        assert ended.code == 1
        assert f"{changed} is stale" in ended.out

    def test_print(self, telarchy):
        documents = list(yaml.safe_load_all(telarchy("schema", "crds").out))
        assert {one["kind"] for one in documents} == {"CustomResourceDefinition"}
