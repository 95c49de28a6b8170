"""What `scripts/watch.sh` says, read as evidence: bytes in, `EndpointSeen` out.

A `Reports` belongs to one run of the script. It remembers what the report before said where only two of them tell
something: rates, whether a playlist goes on rightly, since when an encoder is slow. Times of the host are turned into
the controller's: by the least delay seen between the two clocks, and not at all where they agree within a moment.

What a host says is not trusted to be well-formed: lengths are bounded, lines that make no sense are passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from telarchy.core.owner import Holding
from telarchy.core.service import STATUS_MARK, ServiceSeen, seen_service
from telarchy.errors import ActionFailed, PlaylistError
from telarchy.streaming.evidence import (
    FETCH_SECONDS,
    Carried,
    EndpointSeen,
    InputSeen,
    KeyUse,
    PlaylistSeen,
    Reach,
    StreamSeen,
)
from telarchy.streaming.keys import parse_key_use
from telarchy.streaming.pace import Pace
from telarchy.streaming.playlist import MediaPlaylist, parse_media
from telarchy.streaming.playlistrules import Problem, check, compare

MAX_REPORT = 8 * 1024 * 1024
MOST_SOURCES = 64
MOST_STREAMS = 1024  # of an endpoint; what a host tells of more is passed over
AGREE_SECONDS = 0.25  # clocks that differ by less are taken for one
STEP_SECONDS = 5.0  # a clock that jumped by more was set
RATE_SECONDS = 10.0  # over which bitrates and speeds are taken
SPEED_SECONDS = 5.0  # below which a speed is chance
SETTLED_SECONDS = 30.0  # from when on an encoder's own average tells something
_HEAD = b"report\t"


class Held(NamedTuple):
    """A playlist as it was last reported."""

    raw: bytes
    playlist: MediaPlaylist | None
    seen: PlaylistSeen


class Rate:
    """How fast something that only grows does so, over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()

    @property
    def span(self) -> float:
        """Seconds over which it was taken last."""
        return self._marks[-1][0] - self._marks[0][0] if self._marks else 0.0

    def add(self, at: float, value: float) -> float | None:
        """Per second; None while there is nothing to compare with."""
        marks = self._marks
        if marks and (value < marks[-1][1] or at < marks[-1][0]):
            marks.clear()  # it began anew
        if not marks or at > marks[-1][0]:
            marks.append((at, value))
        while len(marks) > 2 and marks[1][0] <= at - RATE_SECONDS:
            marks.popleft()
        begun, least = marks[0]
        return (value - least) / (marks[-1][0] - begun) if len(marks) > 1 else None


@dataclass
class _Stream:
    """A stream as this report tells of it. `also`: what further lines say, by field of `told`."""

    told: StreamSeen
    also: dict[str, Any] = field(default_factory=dict)
    copied: bool = False  # by a relay, whose dates tell when it began and not when anything was seen
    playlists: dict[str, PlaylistSeen] = field(default_factory=dict)
    served: str = ""  # the generation that was found to be served


class Reports:
    """`endpoint`: its name, as it stands in the evidence. `carried`: totals by stream, which outlive a connection."""

    def __init__(self, endpoint: str, carried: dict[str, Carried] | None = None) -> None:
        self.endpoint = endpoint
        self._carried = carried if carried is not None else {}
        self._buffer = bytearray()
        self._offset: float | None = None
        self._playlists: dict[tuple[bytes, ...], Held] = {}
        self._rates: dict[tuple[str, str], Rate] = {}
        self._sent: dict[str, int] = {}  # bytes, by stream, since the first report
        self._paces: dict[str, tuple[str, Pace]] = {}  # by stream: of which generation, and how fast
        self._fetches: dict[str, deque[tuple[float, int, int]]] = {}  # when, how many, and how many failed
        self._reach: dict[str, Reach] = {}

    @property
    def offset(self) -> float:
        """What is added to the host's times; 0.0 for clocks that agree."""
        if self._offset is None or abs(self._offset) < AGREE_SECONDS:
            return 0.0
        return round(self._offset, 1)

    def feed(self, chunk: bytes, now: float) -> list[EndpointSeen]:
        """The reports that are complete with this chunk. Raises ActionFailed when this is no report."""
        self._buffer += chunk
        found = []
        while (body := self._next()) is not None:
            found.append(self._read(body, now))
        return found

    def _next(self) -> bytes | None:
        buffer = self._buffer
        while True:
            end = buffer.find(b"\n", 0, 200)
            if end < 0:
                if len(buffer) >= 200:
                    raise self._broken()
                return None
            if buffer.startswith(_HEAD):
                break
            del buffer[: end + 1]  # what a login shell says before the script begins
        length = bytes(buffer[len(_HEAD) : end])
        if not length.isdigit() or len(length) > 8 or int(length) > MAX_REPORT:
            raise self._broken()
        begin, stop = end + 1, end + 1 + int(length)
        if len(buffer) <= stop:
            return None
        body = bytes(buffer[begin:stop])
        del buffer[: stop + 1]
        return body

    def _broken(self) -> ActionFailed:
        return ActionFailed(f"{self.endpoint}: its host says what is no report", reason="ReportBroken")

    # --- one report ----------------------------------------------------------------------------------------------

    def _read(self, body: bytes, now: float) -> EndpointSeen:
        seen: dict[str, Any] = {"reported": now, "present": False}
        services: dict[str, ServiceSeen] = {}
        keys: dict[str, KeyUse] = {}
        streams: dict[str, _Stream] = {}
        reach: dict[str, Reach] = {}
        held: dict[tuple[bytes, ...], Held] = {}
        at = now
        place = 0
        while place < len(body):
            end = body.find(b"\n", place)
            line = body[place : end if end >= 0 else len(body)]
            place = end + 1 if end >= 0 else len(body)
            if line.startswith(b"playlist\t"):
                name, number, length = _playlist_head(line)
                raw = body[place : place + length]
                place += length + 1
                if number == b"200" and len(name) == 3:
                    self._playlist(name, line, raw, at, streams, held)
                continue
            fields = line.decode("utf-8", "replace").split("\t")
            match fields:
                case ["at", stamp, present, *trouble]:
                    at = self._clock(_float(stamp) / 1000, now)
                    seen |= {"reported": at, "present": present == "1", "trouble": " ".join(trouble)}
                case [kind, *_] if kind == STATUS_MARK:
                    if (service := seen_service("\t".join(fields))) is not None:
                        since = self._time(service.since)
                        same = since == service.since
                        services[service.name] = service if same else replace(service, since=since)
                case ["owner", *rest] if len(rest) >= 8:
                    seen["holding"] = self._holding(rest)
                case ["space", free, total, writable]:
                    seen |= {
                        "free": _int(free) * 1024,
                        "total": _int(total) * 1024,
                        "writable": writable == "1",
                    }
                case ["keys", digest]:
                    seen["keys_digest"] = digest[:16]
                case ["key", name_of, lines]:
                    keys[name_of] = self._key_use(lines)
                case ["stream", *rest] if 6 <= len(rest) <= 8 and len(streams) < MOST_STREAMS:
                    streams[rest[0]] = _Stream(self._stream(rest), copied=rest[2] == "relay")
                case ["progress", *rest] if len(rest) == 4:
                    self._progress(streams, rest, at)
                case ["input", *rest] if len(rest) == 6:
                    self._input(streams, rest, at)
                case ["traffic", *rest] if len(rest) == 6:
                    self._traffic(streams, rest, at)
                case ["blind", tools]:
                    seen["blind"] = "".join(one for one in tools[:100] if one.isprintable())
                case ["reach", source, answer] if len(reach) < MOST_SOURCES:
                    reach[source] = self._reached(source, answer == "1", at)
                case _:
                    pass
        self._playlists, self._reach = held, reach
        self._forget(streams)
        return EndpointSeen(
            endpoint=self.endpoint,
            **seen,
            services=services,
            keys=keys,
            reach=reach,
            streams={name: self._finished(one, at) for name, one in sorted(streams.items())},
        )

    def _forget(self, streams: dict[str, _Stream]) -> None:
        """Streams that are not told of any more, once many are remembered."""
        if len(self._sent) + len(self._rates) + len(self._paces) <= 4 * MOST_STREAMS:
            return
        self._paces = {name: pace for name, pace in self._paces.items() if name in streams}
        for gone in self._carried.keys() - streams.keys():
            del self._carried[gone]
        self._sent = {name: sent for name, sent in self._sent.items() if name in streams}
        self._fetches = {name: one for name, one in self._fetches.items() if name in streams}
        self._rates = {key: rate for key, rate in self._rates.items() if key[0] in streams}

    def _clock(self, stamp: float, now: float) -> float:
        """The moment of a report on the controller's clock; never after it came."""
        late = now - stamp
        if self._offset is None or late < self._offset or late > self._offset + STEP_SECONDS:
            self._offset = late
        return min(now, stamp + self.offset)

    def _time(self, stamp: float) -> float:
        return stamp + self.offset if stamp else 0.0

    def _holding(self, fields: list[str]) -> Holding:
        owner, term, since, alive, namespace, resource, policy, name = (
            one[:200] for one in (*fields[:7], " ".join(fields[7:]))
        )
        return Holding(
            owner,
            "".join(c for c in name if c.isprintable()),
            _int(term),
            float(_int(since)),  # as it is written, so that it is the same to everybody
            self._time(_float(alive)),
            namespace,
            resource,
            policy,
        )

    def _key_use(self, lines: str) -> KeyUse:
        use = parse_key_use(lines.replace(";", "\n"))
        return replace(
            use,
            used=None if use.used is None else self._time(use.used),
            refused=None if use.refused is None else self._time(use.refused),
        )

    def _stream(self, fields: list[str]) -> StreamSeen:
        name, current, _input, publisher, generations, size, awaited, refused = [*fields, "", ""][:8]
        return StreamSeen(
            stream=name,
            generation=current,
            generations=tuple(sorted(one for one in generations.split(",") if one)),
            publisher=None if publisher == "?" else publisher,
            awaited=self._time(_float(awaited)) or None,
            refused=refused == "1",
            size=_int(size) * 1024,
        )

    def _reached(self, source: str, answers: bool, at: float) -> Reach:
        known = self._reach.get(source)
        return known if known is not None and known.answers is answers else Reach(answers, at)

    def _rate(self, stream: str, what: str, at: float, value: float) -> float | None:
        rate = self._rates.setdefault((stream, what), Rate())
        return rate.add(at, value)

    def _progress(self, streams: dict[str, _Stream], fields: list[str], at: float) -> None:
        name, changed, out_time, average = fields
        stream = streams.get(name)
        if stream is None:
            return
        played = _float(out_time) / 1e6
        speed = self._rate(name, "speed", _float(changed), played)
        if self._rates[name, "speed"].span < SPEED_SECONDS:  # an encoder begins with a pause and a rush
            speed = _float(average) or None if played >= SETTLED_SECONDS else None
        if at - self._time(_float(changed)) > RATE_SECONDS:
            speed = None  # it says nothing any more: it hangs, or waits for its source
        stream.also["speed"] = None if speed is None else round(speed, 3)

    def _paced(self, told: StreamSeen, speed: float | None, at: float) -> dict[str, Any]:
        """Whether its encoder keeps up: a matter of more than one report, and of more than one start."""
        if told.publisher == "":
            self._paces.pop(told.stream, None)
            return {}
        generation, pace = self._paces.get(told.stream, ("", None))
        if pace is None or generation != told.generation:
            if speed is None:
                return {}
            pace = Pace()
            self._paces[told.stream] = (told.generation, pace)
        pace.add(at, speed)
        late = pace.lag.since is not None
        return {"last_speed": pace.last, "lagging": late, "slow_since": pace.slow.since}

    def _input(self, streams: dict[str, _Stream], fields: list[str], at: float) -> None:
        name, codec, width, height, frame_rate, count = fields
        stream = _told(streams, name)
        rate = self._rate(name, "input", at, _int(count))
        bitrate = round(8 * rate) if rate else 0
        stream.also["incoming"] = InputSeen(
            codec.lower()[:20], _int(width), _int(height), _float(frame_rate), bitrate
        )

    def _traffic(self, streams: dict[str, _Stream], fields: list[str], at: float) -> None:
        name = fields[0]
        viewers, sent, hits, misses, failures = map(_int, fields[1:])
        stream = _told(streams, name)
        self._sent[name] = self._sent.get(name, 0) + sent
        if name in streams:
            self._carried[name] = self._carried.get(name, Carried()).more(hits, misses, failures, sent)
        self._fetches.setdefault(name, deque()).append((at, max(misses, failures), failures))
        stream.also |= {"viewers": viewers, "hits": hits, "misses": misses, "failures": failures}

    def _playlist(
        self,
        name: tuple[bytes, ...],
        line: bytes,
        raw: bytes,
        at: float,
        streams: dict[str, _Stream],
        held: dict[tuple[bytes, ...], Held],
    ) -> None:
        stream_name, generation, rendition = (one.decode("ascii", "replace") for one in name)
        written = self._time(_float(line.split(b"\t")[3].decode("ascii", "replace")))
        known = self._playlists.get(name)
        if known is None or known.raw != raw:
            known = self._parsed(rendition, raw, known, written or at)
        elif (
            written > known.seen.changed
        ):  # it was replaced between the look at its time and the one at its text
            known = known._replace(seen=replace(known.seen, changed=written))
        held[name] = known
        stream = _told(streams, stream_name)
        if stream.told.generation in ("", generation):
            stream.playlists[rendition] = replace(known.seen, edge=None) if stream.copied else known.seen
            stream.served = generation

    def _parsed(self, rendition: str, raw: bytes, before: Held | None, changed: float) -> Held:
        try:
            playlist, broken = _understood(raw)
        except PlaylistError as error:
            return Held(raw, None, PlaylistSeen(rendition, 0, -1, 0.0, None, changed, problems=(error.rule,)))
        found = list(broken)
        if before is not None and before.playlist is not None:
            found += compare(before.playlist, playlist)
        edge = playlist.edge
        return Held(
            raw,
            playlist,
            PlaylistSeen(
                rendition=rendition,
                first=playlist.first,
                last=playlist.last,
                target=float(playlist.target),
                edge=None if edge is None else edge + self.offset,
                changed=changed,
                discontinuities=playlist.discontinuities,
                ended=playlist.ended,
                problems=tuple(dict.fromkeys(one.rule for one in found if not one.warning)),
            ),
        )

    def _finished(self, stream: _Stream, at: float) -> StreamSeen:
        told = stream.told
        egress = self._rate(told.stream, "egress", at, self._sent.get(told.stream, 0))
        fetches = self._fetches.get(told.stream, deque())
        while fetches and fetches[0][0] <= at - FETCH_SECONDS:
            fetches.popleft()
        return replace(
            told,
            **stream.also,
            **self._paced(told, stream.also.get("speed"), at),
            fetched=sum(all_of for _, all_of, _ in fetches),
            failed=sum(failed for _, _, failed in fetches),
            generation=told.generation or stream.served,
            playlists=stream.playlists,
            egress=round(8 * egress) if egress else 0,
            carried=self._carried.get(told.stream, Carried()),
        )


def _told(streams: dict[str, _Stream], name: str) -> _Stream:
    """The stream of a line; of too many, one that nobody sees."""
    if name in streams or len(streams) < MOST_STREAMS:
        return streams.setdefault(name, _Stream(StreamSeen(name)))
    return _Stream(StreamSeen(name))


@lru_cache(maxsize=1024)
def _understood(raw: bytes) -> tuple[MediaPlaylist, tuple[Problem, ...]]:
    """A playlist and what is wrong with it by itself. Renditions, and an edge and its origin, often have the same."""
    playlist = parse_media(raw)
    return playlist, tuple(check(playlist))


def _playlist_head(line: bytes) -> tuple[tuple[bytes, ...], bytes, int]:
    """Names (stream, generation, rendition), status and length, of a line that may be anything."""
    fields = line.split(b"\t")
    if len(fields) != 5 or not fields[4].isdigit() or len(fields[4]) > 8:
        return (), b"", 0
    return tuple(fields[1].split(b"+")), fields[2], int(fields[4])


def _number(convert: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            return 0
        return value if 0 <= value < 1e18 else 0

    return read


_float = _number(float)


def _int(text: str) -> int:
    return int(_float(text))
