"""Run one command on this machine, and fail with what it said."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


class LabError(RuntimeError):
    """The lab itself could not do what it was asked; never a fault of the code under test."""


def command(
    *argv: str,
    text: str | None = None,
    check: bool = True,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run `argv` with `text` as its input and return its standard output, stripped."""
    done = subprocess.run(
        argv,
        input=text or "",
        capture_output=True,
        text=True,
        timeout=timeout,
        env=env or tools(),
        check=False,
    )
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{_printable(argv)}: exit {done.returncode}: {said}")
    return done.stdout.strip()


def tools(**more: str) -> dict[str, str]:
    """This process' environment, in which the system's own tools are found, and `more`."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", **more}


def wait_until(true: Callable[[], bool], what: str, timeout: float, pause: float = 0.01) -> None:
    """Poll `true` until it holds; a `LabError` naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(pause)


def _printable(argv: Sequence[str]) -> str:
    line = " ".join(argv)
    return line if len(line) < 300 else f"{line[:300]}…"
