"""What kubectl's command line takes and click's does not: `-n fleet get`, `-o=json`, `--no-headers=true`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

BEFORE_VERB = ("-n", "--namespace", "--state")

_SHORT = re.compile(r"-[A-Za-z]=")
_TRUTHS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def verb_first(words: Sequence[str]) -> list[str]:
    """Options that most verbs have, from before the verb to behind it."""
    rest, moved = list(words), []
    while rest and rest[0].partition("=")[0] in BEFORE_VERB:
        moved.append(rest.pop(0))
        if "=" not in moved[-1] and rest:
            moved.append(rest.pop(0))
    return rest[:1] + moved + rest[1:] if rest else moved


def as_click_reads_it(words: Sequence[str], command: click.Command | None) -> list[str]:
    """`-o=json` as `-ojson`, `--watch=true` as `--watch`, and `--watch=false` not at all."""
    flags = {
        name
        for one in (command.params if command is not None else ())
        if isinstance(one, click.Option) and one.is_flag
        for name in one.opts
    }
    read: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return read + list(words[index:])
        name, equals, value = word.partition("=")
        if equals and name in flags and value.lower() in _TRUTHS:
            if _TRUTHS[value.lower()]:
                read.append(name)
        elif _SHORT.match(word) and name not in flags:
            read += [name + value] if value else [name, ""]
        else:
            read.append(word)
    return read
