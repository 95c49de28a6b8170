"""Numbers as a status shows them: coarse, so that what has not really changed is not written again. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from telarchy.core.words import format_span

_TENTHS = (100, 125, 160, 200, 250, 315, 400, 500, 630, 800)  # ten steps to the tenfold
_RATIOS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
_AGES = (15.0, 60.0, 300.0, 3600.0, 86400.0)
_LAGS = (0, 2, 5, 10, 30, 100, 1000)
SPACE_STEPS = 20
LEAST_RATE = 50_000


def rate(bits: float) -> int:
    """Bits per second in steps of about a quarter: 2.4 and 2.6 Mbit/s are both 2500000. What is less than any stream
    (hosts that ask each other for playlists) is nothing."""
    if bits < LEAST_RATE:
        return 0
    scale = 10 ** (len(str(int(bits))) - 3)
    small = bits / scale  # 100..999
    nearest = min((*_TENTHS, 1000), key=lambda step: abs(step - small))
    return int(nearest * scale)


def age(seconds: float, degraded_after: float, stale_after: float) -> str:
    """The least of a few spans that is not shorter: what is in order stays the same from second to second."""
    steps = sorted({degraded_after, stale_after, *(one for one in _AGES if one > stale_after)})
    at = bisect_left(steps, seconds)
    return format_span(steps[at]) if at < len(steps) else f"over {format_span(steps[-1])}"


def lag(segments: int) -> int:
    """Segments behind, in growing steps. One is nothing: playlists do not change in the same moment."""
    return _LAGS[max(0, bisect_right(_LAGS, max(0, segments)) - 1)]


def ratio(hits: int, misses: int) -> str:
    """`0.95` for 96 of 100; "" when nothing was asked for."""
    asked = hits + misses
    return f"{_RATIOS[bisect_right(_RATIOS, hits / asked) - 1]:g}" if asked else ""


def speed(factor: float | None) -> str:
    """`1.0`; "" while not known."""
    return "" if factor is None else f"{factor:.1f}"


def space(free: int | None, total: int | None) -> int | None:
    """Free bytes, rounded down to a twentieth of the whole."""
    if free is None or not total:
        return free
    step = max(1, total // SPACE_STEPS)
    return free // step * step
