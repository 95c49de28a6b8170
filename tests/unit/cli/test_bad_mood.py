"""The command line under hands and on terminals that are not kind to it."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from telarchy.cli import main as entry
from telarchy.cli import options
from tests.unit.cli.calling import watcher

TELARCHY = (sys.executable, "-m", "telarchy")


def on_terminal(*words, **environment):
    """What a terminal gets, and how it ended."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*TELARCHY, *words], stdout=theirs, env=os.environ | environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # it is closed on the other side
                break
            if not part:
                break
            shown += part
    os.close(ours)
    return shown.decode(), process.returncode


class TestTerminal:
    @pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "xterm", "NO_COLOR": "1"}])
    def test_no_colours_for_who_wants_or_knows_none(self, telarchy, fleet, environment):
        told, _ = on_terminal("plan", "--source", str(fleet), **environment)
        assert "Plan: " in told or "Nothing" in told
        assert "\x1b" not in told
        told, _ = on_terminal(
            "plan", "--source", str(fleet), **environment | {"TERM": "xterm", "NO_COLOR": ""}
        )
        assert "\x1b" in told

    def test_lines_instead_of_the_live_view_where_nothing_can_be_redrawn(self, telarchy, fleet):
        words = ("run", "--source", str(fleet), "--until-settled", "--timeout", "1s")
        told, code = on_terminal(*words, TERM="dumb")
        assert "\x1b" not in told
        assert "host/black" in told and code in (0, 3)


class TestInterrupt:
    def raising(self, monkeypatch, bug):
        def burst(*_, **__):
            raise bug

        monkeypatch.setattr("telarchy.cli.get.connect", burst)

    @pytest.mark.parametrize("wrapped", ["caused", "quoted"])
    def test_one_that_a_library_wrapped_up_is_no_bug(self, telarchy, monkeypatch, tmp_path, wrapped):
        bug = RuntimeError("Error building validator:\n  KeyboardInterrupt: ")
        if wrapped == "caused":
            bug = RuntimeError("it failed")
            bug.__cause__ = KeyboardInterrupt()
        self.raising(monkeypatch, bug)
        ended = telarchy("get", "hosts")
        assert (ended.code, ended.err) == (130, "")
        assert not list(tmp_path.glob("state/crash-*"))

    def test_before_and_after_the_verb_it_ends_the_program_without_a_word(self, tmp_path):
        code = (
            "import signal, sys\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # whatever started the tests ignores
            "sys.argv[:] = ['/usr/bin/telarchy', 'version']\n"
            "import telarchy.cli.main as entry, telarchy.cli.help as verb\n"
            "told = [signal.getsignal(signal.SIGINT)]\n"
            "verb.platform.python_version = lambda: told.append(signal.getsignal(signal.SIGINT)) or ''\n"
            "try: entry.main()\n"
            "except SystemExit: told.append(signal.getsignal(signal.SIGINT))\n"
            "assert told == [signal.SIG_DFL, signal.default_int_handler, signal.SIG_DFL], told\n"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.stderr == "" and ended.returncode == 0

    def test_who_ignores_it_goes_on_to(self):
        code = (
            "import signal, sys\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "sys.argv[:] = ['telarchy', 'version']\n"
            "from telarchy.cli.main import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
        )
        assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0

    def test_other_programs_keep_their_handlers(self):
        code = (
            "import signal\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "import telarchy.cli.main\n"
            "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        )
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestHangup:
    def ended(self, *words, begun_with="SIG_DFL"):
        code = (
            "import os, signal, sys\n"
            f"signal.signal(signal.SIGHUP, signal.{begun_with})\n"
            "import telarchy.cli\n"
            "os.kill(os.getpid(), signal.SIGHUP)\n"
            "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\n"
        )
        # argv[0] is what tells that this process is the program
        code = f"import sys; sys.argv[:] = {['telarchy', *words]!r}\n{code}"
        asked = [sys.executable, "-c", code]
        return subprocess.run(asked, capture_output=True, text=True, start_new_session=True)

    def test_a_run_that_still_starts_goes_on_since_it_is_about_to_look(self):
        ended = self.ended("run", "--source", "fleet")
        assert (ended.returncode, ended.stdout) == (0, "False\n"), ended.stderr

    def test_other_verbs_end_by_it(self):
        assert self.ended("get", "hosts", "-w").returncode == -signal.SIGHUP

    def test_who_ignores_it_goes_on_to(self):
        assert self.ended("run", begun_with="SIG_IGN").stdout == "True\n"


@pytest.mark.parametrize("words", [("get", "hosts", "-w"), ("events", "-w")])
def test_a_watch_ends_with_its_reader_and_not_at_the_next_news(telarchy, fleet, words):
    telarchy("run", "--source", fleet, "--until-settled", "--timeout", "20s")
    with watcher(*words) as watch:
        assert watch.stdout.readline()
        watch.stdout.close()
        assert watch.wait(60) == 141
        assert "Traceback" not in watch.stderr.read()


class TestUnsetVariables:
    """`--state "$STATE"` where nobody set it."""

    @pytest.mark.parametrize("verb", ["plan", "run"])
    @pytest.mark.parametrize("words", [("--source", ""), ("--source=",), ("--state", "")])
    def test_an_empty_place_is_none(self, telarchy, tmp_path, verb, words):
        ended = telarchy(verb, *words)
        assert (ended.code, ended.out) == (64, "")
        assert "it is empty; is a variable unset?" in ended.err
        assert not (tmp_path / "state").exists()

    @pytest.mark.parametrize("base", ["", "relative", "./here"])
    def test_a_state_folder_depends_on_no_working_directory(self, monkeypatch, base):
        monkeypatch.setenv("XDG_STATE_HOME", base)
        monkeypatch.setenv("HOME", "/home/somebody")
        assert options.default_state() == "/home/somebody/.local/state/telarchy"

    def test_an_empty_variable_of_ours_is_not_set(self, telarchy, fleet, monkeypatch):
        monkeypatch.setenv("TELARCHY_SOURCE", "")
        assert telarchy("apply", "-f", fleet).code == 0
        assert "copy 'films/a'" in telarchy("plan").out

    @pytest.mark.parametrize("words", [("-n", ""), ("-n=",), ("--namespace=",)])
    def test_an_empty_namespace_is_the_default_one(self, telarchy, fleet, words):
        telarchy("apply", "-f", fleet)
        assert telarchy("get", "hosts", "-o", "name", *words).out == "host/attic\nhost/black\n"

    @pytest.mark.parametrize("words", [("-L=",), ("-l=",), ("--sort-by=",)])
    def test_an_empty_value_asks_for_nothing(self, telarchy, fleet, words):
        telarchy("apply", "-f", fleet)
        assert telarchy("get", "hosts", *words).out == telarchy("get", "hosts").out


class TestState:
    def test_a_folder_that_takes_no_socket(self, telarchy, fleet, tmp_path):
        (tmp_path / "state" / "control.new").mkdir(parents=True)  # root may write anywhere else
        ended = telarchy("run", "--source", fleet, "--until-settled", "--timeout", "1s")
        assert ended.code == 1
        assert f"telarchy: the state folder {tmp_path / 'state'} cannot be used: " in ended.err

    def test_a_folder_that_takes_no_plain_copy_of_what_was_applied(self, telarchy, fleet, tmp_path):
        (tmp_path / "state" / "applied.new").mkdir(parents=True)
        ended = telarchy("apply", "-f", fleet)
        assert ended.code == 1
        assert (
            f"telarchy: the change is made, but its plain copy {tmp_path}/state/applied.yaml cannot be"
            in ended.err
        )
        assert "host/black" in telarchy("get", "hosts", "-o", "name").out

    @pytest.mark.parametrize("words", [("delete", "host/black"), ("approve", "abcdef")])
    def test_a_slip_in_its_name_begins_no_store_there(self, telarchy, tmp_path, words):
        ended = telarchy(*words, "--state", tmp_path / "sate")
        assert ended.code == 1
        assert f"telarchy: nothing is stored in {tmp_path / 'sate'}: is that the folder" in ended.err
        assert not (tmp_path / "sate").exists()


class TestWords:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["cordon", "black"], "There is no verb `cordon`. Set `cordon: true` in the Host's manifest."),
            (["wait", "host/black"], "See `telarchy reconcile --wait`"),
            (["logs"], "See `telarchy events`"),
            (["sing"], "There is no verb `sing`.\n"),
            (["get", "/black"], "`/black`: with kind/name, every word is a kind/name"),
            (["why", "song"], "`song` cannot be explained; ask about title, host, floor"),
            (["why", "title"], "say what to explain and its name, like `title NAME`"),
        ],
    )
    def test_what_makes_no_sense_here(self, telarchy, words, says):
        ended = telarchy(*words)
        assert ended.code == 64 and says in ended.err

    def test_hints_name_verbs_that_there_are(self):
        for hint in entry.KUBECTLS.values():
            for named in hint.split("`telarchy ")[1:]:
                assert named.split("`")[0].split()[0] in entry.VERBS
        assert not entry.KUBECTLS.keys() & entry.VERBS.keys()

    def test_a_title_is_found_whatever_the_locale_makes_of_its_letters(self):
        code = "import sys, telarchy.cli.why as why; print(ascii(why._asked(('title', sys.argv[1]))[1]))"
        locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        asked = [sys.executable, "-c", code, "films/Ünï\udcff".encode(errors="surrogateescape")]
        shown = subprocess.run(asked, capture_output=True, text=True, env=os.environ | locale)
        assert shown.stdout.strip() == ascii("films/Ünï\udcff"), shown.stderr
