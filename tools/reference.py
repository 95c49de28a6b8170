"""Writes docs/reference.md, every field of every kind, from the models. `--check`: only say whether it is stale."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telarchy.resources.jsonschema import json_schema
from telarchy.resources.meta import Kind
from telarchy.resources.registry import KINDS

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

HEAD = """\
# Every field of every kind

Written by `make crds` from the models; edit those. A field without a default and without *required* may be left
out. Sizes are numbers of bytes or written like `50Gi`, `1.5Ti`; durations like `45s`, `15m`, `72h`, `30d`, `1h30m`.
Every kind has `metadata` as Kubernetes has it: `name`, `namespace` (default `default`: a namespace is a fleet),
`labels`, `annotations`.
"""


def reference() -> str:
    return HEAD + "".join(chapter(kind) for kind in KINDS.values())


def chapter(kind: Kind) -> str:
    schema = json_schema(kind)
    definitions = schema["definitions"]
    names = ", ".join(f"`{name}`" for name in (kind.plural, *kind.short_names))
    rows = list(fields(definitions[f"{kind.name}Spec"], definitions))
    wrong = [f"- {rule}" for rule in said(kind)]
    return "\n".join(
        [
            f"\n## {kind.name}\n",
            f"{schema['description']} In commands: {names}.\n",
            "| field of `spec` | is | default | |",
            "|---|---|---|---|",
            *rows,
            *(["\nRefused, in these words:\n", *wrong] if wrong else []),
            "",
        ]
    )


def fields(schema: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> Iterator[str]:
    required = schema.get("required", [])
    for name, raw in schema.get("properties", {}).items():
        inner = raw | resolved(raw, definitions)
        text = raw.get("description") or inner.get("description", "")
        default = "*required*" if name in required else shown_default(raw)
        yield f"| `{prefix}{name}` | {type_of(inner, definitions)} | {default} | {text} |".replace("\n", " ")
        if "properties" in inner:
            yield from fields(inner, definitions, f"{prefix}{name}.")
        elif "properties" in (item := resolved(inner.get("items", {}), definitions)):
            yield from fields(item, definitions, f"{prefix}{name}[].")


def resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    target = schema.get("$ref") or next((one["$ref"] for one in schema.get("allOf", []) if "$ref" in one), "")
    return definitions[target.rpartition("/")[2]] if target else schema


def type_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    pattern = schema.get("pattern", "")
    if "enum" in schema:
        return " \\| ".join(f"`{one}`" for one in schema["enum"])
    if "anyOf" in schema:
        return "size"
    if "(ms|s|m|h|d|w)" in pattern:
        return "duration"
    if schema.get("format") == "date-time":
        return "time"
    if schema.get("type") == "array":
        item = resolved(schema["items"], definitions)
        return f"list of {type_of(item, definitions)}" if "properties" not in item else "list"
    if schema.get("type") == "object":
        return "map" if "patternProperties" in schema else ""
    if schema.get("type") == "integer":
        return f"{schema.get('minimum', '')}–{schema.get('maximum', '')}"
    return {"boolean": "true \\| false", "string": "text"}.get(schema.get("type", ""), "")


def shown_default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    if value in (None, [], {}, ""):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def said(kind: Kind) -> Iterator[str]:
    """The sentences of the rules that hold between fields, each once."""
    seen: set[str] = set()
    waiting = [kind.model.model_fields["spec"].annotation]
    known: set[Any] = set()
    while waiting:
        model = waiting.pop(0)
        if model in known or not hasattr(model, "model_fields"):
            continue
        known.add(model)
        for rule in getattr(model, "rules", ()):
            if rule.message not in seen:
                seen.add(rule.message)
                yield rule.message
        for field in model.model_fields.values():
            waiting += inside(field.annotation)


def inside(annotation: Any) -> list[Any]:
    """The classes named in an annotation: `tuple[MediaRoot, ...] | None` → MediaRoot."""
    parts = getattr(annotation, "__args__", None)
    if parts is None:
        return [annotation]
    return [found for part in parts for found in inside(part)]


def main() -> None:
    text = reference()
    if "--check" in sys.argv:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit("docs/reference.md is stale: run `make crds`")
    else:
        TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
