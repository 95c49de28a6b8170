"""MediaEndpoint: a place from which streams are played.

An Origin encodes what is published to it and serves it; an Edge fetches from its sources and serves that. The
External ones (a mux, a CDN) run elsewhere and are only watched. A name is one DNS label: it names a folder.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from telarchy.resources.host import Host, MediaPath, parse_endpoint
from telarchy.resources.labels import LabelSelector
from telarchy.resources.meta import (
    Column,
    Count,
    DeletionPolicy,
    Int,
    Kind,
    LabelNamed,
    Model,
    Name,
    PartName,
    Resource,
    ResourceStatus,
    SecretRef,
    Spec,
    Status,
    Time,
)
from telarchy.resources.quantities import Duration, Quantity
from telarchy.resources.rules import Checked, Rule, Shaped
from telarchy.resources.stream import AUTHORITY, PORT_FIELD, RateAboveZero, bit_rate_above_zero

MAX_SOURCES, MAX_STREAMS = 16, 64  # the latter in a status
HEALTH_OFFSET = 10000

Role = Literal["Origin", "Edge", "ExternalOrigin", "ExternalEdge"]
EndpointState = Literal["Starting", "Healthy", "Degraded", "Stale", "Overloaded", "NoSource", "Unknown"]

PublicUrl = Annotated[
    str,
    Field(min_length=8, max_length=300),
    Shaped(
        rf"^https?://{AUTHORITY}$",
        "a public URL is http:// or https://, a host and perhaps a port, and nothing after it: "
        "https://live.example:8443",
    ),
]
PlaylistUrl = Annotated[
    str,
    Field(min_length=8, max_length=1024),
    Shaped(
        rf"^https?://{AUTHORITY}/([A-Za-z0-9._~!$&()*+,;=:@%/?-]|\{{(stream|rendition)\}})*$",
        "a playlist's URL is http:// or https:// without user and password, with `{stream}` and perhaps "
        "`{rendition}` in it: https://cdn.example/live/{stream}/index.m3u8",
    ),
    Checked(
        Rule(
            "playlist-url-without-stream",
            "`{stream}` stands where the stream's name belongs; without it all streams would be one",
            lambda url: "{stream}" in url,
            "self.contains('{stream}')",
        ),
        Rule(
            "playlist-url-climbs",
            "the path of a URL is written without `..`",
            lambda url: ".." not in url,
            "!self.contains('..')",
        ),
    ),
]
ListenAddress = Annotated[
    str,
    Field(min_length=2, max_length=45),
    Shaped(
        r"^(([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$",
        "an address to listen on is an IP address: 0.0.0.0, 127.0.0.1, ::",
    ),
]
CorsOrigin = Annotated[
    str,
    Field(min_length=1, max_length=300),
    Shaped(rf"^(\*|https?://{AUTHORITY})$", "a CORS origin is `*`, or like https://tv.example:8443"),
]
_OCTET = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
ProxyNetwork = Annotated[
    str,
    Field(min_length=2, max_length=49),
    Shaped(
        rf"^(({_OCTET}\.){{3}}{_OCTET}(/(3[0-2]|[12][0-9]|[1-9]))?"
        r"|[0-9A-Fa-f]*:[0-9A-Fa-f:]*(/(12[0-8]|1[01][0-9]|[1-9][0-9]|[1-9]))?)$",
        "a proxy is an address or a network, and never everybody: 192.0.2.7, 10.0.0.0/24, 2001:db8::/64",
    ),
]


class Listen(Model):
    """Where the endpoint listens on its host."""

    http: Annotated[Int, PORT_FIELD] = Field(default=8080, description="The port that viewers ask.")
    rtmp: Annotated[Int, PORT_FIELD] = Field(
        default=1935, description="The port that publishers send to (Origin)."
    )
    address: ListenAddress = Field(default="0.0.0.0", description="The address; 0.0.0.0 is all of IPv4.")
    trusted_proxies: Annotated[tuple[ProxyNetwork, ...], Field(max_length=16)] = Field(
        default=(),
        description="Reverse proxies in front of it, whose `X-Forwarded-For` tells viewers apart. What anybody else "
        "says there is not believed.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "listen-one-port",
            "`http` and `rtmp` need a port each",
            lambda one: one.http != one.rtmp,
            "(has(self.http) ? self.http : 8080) != (has(self.rtmp) ? self.rtmp : 1935)",
            "rtmp",
        ),
    )


class Source(Model):
    """Where an edge fetches from."""

    endpoint_ref: PartName = Field(description="The MediaEndpoint.")
    priority: Int = Field(default=1, ge=1, le=1000, description="The lowest healthy one is taken.")


class Thresholds(Model):
    """When an endpoint counts as degraded, stale or full, and how calmly edges change their source."""

    degraded_after: Duration = Field(
        default=Duration("3s"), description="Without news in a playlist, beyond a segment's length."
    )
    stale_after: Duration = Field(
        default=Duration("6s"), description="Likewise; viewers are better sent elsewhere."
    )
    max_viewers: Int | None = Field(
        default=None, ge=1, le=10_000_000, description="More count as overload. Left out: no limit."
    )
    max_egress: RateAboveZero | None = Field(
        default=None, description="Bits per second; more count as overload. Left out: no limit."
    )
    clear_after: Duration = Field(
        default=Duration("60s"),
        description="How long a better source must be well before an edge returns to it.",
    )
    min_switch_interval: Duration = Field(
        default=Duration("30s"), description="Between two changes, unless the present source fails."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "threshold-spelling",
            "`degradedAfter` and `staleAfter` are written in s, ms or m, and are longer than zero",
            lambda one: all(
                not set(str(span)) & set("hdw") and span.seconds > 0
                for span in (one.degraded_after, one.stale_after)
            ),
            "(!has(self.degradedAfter) || self.degradedAfter.matches('^[^hdw]*[1-9][^hdw]*$')) && "
            "(!has(self.staleAfter) || self.staleAfter.matches('^[^hdw]*[1-9][^hdw]*$'))",
        ),
        Rule(
            "stale-before-degraded",
            "`staleAfter` cannot be shorter than `degradedAfter`",
            # in the units that Kubernetes' durations have too; the rule above speaks about the others
            lambda one: (
                bool(set(f"{one.degraded_after}{one.stale_after}") & set("hdw"))
                or one.stale_after >= one.degraded_after
            ),
            "(has(self.degradedAfter) && self.degradedAfter.matches('[hdw]')) || "
            "(has(self.staleAfter) && self.staleAfter.matches('[hdw]')) || "
            "duration(has(self.staleAfter) ? self.staleAfter : '6s') >= "
            "duration(has(self.degradedAfter) ? self.degradedAfter : '3s')",
            "staleAfter",
        ),
        bit_rate_above_zero("maxEgress"),
    )


class Spool(Model):
    """Where segments lie on the host."""

    path: MediaPath | None = Field(
        default=None, description="An absolute folder. Left out: under the login's home, in .local/state."
    )
    reserve: Quantity = Field(default=Quantity("256Mi"), description="Bytes to leave free for others.")


class Report(Model):
    """An external endpoint that reports by itself."""

    secret_ref: SecretRef = Field(description="The secret that its reports are signed with.")


class External(Model):
    """How an endpoint that runs elsewhere is watched and played."""

    playlist_url: PlaylistUrl | None = Field(
        default=None,
        alias="playlistURL",
        description="Where it serves a stream, with `{stream}` and perhaps `{rendition}`. Left out: below "
        "`publicURL`, under the same paths as ours.",
    )
    poll: Duration = Field(default=Duration("5s"), description="How often its playlists are looked at.")
    report: Report | None = Field(default=None, description="It sends signed snapshots of how it stands.")


class MediaEndpointSpec(Spec):
    """What the endpoint is, where it runs and what it serves."""

    role: Role = Field(description="Origin encodes; Edge fetches; the External ones run elsewhere.")
    host_ref: Name | None = Field(default=None, description="The Host it runs on (Origin, Edge).")
    stream_selector: LabelSelector = Field(
        default_factory=LabelSelector, description="Which Streams, by label. Left out or {}: all."
    )
    public_url: PublicUrl | None = Field(
        default=None,
        alias="publicURL",
        description="Under which viewers reach it. Left out: the host's address and the http port.",
    )
    listen: Listen = Field(default_factory=Listen, description="Where it listens on its host.")
    sources: Annotated[tuple[Source, ...], Field(max_length=MAX_SOURCES)] = Field(
        default=(), description="From where an Edge fetches; the healthiest of the lowest priority."
    )
    mode: Literal["Cache", "Relay"] = Field(
        default="Cache",
        description="An Edge fetches what viewers ask for (Cache), or all of it at any time (Relay).",
    )
    cache: Literal["Nginx", "Varnish"] = Field(default="Nginx", description="What a Cache edge caches with.")
    server: Literal["Nginx", "BuiltIn"] | None = Field(
        default=None, description="What serves. Left out: BuiltIn on `local` hosts, else Nginx."
    )
    thresholds: Thresholds = Field(
        default_factory=Thresholds, description="When it is degraded, stale, full."
    )
    spool: Spool = Field(default_factory=Spool, description="Where segments lie.")
    cors: Annotated[tuple[CorsOrigin, ...], Field(max_length=32)] = Field(
        default=("*",), description="Pages that may play from here; `*` is any."
    )
    external: External | None = Field(default=None, description="For the External roles.")
    deletion_policy: DeletionPolicy = Field(
        default="Release",
        description="Deleting it stops and removes it on its host (Release), or leaves it there (Orphan).",
    )

    @property
    def is_external(self) -> bool:
        return self.role.startswith("External")

    @property
    def is_origin(self) -> bool:
        return self.role in ("Origin", "ExternalOrigin")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "host-ref-missing",
            "an Origin or Edge runs on a host: give its `hostRef`",
            lambda one: one.is_external or one.host_ref is not None,
            "self.role in ['ExternalOrigin', 'ExternalEdge'] || has(self.hostRef)",
        ),
        Rule(
            "host-ref-of-external",
            "an external endpoint runs elsewhere: it has no `hostRef`",
            lambda one: not one.is_external or one.host_ref is None,
            "!(self.role in ['ExternalOrigin', 'ExternalEdge']) || !has(self.hostRef)",
            "hostRef",
        ),
        Rule(
            "external-without-url",
            "an external endpoint needs the URL where it serves: `publicURL`, or `external: {playlistURL: …}`",
            lambda one: (
                not one.is_external
                or one.public_url is not None
                or (one.external is not None and one.external.playlist_url is not None)
            ),
            "!(self.role in ['ExternalOrigin', 'ExternalEdge']) || has(self.publicURL) || "
            "(has(self.external) && has(self.external.playlistURL))",
        ),
        Rule(
            "external-of-own",
            "`external` is for the roles ExternalOrigin and ExternalEdge",
            lambda one: one.is_external or one.external is None,
            "self.role in ['ExternalOrigin', 'ExternalEdge'] || !has(self.external)",
            "external",
        ),
        Rule(
            "edge-without-sources",
            "an Edge needs `sources` to fetch from: `sources: [{endpointRef: …}]`",
            lambda one: one.role != "Edge" or len(one.sources) > 0,
            "self.role != 'Edge' || (has(self.sources) && size(self.sources) > 0)",
        ),
        Rule(
            "origin-with-sources",
            "an Origin has no `sources`: it takes what is published to it; one that fetches is an Edge",
            lambda one: not one.is_origin or not one.sources,
            "!(self.role in ['Origin', 'ExternalOrigin']) || !has(self.sources) || size(self.sources) == 0",
            "sources",
        ),
        Rule(
            "source-twice",
            "one endpoint stands twice among the `sources`",
            lambda one: len({each.endpoint_ref for each in one.sources}) == len(one.sources),
            "!has(self.sources) || "
            "self.sources.all(a, self.sources.exists_one(b, a.endpointRef == b.endpointRef))",
            "sources",
        ),
    )


class EndpointStream(Status):
    """A stream as this endpoint has it."""

    name: Name
    generation: str = Field(default="", max_length=128)
    state: str = Field(default="", max_length=32)
    age: str = Field(default="", max_length=32, description="Of its oldest playlist, roughly, like 2s.")
    lag: Count | None = Field(default=None, description="Segments behind the best endpoint.")
    restarts: Count = 0
    viewers: Count = 0
    speed: str = Field(default="", max_length=16, description="Of the encoder; 1.0 is real time.")


class EndpointService(Status):
    """A process that the host keeps running for the endpoint."""

    name: str = Field(max_length=128)
    state: str = Field(default="", max_length=32)
    restarts: Count = 0


class SpoolRoom(Status):
    """Room where segments lie, in bytes."""

    free: Count | None = None
    total: Count | None = None


class EndpointVersions(Status):
    """What runs on the host; empty: not there or not asked yet."""

    nginx: str = Field(default="", max_length=128)
    ffmpeg: str = Field(default="", max_length=128)
    varnish: str = Field(default="", max_length=128)
    modules: str = Field(default="", max_length=256, description="Of nginx, like http_js, rtmp.")


class MediaEndpointStatus(ResourceStatus):
    """How the endpoint stands. Numbers are rounded, so that an unchanged world writes an unchanged status."""

    state: EndpointState = "Unknown"
    viewers: Count = 0
    egress: Count = Field(default=0, description="Bits per second to viewers.")
    ingress: Count = Field(default=0, description="Bits per second from publishers or sources.")
    cache_hit_ratio: str = Field(
        default="", max_length=8, description="Share served from the cache, like 0.98."
    )
    source: str = Field(default="", max_length=63, description="The source that an edge takes now.")
    source_since: Time | None = None
    streams: Annotated[tuple[EndpointStream, ...], Field(max_length=MAX_STREAMS)] = ()
    spool: SpoolRoom = Field(default_factory=SpoolRoom)
    services: Annotated[tuple[EndpointService, ...], Field(max_length=128)] = ()
    versions: EndpointVersions = Field(default_factory=EndpointVersions)


class MediaEndpoint(Resource):
    """A place from which streams are played: an origin, an edge, or somebody else's."""

    kind: Literal["MediaEndpoint"] = "MediaEndpoint"
    metadata: LabelNamed
    spec: MediaEndpointSpec
    status: MediaEndpointStatus = Field(default_factory=MediaEndpointStatus)


def health_port(http_port: int) -> int:
    """The port on 127.0.0.1 on which the host itself looks at what viewers get, without a token."""
    return http_port + HEALTH_OFFSET if http_port + HEALTH_OFFSET <= 65535 else http_port - HEALTH_OFFSET


def address_of(host: Host | None) -> str | None:
    """Under which name or address others reach a host, with brackets where a URL wants them."""
    if host is None:
        return None
    ssh = host.spec.connection.ssh
    name = "127.0.0.1" if ssh is None else parse_endpoint(ssh.endpoints[0]).host
    return f"[{name}]" if ":" in name else name


def served_at(spec: MediaEndpointSpec, host: Host | None) -> str | None:
    """The URL, without a path, under which an endpoint is reached: what it says, else its host and port."""
    if spec.public_url is not None or spec.is_external or host is None:
        return spec.public_url
    return f"http://{address_of(host)}:{spec.listen.http}"


KIND = Kind(
    model=MediaEndpoint,
    plural="mediaendpoints",
    singular="mediaendpoint",
    short_names=("me",),
    columns=(
        Column("Role", ".spec.role"),
        Column("Host", ".spec.hostRef"),
        Column("State", ".status.state"),
        Column("Viewers", ".status.viewers", "integer"),
        Column("Source", ".status.source", description="From where an edge fetches now."),
        Column("Egress", ".status.egress", "integer", priority=1, description="Bits per second to viewers."),
        Column("Ingress", ".status.ingress", "integer", priority=1, description="Bits per second coming in."),
        Column("Hits", ".status.cacheHitRatio", priority=1, description="Share served from the cache."),
        Column("Free", ".status.spool.free", "integer", priority=1, description="Free bytes for segments."),
    ),
)
