"""What pydantic found, said to the person who wrote the manifest.

Every error pydantic can raise on our models is turned into a sentence that names the field as it is spelt
in the manifest, says what is wanted, and where possible what was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from telarchy.errors import Problem
from telarchy.resources.meta import Model
from telarchy.resources.rules import RULES_BROKEN, SHAPE_BROKEN
from telarchy.resources.yamltext import Node, Path, Positions, shown

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a mapping (`key: value` lines)",
    "model_attributes_type": "a mapping (`key: value` lines)",
    "dict_type": "a mapping (`key: value` lines)",
    "tuple_type": "a list (`- …` lines)",
    "list_type": "a list (`- …` lines)",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}
# These carry their own sentence.
_OWN_WORDS = frozenset({"quantity", "bit-rate", "duration", "time", SHAPE_BROKEN})


def dotted(path: Path) -> str:
    """`spec.mediaRoots[0].path`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shown(step)}"
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterator[str] | list[str]) -> str:
    """`; did you mean `alwaysOn`?`, or nothing where nothing is near."""
    by_lower = {one.lower().replace("_", ""): one for one in known}
    near = difflib.get_close_matches(word.lower().replace("_", ""), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean `{by_lower[near[0]]}`?" if near else ""


def problems_of(
    error: ValidationError, model: type[Model], positions: Positions, file: str, base: Path = ()
) -> Iterator[Problem]:
    """Every finding of `error`, at its place. `base` is where in the document the manifest stands."""
    found = error.errors(include_url=False)
    for detail in found:
        path = tuple(step for step in detail["loc"] if step != "[key]")
        node = positions.node(base + path)
        if detail["type"] == "too_short" and node is not None and node.value:
            continue  # the list has items; they are wrong, and reported by themselves
        if detail["type"] == RULES_BROKEN:
            for rule, name, message in detail["ctx"]["rules"]:
                yield _at(positions, file, base, (*path, name) if name else path, message, rule)
            continue
        rule, message, at_key = _sentence(detail, path, node, model)
        yield _at(positions, file, base, path, message, rule, at_key=at_key)


def _at(
    positions: Positions, file: str, base: Path, path: Path, message: str, rule: str, *, at_key: bool = False
) -> Problem:
    line, column = (positions.key if at_key else positions.value)(base + path)
    where = dotted(path)
    return Problem(f"{where}: {message}" if where else message, file, line, column, rule=rule)


def _sentence(
    detail: ErrorDetails, path: Path, node: Node | None, model: type[Model]
) -> tuple[str, str, bool]:
    """(rule id, sentence, whether the finger points at the key)."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown-field", _unknown_field(path, model), True
    if kind == "missing":
        return "missing-field", "is missing", False
    if kind in _WANTED:
        return "wrong-type", _wrong_type(_WANTED[kind], node, path), False
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return "out-of-range", f"must be {words} {context[key]}, not {_shown(node)}", False
    if kind == "literal_error":
        return "unknown-value", _unknown_value(context, node, model, path), False
    if kind in _OWN_WORDS:
        if node is not None and node.value is None:
            return "wrong-type", "is empty; give it a value or leave it out", False
        return kind.replace("_", "-"), str(context["says"]), False
    if kind in ("too_long", "too_short", "string_too_long", "string_too_short"):
        return "wrong-length", _wrong_length(kind, context), False
    if kind == "string_unicode":
        return "not-unicode", "has a character that is half of a pair; write the character itself", False
    return kind.replace("_", "-"), detail["msg"], False


def _shown(node: Node | None) -> str:
    if node is None:
        return "what it is"
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    return shown(node.spelling) or "nothing"


def _wrong_type(wanted: str, node: Node | None, path: Path) -> str:
    if node is None:
        return f"must be {wanted}"
    if node.value is None and not node.spelling:
        if wanted.startswith("a mapping"):
            return f"is empty; write `{path[-1] if path else ''}: {{}}`, or leave it out"
        return f"is empty; it must be {wanted}"
    if wanted == "text" and not isinstance(node.value, (dict, list, str)):
        read_as = {bool: str(node.value).lower(), type(None): "nothing"}.get(type(node.value), "a number")
        return f'`{_shown(node)}` is read as {read_as} in YAML; put it in quotes: "{_shown(node)}"'
    if node.quoted:
        unquoted = {
            "a whole number": node.value.isdecimal(),
            "true or false": node.value in ("true", "false"),
        }
        if unquoted.get(wanted):
            return f"must be {wanted}; remove the quotes around {_shown(node)}"
    if wanted.startswith("a list") and not isinstance(node.value, dict):
        return f"must be {wanted}; for one item write `[{_shown(node)}]`"
    return f"must be {wanted}, not {_shown(node)}"


def _wrong_length(kind: str, context: dict[str, Any]) -> str:
    limit = context.get("max_length", context.get("min_length"))
    unit = "character" if kind.startswith("string") else "item"
    plural = "" if limit == 1 else "s"
    return f"must have {'at most' if kind.endswith('long') else 'at least'} {limit} {unit}{plural}"


def _unknown_value(context: dict[str, Any], node: Node | None, model: type[Model], path: Path) -> str:
    field = _field(model, path)
    known = [one for one in _literals(field.annotation) if isinstance(one, str)] if field else []
    if not known:
        return f"must be {context.get('expected', 'another value')}, not {_shown(node)}"
    choice = ", ".join(known[:-1]) + (" or " if len(known) > 1 else "") + known[-1]
    return f"must be {choice}, not {_shown(node)}{did_you_mean(_shown(node), known)}"


def _literals(annotation: Any) -> Iterator[Any]:
    for one in get_args(annotation):
        if isinstance(one, (str, int)):
            yield one
        else:
            yield from _literals(one)


def _unknown_field(path: Path, model: type[Model]) -> str:
    name = str(path[-1])
    around = _model_at(model, path[:-1])
    here = list(field_names(around)) if around is not None else []
    suggestion = did_you_mean(name, here)
    if not suggestion:
        places = [place for place, inner in _models_in(model, ()) if name in field_names(inner)]
        if places:
            suggestion = f"; it belongs under `{dotted(places[0])}`"
        elif here:
            suggestion = f"; known here: {', '.join(sorted(here))}"
        else:
            suggestion = "; nothing is set here"
    return f"unknown field{suggestion}"


def field_names(model: type[Model]) -> Iterator[str]:
    """The fields of a model as a manifest spells them."""
    for name, field in model.model_fields.items():
        yield field.alias or name


def _submodel(annotation: Any) -> type[Model] | None:
    """The model inside `X | None`, `tuple[X, …]`, `Annotated[…]`."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for one in get_args(annotation) if (found := _submodel(one)) is not None), None)


def _field(model: type[Model], path: Path) -> FieldInfo | None:
    names = [step for step in path if isinstance(step, str)]
    around = _model_at(model, tuple(names[:-1])) if names else None
    if around is None:
        return None
    return next((f for name, f in around.model_fields.items() if (f.alias or name) == names[-1]), None)


def _model_at(model: type[Model], path: Path) -> type[Model] | None:
    current: type[Model] | None = model
    for step in path:
        if isinstance(step, int):
            continue
        if current is None:
            return None
        field = next((f for name, f in current.model_fields.items() if (f.alias or name) == step), None)
        current = _submodel(field.annotation) if field is not None else None
    return current


def _models_in(model: type[Model], path: Path) -> Iterator[tuple[Path, type[Model]]]:
    """Every model a person may fill in, with its place; outermost first."""
    waiting = [(path, model)]
    while waiting:
        place, current = waiting.pop(0)
        yield place, current
        for name, field in current.model_fields.items():
            alias = field.alias or name
            inner = _submodel(field.annotation)
            if inner is not None and alias not in ("status", "ownerReferences"):
                waiting.append(((*place, alias), inner))
