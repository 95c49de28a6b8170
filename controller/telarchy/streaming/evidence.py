"""What is seen of streams and endpoints, as values. Times are seconds since the epoch on the controller's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from telarchy.core.owner import Holding, Owner
from telarchy.core.service import ServiceSeen as ServiceSeen
from telarchy.core.service import ServiceState as ServiceState

FETCH_SECONDS = 6.0  # over which fetches from a source are counted; one that hangs takes three
FAILED_FETCHES = 2  # answers of a source that failed, before it counts as failing


@dataclass(frozen=True)
class PlaylistSeen:
    """A media playlist as a viewer gets it now.

    first, last:  media sequence numbers listed
    target:       its target duration, seconds
    edge:         when the last listed segment ends by its EXT-X-PROGRAM-DATE-TIME; None without one
    changed:      when it was last seen to change
    problems:     rules of RFC 8216 that it breaks, by itself or against the one before
    """

    rendition: str
    first: int
    last: int
    target: float
    edge: float | None
    changed: float
    discontinuities: int = 0
    ended: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputSeen:
    """What comes in. `bitrate` in bits per second."""

    codec: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    bitrate: int = 0


@dataclass(frozen=True)
class Carried:
    """What an endpoint carried of a stream since somebody began to count: requests by what the cache had, upstream
    answers that failed, bytes to viewers. Only ever grows, until it is counted anew."""

    hits: int = 0
    misses: int = 0
    failures: int = 0
    sent: int = 0

    def more(self, hits: int, misses: int, failures: int, sent: int) -> Carried:
        return Carried(self.hits + hits, self.misses + misses, self.failures + failures, self.sent + sent)


@dataclass(frozen=True)
class StreamSeen:
    """A stream on an endpoint.

    generation:   the one that plays now; "" when none does
    generations:  all that lie in the spool
    playlists:    by rendition, of `generation`
    publisher:    name of the StreamKey with which somebody publishes; "" when nobody does; None where that is unknown
    awaited:      since when something comes in and no new segment is made of it, over all starts of the encoder; None
                  while segments come, and where nobody can say
    refused:      whether its host answers viewers 503, as it does from when nothing new came on
    speed:        of the encoder, 1.0 is real time; None while not known
    last_speed:   the last one that was known, over all starts in this generation
    lagging, slow_since: whether it is not quite in time, and since when it is far from it (`pace`)
    viewers:      distinct ones that fetched a media playlist within three target durations
    egress:       bits per second
    hits, misses: of the cache, since the report before
    failures:     upstream answers of the chosen source that failed, since the report before
    fetched, failed: such answers, all and those that failed, within the last `FETCH_SECONDS`
    size:         bytes in the spool
    carried:      in all, since this controller began to watch the endpoint
    """

    stream: str
    generation: str = ""
    generations: tuple[str, ...] = ()
    playlists: Mapping[str, PlaylistSeen] = field(default_factory=dict)
    publisher: str | None = None
    incoming: InputSeen | None = None
    awaited: float | None = None
    refused: bool = False
    speed: float | None = None
    last_speed: float | None = None
    lagging: bool = False
    slow_since: float | None = None
    viewers: int = 0
    egress: int = 0
    hits: int = 0
    misses: int = 0
    failures: int = 0
    fetched: int = 0
    failed: int = 0
    size: int = 0
    carried: Carried = Carried()

    @property
    def pictureless(self) -> bool:
        """Whether somebody publishes, and what arrives of it holds no picture that the ingest knows."""
        came = self.incoming is not None and self.incoming.bitrate > 0 and not self.incoming.codec
        return bool(self.publisher) and came

    @property
    def unfed(self) -> bool:
        """Whether the chosen source fails: not once, and more often than not."""
        return self.failed >= FAILED_FETCHES and 2 * self.failed > self.fetched

    @property
    def age(self) -> float | None:
        """When its oldest playlist last changed."""
        return min((one.changed for one in self.playlists.values()), default=None)


@dataclass(frozen=True)
class Reach:
    """Whether a source gives any answer on an edge's host, and since when that is so."""

    answers: bool
    since: float


@dataclass(frozen=True)
class KeyUse:
    """When a StreamKey was last used and last refused on a host, and why refused."""

    used: float | None = None
    refused: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class EndpointSeen:
    """An endpoint on its host, as last reported.

    reported:  when; the plan compares it with now
    present:   whether anything of it lies on the host
    writable:  whether its spool can be written to; None while not known
    restarts:  by service: how often its process was started in a row, without one that lasted or a publisher that left
    keys_digest: SHA-256 (16 hex digits) of keys.json as it lies there
    holding:   whose it is, as it says there; None where nothing lies there, or nobody could tell
    reach:     of an edge, by source: whether it answers there; none of those of which nobody can tell
    blind:     programs one of which is needed to look at its playlists, where its host has none; "" else
    trouble:   why it cannot be looked at, for a person
    """

    endpoint: str
    reported: float
    present: bool = True
    services: Mapping[str, ServiceSeen] = field(default_factory=dict)
    restarts: Mapping[str, int] = field(default_factory=dict)
    streams: Mapping[str, StreamSeen] = field(default_factory=dict)
    keys: Mapping[str, KeyUse] = field(default_factory=dict)
    keys_digest: str = ""
    reach: Mapping[str, Reach] = field(default_factory=dict)
    free: int | None = None
    total: int | None = None
    writable: bool | None = None
    holding: Holding | None = None
    blind: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class Generation:
    """One run of a stream, from its start to an explicit stop; kept across restarts of everything.

    identity:  what makes a new one necessary (digest of renditions, segments, audio)
    live:      when the first playable playlist was seen
    ended:     when it was stopped
    failed:    why its session could not be created; ""
    """

    id: str
    stream: str
    sequence: int
    identity: str
    started: float
    live: float | None = None
    ended: float | None = None
    failed: str = ""


@dataclass(frozen=True)
class Choice:
    """Which source an edge takes: since when and why, and since when a better one has been healthy without a break.

    failed:  by source that gave the edge itself nothing: how often in a row that was so, and when it was left last
    """

    source: str
    since: float
    better: str = ""
    better_since: float | None = None
    why: str = ""
    failed: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployed:
    """What was put on a host for an endpoint, and is to be removed when that is no longer declared.

    policy:  the endpoint's `deletionPolicy` as it was last declared
    """

    endpoint: str
    host: str
    base: str
    policy: str = "Release"

    @property
    def key(self) -> str:
        return f"{self.endpoint}@{self.host}:{self.base}"


@dataclass(frozen=True)
class BaseSeen:
    """A folder of an endpoint as it lies on a host, whether anything of it is declared or not.

    base:   as it was declared, where `leads`; else where it lies
    leads:  whether that path leads to it, so that it can be undone by it
    """

    base: str
    holding: Holding
    leads: bool = True


@dataclass(frozen=True)
class Tools:
    """Versions of what endpoints run with on a host, "" for what is not there. `modules`: of nginx, as files."""

    nginx: str = ""
    ffmpeg: str = ""
    varnish: str = ""
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class StreamingSeen:
    """The section of an Observation that is about streams.

    generations:  the latest one of each stream
    past:         by stream: when each generation that still lies somewhere ended
    choices:      by `edge/stream`
    deployed:     by `Deployed.key`
    bases:        by host that was looked at: all folders of endpoints there
    tools:        by host with endpoints that was looked at
    marks:        of secrets, by `namespace/name/key`: changes when the secret does; None when it cannot be read
    orphans:      streams that were last declared with `deletionPolicy: Orphan`
    told:         what was last told in events, by subject
    owner:        who we are to hosts; None where nobody asks
    unserved:     built-in endpoints whose address cannot be had here, and why
    former:       ids under which this same controller owned folders before
    interval:     seconds between two reports of an endpoint
    """

    endpoints: Mapping[str, EndpointSeen] = field(default_factory=dict)
    generations: Mapping[str, Generation] = field(default_factory=dict)
    past: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    bases: Mapping[str, tuple[BaseSeen, ...]] = field(default_factory=dict)
    tools: Mapping[str, Tools] = field(default_factory=dict)
    marks: Mapping[str, str | None] = field(default_factory=dict)
    orphans: frozenset[str] = frozenset()
    told: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None
    unserved: Mapping[str, str] = field(default_factory=dict)
    former: frozenset[str] = frozenset()
    interval: float = 2.0
