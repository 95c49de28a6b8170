"""The evidence about streams as plain data and back: what is explained from when no controller runs."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from telarchy.streaming.evidence import StreamingSeen

_ADAPTER = TypeAdapter(StreamingSeen)


def to_plain(seen: StreamingSeen) -> dict[str, Any]:
    """JSON-ready."""
    plain: dict[str, Any] = _ADAPTER.dump_python(seen, mode="json")
    return plain


def from_plain(kept: Any) -> StreamingSeen:
    """What was kept; nothing where another version wrote something else."""
    try:
        return _ADAPTER.validate_python(kept, strict=False)
    except ValidationError:
        return StreamingSeen()
