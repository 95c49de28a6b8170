"""The kinds Telarchy knows. To add one: a module with its models and `KIND`, and one line here."""

from __future__ import annotations

from collections.abc import Iterator

from telarchy.resources import custodyfloor, fleet, host, mediaendpoint, stream, streamkey
from telarchy.resources.meta import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        fleet.KIND,
        host.KIND,
        custodyfloor.KIND,
        mediaendpoint.KIND,
        stream.KIND,
        streamkey.KIND,
    )
}
"""By CamelCase name, in the order in which they are shown and applied: policy, then hosts, then what they are for."""


def kind_names(kind: Kind) -> Iterator[str]:
    """Everything a person may type for a kind, lower-cased."""
    yield kind.name.lower()
    yield kind.plural
    yield kind.singular
    yield from kind.short_names


_BY_TYPED_NAME = {name: kind for kind in KINDS.values() for name in kind_names(kind)}


def resolve_kind(text: str) -> Kind | None:
    """The kind a person means by `hosts`, `ho`, `Host` or `hosts.telarchy.dev`; None if there is none."""
    return _BY_TYPED_NAME.get(text.lower().removesuffix(".telarchy.dev"))
