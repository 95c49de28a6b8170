"""Options that several verbs share, and the types of their values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from telarchy.cli.completing import complete_files, complete_namespace
from telarchy.resources.meta import ALL_NAMESPACES, DEFAULT_NAMESPACE

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def default_state() -> str:
    """The state folder of this user."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if not base.startswith(("/", "~")):  # a relative one is to be ignored, says the specification
        base = "~/.local/state"
    return str((Path(base) / "telarchy").expanduser())


class Span(click.ParamType[float]):
    """A duration: `30s`, `2m`, `1h30m`; a bare number counts seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            self.fail(f"{value!r} is not a duration; write 30s, 2m or 1h30m", param, ctx)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)


SPAN = Span()


class Folder(click.Path):
    """A folder that need not be there. Whether it can be read is told by who reads it, with what that means."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if value == "":
            self.fail("it is empty; is a variable unset?", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


state = click.option(
    "--state",
    type=Folder(),
    default=default_state,
    envvar="TELARCHY_STATE",
    show_envvar=True,
    help="Folder of the store.",
)


def _or_default(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """kubectl takes an empty namespace for the default one."""
    return value or DEFAULT_NAMESPACE


def _not_empty(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """An empty source would be the embedded store, which whoever names a source does not mean."""
    if not value and param.name and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        raise click.BadParameter("it is empty; is a variable unset?", ctx, param)
    return value


namespace = click.option(
    "--namespace",
    "-n",
    default=DEFAULT_NAMESPACE,
    callback=_or_default,
    envvar="TELARCHY_NAMESPACE",
    show_default=True,
    shell_complete=complete_namespace,
    help="The fleet.",
)
all_namespaces = click.option(
    "--all-namespaces", "-A", is_flag=True, help="All fleets, whatever -n says; a column tells which."
)
labels = click.option("--selector", "-l", "labels", default="", help="Only resources with these labels.")
source = click.option(
    "--source",
    metavar="PATH|git+URL#branch:path",
    default="",
    callback=_not_empty,
    shell_complete=complete_files,
    envvar="TELARCHY_SOURCE",
    show_envvar=True,
    help="Where desired state comes from. Without it: what was applied to the store.",
)
verify_signatures = click.option(
    "--verify-signatures",
    "allowed_signers",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Follow only commits signed by someone in this allowed-signers file (ssh-keygen(1)).",
)


def within(namespace: str, *, all_namespaces: bool, named: bool) -> str:
    """The namespace to ask for. Raises click.UsageError when resources are named too: a name is one of a namespace."""
    if all_namespaces and named:
        raise click.UsageError("a resource cannot be asked for by name in all namespaces; name one with -n")
    return ALL_NAMESPACES if all_namespaces else namespace


def nothing_found(what: str, namespace: str) -> str:
    """The sentence for an empty answer."""
    return f"No {what} found" + ("." if namespace == ALL_NAMESPACES else f" in {namespace} namespace.")


def output(*choices: str) -> Callable[[F], F]:
    """`-o/--output`, one of these; the first is the default."""
    return click.option(
        "--output",
        "-o",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="How to print.",
    )
