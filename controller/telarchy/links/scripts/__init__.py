"""Shell scripts that run on hosts: POSIX sh for GNU and BSD userlands. Sent whole with each command, so that no
host holds a version of its own; what a manifest says reaches them only as arguments."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


def script(name: str, *args: str) -> list[str]:
    """The argv that runs a script with the shared library before it."""
    return ["/bin/sh", "-c", f"{text('job-lib')}\n{text(name)}", name, *args]


@cache
def text(name: str) -> str:
    """A script as it stands in the file."""
    return (files(__name__) / f"{name}.sh").read_text(encoding="utf-8")
