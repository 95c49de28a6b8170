"""What a person names on the command line: `hosts`, `host/black`, `ho,cf`, `all`, `host black white`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from telarchy.cli import exits
from telarchy.errors import TelarchyError
from telarchy.resources.meta import Kind
from telarchy.resources.registry import KINDS, resolve_kind

ALL = ("all", "telarchy")  # `telarchy` is the category under kubectl
EVENTS = ("event", "events", "ev")  # a kind like any other under kubectl


@dataclass(frozen=True)
class Targets:
    """Kinds and, for some of them, names. A kind without names means all of that kind."""

    names: Mapping[str, tuple[str, ...]]

    @property
    def kinds(self) -> list[Kind]:
        return [KINDS[name] for name in KINDS if name in self.names]

    @property
    def single(self) -> bool:
        """Exactly one resource is named."""
        return len(self.names) == 1 and len(next(iter(self.names.values()))) == 1

    @property
    def named(self) -> bool:
        return any(self.names.values())

    def pick(self, resources: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
        """Those that are meant, and a sentence for each named one that is not there."""
        picked: list[dict[str, Any]] = []
        missing: list[str] = []
        for kind, names in self.names.items():
            all_of_kind = [one for one in resources if one["kind"] == kind]
            if not names:
                picked += map(dict, all_of_kind)
                continue
            mine = {one["metadata"]["name"]: one for one in all_of_kind}
            for name in names:
                if name in mine:
                    picked.append(dict(mine[name]))
                else:
                    missing.append(not_found(KINDS[kind], name, list(mine)))
        return picked, missing


def kind_of(text: str) -> Kind:
    """Raises TelarchyError with a suggestion."""
    kind = resolve_kind(text)
    if kind is None and text.lower() in EVENTS:
        raise TelarchyError("events are no resources here; `telarchy events` shows them")
    if kind is None:
        from difflib import get_close_matches

        known = [name for one in KINDS.values() for name in (one.plural, *one.short_names)]
        close = get_close_matches(text.lower(), known, 1)
        hint = (
            f"did you mean `{close[0]}`?"
            if close
            else f"known are {', '.join(one.plural for one in KINDS.values())}"
        )
        raise TelarchyError(f"there is no kind `{text}`; {hint}")
    return kind


def parse_targets(words: Sequence[str]) -> Targets:
    """Raises TelarchyError for unknown kinds, click.UsageError for what cannot be read."""
    names: dict[str, tuple[str, ...]] = {}
    if any("/" in word for word in words):
        for word in words:
            kind_text, slash, name = word.partition("/")
            if not slash or not name or not kind_text:
                raise click.UsageError(f"`{word}`: with kind/name, every word is a kind/name")
            kind = kind_of(kind_text).name
            names[kind] = tuple(dict.fromkeys((*names.get(kind, ()), name)))
        return Targets(names)
    kinds = [part for part in words[0].split(",") if part] if words else []
    if not kinds:
        raise click.UsageError("name a kind, like `hosts`, or `all`")
    if any(part.lower() in ALL for part in kinds):
        kinds = list(KINDS)
    for part in kinds:
        names[kind_of(part).name] = tuple(dict.fromkeys(words[1:]))
    return Targets(names)


def not_found(kind: Kind, name: str, known: Sequence[str]) -> str:
    """The sentence for a resource that is not there."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    hint = f"; did you mean {kind.singular}/{close[0]}?" if close else ""
    return f"{kind.singular}/{name} not found{hint}"


def tell_missing(missing: Sequence[str]) -> int:
    """A line on stderr for each that is not there, after those that are; returns the exit code."""
    for sentence in missing:
        click.echo(f"telarchy: {sentence}", err=True)
    return exits.ERROR if missing else exits.OK
