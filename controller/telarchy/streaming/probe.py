"""What is in a file of the library, asked of ffprobe on the file's host."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from telarchy.errors import ActionFailed
from telarchy.links.link import Link
from telarchy.streaming.evidence import InputSeen

PROBE_TIMEOUT = 30.0
_NOT_FOUND = 127


@dataclass(frozen=True)
class Probed:
    """`seen`: of the first picture, as wide as it is shown; `sound`: whether there is any; `seconds`: 0.0 not known."""

    seen: InputSeen
    sound: bool
    seconds: float = 0.0


async def probe(link: Link, path: str) -> Probed:
    """Look into a file; `path` is absolute. Nothing that the file names is opened.

    Raises ActionFailed: SourceMissing (not there, or not readable), SourceNotVideo, ProbeMissing (no ffprobe there).
    """
    of_streams = "codec_type,codec_name,width,height,sample_aspect_ratio,avg_frame_rate,bit_rate"
    what = f"stream={of_streams}:format=bit_rate,duration"
    argv = ["ffprobe", "-v", "error", "-protocol_whitelist", "file", "-show_entries", what, "-of", "json"]
    argv += [f"file:{path}"]
    try:
        answer = await link.run(argv, timeout=PROBE_TIMEOUT)
    except FileNotFoundError:
        raise _missing(link) from None
    except TimeoutError:
        raise ActionFailed(f"{link.host}: {path}: it cannot be read", reason="SourceMissing") from None
    if answer.code == _NOT_FOUND:
        raise _missing(link)
    try:
        found = json.loads(answer.stdout) if answer.ok else {}
    except ValueError:
        found = {}
    if not answer.ok:
        said = answer.complaint.rpartition(": ")[2]
        reason = "SourceNotVideo" if "Invalid data" in said else "SourceMissing"
        raise ActionFailed(f"{link.host}: {path}: {said}", reason=reason)
    streams = [one for one in found.get("streams", []) if isinstance(one, dict)]
    picture = next((one for one in streams if one.get("codec_type") == "video"), None)
    if picture is None or not _whole(picture.get("height")):
        raise ActionFailed(
            f"{link.host}: {path}: there is no picture in it", reason="SourceNotVideo", transient=False
        )
    form = found.get("format") or {}
    shown = _ratio(picture.get("sample_aspect_ratio"), ":") or Fraction(1)
    return Probed(
        InputSeen(
            codec=str(picture.get("codec_name", "")),
            width=round(_whole(picture.get("width")) * shown),
            height=_whole(picture.get("height")),
            frame_rate=round(float(_ratio(picture.get("avg_frame_rate"), "/")), 3),
            bitrate=_whole(picture.get("bit_rate")) or _whole(form.get("bit_rate")),
        ),
        any(one.get("codec_type") == "audio" for one in streams),
        _seconds(form.get("duration")),
    )


def _missing(link: Link) -> ActionFailed:
    return ActionFailed(
        f"{link.host} has no ffprobe: install ffmpeg there", reason="ProbeMissing", transient=False
    )


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0


def _ratio(value: Any, sign: str) -> Fraction:
    above, _, below = str(value).partition(sign)
    return (
        Fraction(int(above), int(below))
        if above.isdecimal() and below.isdecimal() and int(below)
        else Fraction(0)
    )


def _seconds(value: Any) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        return 0.0
