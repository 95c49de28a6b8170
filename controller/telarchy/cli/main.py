"""`telarchy`: finds the verb, and makes sure that no traceback ever reaches a person.

Only click is imported here. A verb's module is imported when the verb is used, so that `--help` and completion
answer at once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from telarchy import __version__
from telarchy.cli import exits, interrupts_are_told, interrupts_end_it
from telarchy.cli.habits import as_click_reads_it, verb_first
from telarchy.cli.printing import is_dumb, no_room, reader_gone
from telarchy.errors import ConfigError, TelarchyError

# verb: (module under telarchy.cli, its click command there, one line of help)
VERBS: dict[str, tuple[str, str, str]] = {
    "validate": ("validate", "validate", "Check manifests; all problems at once, each at its place."),
    "plan": ("plan", "plan", "Show what `run` would do, and touch nothing."),
    "run": ("run", "run", "Keep the fleet as declared."),
    "operator": ("operator", "operator", "Keep the fleets of a Kubernetes cluster."),
    "get": ("get", "get", "List resources."),
    "describe": ("describe", "describe", "Show all that is known of a resource."),
    "events": ("events", "events", "Show what happened."),
    "why": ("why", "why", "Explain a title, a host, a floor, a stream or an endpoint."),
    "apply": ("apply", "apply", "Declare resources in the embedded store."),
    "delete": ("apply", "delete", "Take resources out of the embedded store."),
    "approve": ("approve", "approve", "Release a held change."),
    "reconcile": ("approve", "reconcile", "Look at everything again, now."),
    "stream-key": ("streamkey", "stream_key", "Make a key to publish with."),
    "playback-url": ("playbackurl", "playback_url", "Print where a stream plays, signed if it is Private."),
    "doctor": ("doctor", "doctor", "Check what a host lacks for what is declared."),
    "enroll": ("enroll", "enroll", "Prepare a host, and print its manifest."),
    "schema": ("schema", "schema", "Write CRDs and JSON Schemas."),
    "completion": ("completion", "completion", "Print a shell's completion script."),
    "help": ("help", "help_", "Show help on a verb or a topic."),
    "version": ("help", "version", "Print the version."),
}

_IN_THE_MANIFEST = "That is declared in the manifest: change it there, or with `telarchy apply`."
KUBECTLS: dict[str, str] = {
    "annotate": _IN_THE_MANIFEST,
    "cordon": "Set `cordon: true` in the Host's manifest.",
    "create": "See `telarchy apply -f FILE`.",
    "diff": "See `telarchy plan`.",
    "drain": "Set `drain: true` in the Host's manifest; `telarchy why host NAME` tells when it can go.",
    "edit": _IN_THE_MANIFEST,
    "explain": "Fields are in docs/reference.md and in what `telarchy schema json` writes.",
    "label": _IN_THE_MANIFEST,
    "logs": "See `telarchy events` and `telarchy why`.",
    "patch": _IN_THE_MANIFEST,
    "rollout": "See `telarchy reconcile`.",
    "top": "See `telarchy get hosts -o wide`.",
    "uncordon": "Take `cordon` and `drain` out of the Host's manifest.",
    "wait": "See `telarchy reconcile --wait` and `telarchy run --until-settled`.",
}
"""What kubectl users type, and what does it here."""

EPILOG = (
    "Without --state, the store is in $XDG_STATE_HOME/telarchy (or ~/.local/state/telarchy). "
    "`telarchy help exit-codes` lists the exit codes."
)


class Verbs(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, name, _ = VERBS[cmd_name]
        command: click.Command = getattr(import_module(f"telarchy.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], VERBS, 1)
            hint = KUBECTLS.get(args[0], f"Did you mean `{close[0]}`?" if close else "")
            ctx.fail(f"There is no verb `{args[0]}`. {hint}".rstrip())
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, as_click_reads_it(rest, command)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, verb_first(args))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, _, text) in VERBS.items()])


@click.group(cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Keep a media fleet the way its owner wrote it down."""
    if os.environ.get("NO_COLOR") or is_dumb():
        ctx.color = False


def kubectl() -> None:
    """The console script of kubectl's plugin: `kubectl telarchy …`."""
    main(plugin=True)


def main(arguments: list[str] | None = None, *, plugin: bool = False) -> None:
    """The console script. Always ends by SystemExit. `plugin`: the verbs are about the current kubectl context."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        # titles may hold bytes that are no UTF-8; they are shown escaped rather than refused
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        interrupts_are_told()
        code = _run(arguments, plugin=plugin)
        interrupts_end_it()
        sys.stdout.flush()
    except OSError as error:
        if reader_gone(error):
            code = exits.READER_GONE
        elif no_room(error):
            click.echo(f"telarchy: cannot write: {str(error.strerror).lower()}", err=True)
            code = exits.ERROR
        else:
            raise
        # the interpreter flushes once more at its end, and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _open_what_is_closed() -> None:
    """A closed stdin, stdout or stderr becomes /dev/null: a file that is opened later, the store for one, would
    get its number, and what is printed."""
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


CLUSTER_OPTIONS = ("--context", "--kubeconfig")


def _run(arguments: list[str] | None, *, plugin: bool = False) -> int:
    stdout = sys.stdout
    name = "kubectl telarchy" if plugin else "telarchy"
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if plugin or any(word.startswith(CLUSTER_OPTIONS) for word in given):
            from telarchy.cli.address import choose

            given = choose(given, plugin=plugin)
        code = cli.main(args=given, prog_name=name, standalone_mode=False)
        return code if isinstance(code, int) else exits.OK
    except click.UsageError as error:
        error.show()
        return exits.USAGE
    except click.ClickException as error:
        error.show()
        return exits.ERROR
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"telarchy: {problem}" if not problem.file else str(problem), err=True)
        return error.exit_code
    except TelarchyError as error:
        click.echo(f"telarchy: {error}", err=True)
        return error.exit_code
    except OSError as error:
        if reader_gone(error) or no_room(error):
            raise
        return _tell_bug(error)
    except SystemExit:
        # click ends by itself, with 1, when the reader is gone, and puts a silent stream in its place
        if sys.stdout is stdout:
            raise
        return exits.READER_GONE
    except Exception as bug:  # noqa: BLE001 - the last resort, so that a person gets a sentence
        return exits.INTERRUPTED if _interrupted(bug) else _tell_bug(bug)


def _interrupted(bug: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: a library may wrap it up in an error of its own, or (pydantic) only quote it."""
    while bug is not None:
        if isinstance(bug, KeyboardInterrupt) or "KeyboardInterrupt:" in str(bug):
            return True
        bug = bug.__cause__ or bug.__context__
    return False


def _tell_bug(bug: Exception) -> int:
    if type(bug).__module__ == "sqlite3":
        click.echo(f"telarchy: the store failed: {bug}", err=True)
        return exits.ERROR
    from telarchy.cli.bugs import tell_bug

    tell_bug(bug)
    return exits.BUG
