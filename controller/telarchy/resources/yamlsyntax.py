"""What YAML's parser says, said to a person.

The parser names its own states ("could not find expected ':'"); the sentences here name what was probably
typed. The left halves are matched against the messages of both of PyYAML's parsers, the C one and the other.
"""

from __future__ import annotations

import re

import yaml

from telarchy.errors import Problem

# What YAML lets stand in a text (its production c-printable), inverted.
_UNPRINTABLE = re.compile("[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

_SYNTAX_SENTENCES = (
    ("found character '\\t' that cannot start", "a tab cannot indent YAML; use spaces"),
    ("found a tab character", "a tab cannot indent YAML; use spaces"),
    (
        "mapping values are not allowed",
        "a `:` is not expected here; check the indentation above, and quote values that contain `: `",
    ),
    (
        "could not find expected ':'",
        "a `key: value` is expected here; is a `:` missing, or a space after it?",
    ),
    ("while scanning a quoted scalar", "a quote is opened here and never closed"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("did not find expected key", "the indentation does not fit the lines above, or a `key:` is missing"),
    ("did not find expected '-' indicator", "the indentation does not fit the list above"),
    ("expected ',' or ']'", "a `,` or the closing `]` of a list is missing"),
    ("expected ',' or '}'", "a `,` or the closing `}` of a mapping is missing"),
    (
        "found character that cannot start any token",
        "this character cannot begin a value; put the value in quotes",
    ),
    ("found character '`'", "a backquote cannot begin a value; put the value in quotes"),
    ("found character '@'", "an `@` cannot begin a value; put the value in quotes"),
    ("found character '%'", "a `%` cannot begin a value; put the value in quotes"),
    (
        "unknown escape character",
        "an unknown `\\` escape in double quotes; use single quotes, or write `\\\\`",
    ),
)


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """The place (from 1) of a character of `text`."""
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def syntax_problem(error: yaml.YAMLError, chunk: str, file: str, first_line: int) -> Problem:
    """What the parser stumbled on in `chunk`, which begins on `first_line` of the file."""
    if isinstance(error, yaml.reader.ReaderError):
        where = _UNPRINTABLE.search(chunk)
        line, column = line_and_column(chunk, where.start() if where else 0)
        name = f"U+{ord(where[0]):04X}" if where else "of an unknown kind"
        message = f"a control character ({name}) cannot stand in YAML; remove it"
        return Problem(message, file, line + first_line - 1, column, rule="control-character")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    text = f"{getattr(error, 'context', None) or ''} {getattr(error, 'problem', None) or error}".strip()
    if "quoted scalar" in text and getattr(error, "context_mark", None) is not None:
        mark = error.context_mark  # type: ignore[attr-defined]  # where it opens says more than where it ends
    line, column = (mark.line + first_line, mark.column + 1) if mark is not None else (first_line, 1)
    lines = chunk.split("\n")
    here = lines[line - first_line] if line - first_line < len(lines) else ""
    if here[: column - 1].strip(" \t") == "" and "\t" in here[: len(here) - len(here.lstrip())]:
        return Problem(
            "a tab cannot indent YAML; use spaces", file, line, here.index("\t") + 1, rule="yaml-syntax"
        )
    sentence = next((says for known, says in _SYNTAX_SENTENCES if known in text), f"not valid YAML: {text}")
    return Problem(sentence, file, line, column, rule="yaml-syntax")
