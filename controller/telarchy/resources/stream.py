"""Stream: something live: where it comes from, in which sizes it is encoded, and who may watch.

A stream's name is part of URLs, file names and names of services, so it is one DNS label.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from telarchy.resources.meta import (
    Bool,
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
from telarchy.resources.quantities import AboveZero, BitRate, Duration
from telarchy.resources.rules import Checked, Rule, Shaped

MAX_RENDITIONS = 8
MAX_LISTED = 64  # endpoints listed in a status
RESERVED_RENDITION = "audio"  # the folder of the sound that all renditions share

Visibility = Literal["Public", "Unlisted", "Private"]
StreamPhase = Literal["Pending", "Starting", "Live", "Ended", "Failed", "Suspended"]
SourceState = Literal["Present", "Absent", "Unknown"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]

PORT_FIELD = Field(ge=1, le=65535)
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
AUTHORITY = _HOST + r"(:[0-9]{1,5})?"
# Printable, without quotes, spaces, backslashes and what begins a fragment.
_URL_TEXT = r"[A-Za-z0-9._~!$&()*+,;=:@%/?\[\]-]"

PullUrl = Annotated[
    str,
    Field(min_length=8, max_length=2048),
    Shaped(
        rf"^(rtmp|rtmps|rtsp|rtsps|srt|http|https|udp)://@?{AUTHORITY}([/?]{_URL_TEXT}*)?$",
        "a source is an rtmp, rtmps, rtsp, rtsps, srt, http, https or udp URL without user and password; one "
        "with credentials goes into a secret: `urlRef: {name: …, key: …}`",
    ),
    Checked(
        Rule(
            "url-with-passphrase",
            "a passphrase does not belong in a manifest; put the whole URL into a secret: "
            "`urlRef: {name: …, key: …}`",
            lambda url: re.search("[?&]passphrase=", url) is None,
            "!self.matches('[?&]passphrase=')",
        ),
        Rule(
            "url-climbs",
            "the path of a URL is written without `.` and `..`",
            lambda url: re.search(r"/[.]{1,2}([/?]|$)", url) is None,
            "!self.matches('/[.]{1,2}([/?]|$)')",
        ),
    ),
]

LibraryFile = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Checked(
        Rule(
            "title-not-relative",
            "a title is a path under a media root: no leading, doubled or trailing `/`, no `.` or `..`",
            lambda path: re.search(r"(^|/)[.]{0,2}(/|$)", path) is None,
            "!self.matches('(^|/)[.]{0,2}(/|$)')",
        ),
        Rule(
            "title-own-folder",
            "`.telarchy` is Telarchy's own folder; nothing in it is a title",
            lambda path: re.search(r"^[.]telarchy(/|$)", path) is None,
            "!self.matches('^[.]telarchy(/|$)')",
        ),
        Rule(
            "title-control",
            "a title has no control characters",
            lambda path: re.search(r"[\x00-\x1f\x7f]", path) is None,
            r"!self.matches('[\\x00-\\x1f\\x7f]')",
        ),
    ),
]


class RtmpIngest(Model):
    """A publisher (OBS, ffmpeg) sends by RTMP to an origin, with a StreamKey."""


class SrtIngest(Model):
    """A publisher sends by SRT to an origin, on a port that is this stream's alone."""

    port: Annotated[Int, PORT_FIELD] = Field(description="The UDP port on the origin's host.")
    passphrase_ref: SecretRef | None = Field(
        default=None, description="The passphrase, of 10 to 79 characters. Without one anybody may publish."
    )
    latency: Duration = Field(default=Duration("200ms"), description="How long SRT waits for lost packets.")


class PullIngest(Model):
    """The origin fetches it from elsewhere."""

    url: PullUrl | None = Field(
        default=None, description="From where: rtmp, rtmps, rtsp, rtsps, srt, http, https, udp."
    )
    url_ref: SecretRef | None = Field(default=None, description="A secret that holds the URL.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "pull-not-one",
            "a source has exactly one address: `url`, or `urlRef` for one with credentials",
            lambda one: (one.url is None) != (one.url_ref is None),
            "has(self.url) != has(self.urlRef)",
        ),
    )


class FileIngest(Model):
    """A file of the library, played as if it were live."""

    title: LibraryFile = Field(description="The file's path under a media root of the origin's host.")
    root: PartName | None = Field(default=None, description="Which media root. Left out: the first.")
    loop: Bool = Field(default=True, description="Begin again at the end.")


class PatternIngest(Model):
    """A test picture with a clock and a tone, made on the origin."""


class Ingest(Model):
    """Where it comes from: exactly one way."""

    rtmp: RtmpIngest | None = Field(default=None, description="By RTMP from a publisher with a StreamKey.")
    srt: SrtIngest | None = Field(default=None, description="By SRT from a publisher.")
    pull: PullIngest | None = Field(default=None, description="Fetched from elsewhere.")
    file: FileIngest | None = Field(default=None, description="A file of the library.")
    test: PatternIngest | None = Field(default=None, description="A test picture.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "ingest-not-one",
            "a stream comes in exactly one way: `rtmp: {}`, `srt: {port: 9000}`, `pull: {url: …}`, "
            "`file: {title: …}` or `test: {}`",
            lambda one: (
                sum(way is not None for way in (one.rtmp, one.srt, one.pull, one.file, one.test)) == 1
            ),
            "[has(self.rtmp), has(self.srt), has(self.pull), has(self.file), has(self.test)]"
            ".exists_one(way, way)",
        ),
    )


# CEL takes a value that may be a number for a string of megabytes, whatever its maxLength: a regular expression over it
# in each rendition would cost half of what a rule may. A pattern says the same for nothing.
RateAboveZero = Annotated[BitRate, AboveZero()]


def bit_rate_above_zero(field: str) -> Rule:
    """The rule that a bit rate, if given, is not zero; the field is a `RateAboveZero`."""
    return Rule(
        "bit-rate-zero",
        f"`{field}` must be more than zero",
        lambda one: (rate := getattr(one, re.sub("(?=[A-Z])", "_", field).lower())) is None or rate.bits > 0,
        f"!has(self.{field}) || type(self.{field}) == string || self.{field} > 0",
        field,
    )


class Rendition(Model):
    """One size in which the stream is encoded."""

    name: PartName = Field(description="Its name, unique in the stream; part of URLs.")
    height: Int = Field(ge=64, le=4320, description="Lines; the width follows from the picture.")
    video_bitrate: RateAboveZero = Field(description="Bits per second of the picture, like 2500k.")
    frame_rate: Int | None = Field(
        default=None, ge=1, le=120, description="Pictures per second. Left out: the source's."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "height-odd",
            "`height` must be even: encoders take no odd sizes",
            lambda one: one.height % 2 == 0,
            "self.height % 2 == 0",
            "height",
        ),
        Rule(
            "rendition-name-reserved",
            f"`{RESERVED_RENDITION}` is the name of the sound's own playlist; choose another",
            lambda one: one.name != RESERVED_RENDITION,
            f"self.name != '{RESERVED_RENDITION}'",
            "name",
        ),
        bit_rate_above_zero("videoBitrate"),
    )


class Audio(Model):
    """The sound, shared by all renditions."""

    bitrate: RateAboveZero = Field(default=BitRate("128k"), description="Bits per second, like 128k.")
    enabled: Bool = Field(default=True, description="False for a source without sound.")

    rules: ClassVar[tuple[Rule, ...]] = (bit_rate_above_zero("bitrate"),)


class Segment(Model):
    """How the stream is cut."""

    # Whole seconds: the numbers of segments are counted from the clock, so that two origins agree on them.
    duration: Duration = Field(default=Duration("2s"), description="Of one segment, in whole seconds.")
    window: Int = Field(default=6, ge=3, le=60, description="Segments listed in a playlist.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "segment-duration",
            "a segment's `duration` is written in whole seconds, from 1s to 10s",
            lambda one: re.fullmatch("([1-9]|10)s", str(one.duration), re.ASCII) is not None,
            "!has(self.duration) || self.duration.matches('^([1-9]|10)s$')",
            "duration",
        ),
    )


class Playback(Model):
    """The secret that signs playback URLs of a Private stream."""

    secret_ref: SecretRef | None = Field(
        default=None, description="Left out: the controller makes and keeps one for this stream."
    )
    previous_secret_ref: SecretRef | None = Field(
        default=None, description="The one before; URLs signed with it still play. For rotation."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "previous-secret-alone",
            "`previousSecretRef` goes with a `secretRef`",
            lambda one: one.previous_secret_ref is None or one.secret_ref is not None,
            "!has(self.previousSecretRef) || has(self.secretRef)",
            "previousSecretRef",
        ),
    )


class Encoder(Model):
    """How hard the encoder tries."""

    preset: Preset = Field(default="veryfast", description="x264's; slower ones need a faster machine.")


class StreamSpec(Spec):
    """Where it comes from, how it is encoded, who may watch."""

    running: Bool = Field(default=True, description="False ends it; true begins a new generation.")
    visibility: Visibility = Field(
        default="Private",
        description="Public is listed; Unlisted plays for whoever has the URL; Private needs a signed one.",
    )
    ingest: Ingest = Field(description="Where it comes from: exactly one of rtmp, srt, pull, file, test.")
    renditions: Annotated[tuple[Rendition, ...], Field(min_length=1, max_length=MAX_RENDITIONS)] = Field(
        default=(Rendition(name="720p", height=720, video_bitrate=BitRate("2500k")),),
        description="Sizes, the best first. Left out: 720p at 2500k.",
    )
    audio: Audio = Field(default_factory=Audio, description="The sound.")
    segment: Segment = Field(default_factory=Segment, description="How it is cut.")
    retention: Duration = Field(
        default=Duration("1h"), description="How long an ended generation is kept on its hosts."
    )
    playback: Playback = Field(default_factory=Playback, description="What signs URLs of a Private stream.")
    encoder: Encoder = Field(default_factory=Encoder, description="How hard the encoder tries.")
    deletion_policy: DeletionPolicy = Field(
        default="Release",
        description="Deleting it stops and removes it on its hosts (Release), or leaves it there (Orphan).",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "rendition-name-twice",
            "two renditions have the same name",
            lambda one: len({each.name for each in one.renditions}) == len(one.renditions),
            "!has(self.renditions) || self.renditions.all(a, self.renditions.exists_one(b, a.name == b.name))",
            "renditions",
        ),
    )


class InputFigures(Status):
    """What comes in."""

    video_codec: str = Field(default="", max_length=32)
    width: Count = 0
    height: Count = 0
    frame_rate: str = Field(default="", max_length=16, description="Pictures per second, like 29.97.")
    bitrate: Count = Field(default=0, description="Bits per second, rounded.")


class ServedAt(Status):
    """An endpoint that has the stream."""

    name: Name
    role: str = Field(default="", max_length=32)
    state: str = Field(default="", max_length=32)
    age: str = Field(default="", max_length=32, description="Of its oldest playlist, roughly, like 2s.")
    viewers: Count = 0


class StreamStatus(ResourceStatus):
    """How the stream stands. Numbers are rounded, so that an unchanged world writes an unchanged status."""

    phase: StreamPhase = "Pending"
    source: SourceState = Field(default="Unknown", description="Whether anything comes in.")
    generation: str = Field(default="", max_length=128, description="The run that plays now.")
    started_at: Time | None = Field(default=None, description="When this generation was started.")
    live_since: Time | None = Field(default=None, description="When it first could be played.")
    start_seconds: str = Field(
        default="",
        max_length=16,
        description="From the first input to the first playable playlist, like 4.6.",
    )
    ended_at: Time | None = None
    input: InputFigures | None = None
    viewers: Count = 0
    keys: Count = Field(default=0, description="StreamKeys that may publish now.")
    endpoints: Annotated[tuple[ServedAt, ...], Field(max_length=MAX_LISTED)] = ()
    playback_path: str = Field(
        default="",
        max_length=1024,
        description="Below an endpoint's URL; a Private stream needs a signature.",
    )


class Stream(Resource):
    """Something live: where it comes from, in which sizes it is encoded, who may watch."""

    kind: Literal["Stream"] = "Stream"
    metadata: LabelNamed
    spec: StreamSpec
    status: StreamStatus = Field(default_factory=StreamStatus)


KIND = Kind(
    model=Stream,
    plural="streams",
    singular="stream",
    short_names=("st",),
    columns=(
        Column("Phase", ".status.phase"),
        Column("Source", ".status.source", description="Whether anything comes in."),
        Column("Viewers", ".status.viewers", "integer"),
        Column("Visibility", ".spec.visibility", priority=1),
        Column("Generation", ".status.generation", priority=1),
        Column("Start", ".status.startSeconds", priority=1, description="Seconds until it could be played."),
    ),
)
