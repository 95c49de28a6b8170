"""The embedded store: one SQLite file with what was declared, seen and done."""

from telarchy.store.store import Store

__all__ = ["Store"]
