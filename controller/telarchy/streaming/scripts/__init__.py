"""Shell scripts of streaming that run on hosts: POSIX sh. What a manifest says reaches them only as arguments."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def text(name: str) -> str:
    """A script as it stands in the file."""
    return (files(__name__) / f"{name}.sh").read_text(encoding="utf-8")
