"""The declared world: a module per kind, what they share, and how they are read, checked and exported.

This room is the only source of `crds/`, of `schemas/` and of the reference docs. The public names below are
loaded when first used: reading the help text of a command must not cost the building of forty models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telarchy.resources.crd import crd_documents as crd_documents
    from telarchy.resources.custodyfloor import CustodyFloor as CustodyFloor
    from telarchy.resources.custodyfloor import effective_numbers as effective_numbers
    from telarchy.resources.duties import Duty as Duty
    from telarchy.resources.duties import assign_duties as assign_duties
    from telarchy.resources.duties import duty_violations as duty_violations
    from telarchy.resources.fleet import Fleet as Fleet
    from telarchy.resources.host import Host as Host
    from telarchy.resources.host import parse_endpoint as parse_endpoint
    from telarchy.resources.jsonschema import json_schema_documents as json_schema_documents
    from telarchy.resources.labels import LabelSelector as LabelSelector
    from telarchy.resources.loader import Loaded as Loaded
    from telarchy.resources.loader import LoadedResource as LoadedResource
    from telarchy.resources.loader import load_paths as load_paths
    from telarchy.resources.loader import load_text as load_text
    from telarchy.resources.loader import resource_from_manifest as resource_from_manifest
    from telarchy.resources.mediaendpoint import MediaEndpoint as MediaEndpoint
    from telarchy.resources.meta import API_VERSION as API_VERSION
    from telarchy.resources.meta import Condition as Condition
    from telarchy.resources.meta import ObjectMeta as ObjectMeta
    from telarchy.resources.meta import Ref as Ref
    from telarchy.resources.meta import Resource as Resource
    from telarchy.resources.meta import SecretRef as SecretRef
    from telarchy.resources.meta import get_condition as get_condition
    from telarchy.resources.meta import set_condition as set_condition
    from telarchy.resources.quantities import BitRate as BitRate
    from telarchy.resources.quantities import Duration as Duration
    from telarchy.resources.quantities import Quantity as Quantity
    from telarchy.resources.references import check as check
    from telarchy.resources.registry import KINDS as KINDS
    from telarchy.resources.registry import resolve_kind as resolve_kind
    from telarchy.resources.stream import Stream as Stream
    from telarchy.resources.streamkey import StreamKey as StreamKey

_HOMES = {
    "crd": ("crd_documents",),
    "custodyfloor": ("CustodyFloor", "effective_numbers"),
    "duties": ("Duty", "assign_duties", "duty_violations"),
    "fleet": ("Fleet",),
    "host": ("Host", "parse_endpoint"),
    "jsonschema": ("json_schema_documents",),
    "labels": ("LabelSelector",),
    "loader": ("Loaded", "LoadedResource", "load_paths", "load_text", "resource_from_manifest"),
    "mediaendpoint": ("MediaEndpoint",),
    "meta": (
        "API_VERSION",
        "Condition",
        "ObjectMeta",
        "Ref",
        "Resource",
        "SecretRef",
        "get_condition",
        "set_condition",
    ),
    "quantities": ("BitRate", "Duration", "Quantity"),
    "references": ("check",),
    "registry": ("KINDS", "resolve_kind"),
    "stream": ("Stream",),
    "streamkey": ("StreamKey",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME_OF)
