"""The daily spans in which transfers may start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from telarchy.resources.fleet import TransferWindow


def in_window(windows: Sequence[TransferWindow], now: float) -> tuple[bool, float | None]:
    """Whether transfers may start now and, if not, when the next window opens (seconds since the epoch)."""
    if not windows:
        return True, None
    openings = []
    for window in windows:
        here = datetime.fromtimestamp(now, _zone(window.time_zone))
        minute = here.hour * 60 + here.minute
        start, end = _minutes(window.start), _minutes(window.end)
        inside = start <= minute < end if start < end else minute >= start or minute < end
        if inside:
            return True, None
        openings.append(now + ((start - minute) % 1440) * 60 - here.second)
    return False, min(openings)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:  # `validate` warns about it; a typo must not stop the rest
        return ZoneInfo("UTC")


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
