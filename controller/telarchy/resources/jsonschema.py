"""JSON Schemas for editors and linters: one per kind, and `all.json` for files with several kinds.

Draft-07, which the YAML language server and kubeconform understand best. File names follow kubeconform's
`{{.ResourceKind}}_{{.ResourceAPIVersion}}.json`. An editor takes them by a modeline:

    # yaml-language-server: $schema=../schemas/all.json

Unlike the CRDs these refuse unknown fields and show defaults: they serve the person who is typing. What
Kubernetes or Telarchy writes (`status`, most of `metadata`) is allowed and not described.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from telarchy.resources.meta import API_VERSION, VERSION, Kind
from telarchy.resources.registry import KINDS

DRAFT = "http://json-schema.org/draft-07/schema#"
TYPED_METADATA = ("name", "namespace", "labels", "annotations")


def json_schema_documents() -> dict[str, str]:
    """File name → JSON text. Deterministic: the same models give the same bytes."""
    documents = {f"{kind.name.lower()}_{VERSION}.json": json_schema(kind) for kind in KINDS.values()}
    documents["all.json"] = all_kinds_schema()
    return {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in documents.items()
    }


def json_schema(kind: Kind) -> dict[str, Any]:
    """The schema of one kind's manifests."""
    definitions, roots = _schemas([kind])
    return {"$schema": DRAFT, "title": f"{kind.name} ({API_VERSION})", **roots[0], "definitions": definitions}


def all_kinds_schema() -> dict[str, Any]:
    """The schema of a manifest of any kind."""
    definitions, roots = _schemas(list(KINDS.values()))
    names = [kind.name for kind in KINDS.values()]
    definitions |= dict(zip(names, roots, strict=True))
    return {
        "$schema": DRAFT,
        "title": f"Telarchy ({API_VERSION})",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": names}},
        "oneOf": [{"$ref": f"#/definitions/{name}"} for name in names],
        "definitions": definitions,
    }


def _schemas(kinds: list[Kind]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The definitions that the kinds share, and each kind's own schema."""
    _, document = models_json_schema(
        [(kind.model, "validation") for kind in kinds], by_alias=True, ref_template="#/definitions/{model}"
    )
    definitions: dict[str, Any] = document["$defs"]
    roots = []
    for kind in kinds:
        root = definitions.pop(kind.name)
        properties = root["properties"]
        properties["apiVersion"] = {"const": API_VERSION, "description": "The version of this kind's schema."}
        properties["kind"] = {"const": kind.name, "description": root["description"]}
        properties["status"] = {"type": "object", "description": "Written by Telarchy, never by a person."}
        root["required"] = ["apiVersion", "kind", "metadata", *(("spec",) if _needs_spec(root) else ())]
        root.pop("title")
        roots.append(root)
    meta = definitions["ObjectMeta"]
    meta["properties"] = {
        name: schema if name in TYPED_METADATA else {"description": "Written by Kubernetes."}
        for name, schema in meta["properties"].items()
    }
    roots = [_for_editors(root) for root in roots]
    used = _reached(roots, definitions)
    return {name: _for_editors(definitions[name]) for name in sorted(used)}, roots


def _needs_spec(root: dict[str, Any]) -> bool:
    return "spec" in root.get("required", ())


def _for_editors(schema: Any, *, names: bool = False) -> Any:
    """Without Kubernetes' extensions, pydantic's titles, and `null`, which nobody means to write.

    `names` says that the keys of this mapping are field names and not keywords.
    """
    if isinstance(schema, list):
        return [_for_editors(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {name: _for_editors(inner) for name, inner in schema.items()}
    schema = dict(schema)
    if {"type": "null"} in schema.get("anyOf", ()):
        wanted = [one for one in schema.pop("anyOf") if one != {"type": "null"}]
        schema = {**(wanted[0] if len(wanted) == 1 else {"anyOf": wanted}), **schema}
        if schema.get("default", ...) is None:
            schema.pop("default")
    if "$ref" in schema and len(schema) > 1:
        # draft-07 ignores what stands beside a reference
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    return {
        key: _for_editors(inner, names=key in ("properties", "definitions", "default"))
        for key, inner in schema.items()
        if key != "title" and not key.startswith("x-kubernetes-")
    }


def _reached(roots: list[dict[str, Any]], definitions: dict[str, Any]) -> set[str]:
    """The names of the definitions that anything refers to."""
    reached: set[str] = set()
    waiting: list[Any] = list(roots)
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, list):
            waiting += schema
        elif isinstance(schema, dict):
            waiting += schema.values()
            name = str(schema.get("$ref", "")).removeprefix("#/definitions/")
            if name in definitions and name not in reached:
                reached.add(name)
                waiting.append(definitions[name])
    return reached
