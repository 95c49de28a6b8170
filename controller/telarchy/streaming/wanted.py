"""What is to run on an endpoint's host: services and keys, rendered from what is declared. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

from telarchy.core.service import Service, ServiceState
from telarchy.errors import ConfigError
from telarchy.resources.meta import SecretRef
from telarchy.resources.stream import Stream
from telarchy.resources.streamkey import StreamKey
from telarchy.streaming import edge, ingest, layout, relay, relaysite, serving, varnish
from telarchy.streaming.keys import KeyLine, keys_json
from telarchy.streaming.ladder import (
    FfmpegBackend,
    File,
    Ladder,
    Pattern,
    Published,
    Pulled,
    Rendition,
    Source,
    Srt,
)
from telarchy.streaming.terms import Place, Terms


@dataclass(frozen=True)
class Tokens:
    """`tokens.json`: the playback secrets of these private streams, by name."""

    streams: tuple[str, ...]


@dataclass(frozen=True)
class Input:
    """A ladder's input with a secret in it."""

    ladder: Ladder
    secret: SecretRef


Recipe = Tokens | Input
"""What the secret files of a service are made of, by the one who acts."""


@dataclass(frozen=True)
class Wanted:
    """What an endpoint is to have.

    services:      by name
    blocked:       services that cannot be rendered now, with the reason; what is there of them stays
    stream_of, generation_of: of the services that are for one stream
    recipes:       of those with secret files
    keys:          contents of keys.json; None where nobody publishes by key
    """

    services: Mapping[str, Service] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    stream_of: Mapping[str, str] = field(default_factory=dict)
    generation_of: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    keys: bytes | None = None
    key_count: int = 0


class Renderer(Protocol):
    """How services are made of what is declared; `render` is the one in force.

    active:   the generation of each running stream
    choices:  source by (edge, stream)
    """

    def __call__(
        self, terms: Terms, place: Place, active: Mapping[str, str], choices: Mapping[tuple[str, str], str]
    ) -> Wanted: ...


def playback_mark(namespace: str, stream: str) -> str:
    """Under which name `StreamingSeen.marks` has the mark of a stream's playback secrets."""
    return f"{namespace}/playback/{stream}"


def secret_mark(namespace: str, name: str, key: str) -> str:
    """Under which name `StreamingSeen.marks` has the mark of a secret that a manifest names."""
    return f"{namespace}/{name}/{key}"


def secret_of(stream: Stream) -> SecretRef | None:
    """The secret in a stream's input."""
    way = stream.spec.ingest
    if way.srt is not None:
        return way.srt.passphrase_ref
    return way.pull.url_ref if way.pull is not None else None


@dataclass
class _Making:
    """What is being put together for one endpoint."""

    terms: Terms
    place: Place
    active: Mapping[str, str]
    choices: Mapping[tuple[str, str], str]
    services: dict[str, Service] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    stream_of: dict[str, str] = field(default_factory=dict)
    generation_of: dict[str, str] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)

    @property
    def streams(self) -> tuple[Stream, ...]:
        return self.place.streams

    def mark(self, stream: Stream) -> str | None:
        """Of the playback secrets."""
        return self.terms.seen.marks.get(playback_mark(stream.namespace, stream.name))


def render(
    terms: Terms, place: Place, active: Mapping[str, str], choices: Mapping[tuple[str, str], str]
) -> Wanted:
    """The services and keys of one endpoint of ours."""
    made = _Making(terms, place, active, choices)
    keys, count = None, 0
    if place.origin and any(one.spec.ingest.rtmp is not None for one in made.streams):
        listen = place.endpoint.spec.listen
        made.services[layout.RTMP] = _ingest(
            ingest.IngestSite(rtmp_port=listen.rtmp, address=str(listen.address))
        )
        lines = [_key_line(one) for one in _keys(made)]
        keys, count = keys_json(lines), len(lines)
    for stream in made.streams:
        if active.get(stream.name) and (place.origin or place.relay):
            _make_stream(made, stream)
    _serve(made)
    return Wanted(made.services, made.blocked, made.stream_of, made.generation_of, made.recipes, keys, count)


# --- keys and ingest ---------------------------------------------------------------------------------------------


def _keys(made: _Making) -> Iterator[StreamKey]:
    """Keys of streams that run: of the others nobody may publish anything."""
    running = {one.name for one in made.streams if made.active.get(one.name)}
    for key in made.terms.keys.values():
        if key.spec.stream_ref in running:
            yield key


def _key_line(key: StreamKey) -> KeyLine:
    expires = key.spec.expires_at
    return KeyLine(
        name=key.name,
        stream=key.spec.stream_ref,
        verifier=str(key.spec.verifier),
        expires=expires.timestamp() if expires is not None else None,
        revoked=key.spec.revoked,
    )


@lru_cache(maxsize=1024)
def _ingest(site: ingest.IngestSite) -> Service:
    return ingest.service(site)


# --- what makes playlists ----------------------------------------------------------------------------------------


def _make_stream(made: _Making, stream: Stream) -> None:
    kind = layout.ladder_service if made.place.origin else layout.relay_service
    name = kind(stream.name)
    made.stream_of[name], made.generation_of[name] = stream.name, made.active[stream.name]
    try:
        service = _ladder(made, stream, name) if made.place.origin else _relay(made, stream)
    except ConfigError as problem:
        made.blocked[name] = str(problem)
        return
    made.services[name] = service


def ladder_of(made: _Making, stream: Stream) -> Ladder:
    """A stream as it is to be encoded on an origin. Raises ConfigError."""
    spec = stream.spec
    return Ladder(
        stream=stream.name,
        generation=made.active[stream.name],
        source=_source(made, stream) if made.place.origin else Pattern(),
        renditions=tuple(
            Rendition(
                name=one.name, height=one.height, bitrate=one.video_bitrate.bits, frame_rate=one.frame_rate
            )
            for one in spec.renditions
        ),
        audio=spec.audio.bitrate.bits if spec.audio.enabled else None,
        segment=spec.segment.duration.seconds,
        window=spec.segment.window,
        preset=spec.encoder.preset,
        stale=made.place.limits(stream).stale_after,
    )


def _source(made: _Making, stream: Stream) -> Source:
    way, place = stream.spec.ingest, made.place
    if way.rtmp is not None:
        return Published(ingest.play_url(stream.name, place.endpoint.spec.listen.rtmp))
    mark = _input_mark(made, stream)
    if way.srt is not None:
        return Srt(
            way.srt.port,
            latency=way.srt.latency.seconds,
            address=str(place.endpoint.spec.listen.address),
            passphrase=mark,
        )
    if way.pull is not None:
        return Pulled(mark=mark) if mark else Pulled(url=str(way.pull.url))
    if way.file is not None:
        return File(_library_file(place, way.file.root, way.file.title), loop=way.file.loop)
    return Pattern()


def _input_mark(made: _Making, stream: Stream) -> str:
    wanted = secret_of(stream)
    if wanted is None:
        return ""
    mark = made.terms.seen.marks.get(secret_mark(stream.namespace, wanted.name, wanted.key))
    if mark is None:
        raise ConfigError(
            f"the secret {wanted.name}/{wanted.key} of {stream.ref} cannot be read: put it there"
        )
    return mark


def _library_file(place: Place, root: str | None, title: str) -> str:
    roots = place.host.spec.media_roots if place.host is not None else ()
    for one in roots:
        if root in (None, one.name):
            return f"{one.path}/{title}"
    what = f"no media root {root}" if root is not None else "no media roots"
    raise ConfigError(f"{place.host_name} has {what}, so there is no {title} to play")


@lru_cache(maxsize=2048)
def _laddered(ladder: Ladder) -> Service:
    return FfmpegBackend().service(ladder)


def _ladder(made: _Making, stream: Stream, name: str) -> Service:
    ladder = ladder_of(made, stream)
    service = _laddered(ladder)
    wanted = secret_of(stream)
    if wanted is not None and service.secret_files:
        made.recipes[name] = Input(ladder, wanted)
    return service


@lru_cache(maxsize=2048)
def _relayed(one: relay.Relay) -> Service:
    return relay.service(one)


def _relay(made: _Making, stream: Stream) -> Service:
    source = made.terms.places.get(made.choices.get((made.place.name, stream.name), ""))
    if source is None or not source.url:
        raise ConfigError("none of its sources has this stream")
    if stream.spec.visibility == "Private" and made.mark(stream) is None:
        raise ConfigError(f"the playback secret of {stream.name} cannot be read")
    ladder = ladder_of(made, stream)
    one = relay.Relay(
        stream=stream.name,
        generation=ladder.generation,
        pictures=ladder.pictures,
        audio=ladder.audio,
        preset=ladder.preset,
        segment=ladder.segment,
        window=ladder.window,
        stale=ladder.stale,
        source=source.name,
        mark=hashlib.sha256(source.url.encode()).hexdigest()[:16],
        port=layout.health_port(made.place.endpoint.spec.listen.http),
    )
    return _relayed(one)


# --- what serves them --------------------------------------------------------------------------------------------


def _serve(made: _Making) -> None:
    place, spec = made.place, made.place.endpoint.spec
    if place.built_in:
        return
    caches = spec.role == "Edge" and spec.mode == "Cache"
    private = [one for one in made.streams if one.spec.visibility == "Private"]
    marks = {one.name: made.mark(one) for one in private}
    if missing := sorted(name for name, mark in marks.items() if mark is None):
        made.blocked[layout.HTTP] = f"the playback secret of {', '.join(missing)} cannot be read"
        if caches and spec.cache == "Varnish":
            made.blocked[layout.CACHE] = made.blocked[layout.HTTP]
        return
    told: serving.OriginSite = serving.OriginSite(
        http_port=spec.listen.http,
        address=str(spec.listen.address),
        streams=tuple(_site_stream(made, one, caches) for one in made.streams),
        cors=tuple(str(one) for one in spec.cors),
        proxies=tuple(str(one) for one in spec.listen.trusted_proxies),
        secrets=" ".join(f"{name}:{mark}" for name, mark in sorted(marks.items())),
    )
    try:
        if caches:
            site = edge.EdgeSite(**vars(told), varnish=spec.cache == "Varnish")
            if site.varnish:
                made.services[layout.CACHE] = _varnish(site)
                site = replace(site, varnish=_cache_is_there(place))
            made.services[layout.HTTP] = _edge(site)
        elif place.relay:
            ways = tuple(sorted({way for one in made.streams for way in _sources(made, one)}))
            made.services[layout.HTTP] = _relay_site(relaysite.RelaySite(**vars(told), upstreams=ways))
        else:
            made.services[layout.HTTP] = _origin(told)
    except ConfigError as problem:
        made.blocked[layout.HTTP] = str(problem)
        return
    if private:
        made.recipes[layout.HTTP] = Tokens(tuple(sorted(marks)))


def _cache_is_there(place: Place) -> bool:
    """Whether Varnish was started there. Until then, and where it is not installed, viewers are served without it."""
    there = place.seen.services.get(layout.CACHE) if place.seen is not None else None
    return there is not None and there.state is not ServiceState.STOPPED


def _site_stream(made: _Making, stream: Stream, caches: bool) -> serving.SiteStream:
    return serving.SiteStream(
        name=stream.name,
        private=stream.spec.visibility == "Private",
        segment=stream.spec.segment.duration.seconds,
        sources=tuple(dict.fromkeys(url for _, url in _sources(made, stream))) if caches else (),
    )


def _sources(made: _Making, stream: Stream) -> Iterator[tuple[str, str]]:
    """Names and base URLs, the chosen one first, then by priority."""
    chosen = made.choices.get((made.place.name, stream.name), "")
    allowed = made.terms.sources.get(made.place.name, ())
    listed = sorted(
        made.place.endpoint.spec.sources,
        key=lambda one: (one.endpoint_ref != chosen, one.priority, one.endpoint_ref),
    )
    for one in listed:
        other = made.terms.places.get(one.endpoint_ref)
        if one.endpoint_ref in allowed and other is not None and other.takes(stream) and other.url:
            yield other.name, other.url


@lru_cache(maxsize=1024)
def _origin(site: serving.OriginSite) -> Service:
    return serving.service(site)


@lru_cache(maxsize=1024)
def _edge(site: edge.EdgeSite) -> Service:
    return edge.service(site)


@lru_cache(maxsize=1024)
def _relay_site(site: relaysite.RelaySite) -> Service:
    return relaysite.service(site)


@lru_cache(maxsize=256)
def _varnish(site: edge.EdgeSite) -> Service:
    return varnish.service(site)
