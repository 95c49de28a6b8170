"""Where bugs go: a traceback into a file, a sentence to the person. Also for those that asyncio and libraries tell."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from telarchy.cli.options import default_state

T = TypeVar("T")


def tell_bug(bug: BaseException, state: Path | None = None) -> None:
    """Keep the traceback of `bug` in the state folder (or the temporary one), and say where on stderr."""
    from telarchy.runtime.journal import write_crash

    trace = "".join(traceback.format_exception(bug))
    where = "no crash file could be written"
    for folder in (
        state or _state_in(sys.argv) or os.environ.get("TELARCHY_STATE") or default_state(),
        os.environ.get("TMPDIR", "/tmp"),
    ):
        try:
            where = f"details in {write_crash(Path(folder), ' '.join(sys.argv), trace)}"
            break
        except OSError:
            continue
    click.echo(f"telarchy: this is a bug in Telarchy ({type(bug).__name__}: {bug}); {where}", err=True)


def run_quietly(main: Coroutine[Any, Any, T], state: Path) -> T:
    """asyncio.run() in which what goes wrong beside the main task becomes a crash file, not a traceback.

    Libraries that log their own tracebacks (aiohttp, asyncssh) are quiet unless somebody configured logging.
    """
    logging.getLogger().addHandler(logging.NullHandler())

    async def guarded() -> T:
        asyncio.get_running_loop().set_exception_handler(_on_stray(state))
        return await main

    return asyncio.run(guarded())


def _on_stray(state: Path) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    told: set[str] = set()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        bug = context.get("exception") or RuntimeError(context.get("message", "unknown"))
        if isinstance(bug, (ConnectionError, asyncio.CancelledError)) or repr(bug) in told:
            return
        told.add(repr(bug))
        tell_bug(bug, state)

    return handle


def _state_in(arguments: list[str]) -> str:
    """The value of --state, found without parsing the rest, which may be what failed."""
    for before, here in zip(arguments, [*arguments[1:], ""], strict=True):
        if before == "--state":
            return here
        if before.startswith("--state="):
            return before.partition("=")[2]
    return ""
