"""kubectl's JSONPath: templates for `-o jsonpath`, and single paths for `--sort-by` and `-o custom-columns`.

What kubectl prints for a template is what this prints; tests/operator puts the same templates to both. It is a dialect:
`\\.` in keys, `{range}…{end}`, `['a.b']` that means `.a.b`, an index beyond a list is an error and a missing key is
none. Beyond kubectl, filters may be nested and joined with `&&` and `||`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from telarchy.errors import TelarchyError


class PathError(TelarchyError):
    """A path that cannot be read, or does not fit the document. `at`: which character of `text` it is about, from 0."""

    def __init__(self, message: str, text: str, at: int) -> None:
        super().__init__(f"{message}, at character {at + 1}:\n  {_pointed(text, at)}")


def _pointed(text: str, at: int) -> str:
    """The line that `at` is in, with a mark below."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].partition("\n")[0]
    return f"{line}\n  {' ' * (at - start)}^"


@dataclass(frozen=True)
class Key:
    """`.name`, `['name']`. `inner`: what `['a.b']` means where there is no key `a.b`."""

    name: str
    inner: Path | None = None

    def of(self, value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping):
            if self.name in value:
                yield value[self.name]
            elif self.inner is not None:
                yield from self.inner.values(value)


@dataclass(frozen=True)
class Wild:
    """`.*`, `[*]`."""

    def of(self, value: Any) -> Iterator[Any]:
        yield from _parts(value)


@dataclass(frozen=True)
class Descent:
    """`..`: the value and all that is below it."""

    def of(self, value: Any) -> Iterator[Any]:
        if _parts(value):
            yield value
            for part in _parts(value):
                yield from self.of(part)


@dataclass(frozen=True)
class Slice:
    """`[start:stop:step]`, and `[start]` where `one`."""

    start: int | None
    stop: int | None
    step: int
    one: bool
    text: str
    at: int

    def of(self, value: Any) -> Iterator[Any]:
        if value is None:
            return
        items = _listed(value, self.text, self.at)
        first = _counted(self.start or 0, items)
        end = len(items) if self.stop is None else _counted(self.stop, items)
        stop = first + 1 if self.one else end
        if first == stop:
            return
        for bound in (first, stop - 1):
            if not 0 <= bound < len(items):
                counted = f"the list has {len(items)} {'item' if len(items) == 1 else 'items'}"
                raise PathError(f"{counted}, and none is at {bound}", self.text, self.at)
        yield from items[first : stop : self.step]


@dataclass(frozen=True)
class Union:
    """`['a','b']`, `[0,2]`: all that the first finds, then the second."""

    members: tuple[Path, ...]


@dataclass(frozen=True)
class Filter:
    """`[?(…)]`: the items of a list for which it holds."""

    condition: Callable[[Any], bool]
    text: str
    at: int

    def of(self, value: Any) -> Iterator[Any]:
        if value is not None:
            yield from (one for one in _listed(value, self.text, self.at) if self.condition(one))


Step = Key | Wild | Descent | Slice | Union | Filter


@dataclass(frozen=True)
class Path:
    """Steps from a document to values in it."""

    steps: tuple[Step, ...]

    def values(self, document: Any) -> list[Any]:
        """What is there, in the document's order; nothing where a key is missing. Raises PathError."""
        found = [document]
        for step in self.steps:
            if isinstance(step, Union):
                found = [one for member in step.members for value in found for one in member.values(value)]
            else:
                found = [one for value in found for one in step.of(value)]
        return found


@dataclass(frozen=True)
class Literal:
    """Text as it is."""

    text: str

    def values(self, document: Any) -> list[Any]:
        return [self.text]


@dataclass(frozen=True)
class Range:
    """`{range …}` to `{end}`: the body for each that is found."""

    over: Path
    body: tuple[Part, ...]


Part = Literal | Path | Range


@dataclass(frozen=True)
class Template:
    """Text, with values of a document between."""

    parts: tuple[Part, ...]

    def found(self, document: Any) -> list[list[Any]]:
        """What each part finds, those in ranges once per turn. Raises PathError."""
        return list(_found(self.parts, document))

    def render(self, document: Any) -> str:
        """The text. Several values of one part have a space between. Raises PathError."""
        return "".join(" ".join(map(shown, values)) for values in self.found(document))


def _found(parts: Sequence[Part], document: Any) -> Iterator[list[Any]]:
    for part in parts:
        if isinstance(part, Range):
            for value in part.over.values(document):
                yield from _found(part.body, value)
        else:
            yield part.values(document)


def shown(value: Any) -> str:
    """A value as kubectl writes it: strings bare, lists and maps as JSON in one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def compared(operator: str, left: Any, right: Any, text: str, at: int) -> bool:
    """Whether the comparison of a filter holds. Raises PathError for an order between things that have none."""
    alike = _order(left) is not None and _order(left) == _order(right)
    if operator in ("==", "!="):
        return (alike and left == right) == (operator == "==")
    if not alike or left is None:
        raise PathError(f"{shown(left)} and {shown(right)} cannot be put in order", text, at)
    holds: bool = {"<": lt, "<=": le, ">": gt, ">=": ge}[operator](left, right)
    return holds


def _order(value: Any) -> type | None:
    """Values of one such type can be compared. None: it is not a plain value."""
    if isinstance(value, (bool, str)):
        return type(value)
    return float if isinstance(value, (int, float)) else type(None) if value is None else None


def _counted(bound: int, items: Sequence[Any]) -> int:
    """A bound that may be counted from the end."""
    return bound + len(items) if bound < 0 else bound


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _listed(value: Any, text: str, at: int) -> list[Any]:
    if not isinstance(value, list):
        what = "a map" if isinstance(value, Mapping) else shown(value)
        raise PathError(f"{what} is no list", text, at)
    return value
