"""Numbers and moments as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

LAST_MOMENT = 253402300799.0  # of the year 9999


def rfc3339(seconds: float) -> str:
    """`2026-11-20T22:53:00Z` for a moment in seconds since the epoch; the nearest from then to the year 9999."""
    moment = min(max(seconds, 0.0), LAST_MOMENT)  # hosts say what they like
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_bytes(count: float) -> str:
    """`1.2 GiB`; exact below 1 KiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def format_span(seconds: float) -> str:
    """`45s`, `12m`, `3h05m`, `6d`: the two largest units at most."""
    left = max(0, round(seconds))
    if left < 60:
        return f"{left}s"
    if left < 3600:
        return f"{left // 60}m{left % 60:02d}s" if left < 600 and left % 60 else f"{left // 60}m"
    if left < 86400:
        return f"{left // 3600}h{left % 3600 // 60:02d}m" if left % 3600 // 60 else f"{left // 3600}h"
    return (
        f"{left // 86400}d{left % 86400 // 3600}h"
        if left < 864000 and left % 86400 // 3600
        else f"{left // 86400}d"
    )


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 title`, `2 titles`, `3 copies`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def listing(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def printable(name: str) -> str:
    """A name that JSON, YAML and a terminal can carry: bytes that are no UTF-8 and control characters escaped."""
    raw = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in raw)


def quoted(name: str) -> str:
    """`'tv/Show/Season 01'`: a name in a sentence, spelled as everywhere else."""
    return f"'{printable(name)}'"
