"""What a media playlist must hold by itself, and against the one before (RFC 8216, and what players trip over). Pure.

The names of the rules are stable: they stand in statuses, metrics and tests. The usual case, a window that slid, is
one comparison of tuples.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from telarchy.streaming.playlist import MediaPlaylist, Segment

DATE_SLACK = 0.5  # of a target duration that a date may be off what the durations before it add up to
LEAST_TARGETS = 3  # target durations that a live window keeps (RFC 8216, 6.2.2)
_CLIMBS = re.compile(r"(^|/)\.\.(/|$)|^[a-z][a-z0-9+.-]*:|^/|\\|%2e%2e|%2f", re.IGNORECASE)


class Problem(NamedTuple):
    """A rule that is broken. `warning`: players get over it."""

    rule: str
    message: str
    warning: bool = False


def check(playlist: MediaPlaylist, *, live: bool = True) -> list[Problem]:
    """What is wrong with a media playlist by itself. `live`: it must go on."""
    found = []
    target, segments = playlist.target, playlist.segments
    if not segments:
        found.append(Problem("no-segments", "no segment is listed"))
    if live and playlist.ended:
        found.append(Problem("ended", "it says that the stream is over, so players stop"))
    limit = target + 0.5
    due: float | None = None
    for at, one in enumerate(segments):
        number = playlist.first + at
        if one.duration >= limit:
            text = f"segment {number} lasts {one.duration:g} s, more than the target duration of {target} s"
            found.append(Problem("duration-over-target", text))
        elif one.duration <= 0:
            found.append(Problem("duration-zero", f"segment {number} lasts no time"))
        if one.date is None:
            due = None if due is None or one.discontinuity else due + one.duration
            continue
        if due is not None:
            off = one.date - due
            if off < -target:
                found.append(Problem("date-backwards", f"segment {number} is dated before the one before it"))
            elif abs(off) > target * DATE_SLACK and not one.discontinuity:
                text = f"the date of segment {number} is {off:+.3g} s off"
                found.append(Problem("date-jump", text, warning=True))
        due = one.date + one.duration
    if segments:
        found.extend(_check_files(playlist))
    return found


def compare(before: MediaPlaylist, after: MediaPlaylist) -> list[Problem]:
    """What is wrong with `after` as the next version of `before`. The same one twice is right."""
    found = []
    if after.target != before.target:
        text = f"the target duration was {before.target} s and is {after.target} s now"
        found.append(Problem("target-changed", text))
    if before.ended and after != before:
        found.append(Problem("changed-after-end", "it changed after it had said that the stream is over"))
    shift = after.first - before.first
    if shift < 0:
        text = f"the first segment was {before.first} and is {after.first} now"
        found.append(Problem("sequence-backwards", text))
        return found
    if after.last < before.last:
        text = f"the last segment was {before.last} and is {after.last} now"
        found.append(Problem("segments-vanished", text))
    kept = before.segments[shift:]
    if kept != after.segments[: len(kept)]:
        found.extend(_differences(kept, after.segments, after.first))
    if shift:
        found.extend(_compare_fronts(before, after, shift))
    return found


def _check_files(playlist: MediaPlaylist) -> list[Problem]:
    found = []
    mapped = ""
    for at, one in enumerate(playlist.segments):
        mapped = mapped or one.map
        if not one.map and one.uri.endswith((".m4s", ".mp4")):
            found.append(Problem("map-missing", f"nothing initialises segment {playlist.first + at}"))
            break
    if mapped and playlist.version < 6:
        text = f"version {playlist.version} has no EXT-X-MAP; it needs 6"
        found.append(Problem("version-low", text))
    files = [one.uri for one in playlist.segments]
    if len(set(files)) < len(files):
        found.append(Problem("uri-twice", "a segment is listed twice"))
    if odd := next((uri for uri in (mapped, *files) if _CLIMBS.search(uri)), None):
        found.append(Problem("uri-foreign", f"{odd[:80]!r} lies outside of the playlist's folder"))
    return found


def _differences(kept: tuple[Segment, ...], segments: tuple[Segment, ...], first: int) -> list[Problem]:
    """Segments that are not what they were under the same number: the first offence of each kind."""
    found: dict[str, Problem] = {}
    for number, (old, new) in enumerate(zip(kept, segments, strict=False), start=first):
        for rule, differs, text in (
            ("uri-changed", old.uri != new.uri, f"was {old.uri[:80]!r} and is {new.uri[:80]!r} now"),
            ("duration-changed", old.duration != new.duration, "has another duration now"),
            ("discontinuity-changed", old.discontinuity != new.discontinuity, "is joined otherwise now"),
            ("map-changed", old.map != new.map, "is initialised by another file now"),
            ("date-changed", old.date != new.date, "has another date now"),
        ):
            if differs and rule not in found:
                found[rule] = Problem(rule, f"segment {number} {text}", warning=rule == "date-changed")
    return list(found.values())


def _compare_fronts(before: MediaPlaylist, after: MediaPlaylist, shift: int) -> list[Problem]:
    """The window slid: what left it."""
    found = []
    if after.first > before.last + 1:
        text = f"it goes on at {after.first} where {before.last} was the last"
        found.append(Problem("window-skipped", text, warning=True))
    left = sum(one.discontinuity for one in before.segments[:shift])
    known = (before.discontinuity_sequence, after.discontinuity_sequence)
    if known == (None, None):
        if left:
            text = "a discontinuity left the window uncounted (EXT-X-DISCONTINUITY-SEQUENCE)"
            found.append(Problem("discontinuity-uncounted", text, warning=True))
    elif (known[1] or 0) != (known[0] or 0) + left and after.first <= before.last + 1:
        text = f"{left} discontinuities left the window, and the count went from {known[0]} to {known[1]}"
        found.append(Problem("discontinuity-sequence", text))
    if not after.ended and sum(one.duration for one in after.segments) < LEAST_TARGETS * (after.target - 1):
        text = f"the window slides and keeps less than {LEAST_TARGETS} target durations"
        found.append(Problem("window-short", text))
    return found
