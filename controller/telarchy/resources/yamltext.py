"""YAML text → trees of nodes that know where they stand, and problems for a person.

PyYAML's own loader is not used, only its parser (the C one where it is built): loading hides what a linter
needs (positions, duplicate keys, the spelling of `no`), recurses as deep as the text says, and expands
aliases without bound. Here a document becomes one `Node` tree in a loop, with limits; an alias is the same
node again, so a bomb costs its written size and is refused by the size it claims.

Values are read as Kubernetes' YAML reader reads them (YAML 1.1 booleans such as `yes`, but neither
timestamps nor base-60 numbers), so a file means the same under `telarchy` and `kubectl`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from telarchy.errors import Problem
from telarchy.resources.yamlsyntax import line_and_column, syntax_problem

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_NODES = 500_000  # per document, aliases expanded
MAX_DEPTH = 64
MAX_SHOWN = 60
MAX_DIGITS = 30  # longer numbers stay text and fail where a number is wanted

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAGS = ("tag:yaml.org,2002:str", "!")

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+)", re.ASCII)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))([eE][-+]?[0-9]+)?", re.ASCII
)
_SPECIAL_FLOATS = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_DOCUMENT_MARK = re.compile(r"^---(?=\s|$)", re.MULTILINE)


@dataclass(eq=False, slots=True)
class Node:
    """A value and where it stands (from 1). `value`: a scalar, `list[Node]`, or `dict[str, Entry]`."""

    value: Any
    line: int
    column: int
    spelling: str = ""  # a plain scalar as written, before it was read as a number or the like
    quoted: bool = False
    size: int = 1  # nodes in it, aliases expanded
    depth: int = 1
    open: bool = False  # still being read
    flawed: bool = False  # of a document: it can be read, but says something twice or doubtfully

    def plain(self) -> Any:
        """The value as plain data."""
        if isinstance(self.value, dict):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping; the position is the key's."""

    node: Node
    line: int
    column: int


Path = tuple[str | int, ...]


def shown(text: str) -> str:
    """A piece of a manifest as a message may repeat it: short, and on one line."""
    text = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


@dataclass(frozen=True)
class Positions:
    """Where the parts of one manifest stand in its file."""

    root: Node

    def node(self, path: Sequence[str | int]) -> Node | None:
        """The node at a path of keys and indexes, or None if the manifest does not have it."""
        node: Node | None = self.root
        for step in path:
            if node is None:
                return None
            if isinstance(node.value, dict) and isinstance(step, str):
                entry = node.value.get(step)
                node = entry.node if entry is not None else None
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            else:
                return None
        return node

    def key(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Line and column of the key at a path; of the nearest thing around it if it is not there."""
        if path and isinstance(path[-1], str):
            around = self.node(path[:-1])
            if around is not None and isinstance(around.value, dict) and path[-1] in around.value:
                entry = around.value[path[-1]]
                return entry.line, entry.column
        return self.value(path)

    def value(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Line and column of the value at a path; of the nearest key around it if it is not there."""
        node = self.node(path)
        # an empty value stands nowhere that a person could see
        if node is not None and not (node.value is None and node.spelling == "" and path):
            return node.line, node.column
        if not path:
            return self.root.line, self.root.column
        return self.key(path) if node is not None else self.key(path[:-1])


@dataclass
class Documents:
    """What a text holds: the roots of its documents, and what is wrong with it. `torn`: some have no root."""

    roots: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    torn: bool = False


class _Refused(Exception):
    """A document that cannot be used at all."""

    def __init__(self, rule: str, message: str, line: int, column: int) -> None:
        self.rule, self.message, self.line, self.column = rule, message, line, column


def read_documents(text: str, file: str) -> Documents:
    """Every document of `text`. One that is broken does not hide those before and after it."""
    found = Documents()
    if file.endswith(".json"):
        # JSON may be indented by tabs, YAML may not; inside JSON strings tabs are escaped anyway
        text = text.replace("\t", " ")
    for chunk, first_line in _chunks(text.removeprefix("\ufeff")):
        reader = _Reader(file, first_line, found)
        try:
            reader.read(chunk)
        except _Refused as no:
            found.problems.append(Problem(no.message, file, no.line, no.column, rule=no.rule))
            found.torn = True
        except yaml.YAMLError as error:
            found.problems.append(syntax_problem(error, chunk, file, first_line))
            found.torn = True
    return found


def decode(data: bytes, file: str) -> str | Problem:
    """The text of a file's bytes, or why it has none."""
    if len(data) > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 2**20
        return Problem(
            f"the file is larger than {limit} MiB, which no manifest is", file, rule="file-too-large"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = line_and_column(before, len(before))
        message = f"the file is not UTF-8 text (byte 0x{data[error.start]:02x}); save it as UTF-8"
        return Problem(message, file, line, column, rule="not-utf-8")


def _chunks(text: str) -> Iterator[tuple[str, int]]:
    """The text cut before each `---`, with the line each piece starts on.

    YAML forbids `---` at the start of a line inside any value, so the cut is exact; directives and comments
    before a document stay with it.
    """
    start, line = 0, 1
    for mark in _DOCUMENT_MARK.finditer(text):
        chunk = text[start : mark.start()]
        if chunk == "---\n":
            start, line = mark.start(), line + 1
        elif any(row.strip() and not row.startswith(("#", "%")) for row in chunk.split("\n")):
            yield chunk, line
            start = mark.start()
            line += chunk.count("\n")
    yield text[start:], line


class _Reader:
    """Builds the node trees of one chunk from PyYAML's events, without recursion."""

    def __init__(self, file: str, first_line: int, found: Documents) -> None:
        self._file, self._first_line, self._found = file, first_line, found
        self._anchors: dict[str, Node] = {}
        self._stack: list[tuple[Node, Any]] = []  # open collections, each with its waiting key if a mapping
        self._problems_before = 0

    def read(self, chunk: str) -> None:
        parser = _PARSER(chunk)
        try:
            while parser.check_event():
                self._take(parser.get_event())
        finally:
            parser.dispose()

    def _place(self, mark: Any) -> tuple[int, int]:
        return mark.line + self._first_line, mark.column + 1

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors, self._stack = {}, []
            self._problems_before = len(self._found.problems)
        elif isinstance(event, yaml.AliasEvent):
            self._take_alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = node
            self._add(node)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            node, _ = self._stack.pop()
            node.open = False
            self._check_limits(node)
            self._add(node)

    def _open(self, event: Any) -> None:
        line, column = self._place(event.start_mark)
        if event.tag is not None and not event.implicit:
            raise _Refused(
                "yaml-tag", f"the tag `{shown(event.tag)}` is not supported in manifests", line, column
            )
        if len(self._stack) >= MAX_DEPTH:
            raise _Refused("too-deep", f"nested deeper than {MAX_DEPTH} levels", line, column)
        if self._stack and isinstance(self._stack[-1][0].value, dict) and self._stack[-1][1] is None:
            raise _Refused("complex-key", "a key is a word, not a list or a mapping", line, column)
        mapping = isinstance(event, yaml.MappingStartEvent)
        node = Node({} if mapping else [], line, column, open=True)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._stack.append((node, None))

    def _take_alias(self, event: Any) -> None:
        line, column = self._place(event.start_mark)
        node = self._anchors.get(event.anchor)
        if node is None:
            raise _Refused(
                "unknown-alias",
                f"`*{shown(event.anchor)}` has no anchor `&` of that name before it",
                line,
                column,
            )
        if node.open:
            raise _Refused("alias-loop", f"`*{shown(event.anchor)}` stands inside itself", line, column)
        self._add(node, place=(line, column))

    def _check_limits(self, node: Node) -> None:
        if node.size > MAX_NODES:
            message = f"it has more than {MAX_NODES} values once its aliases are expanded"
            raise _Refused("too-many-values", message, node.line, node.column)
        if node.depth > MAX_DEPTH:
            raise _Refused("too-deep", f"nested deeper than {MAX_DEPTH} levels", node.line, node.column)

    def _add(self, node: Node, place: tuple[int, int] | None = None) -> None:
        """Put a finished node where it belongs: a document's root, a list's item, a key or its value."""
        if not self._stack:
            node.flawed = len(self._found.problems) > self._problems_before
            self._found.roots.append(node)
            return
        around, key = self._stack[-1]
        if isinstance(around.value, list):
            around.value.append(node)
        elif key is None:
            self._stack[-1] = (around, self._key(node, place))
            return
        else:
            name, line, column = key
            self._stack[-1] = (around, None)
            if name == "<<":
                self._merge(around, node)
            elif name in around.value and not getattr(around.value[name], "merged", False):
                first = around.value[name].line
                message = f"`{shown(name)}` is given twice; the first is on line {first}"
                self._found.problems.append(Problem(message, self._file, line, column, rule="duplicate-key"))
            else:
                around.value[name] = Entry(node, line, column)
        around.size += node.size
        around.depth = max(around.depth, node.depth + 1)
        self._check_limits(around)

    def _key(self, node: Node, place: tuple[int, int] | None) -> tuple[str, int, int]:
        line, column = place or (node.line, node.column)
        if isinstance(node.value, (dict, list)):
            raise _Refused("complex-key", "a key is a word, not a list or a mapping", line, column)
        if isinstance(node.value, bool) or node.value is None:
            word = str(node.value).lower() if node.value is not None else "null"
            written = f"`{node.spelling}` is" if node.spelling else "an empty key is"
            message = f'{written} read as {word} in YAML; put the key in quotes: "{node.spelling}"'
            self._found.problems.append(Problem(message, self._file, line, column, rule="yaml-word"))
        return node.spelling or str(node.value), line, column

    def _merge(self, around: Node, node: Node) -> None:
        """`<<: *defaults`: the other mapping's entries, where this one does not say otherwise."""
        sources = node.value if isinstance(node.value, list) else [node]
        for source in sources:
            if not isinstance(source.value, dict):
                raise _Refused("merge-not-mapping", "`<<` takes a mapping", source.line, source.column)
            for name, entry in source.value.items():
                around.value.setdefault(name, _MergedEntry(entry.node, entry.line, entry.column))

    def _scalar(self, event: Any) -> Node:
        line, column = self._place(event.start_mark)
        text: str = event.value
        if event.tag is not None and not (event.implicit[0] or event.implicit[1]):
            if event.tag not in _STRING_TAGS:
                raise _Refused(
                    "yaml-tag", f"the tag `{shown(event.tag)}` is not supported in manifests", line, column
                )
            return Node(text, line, column, text)
        if not event.implicit[0]:
            return Node(text, line, column, text, quoted=True)
        if _LEADING_ZERO.fullmatch(text):
            message = (
                f"`{text}` is a number in base eight to some programs and in base ten to others; "
                f'write it without the zero, or as text: "{text}"'
            )
            self._found.problems.append(Problem(message, self._file, line, column, rule="yaml-octal"))
            return Node(int(text.replace("_", "")) if len(text) <= MAX_DIGITS else text, line, column, text)
        return Node(_read_plain(text), line, column, text)


class _MergedEntry(Entry):
    """An entry that came through `<<`; an explicit one may replace it."""

    __slots__ = ()

    @property
    def merged(self) -> bool:
        return True


def _read_plain(text: str) -> Any:
    """A plain (unquoted) scalar's value."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if len(text) <= MAX_DIGITS:
        if _INT.fullmatch(text):
            digits = text.replace("_", "")
            return int(digits, 0) if "x" in digits or "b" in digits or "o" in digits else int(digits)
        if _FLOAT.fullmatch(text):
            return float(text.replace("_", ""))
        if special := _SPECIAL_FLOATS.get(text.lower()):
            return float(special)
    return text
