"""Argv lists on their way through a shell: every byte arrives as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLAIN = re.compile(rb"[A-Za-z0-9_@%+=:,./-]+")


def to_bytes(argument: str) -> bytes:
    """The bytes that a `surrogateescape` string stands for. Raises ValueError for a NUL, which no argv can hold."""
    if "\0" in argument:
        raise ValueError("an argument cannot hold a NUL")
    return argument.encode("utf-8", "surrogateescape")


def quote(argument: bytes) -> bytes:
    """`argument` as one word for a POSIX shell."""
    if _PLAIN.fullmatch(argument):
        return argument
    return b"'" + argument.replace(b"'", b"'\"'\"'") + b"'"


def shell_command(argv: Sequence[str]) -> bytes:
    """`argv` as a simple command for a POSIX shell."""
    return b" ".join(quote(to_bytes(argument)) for argument in argv)
