"""A stand-in for the API server's admission: the structural schema by jsonschema, the rules by a CEL library.

Also the checks that it makes on the CRD itself. It does what the real one documents and no more; the real one
is asked by the tests that have a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cel
import jsonschema


def refusals(schema: dict[str, Any], value: Any, place: str = "spec") -> Iterator[str]:
    """Why the API server would refuse `value` under a structural schema; nothing if it would not."""
    found = [
        f"{place}: {error.message}"
        for error in jsonschema.Draft7Validator(
            _plain(schema), format_checker=jsonschema.FormatChecker(())
        ).iter_errors(value)
    ]
    if found:
        yield from found
        return  # rules run only over values of the right shape
    yield from _broken_rules(schema, value, place)


def _plain(schema: Any, *, names: bool = False) -> Any:
    """The schema in words that jsonschema knows: patterns matched as RE2 does."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _plain(inner, names=not names and key == "properties") for key, inner in schema.items()}
    if not names and isinstance(pattern := result.get("pattern"), str):
        result["pattern"] = pattern.removesuffix("$") + r"\Z"  # RE2's `$` is the end of the text
    return result


def _broken_rules(schema: dict[str, Any], value: Any, place: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if cel.evaluate(rule["rule"], {"self": value}) is not True:
            yield f"{place}: {rule['message']}"
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in schema.get("properties", {}):
                yield from _broken_rules(schema["properties"][name], inner, f"{place}.{name}")
            elif "additionalProperties" in schema:
                yield from _broken_rules(schema["additionalProperties"], inner, f"{place}.{name}")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _broken_rules(schema["items"], inner, f"{place}[{index}]")
        if schema.get("x-kubernetes-list-type") == "map":
            keys = [tuple(item.get(key) for key in schema["x-kubernetes-list-map-keys"]) for item in value]
            if len(set(keys)) < len(keys):
                yield f"{place}: duplicate value"


ALLOWED = {
    "additionalProperties", "anyOf", "default", "description", "enum", "format", "items", "maxItems", "maxLength",
    "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "pattern", "properties",
    "required", "type", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys", "x-kubernetes-list-type",
    "x-kubernetes-validations",
}  # fmt: skip


def structural_flaws(schema: dict[str, Any], place: str = "") -> Iterator[str]:
    """Why the API server would refuse this as a structural schema, or could not bound the cost of its rules."""
    for key in sorted(set(schema) - ALLOWED):
        yield f"{place}: {key} is not allowed"
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if kind is not None:
            yield f"{place}: int-or-string has no type"
        if schema.get("anyOf") != [{"type": "integer"}, {"type": "string"}]:
            yield f"{place}: int-or-string has one union"
    elif "anyOf" in schema:
        yield f"{place}: a union"
    elif kind not in ("object", "array", "string", "integer", "boolean"):
        yield f"{place}: type {kind}"
    if "default" in schema and place != "status":
        yield f"{place}: a default would rewrite what people store"
    if kind == "string" and "maxLength" not in schema:
        yield f"{place}: no maxLength"
    if kind == "array" and "maxItems" not in schema:
        yield f"{place}: no maxItems"
    if kind == "array" and "items" not in schema:
        yield f"{place}: no items"
    if "additionalProperties" in schema:
        if "properties" in schema or not isinstance(schema["additionalProperties"], dict):
            yield f"{place}: additionalProperties beside properties"
        if "maxProperties" not in schema:
            yield f"{place}: no maxProperties"
        yield from structural_flaws(schema["additionalProperties"], f"{place}.*")
    if schema.get("properties") == {}:
        yield f"{place}: the API server drops empty properties, and what is stored is not what was applied"
    if "items" in schema:
        yield from structural_flaws(schema["items"], f"{place}[]")
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            if key not in schema["items"].get("required", ()):
                yield f"{place}: the map key {key} is not required"
    for name, inner in schema.get("properties", {}).items():
        yield from structural_flaws(inner, f"{place}.{name}" if place else name)
    for name in schema.get("required", ()):
        if name not in schema.get("properties", {}):
            yield f"{place}: {name} is required and not described"
    for rule in schema.get("x-kubernetes-validations", ()):
        if not rule["message"].strip() or "\n" in rule["message"] or len(rule["message"]) > 2048:
            yield f"{place}: the message of {rule['rule']}"
        cel.compile(rule["rule"])
