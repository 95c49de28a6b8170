"""What nginx, njs and Varnish read on hosts, as it stands in the files beside this one. What a manifest says is in
none of them: it reaches them through rendered configuration, environment and JSON."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def content(name: str) -> bytes:
    """A file as it is laid down on a host."""
    return (files(__name__) / name).read_bytes()
