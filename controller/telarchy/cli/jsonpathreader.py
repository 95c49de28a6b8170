"""Reading kubectl's JSONPath: text to `jsonpath.Template` and `jsonpath.Path`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

from telarchy.cli.jsonpath import (
    Descent,
    Filter,
    Key,
    Literal,
    Part,
    Path,
    PathError,
    Range,
    Slice,
    Step,
    Template,
    Union,
    Wild,
    compared,
)

_NAME = re.compile(r"(?:\\.|[^\s.,\[\]$@{}\\])+", re.DOTALL)
_NAME_IN_FILTER = re.compile(r"(?:\\.|[^\s.,\[\]$@{}\\()=!<>&|])+", re.DOTALL)
_QUOTED = re.compile(r"""'((?:\\.|[^'\\\n])*)'|"((?:\\.|[^"\\\n])*)\"""")
_SLICE = re.compile(r"(-?\d*)(?:(:)(-?\d*))?(?::(\d*))?")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")
_WORD = re.compile(r"[A-Za-z_]\w*")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_DEEPEST = 50  # filters in filters

Condition = Callable[[Any], bool]


def read_template(text: str) -> Template:
    """`{.metadata.name}{"\\n"}` and what else is a template. Raises PathError, with the place."""
    reader = _Reader(text)
    parts = reader.parts(inside=False)
    return Template(parts)


def read_path(text: str) -> Path:
    """One path: `.status.x`, `status.x`, `{.status.x}`. Raises PathError, with the place."""
    reader = _Reader(text)
    reader.skip_space()
    braced = reader.take("{")
    reader.skip_space()
    if not reader.ahead(".", "[", "$", "@"):
        first: tuple[Step, ...] = (reader.key(),)
    else:
        first = ()
    path = Path(first + reader.path().steps)
    reader.skip_space()
    if braced:
        reader.expect("}")
    reader.skip_space()
    if not reader.ended:
        reader.fail("there is more than one path" if braced else "a path does not go on like that")
    return path


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._text)

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        raise PathError(message, self._text, self._at if at is None else at)

    def ahead(self, *words: str) -> bool:
        return self._text.startswith(words, self._at)

    def take(self, word: str) -> bool:
        if self.ahead(word):
            self._at += len(word)
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            self.fail(f"`{word}` is missing")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def skip_space(self) -> None:
        while not self.ended and self._text[self._at].isspace():
            self._at += 1

    # --- templates

    def parts(self, *, inside: bool) -> tuple[Part, ...]:
        """To the end, or to the `{end}` of the range that we are inside."""
        parts: list[Part] = []
        while not self.ended:
            began = self._at
            if not self.take("{"):
                brace = self._text.find("{", began)
                self._at = len(self._text) if brace < 0 else brace
                parts.append(Literal(self._text[began : self._at]))
                continue
            self.skip_space()
            word = self.match(_WORD)
            if word is None:
                parts.append(Literal(self._quoted()) if self.ahead("'", '"') else self.path())
                self._close()
            elif word[0] == "range":
                self.skip_space()
                over = self.path()
                self._close()
                self._deeper()
                parts.append(Range(over, self.parts(inside=True)))
                self._depth -= 1
            elif word[0] == "end":
                self._close()
                if not inside:
                    self.fail("there is no range to end here", began)
                return tuple(parts)
            else:
                self.fail(f"a path begins with a point: `.{word[0]}`", word.start())
        return tuple(parts)

    def _close(self) -> None:
        self.skip_space()
        if not self.take("}"):
            self.fail("`}` is missing" if self.ended else "this belongs to no path")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            self.fail("this is nested too deeply")

    def _quoted(self) -> str:
        began = self._at
        found = self.match(_QUOTED)
        if found is None:
            self.fail("the quote that begins here does not end", began)
        inside = found[1] if found[1] is not None else found[2]
        return _ESCAPE.sub(lambda one: self._escaped(one, began + 1), inside)

    def _escaped(self, found: re.Match[str], began: int) -> str:
        if digits := found[1] or found[2]:
            return chr(int(digits, 16))
        if found[3] in "\\'\"":
            return str(found[3])
        if found[3] not in _ESCAPES:
            self.fail(f"`\\{found[3]}` means nothing", began + found.start())
        return _ESCAPES[found[3]]

    # --- paths

    def path(self, *, name: re.Pattern[str] = _NAME) -> Path:
        """From `$`, `@`, a point or a bracket to what cannot belong to it any more."""
        steps: list[Step] = []
        if not self.take("$"):
            self.take("@")
        while True:
            if self.take(".."):
                if steps and isinstance(steps[-1], Descent):
                    self.fail("`..` cannot follow `..`", self._at - 2)
                steps.append(Descent())
                if not self.ahead("[", "."):
                    steps.append(self.key(name))
            elif self.take("."):
                alone = self.ended or self._text[self._at] in "}) "
                if not (alone and not steps) and not self.ahead("["):
                    steps.append(self.key(name))
            elif self.ahead("["):
                steps.append(self._bracket())
            else:
                return Path(tuple(steps))

    def key(self, name: re.Pattern[str] = _NAME) -> Step:
        """A name, with `\\` before what would end it, or `*`."""
        found = self.match(name)
        if found is None:
            self.fail("a name is missing")
        return Wild() if found[0] == "*" else Key(_bare(found[0]))

    def _bracket(self) -> Step:
        self.expect("[")
        self.skip_space()
        if self.ahead("?"):
            return self._filter()
        members = [self._member()]
        while self.take(","):
            self.skip_space()
            members.append(self._member())
        if not self.take("]"):
            self.fail("`]` is missing" if self.ended else "only an index, a slice, `*` or 'a key' fits here")
        return members[0] if len(members) == 1 else Union(tuple(Path((one,)) for one in members))

    def _member(self) -> Step:
        began = self._at
        if self.take("*"):
            step: Step = Wild()
        elif self.ahead("'", '"'):
            step = self._key_in_quotes()
        else:
            found = self.match(_SLICE)
            if found is None or not found[0] or found[1] == "-" or found[3] == "-":
                self.fail("only an index, a slice, `*` or 'a key' fits here", began)
            start, stop, each = (self._whole(found[group], began) for group in (1, 3, 4))
            if each == 0:
                self.fail("a slice's step is at least 1", found.start(4))
            step = Slice(start, stop, each or 1, found[2] is None, self._text, began)
        self.skip_space()
        return step

    def _whole(self, digits: str | None, at: int) -> int | None:
        if digits and len(digits) > 18:  # no list is so long, and Python refuses to read some numbers
            self.fail("this number is too large", at)
        return int(digits) if digits else None

    def _key_in_quotes(self) -> Key:
        began = self._at
        found = self.match(_QUOTED)
        if found is None:
            self.fail("the quote that begins here does not end", began)
        inside = found[1] if found[1] is not None else found[2]
        inner = None
        if re.search(r"(?<!\\)\.", inside.strip(".")):
            try:
                inner = read_path(inside)
            except PathError:
                pass  # then it is a key and nothing else
        return Key(_bare(inside), inner)

    # --- filters

    def _filter(self) -> Filter:
        began = self._at - 1
        self.expect("?")
        self.skip_space()
        self.expect("(")
        self._deeper()
        condition = self._any()
        self._depth -= 1
        self.expect(")")
        self.skip_space()
        self.expect("]")
        return Filter(condition, self._text, began)

    def _any(self) -> Condition:
        members = [self._all()]
        while self.take("||"):
            members.append(self._all())
        return members[0] if len(members) == 1 else lambda item: any(one(item) for one in members)

    def _all(self) -> Condition:
        members = [self._comparison()]
        while self.take("&&"):
            members.append(self._comparison())
        return members[0] if len(members) == 1 else lambda item: all(one(item) for one in members)

    def _comparison(self) -> Condition:
        self.skip_space()
        left = self._operand()
        self.skip_space()
        text, at = self._text, self._at
        found = self.match(_OPERATOR)
        if found is None:
            if not self.ahead(")", "&&", "||"):
                self.fail("`)` is missing" if self.ended else "a comparison is ==, !=, <, <=, > or >=")
            return lambda item: bool(left(item))
        operator = found[0]
        self.skip_space()
        right = self._operand()
        self.skip_space()

        def holds(item: Any) -> bool:
            lefts, rights = left(item), right(item)
            if len(lefts) > 1 or len(rights) > 1:
                raise PathError("only one value can be compared with one other", text, at)
            return bool(lefts and rights) and compared(operator, lefts[0], rights[0], text, at)

        return holds

    def _operand(self) -> Callable[[Any], list[Any]]:
        value: Any
        if self.ahead("'", '"'):
            value = self._quoted()
        elif number := self.match(_NUMBER):
            exact = len(number[0]) <= 18 and not (number[1] or number[2])
            value = int(number[0]) if exact else float(number[0])
        elif self.ahead("@", "$", ".", "["):
            return self.path(name=_NAME_IN_FILTER).values
        elif (word := self.match(_WORD)) and word[0] in _CONSTANTS:
            value = _CONSTANTS[word[0]]
        else:
            at = word.start() if word else self._at
            self.fail("a path like @.name, a 'text', a number, true or false is missing", at)
        return lambda item: [value]


_CONSTANTS = {"true": True, "false": False, "null": None}


def _bare(name: str) -> str:
    """Without the backslashes that kept points and quotes from their meaning."""
    return re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL)
