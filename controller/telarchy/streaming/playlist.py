"""HLS playlists, read strictly (RFC 8216). Pure.

The reader takes what a server answered, so anything may be in it: it is bounded, and what is no playlist is a
`PlaylistError`. What is one and breaks a rule is read all the same; `playlistrules` names the rules.

This runs for every playlist of every endpoint every two seconds, which is why segments are tuples.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from telarchy.errors import PlaylistError

MAX_BYTES = 256 * 1024
MAX_SEGMENTS = 10_000
MAX_DURATION = 3600.0  # seconds of one segment; longer is a slip
MAX_SEQUENCE = 2**63 - 1

_JUNK = re.compile(r"[\x00-\x09\x0b-\x0c\x0e-\x1f\x7f-\x9f\ufeff]")
_DECIMAL = re.compile(r"[0-9]{1,20}", re.ASCII)
_FLOAT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^",]*)(?:,|$)')


class Segment(NamedTuple):
    """`duration` in seconds; `date`: seconds since the epoch at its beginning, None without one; `map`: URI of what
    initialises it, "" without one."""

    uri: str
    duration: float
    discontinuity: bool
    date: float | None
    map: str


class MediaPlaylist(NamedTuple):
    """One rendition. `first`: media sequence number of the first segment; `target`: seconds."""

    target: int
    first: int
    segments: tuple[Segment, ...]
    version: int = 1
    discontinuity_sequence: int | None = None
    ended: bool = False
    independent: bool = False
    kind: str = ""  # EXT-X-PLAYLIST-TYPE

    @property
    def last(self) -> int:
        """Media sequence number of the last segment; one less than `first` where there is none."""
        return self.first + len(self.segments) - 1

    @property
    def discontinuities(self) -> int:
        return sum(one.discontinuity for one in self.segments)

    @property
    def edge(self) -> float | None:
        """When the last segment ends, by its date or by the nearest one before; None without dates."""
        after = 0.0
        for one in reversed(self.segments):
            after += one.duration
            if one.date is not None:
                return one.date + after
        return None


class Variant(NamedTuple):
    """A way to play, of a master playlist. Rates in bits per second."""

    uri: str
    bandwidth: int
    average: int | None
    codecs: str
    resolution: tuple[int, int] | None
    frame_rate: float | None
    audio: str


class Medium(NamedTuple):
    """An alternative rendition (EXT-X-MEDIA)."""

    kind: str
    group: str
    name: str
    uri: str
    default: bool


class MasterPlaylist(NamedTuple):
    variants: tuple[Variant, ...]
    media: tuple[Medium, ...]
    version: int = 1
    independent: bool = False


def parse(content: bytes) -> MediaPlaylist | MasterPlaylist:
    """Either kind. Raises PlaylistError."""
    lines = _lines(content)
    if any(line.startswith("#EXT-X-STREAM-INF:") for line in lines):
        return _master(lines)
    return _media(lines)


def parse_media(content: bytes) -> MediaPlaylist:
    """Raises PlaylistError."""
    return _media(_lines(content))


def parse_master(content: bytes) -> MasterPlaylist:
    """Raises PlaylistError."""
    return _master(_lines(content))


def _lines(content: bytes) -> list[str]:
    if len(content) > MAX_BYTES:
        raise PlaylistError("too-large", f"a playlist of more than {MAX_BYTES >> 10} KiB is not read")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise PlaylistError("not-text", "this is no playlist: it is not UTF-8") from None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if _JUNK.search(text) is not None or "\r" in text:
        raise PlaylistError("not-text", "this is no playlist: there are control characters in it")
    lines = text.split("\n")
    if lines[0] != "#EXTM3U":
        if not text:
            raise PlaylistError("empty", "the playlist is empty")
        raise PlaylistError("not-a-playlist", "this is no playlist: it does not begin with #EXTM3U")
    return lines


def _media(lines: list[str]) -> MediaPlaylist:
    """One pass. What belongs to the next segment is gathered until its URI comes."""
    head: dict[str, str] = {}
    segments: list[Segment] = []
    duration: float | None = None
    date: float | None = None
    discontinuity = False
    mapped = ""
    for line in lines:
        if not line:
            continue
        if line[0] != "#":
            if duration is None:
                raise PlaylistError("no-duration", f"{line[:80]!r} comes without #EXTINF")
            segments.append(Segment(line, duration, discontinuity, date, mapped))
            duration = date = None
            discontinuity = False
        elif line.startswith("#EXTINF:"):
            duration = _duration(line[8:].partition(",")[0])
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            date = _date(line[25:])
        elif line.startswith("#EXT"):
            tag, _, value = line.partition(":")
            if tag in _ONCE:
                if tag in head:
                    raise PlaylistError("tag-twice", f"{tag} is there twice")
                head[tag] = value
            elif tag == "#EXT-X-DISCONTINUITY":
                discontinuity = True
            elif tag == "#EXT-X-MAP":
                mapped = _unquoted(_attributes(value).get("URI", ""))
            elif tag in _MASTER_ONLY:
                raise PlaylistError("mixed", f"{tag} stands in a media playlist")
    if duration is not None or discontinuity:
        raise PlaylistError("cut-off", "the playlist ends in the middle of a segment's description")
    if len(segments) > MAX_SEGMENTS:
        raise PlaylistError("too-large", f"a playlist of more than {MAX_SEGMENTS} segments is not read")
    if "#EXT-X-TARGETDURATION" not in head:
        raise PlaylistError("no-target", "the playlist has no target duration")
    sequence = head.get("#EXT-X-DISCONTINUITY-SEQUENCE")
    return MediaPlaylist(
        target=_number(head["#EXT-X-TARGETDURATION"], "target duration"),
        first=_number(head.get("#EXT-X-MEDIA-SEQUENCE", "0"), "media sequence"),
        segments=tuple(segments),
        version=_number(head.get("#EXT-X-VERSION", "1"), "version"),
        discontinuity_sequence=None if sequence is None else _number(sequence, "discontinuity sequence"),
        ended="#EXT-X-ENDLIST" in head,
        independent="#EXT-X-INDEPENDENT-SEGMENTS" in head,
        kind=head.get("#EXT-X-PLAYLIST-TYPE", ""),
    )


_ONCE = {
    "#EXTM3U",
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-ENDLIST",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-I-FRAMES-ONLY",
    "#EXT-X-START",
}
_MASTER_ONLY = {"#EXT-X-MEDIA", "#EXT-X-STREAM-INF", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-SESSION-DATA"}


def _master(lines: list[str]) -> MasterPlaylist:
    variants: list[Variant] = []
    media: list[Medium] = []
    version, independent = 1, False
    pending: dict[str, str] | None = None
    for line in lines:
        tag, _, value = line.partition(":")
        if not line or (line[0] == "#" and not line.startswith("#EXT")):
            continue
        if line[0] != "#":
            if pending is None:
                raise PlaylistError("no-stream-inf", f"{line[:80]!r} comes without #EXT-X-STREAM-INF")
            variants.append(_variant(pending, line))
            pending = None
        elif tag == "#EXT-X-STREAM-INF":
            pending = _attributes(value)
        elif tag == "#EXT-X-MEDIA":
            media.append(_medium(_attributes(value)))
        elif tag == "#EXT-X-VERSION":
            version = _number(value, "version")
        elif tag == "#EXT-X-INDEPENDENT-SEGMENTS":
            independent = True
        elif tag in ("#EXTINF", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-ENDLIST"):
            raise PlaylistError("mixed", f"{tag} stands in a master playlist")
    if pending is not None or not variants:
        raise PlaylistError("cut-off", "the master playlist lists nothing to play")
    groups = {one.group for one in media if one.kind == "AUDIO"}
    if lost := {one.audio for one in variants if one.audio} - groups:
        raise PlaylistError("no-group", f"the master playlist has no audio group {min(lost)[:80]!r}")
    return MasterPlaylist(tuple(variants), tuple(media), version, independent)


def _variant(attributes: dict[str, str], uri: str) -> Variant:
    if "BANDWIDTH" not in attributes:
        raise PlaylistError("no-bandwidth", f"{uri[:80]!r} comes without BANDWIDTH")
    resolution = None
    if (size := attributes.get("RESOLUTION")) is not None:
        width, _, height = size.partition("x")
        resolution = (_number(width, "width"), _number(height, "height"))
    average, rate = attributes.get("AVERAGE-BANDWIDTH"), attributes.get("FRAME-RATE")
    return Variant(
        uri,
        _number(attributes["BANDWIDTH"], "bandwidth"),
        None if average is None else _number(average, "average bandwidth"),
        _unquoted(attributes.get("CODECS", "")),
        resolution,
        None if rate is None else _duration(rate),
        _unquoted(attributes.get("AUDIO", "")),
    )


def _medium(attributes: dict[str, str]) -> Medium:
    for name in ("TYPE", "GROUP-ID", "NAME"):
        if name not in attributes:
            raise PlaylistError("no-attribute", f"#EXT-X-MEDIA comes without {name}")
    kind, group, name, uri, default = (
        _unquoted(attributes.get(one, "")) for one in ("TYPE", "GROUP-ID", "NAME", "URI", "DEFAULT")
    )
    return Medium(kind, group, name, uri, default == "YES")


def _attributes(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(value):
        match = _ATTRIBUTE.match(value, at)
        if match is None or match[1] in found:
            raise PlaylistError("bad-attributes", f"{value[:80]!r} is no list of attributes")
        found[match[1]] = match[2]
        at = match.end()
    return found


def _unquoted(value: str) -> str:
    return value[1:-1] if value[:1] == '"' else value


def _number(value: str, what: str) -> int:
    if _DECIMAL.fullmatch(value) is None or int(value) > MAX_SEQUENCE:
        raise PlaylistError("bad-number", f"{value[:40]!r} is no {what}")
    return int(value)


def _duration(value: str) -> float:
    if _FLOAT.fullmatch(value) is None or (seconds := float(value)) > MAX_DURATION:
        raise PlaylistError("bad-number", f"{value[:40]!r} is no duration")
    return seconds


def _date(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass
    raise PlaylistError("bad-date", f"{value[:40]!r} is no date with a time zone")
