"""What is to run on an endpoint's host: services and keys, rendered from what is declared. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from telarchy.core.service import Service
from telarchy.resources.stream import Stream
from telarchy.resources.streamkey import StreamKey
from telarchy.streaming import ingest, layout, serving
from telarchy.streaming.keys import KeyLine, keys_json
from telarchy.streaming.terms import Place, Terms

CURRENT, PREVIOUS = "current", "previous"


@dataclass(frozen=True)
class Wanted:
    """What an endpoint is to have.

    services:      by name
    blocked:       services that cannot be rendered now, with the reason; what is there of them stays
    stream_of, generation_of: of the services that are for one stream
    keys:          contents of keys.json; None where nobody publishes by key
    """

    services: Mapping[str, Service] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    stream_of: Mapping[str, str] = field(default_factory=dict)
    generation_of: Mapping[str, str] = field(default_factory=dict)
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


@dataclass
class _Making:
    """What is being put together for one endpoint."""

    services: dict[str, Service] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    stream_of: dict[str, str] = field(default_factory=dict)
    generation_of: dict[str, str] = field(default_factory=dict)


def render(
    terms: Terms, place: Place, active: Mapping[str, str], choices: Mapping[tuple[str, str], str]
) -> Wanted:
    """The services and keys of one endpoint of ours."""
    made = _Making()
    streams = [one for one in terms.streams.values() if place.takes(one)]
    keys, count = None, 0
    if place.origin and any(one.spec.ingest.rtmp is not None for one in streams):
        listen = place.endpoint.spec.listen
        site = ingest.IngestSite(rtmp_port=listen.rtmp, address=str(listen.address))
        made.services[layout.RTMP] = _ingest(site)
        lines = [_key_line(one) for one in _keys(terms, streams, active)]
        keys, count = keys_json(lines), len(lines)
    if not place.built_in:
        _serve(made, terms, place, streams)
    return Wanted(made.services, made.blocked, made.stream_of, made.generation_of, keys, count)


def _keys(terms: Terms, streams: list[Stream], active: Mapping[str, str]) -> Iterator[StreamKey]:
    """Keys of streams that run: of the others nobody may publish anything."""
    running = {one.name for one in streams if active.get(one.name) or one.spec.suspend}
    for key in terms.keys.values():
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


@lru_cache(maxsize=1024)
def _origin(site: serving.OriginSite) -> Service:
    return serving.service(site)


def _serve(made: _Making, terms: Terms, place: Place, streams: list[Stream]) -> None:
    private = [one for one in streams if one.spec.visibility == "Private"]
    marks = {one.name: terms.seen.marks.get(playback_mark(one.namespace, one.name)) for one in private}
    if missing := sorted(name for name, mark in marks.items() if mark is None):
        made.blocked[layout.HTTP] = f"the playback secret of {', '.join(missing)} cannot be read"
        return
    site = serving.OriginSite(
        http_port=place.endpoint.spec.listen.http,
        address=str(place.endpoint.spec.listen.address),
        streams=tuple(_site_stream(one) for one in streams),
        cors=tuple(str(one) for one in place.endpoint.spec.cors),
        secrets=" ".join(f"{name}:{mark}" for name, mark in sorted(marks.items())),
    )
    made.services[layout.HTTP] = _origin(site)


def _site_stream(stream: Stream) -> serving.SiteStream:
    return serving.SiteStream(
        name=stream.name,
        private=stream.spec.visibility == "Private",
        segment=stream.spec.segment.duration.seconds,
    )
