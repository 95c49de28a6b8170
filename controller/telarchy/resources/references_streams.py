"""What is wrong between streams, keys, endpoints and hosts; the streaming part of `resources.references`.

As for floors, checks against a kind of which nothing is declared here are left out with a warning, since a person
may validate one file of many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from telarchy.errors import Problem
from telarchy.resources.complaints import did_you_mean
from telarchy.resources.host import Host
from telarchy.resources.loader import Loaded, LoadedResource
from telarchy.resources.mediaendpoint import MediaEndpoint, health_port
from telarchy.resources.stream import Stream
from telarchy.resources.streamkey import StreamKey
from telarchy.resources.yamltext import Path

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True)
class _Endpoint:
    """A MediaEndpoint with its host, as far as that is declared, and the streams it selects."""

    loaded: LoadedResource
    resource: MediaEndpoint
    host: Host | None
    streams: tuple[Stream, ...]

    @property
    def name(self) -> str:
        return self.resource.name

    def has(self, stream: str) -> bool:
        return any(one.name == stream for one in self.streams)

    @property
    def machine(self) -> str:
        """What ports are shared on: the host, and for all local ones the controller's machine."""
        local = self.host is not None and self.host.spec.connection.local is not None
        return "" if local else str(self.resource.spec.host_ref)


def stream_problems(
    members: Sequence[LoadedResource], read: Loaded, now: datetime | None
) -> Iterator[Problem]:
    """Every finding about streaming among the resources of one namespace."""
    hosts = {one.resource.name: one.resource for one in members if isinstance(one.resource, Host)}
    streams = [(one, one.resource) for one in members if isinstance(one.resource, Stream)]
    keys = [(one, one.resource) for one in members if isinstance(one.resource, StreamKey)]
    endpoints = [
        _Endpoint(
            one,
            one.resource,
            hosts.get(one.resource.spec.host_ref or ""),
            tuple(
                stream
                for _, stream in streams
                if one.resource.spec.stream_selector.matches(stream.metadata.labels)
            ),
        )
        for one in members
        if isinstance(one.resource, MediaEndpoint)
    ]
    by_name = {one.name: one for one in endpoints}
    yield from _hosts_of(endpoints, hosts, read)
    for one in endpoints:
        yield from _sources(one, by_name, read)
    yield from _circles(by_name)
    yield from _shared_ports(endpoints)
    yield from _srt_ports(endpoints, {stream.name: loaded for loaded, stream in streams})
    yield from _keys(keys, [stream.name for _, stream in streams], read)
    if now is not None:
        for loaded, key in keys:
            yield from _expired(loaded, key, now)
    for loaded, stream in streams:
        origins = [one for one in endpoints if one.resource.spec.is_origin and one.has(stream.name)]
        if not read.may_declare("MediaEndpoint", stream.namespace):
            yield from _unserved(loaded, stream, origins, bool(endpoints))
        if not read.may_declare("StreamKey", stream.namespace):
            yield from _unpublished(loaded, stream, [key for _, key in keys])
        yield from _file(loaded, stream, origins)


def _hosts_of(endpoints: Sequence[_Endpoint], hosts: Mapping[str, Host], read: Loaded) -> Iterator[Problem]:
    own = [
        one
        for one in endpoints
        if one.resource.spec.host_ref is not None
        and (one.host or not read.may_declare("Host", one.resource.namespace, one.resource.spec.host_ref))
    ]
    if own and not hosts:
        loaded = own[0].loaded
        yield loaded.problem(
            f"no Host is declared here in namespace {loaded.ref.namespace}; whether endpoints have one is not checked",
            ("spec", "hostRef"),
            rule="no-hosts",
            severity="warning",
        )
        return
    for one in own:
        name = str(one.resource.spec.host_ref)
        if one.host is None:
            yield one.loaded.problem(
                f"no Host is named {name}{did_you_mean(name, sorted(hosts))}",
                ("spec", "hostRef"),
                rule="unknown-host",
            )
        elif one.resource.spec.server == "BuiltIn" and one.host.spec.connection.local is None:
            yield one.loaded.problem(
                f"the built-in server runs in the controller, and {name} is another machine: leave `server` out",
                ("spec", "server"),
                rule="built-in-elsewhere",
            )
        elif _empty_handed(one.resource, one.host):
            yield one.loaded.problem(
                "the built-in server has only what lies in its own spool, and a Cache fills none: `mode: Relay`, or "
                "`server: Nginx`",
                ("spec", "mode"),
                rule="built-in-cache",
            )


def _empty_handed(endpoint: MediaEndpoint, host: Host) -> bool:
    spec = endpoint.spec
    built_in = spec.server == "BuiltIn" or (spec.server is None and host.spec.connection.local is not None)
    return built_in and spec.role == "Edge" and spec.mode == "Cache"


def _sources(one: _Endpoint, known: Mapping[str, _Endpoint], read: Loaded) -> Iterator[Problem]:
    for index, source in enumerate(one.resource.spec.sources):
        path: Path = ("spec", "sources", index, "endpointRef")
        name = source.endpoint_ref
        if name == one.name:
            yield one.loaded.problem("an endpoint cannot fetch from itself", path, rule="source-itself")
            continue
        other = known.get(name)
        if other is None and read.may_declare("MediaEndpoint", one.resource.namespace, name):
            continue
        if other is None:
            others = sorted(each for each in known if each != one.name)
            yield one.loaded.problem(
                f"no MediaEndpoint is named {name}{did_you_mean(name, others)}", path, rule="unknown-endpoint"
            )
            continue
        theirs = other.resource.spec
        if theirs.is_external and theirs.public_url is None and one.resource.spec.role == "Edge":
            yield one.loaded.problem(
                f"{name} has no `publicURL`, and edges fetch by our own paths: give it one; players are sent to its "
                "`playlistURL` without an edge",
                path,
                rule="source-without-url",
            )
        closed = [each.name for each in one.streams if other.has(each.name) and _secret_is_ours(each)]
        if theirs.role == "ExternalOrigin" and closed:
            yield one.loaded.problem(
                f"{name} runs elsewhere and cannot know the secret by which this edge asks for the private stream "
                f"{closed[0]}: give the stream `playback: {{secretRef: …}}` with the secret that is in force there",
                path,
                rule="source-without-secret",
            )
        wanted = {stream.name for stream in one.streams}
        if wanted and not wanted & {stream.name for stream in other.streams}:
            yield one.loaded.problem(
                f"{name} has none of the streams that this endpoint selects",
                path,
                rule="source-without-streams",
                severity="warning",
            )


def _secret_is_ours(stream: Stream) -> bool:
    """Whether it opens by a secret that the controller makes and shows to nobody."""
    return stream.spec.visibility == "Private" and stream.spec.playback.secret_ref is None


def _circles(endpoints: Mapping[str, _Endpoint]) -> Iterator[Problem]:
    """Each circle of sources once, reported where it closes: at the source that leads back."""
    done: set[str] = set()
    for start in sorted(endpoints):
        trail: list[str] = []
        # (endpoint, index of the next source to follow)
        stack = [(start, 0)] if start not in done else []
        while stack:
            name, index = stack.pop()
            if index == 0:
                trail.append(name)
            sources = endpoints[name].resource.spec.sources
            if index >= len(sources):
                trail.pop()
                done.add(name)
                continue
            stack.append((name, index + 1))
            target = sources[index].endpoint_ref
            if target == name or target not in endpoints or target in done:
                continue  # itself and unknown ones are said elsewhere
            if target in trail:
                circle = " → ".join((*trail[trail.index(target) :], target))
                yield endpoints[name].loaded.problem(
                    f"these endpoints fetch from one another in a circle: {circle}",
                    ("spec", "sources", index, "endpointRef"),
                    rule="cyclic-sources",
                )
            else:
                stack.append((target, 0))


def _shared_ports(endpoints: Sequence[_Endpoint]) -> Iterator[Problem]:
    """Two services cannot listen on one port of one machine."""
    taken: dict[tuple[str, int], list[tuple[str, str, _Endpoint]]] = defaultdict(list)
    for one in endpoints:
        if one.resource.spec.host_ref is None:
            continue
        told: set[Path] = set()  # the health port follows the http port; one word about both is enough
        for port, address, what, path in _claims(one.resource):
            others = taken[one.machine, port]
            clash = next((each for each in others if _meet(address, each[0])), None)
            if clash is not None and path not in told:
                told.add(path)
                _, its_use, other = clash
                of = "this endpoint's own" if other is one else f"{other.loaded.ref}'s"
                where = f"host/{one.resource.spec.host_ref}" if one.machine else "the controller's machine"
                yield one.loaded.problem(
                    f"port {port} of {where} ({what}) is also {of} {its_use} port",
                    path,
                    rule="port-twice",
                )
            others.append((address, what, one))


def _claims(endpoint: MediaEndpoint) -> Iterator[tuple[int, str, str, Path]]:
    """(TCP port, address, what for, where in the manifest)."""
    listen = endpoint.spec.listen
    http: Path = ("spec", "listen", "http")
    yield listen.http, listen.address, "http", http
    yield health_port(listen.http), LOOPBACK, "health", http
    if endpoint.spec.role == "Origin":
        rtmp: Path = ("spec", "listen", "rtmp")
        yield listen.rtmp, listen.address, "rtmp", rtmp
        if listen.address not in (*EVERY_ADDRESS, LOOPBACK):
            yield listen.rtmp, LOOPBACK, "rtmp", rtmp  # the encoders' way in
        yield health_port(listen.rtmp), LOOPBACK, "ingest's control", rtmp


def _meet(address: str, other: str) -> bool:
    return address == other or address in EVERY_ADDRESS or other in EVERY_ADDRESS


def _srt_ports(endpoints: Sequence[_Endpoint], loaded: Mapping[str, LoadedResource]) -> Iterator[Problem]:
    first: dict[tuple[str, int], str] = {}
    told: set[tuple[str, str]] = set()
    for one in endpoints:
        if one.resource.spec.role != "Origin":
            continue
        for stream in one.streams:
            if stream.spec.ingest.srt is None:
                continue
            port = stream.spec.ingest.srt.port
            before = first.setdefault((one.machine, port), stream.name)
            if before != stream.name and (before, stream.name) not in told:
                told.add((before, stream.name))
                yield loaded[stream.name].problem(
                    f"stream/{before} takes SRT on port {port} of host/{one.resource.spec.host_ref} already",
                    ("spec", "ingest", "srt", "port"),
                    rule="srt-port-twice",
                )


def _keys(
    keys: Sequence[tuple[LoadedResource, StreamKey]], streams: Sequence[str], read: Loaded
) -> Iterator[Problem]:
    if keys and not streams and not read.may_declare("Stream", keys[0][1].namespace):
        loaded = keys[0][0]
        yield loaded.problem(
            f"no Stream is declared here in namespace {loaded.ref.namespace}; whether keys have one is not checked",
            ("spec", "streamRef"),
            rule="no-streams",
            severity="warning",
        )
    first: dict[str, LoadedResource] = {}
    for loaded, key in keys:
        name = key.spec.stream_ref
        if streams and name not in streams and not read.may_declare("Stream", key.namespace, name):
            yield loaded.problem(
                f"no Stream is named {name}{did_you_mean(name, sorted(streams))}",
                ("spec", "streamRef"),
                rule="unknown-stream",
            )
        before = first.setdefault(key.spec.verifier, loaded)
        if before.ref != loaded.ref:
            yield loaded.problem(
                f"{before.ref} has the same verifier: one key would be two; make another with "
                f"`telarchy stream-key create {name}`",
                ("spec", "verifier"),
                rule="verifier-twice",
            )


def _expired(loaded: LoadedResource, key: StreamKey, now: datetime) -> Iterator[Problem]:
    if key.state(now) == "Expired":
        yield loaded.problem(
            "this key has expired: nobody can publish with it; remove it, or make another",
            ("spec", "expiresAt"),
            rule="key-expired",
            severity="warning",
        )


def _unserved(
    loaded: LoadedResource, stream: Stream, origins: Sequence[_Endpoint], any_endpoints: bool
) -> Iterator[Problem]:
    if origins or not stream.spec.running:
        return
    why = "no MediaEndpoint of role Origin selects it" if any_endpoints else "no MediaEndpoint is declared"
    yield loaded.problem(
        f"nothing encodes or serves this stream: {why}",
        ("metadata", "name"),
        rule="stream-without-origin",
        severity="warning",
    )


def _unpublished(loaded: LoadedResource, stream: Stream, keys: Sequence[StreamKey]) -> Iterator[Problem]:
    if stream.spec.ingest.rtmp is None:
        return
    mine = [key for key in keys if key.spec.stream_ref == stream.name and not key.spec.revoked]
    if not mine:
        yield loaded.problem(
            f"nobody can publish to this stream: it has no StreamKey; `telarchy stream-key create {stream.name}` "
            "makes one",
            ("spec", "ingest"),
            rule="stream-without-key",
            severity="warning",
        )


def _file(loaded: LoadedResource, stream: Stream, origins: Sequence[_Endpoint]) -> Iterator[Problem]:
    """A file is looked for under the media roots of each origin's host."""
    file = stream.spec.ingest.file
    if file is None:
        return
    for one in origins:
        if one.host is None:
            continue
        roots = [root.name for root in one.host.spec.media_roots]
        if not roots:
            yield loaded.problem(
                f"host/{one.host.name} of {one.loaded.ref} has no mediaRoots, so no file of the library",
                ("spec", "ingest", "file", "title"),
                rule="file-without-root",
            )
        elif file.root is not None and file.root not in roots:
            yield loaded.problem(
                f"host/{one.host.name} of {one.loaded.ref} has no media root {file.root}"
                f"{did_you_mean(file.root, roots)}",
                ("spec", "ingest", "file", "root"),
                rule="unknown-root",
            )
