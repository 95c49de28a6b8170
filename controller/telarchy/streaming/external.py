"""Looking at endpoints that are not ours, as a viewer would: by their playlists over HTTP.

What such a server answers may be anything, so it is bounded: in size, in time, in how many renditions of it are
looked at; and it leads nowhere else: addresses in its playlists and its redirections count only where they stay on
the host that the manifest names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp

from telarchy.errors import PlaylistError, TelarchyError
from telarchy.resources.mediaendpoint import MediaEndpoint
from telarchy.resources.stream import Stream
from telarchy.streaming.evidence import EndpointSeen, PlaylistSeen, StreamSeen
from telarchy.streaming.layout import AUDIO, MASTER, live_path
from telarchy.streaming.playlist import MAX_BYTES, MasterPlaylist, MediaPlaylist, parse
from telarchy.streaming.playlistrules import check, compare

FETCH_SECONDS = 4.0
POLL_SECONDS = 12.0  # for all of an endpoint
AT_ONCE = 8
MOST_RENDITIONS = 9
MOST_REDIRECTS = 3
WORD_SECONDS = 60.0  # an older word of an endpoint about itself is no longer one
_ELSEWHERE = "uri-foreign"  # a CDN may name its segments by whole addresses


class _Unreachable(TelarchyError):
    """Nothing was answered that could be read."""


@dataclass(frozen=True)
class _Kept:
    """A media playlist as last fetched, and when it was seen to change."""

    playlist: MediaPlaylist
    changed: float


class _Key(NamedTuple):
    endpoint: str
    stream: str
    generation: str
    rendition: str


class ExternalWatch:
    """Polls external endpoints, and remembers their playlists from one look to the next.

    prefix:  the token with which a stream is asked for, as it stands in front of a path; "" for one that needs none
    """

    def __init__(self, prefix: Callable[[Stream, float], str] = lambda stream, now: "") -> None:
        self._prefix = prefix
        self._active: Mapping[str, str] = {}
        self._kept: dict[_Key, _Kept] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def expect(self, active: Mapping[str, str]) -> None:
        """The run of each stream that plays now; the others are not asked for."""
        self._active = dict(active)

    def forget(self, endpoints: Iterable[str]) -> None:
        """Endpoints that are no longer declared."""
        gone = set(endpoints)
        self._kept = {key: one for key, one in self._kept.items() if key.endpoint not in gone}

    async def poll(self, endpoint: MediaEndpoint, streams: Mapping[str, Stream], now: float) -> EndpointSeen:
        """How the endpoint stands with these streams, by name."""
        name = endpoint.metadata.name
        seen: dict[str, StreamSeen] = {}
        troubles: list[str] = []
        width = asyncio.Semaphore(AT_ONCE)

        async def one_of(stream: Stream) -> None:
            async with width:
                found = await self._stream(endpoint, stream, self._active.get(stream.name, ""), now)
            if isinstance(found, str):
                troubles.append(found)
                seen[stream.name] = StreamSeen(stream=stream.name)
            else:
                seen[stream.name] = found

        try:
            async with asyncio.timeout(POLL_SECONDS), asyncio.TaskGroup() as group:
                for stream in streams.values():
                    group.create_task(one_of(stream))
        except TimeoutError:
            troubles.append("it takes too long to answer")
        whole = troubles[0] if troubles and not any(one.playlists for one in seen.values()) else ""
        return EndpointSeen(endpoint=name, reported=now, streams=seen, trouble=whole)

    async def _stream(
        self, endpoint: MediaEndpoint, stream: Stream, generation: str, now: float
    ) -> StreamSeen | str:
        """Why not, where nothing could be fetched."""
        if not generation:
            return StreamSeen(stream=stream.name)  # it does not run, so nothing needs to be there
        playlists: dict[str, PlaylistSeen] = {}
        trouble = ""
        try:
            wanted = addresses(endpoint, stream, generation, self._prefix(stream, now))
        except TelarchyError:
            return "the secret that opens it is not there"
        for rendition, url in wanted:
            try:
                for found, playlist in await self._renditions(rendition, url):
                    key = _Key(endpoint.name, stream.name, generation, found)
                    playlists[found] = self._judge(key, playlist, now)
            except TelarchyError as error:
                trouble = trouble or str(error)
        if not playlists:
            return trouble or "nothing was found to look at"
        return StreamSeen(stream=stream.name, generation=generation, playlists=playlists)

    async def _renditions(self, rendition: str, url: str) -> list[tuple[str, MediaPlaylist]]:
        """What stands at an address: a media playlist, or a master playlist and what it leads to."""
        top = parse(await self._fetch(url))
        if isinstance(top, MediaPlaylist):
            return [(rendition, top)]
        return [
            (name, one)
            for name, address in _variants(top, url)
            if isinstance(one := parse(await self._fetch(address)), MediaPlaylist)
        ]

    def _judge(self, key: _Key, playlist: MediaPlaylist, now: float) -> PlaylistSeen:
        before = self._kept.get(key)
        problems = check(playlist)
        changed = now
        if before is not None:
            problems += compare(before.playlist, playlist)
            changed = before.changed if before.playlist == playlist else now
        elif playlist.edge is not None and playlist.edge == playlist.edge:
            # the first look: it changed at the latest when its last segment ended
            changed = min(now, max(playlist.edge, 0.0))
        self._kept[key] = _Kept(playlist, changed)
        return PlaylistSeen(
            rendition=key.rendition,
            first=playlist.first,
            last=playlist.last,
            target=float(playlist.target),
            edge=playlist.edge,
            changed=changed,
            discontinuities=playlist.discontinuities,
            ended=playlist.ended,
            problems=tuple(
                dict.fromkeys(one.rule for one in problems if not one.warning and one.rule != _ELSEWHERE)
            ),
        )

    async def _fetch(self, url: str) -> bytes:
        """The body at `url`, over redirections that stay on its host. Raises _Unreachable."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "telarchy", "Accept-Encoding": "identity"},
                auto_decompress=False,
            )
        at = url
        for _ in range(MOST_REDIRECTS + 1):
            try:
                async with self._session.get(at, allow_redirects=False) as answer:
                    if answer.status in (301, 302, 303, 307, 308):
                        onward = urljoin(at, answer.headers.get("Location", ""))
                        if not _same_place(url, onward):
                            raise _Unreachable(f"{_place(url)} sends on to another host")
                        at = onward
                        continue
                    if answer.status != 200:
                        raise _Unreachable(f"{_place(url)} answers {answer.status}")
                    body = await answer.content.read(MAX_BYTES + 1)
                    while len(body) <= MAX_BYTES and not answer.content.at_eof():
                        body += await answer.content.read(MAX_BYTES + 1 - len(body))
                    if len(body) > MAX_BYTES:
                        raise PlaylistError("too-large", f"{_place(url)} answers more than a playlist")
                    return body
            except TimeoutError:
                raise _Unreachable(f"{_place(url)} does not answer in time") from None
            except (aiohttp.ClientError, ValueError, OSError) as error:
                raise _Unreachable(f"{_place(url)} cannot be reached ({type(error).__name__})") from None
        raise _Unreachable(f"{_place(url)} sends on too often")


def addresses(
    endpoint: MediaEndpoint, stream: Stream, generation: str, prefix: str = ""
) -> list[tuple[str, str]]:
    """Renditions and where they are fetched from. One address may be of a master playlist."""
    spec = endpoint.spec
    template = spec.external.playlist_url if spec.external is not None else None
    if template is None:
        if spec.public_url is None:
            return []
        return [("", f"{spec.public_url}{prefix}{live_path(stream.name, generation, MASTER)}")]
    if "{rendition}" not in template:
        return [("", template.replace("{stream}", stream.name))]
    renditions = [one.name for one in stream.spec.renditions]
    return [
        (one, template.replace("{stream}", stream.name).replace("{rendition}", one)) for one in renditions
    ]


def combined(polled: EndpointSeen | None, said: EndpointSeen | None) -> EndpointSeen | None:
    """What was seen, with what the endpoint says of its viewers; its own word alone where nobody could look."""
    if polled is None or said is None:
        return polled or said
    if polled.reported - said.reported > WORD_SECONDS:
        return polled
    if polled.trouble:
        return said
    streams = dict(polled.streams)
    for name, word in said.streams.items():
        known = streams.get(name)
        if known is None:
            streams[name] = word
            continue
        streams[name] = replace(
            known,
            playlists=known.playlists or word.playlists,
            generation=known.generation or word.generation,
            viewers=word.viewers,
            egress=word.egress,
            hits=word.hits,
            misses=word.misses,
            failures=word.failures,
            carried=word.carried,
        )
    return replace(polled, streams=streams, reported=max(polled.reported, said.reported))


def _variants(master: MasterPlaylist, url: str) -> list[tuple[str, str]]:
    """Names and addresses of the renditions of a master playlist that are on its own host."""
    listed = [(one.uri, "") for one in master.variants]
    listed += [(one.uri, AUDIO) for one in master.media if one.kind == "AUDIO" and one.uri]
    found: dict[str, str] = {}
    for number, (uri, name) in enumerate(listed):
        address = urljoin(url, uri)
        if not _same_place(url, address):
            continue
        folder = urlsplit(address).path.rstrip("/").split("/")[-2:-1]
        found.setdefault(name or (folder[0][:63] if folder else "") or f"v{number}", address)
    return list(found.items())[:MOST_RENDITIONS]


def _same_place(one: str, other: str) -> bool:
    """Whether two addresses are on the same host, the second no less protected."""
    try:
        mine, its = urlsplit(one), urlsplit(other)
        same = mine.hostname == its.hostname and its.username is None
        upgraded = mine.scheme == "http" and its.scheme == "https"
        return same and (upgraded or (mine.scheme, mine.port) == (its.scheme, its.port))
    except ValueError:
        return False


def _place(url: str) -> str:
    """Scheme and host of an address: its path may hold what others should not read."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
