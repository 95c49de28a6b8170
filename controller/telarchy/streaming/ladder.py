"""The ladder: a stream encoded in each of its sizes, as a service that fills a generation's folder. Pure.

What is to be encoded is a `Ladder`; how, is a backend's affair (`Backend`), of which ffmpeg is the one there is. The
argv is a value that plans compare: the same one, and nothing is restarted.

Every picture is fitted into a frame of a fixed size with the sides that it lacks in black, so that a publisher who
comes back with another picture changes neither what initialises the segments nor the master playlist. The keyframes
of all renditions fall on the same multiples of the segment's length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from telarchy.core.service import BACK_OFF, Service
from telarchy.errors import ConfigError
from telarchy.streaming import inputs, layout
from telarchy.streaming.evidence import InputSeen
from telarchy.streaming.graph import Frame, fitted
from telarchy.streaming.master import Picture, bandwidth, master_playlist
from telarchy.streaming.scripts import text

SCRIPT, CHECK = "ladder.sh", "source.sh"
READ_TIMEOUT = 10_000_000  # microseconds that a source may say nothing
# The ingest says nothing until a keyframe comes, and OBS left to itself sends one after 250 pictures; that a publisher
# is silent it finds by itself.
PUBLISHED_TIMEOUT = 20_000_000
PATTERN_RATE = 30
LEAST_NEED_KIB = 1024
TIMESCALE = 90_000  # of pictures, per second, as in MPEG-TS
# Number and time of the first segment, and how far back a copy begins: the host's affair.
START, OFFSET, BACK = "START", "OFFSET", "BACK"
WAITS_SHORTLY: tuple[float, ...] = (0.3, 1, 2, 5)  # whose end is no failure: the publisher or the source left
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)
_GENERATION = re.compile(r"[a-z0-9][a-z0-9-]{0,60}", re.ASCII)
_RENDITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Published:
    """What is published by RTMP to the endpoint itself. `url` is of the ingest on the same host."""

    url: str


@dataclass(frozen=True)
class Srt:
    """Listens for an SRT publisher. `latency` in seconds; `passphrase` is a secret's mark, "" without one."""

    port: int
    latency: float = 0.2
    address: str = "0.0.0.0"
    passphrase: str = ""


@dataclass(frozen=True)
class Pulled:
    """Fetched from elsewhere: by a `url` without credentials, or by one that is a secret, of which `mark` is told."""

    url: str = ""
    mark: str = ""


@dataclass(frozen=True)
class File:
    """A file on the host. `path` is absolute; `seen`: what is in it, where that is known."""

    path: str
    loop: bool = True
    seen: InputSeen | None = None


@dataclass(frozen=True)
class Pattern:
    """A test picture with a tone."""


Source = Published | Srt | Pulled | File | Pattern


@dataclass(frozen=True, kw_only=True)
class Rendition:
    """`bitrate` in bits per second; without a `frame_rate` it is the source's."""

    name: str
    height: int
    bitrate: int
    frame_rate: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """What is to be encoded.

    audio:    bits per second; None without sound
    segment:  seconds, from 1 on
    window:   segments listed
    aspect:   width by height of the frame; of a file whose sizes are known it is the file's
    stale:    seconds after which viewers are better sent elsewhere
    """

    stream: str
    generation: str
    source: Source
    renditions: tuple[Rendition, ...]
    audio: int | None = 128_000
    segment: float = 2.0
    window: int = 6
    preset: str = "veryfast"
    aspect: tuple[int, int] = (16, 9)
    stale: float = 6.0

    def __post_init__(self) -> None:
        check_names(self.stream, self.generation, [one.name for one in self.renditions])
        if isinstance(self.source, File):
            _check_file(self.source, self.renditions)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(self._picture(one) for one in self.renditions)

    def _picture(self, one: Rendition) -> Picture:
        wide, high = self.aspect
        rate = float(one.frame_rate or 0)
        if isinstance(self.source, File) and self.source.seen is not None and self.source.seen.height:
            wide, high = self.source.seen.width, self.source.seen.height
            rate = rate or self.source.seen.frame_rate
        elif isinstance(self.source, Pattern):
            rate = rate or PATTERN_RATE
        return Picture(
            name=one.name,
            width=max(2, 2 * round(one.height * wide / high / 2)),
            height=one.height,
            bitrate=one.bitrate,
            frame_rate=rate,
        )


class Backend(Protocol):
    """Something that encodes. `secret_files` of the service it returns are filled by `contents`."""

    def service(self, ladder: Ladder) -> Service:
        """The service that fills the generation's folder. Raises ConfigError."""
        ...

    def contents(self, ladder: Ladder, secret: str) -> dict[str, bytes]:
        """The secret files, from the secret itself (a passphrase, an address). Raises ConfigError."""
        ...


@dataclass(frozen=True)
class FfmpegBackend:
    """ffmpeg 5.1 or later. `program`: how it is called on the host."""

    program: str = "ffmpeg"

    def service(self, ladder: Ladder) -> Service:
        name = layout.ladder_service(ladder.stream)
        files = {
            SCRIPT: text("ladder").encode(),
            layout.MASTER: master_playlist(ladder.pictures, preset=ladder.preset, audio=ladder.audio),
        }
        secret_files: dict[str, str] = {}
        source = ladder.source
        if mark := _mark(source):
            secret_files[inputs.INPUT_FILE] = mark
        elif isinstance(source, Srt | Pulled):
            files |= self.contents(ladder, source.url if isinstance(source, Pulled) else "")
        kept = [one.name for one in ladder.renditions]
        encoder = [self.program, *_input(name, source, ladder), *_encoding(ladder)]
        encoder += hls_output(
            ladder.stream, ladder.generation, kept, ladder.audio is not None, ladder.segment, ladder.window
        )
        check: tuple[str, ...] = ()
        if isinstance(source, File):
            files[CHECK] = text("source").encode()
            tallest = max(one.height for one in ladder.renditions)
            sound = "yes" if ladder.audio is not None else "no"
            check = ("sh", f"{{files}}/{CHECK}", source.path, str(tallest), sound)
        return Service(
            name=name,
            argv=(
                *wrapper(
                    name,
                    ladder.stream,
                    ladder.generation,
                    _kind(source),
                    ladder.segment,
                    ladder.window,
                    ladder.stale,
                    sum(bandwidth(one.bitrate, ladder.audio) for one in ladder.renditions),
                    [*kept, *([layout.AUDIO] if ladder.audio is not None else [])],
                ),
                *encoder,
            ),
            files=files,
            secret_files=secret_files,
            check=check,
            stop_seconds=6,
            wait_for=layout.publishing_flag(ladder.stream) if isinstance(source, Published) else "",
            progress=layout.progress_file(ladder.stream),
            back_off=WAITS_SHORTLY if isinstance(source, Srt | Pulled) else BACK_OFF,
        )

    def contents(self, ladder: Ladder, secret: str) -> dict[str, bytes]:
        match ladder.source:
            case Srt(port=port, latency=latency, address=address):
                opened = inputs.srt_listener(port, secret or None, latency=latency, address=address)
            case Pulled():
                opened = inputs.pulled(secret, _pull_options(secret))
            case _:
                return {}
        return {inputs.INPUT_FILE: opened}


def check_names(stream: str, generation: str, renditions: Sequence[str]) -> None:
    """Names become folders and parts of options. Raises ConfigError."""
    if not _NAME.fullmatch(stream) or not _GENERATION.fullmatch(generation):
        raise ConfigError(f"{stream!r} ({generation!r}) cannot be the name of a folder")
    if not renditions or len(set(renditions)) < len(renditions):
        raise ConfigError(f"{stream} needs renditions with a name each")
    for one in renditions:
        if not _RENDITION.fullmatch(one) or one == layout.AUDIO:
            raise ConfigError(f"{stream}: {one!r} cannot be the name of a rendition")


def wrapper(
    service: str,
    stream: str,
    generation: str,
    kind: str,
    segment: float,
    window: int,
    stale: float,
    rate: int,
    renditions: Sequence[str],
) -> tuple[str, ...]:
    """The part of a service's argv that runs `scripts/ladder.sh`. `rate`: bits per second that are written."""
    folder = f"services/{service}/files"
    need = max(LEAST_NEED_KIB, round(rate / 8 / 1024 * segment * 2))
    numbers = (str(round(segment * 1000)), str(window), str(round(stale)), str(need))
    return ("sh", f"{folder}/{SCRIPT}", folder, stream, generation, kind, *numbers, ",".join(renditions))


def hls_output(
    stream: str, generation: str, renditions: Sequence[str], audio: bool, segment: float, window: int
) -> list[str]:
    """ffmpeg's options for a playlist that goes on where it was cut off, in the generation's folder."""
    folder = layout.generation_folder(stream, generation)
    flags = ("independent_segments", "program_date_time", "delete_segments", "temp_file", "omit_endlist")
    group = ",agroup:sound" if audio else ""
    variants = [f"v:{at}{group},name:{name}" for at, name in enumerate(renditions)]
    if audio:
        variants.append(f"a:0{group},name:{layout.AUDIO},default:yes")
    return [
        *("-f", "hls", "-hls_time", f"{segment:g}", "-hls_list_size", str(window)),
        *("-hls_delete_threshold", str(window), "-start_number", START),
        *("-hls_flags", "+".join((*flags, "append_list"))),
        *("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"),
        # Times are written as they are and not from each start on, and in units that no frame rate changes: players
        # read the segments of each start by the init.mp4 that they once fetched.
        *("-hls_segment_options", f"movflags=+frag_discont:video_track_timescale={TIMESCALE}"),
        *("-output_ts_offset", OFFSET),
        *("-hls_segment_filename", f"{folder}/%v/s%d.m4s"),
        *("-var_stream_map", " ".join(variants)),
        f"{folder}/%v/{layout.PLAYLIST}",
    ]


def prelude(stream: str) -> list[str]:
    """How every ffmpeg of ours begins."""
    quiet = ["-hide_banner", "-nostdin", "-loglevel", "level+warning"]
    return [*quiet, "-progress", layout.progress_file(stream), "-stats_period", "1"]


def _input(service: str, source: Source, ladder: Ladder) -> list[str]:
    begin = [*prelude(ladder.stream), "-fflags", "+genpts"]
    match source:
        case Published(url):
            # A live one: when a publisher's clock jumps, the gap is closed and not filled with an hour of one picture.
            return [*begin, "-rw_timeout", str(PUBLISHED_TIMEOUT), "-f", "live_flv", "-i", url]
        case Srt() | Pulled():
            return [*begin, *inputs.argv(service)]
        case File(path, loop):
            # Of a playlist or script that claims to be a film, nothing that it names is opened.
            again = ["-stream_loop", "-1"] if loop else []
            return [*begin, "-re", *again, "-protocol_whitelist", "file", "-i", f"file:{path}"]
        case Pattern():
            largest = max(ladder.pictures, key=lambda one: one.height)
            shown = f"testsrc2=size={largest.width}x{largest.height}:rate={PATTERN_RATE}"
            tone = "sine=frequency=440:beep_factor=4:sample_rate=48000"
            sound = ["-re", "-f", "lavfi", "-i", tone] if ladder.audio is not None else []
            return [*begin, "-re", "-f", "lavfi", "-i", shown, *sound]


def _encoding(ladder: Ladder) -> list[str]:
    pictures = ladder.pictures
    frames = [
        Frame(one.width, one.height, asked.frame_rate)
        for one, asked in zip(pictures, ladder.renditions, strict=True)
    ]
    graph = fitted(frames)
    argv = ["-filter_complex", graph.text]
    for output in graph.outputs:
        argv += ["-map", output]
    if ladder.audio is not None:
        argv += ["-map", "1:a:0" if isinstance(ladder.source, Pattern) else "0:a:0"]
    argv += ["-c:v", "libx264", "-preset", ladder.preset, "-profile:v", "main", "-pix_fmt", "yuv420p"]
    argv += ["-force_key_frames", f"expr:gte(t,n_forced*{ladder.segment:g})", "-sc_threshold", "0"]
    argv += ["-g", "600", "-bf", "0"]
    for at, one in enumerate(pictures):
        argv += [f"-level:v:{at}", f"{one.level / 10:.1f}", f"-b:v:{at}", str(one.bitrate)]
        argv += [f"-maxrate:v:{at}", str(round(one.bitrate * 1.1)), f"-bufsize:v:{at}", str(one.bitrate)]
    if ladder.audio is not None:
        argv += ["-c:a", "aac", "-ac", "2", "-ar", "48000", "-b:a", str(ladder.audio)]
    return argv


def _kind(source: Source) -> str:
    """How `scripts/ladder.sh` tells whether the source is there."""
    match source:
        case Published():
            return "keyed"
        case Srt() | Pulled():
            return "opened"
        case _:
            return "made"


def _mark(source: Source) -> str:
    match source:
        case Srt(passphrase=mark) | Pulled(mark=mark):
            return mark
        case _:
            return ""


def _pull_options(url: str) -> dict[str, str]:
    """What keeps ffmpeg from waiting for a silent source for ever, by how it is asked."""
    scheme = url.partition(":")[0].lower()
    if scheme in ("rtsp", "rtsps"):
        return {"rtsp_transport": "tcp", "timeout": str(READ_TIMEOUT)}
    if scheme == "udp":
        return {"timeout": str(READ_TIMEOUT)}
    return {"rw_timeout": str(READ_TIMEOUT)}


def _check_file(source: File, renditions: Sequence[Rendition]) -> None:
    if not source.path.startswith("/") or not source.path.isprintable():
        raise ConfigError(f"{source.path!r} is no file that can be played")
    if source.seen is None or not source.seen.height:
        return
    tallest = max(renditions, key=lambda one: one.height)
    if tallest.height > source.seen.height:
        raise ConfigError(
            f"the rendition {tallest.name} is {tallest.height} lines high, and its source has {source.seen.height}: "
            "leave it out, or give it no more lines than there are"
        )
