"""The relay: an edge that fills its own spool with what it copies from another endpoint, bit by bit. Pure.

What is opened is a playlist of our own that names every rendition, so that a change of the source is a change of one
file. Its addresses lead to the edge's own server on 127.0.0.1, which passes them on to the source (`relaysite`): the
encoder knows neither where that is nor by which token it is asked. The generation is the origin's; a restart goes on
in the same playlists, after a discontinuity.
"""

from __future__ import annotations

from dataclasses import dataclass

from telarchy.core.service import Service
from telarchy.streaming import layout, nginx
from telarchy.streaming.ladder import (
    BACK,
    READ_TIMEOUT,
    SCRIPT,
    WAITS_SHORTLY,
    check_names,
    hls_output,
    prelude,
    wrapper,
)
from telarchy.streaming.master import Picture, bandwidth, master_playlist
from telarchy.streaming.scripts import text

SOURCE_FILE = "source.m3u8"
STOP_SECONDS = 2  # it hangs on the source that it is to leave, and what it has written is whole at any time
_PROTOCOLS = "file,http,tcp"


@dataclass(frozen=True, kw_only=True)
class Relay:
    """What is copied.

    pictures:  as the origin's ladder has them (`Ladder.pictures`), in its order
    audio:     bits per second of the sound; None without
    preset:    of the origin's encoder, which its master playlist tells
    source:    the endpoint from which it is copied
    mark:      of that one's address: changes when that does, which makes it another source
    port:      on 127.0.0.1, where the edge's own server passes on what is asked below /source/
    """

    stream: str
    generation: str
    pictures: tuple[Picture, ...]
    audio: int | None = 128_000
    preset: str = "veryfast"
    segment: float = 2.0
    window: int = 6
    stale: float = 6.0
    source: str
    mark: str
    port: int

    def __post_init__(self) -> None:
        check_names(self.stream, self.generation, [one.name for one in self.pictures])
        nginx.name(self.source)


def service(relay: Relay, *, program: str = "ffmpeg") -> Service:
    """The service that fills the generation's folder of an edge. Raises ConfigError."""
    name = layout.relay_service(relay.stream)
    kept = [one.name for one in relay.pictures]
    listed = f"services/{name}/files/{SOURCE_FILE}"
    copied = [program, *prelude(relay.stream), "-rw_timeout", str(READ_TIMEOUT)]
    copied += ["-protocol_whitelist", _PROTOCOLS, "-live_start_index", BACK, "-f", "hls", "-i", listed]
    for at in range(len(kept)):
        copied += ["-map", f"0:v:{at}"]
    copied += [*(["-map", "0:a:0"] if relay.audio is not None else []), "-c", "copy"]
    copied += hls_output(
        relay.stream, relay.generation, kept, relay.audio is not None, relay.segment, relay.window
    )
    wrapped = wrapper(
        name,
        relay.stream,
        relay.generation,
        "relay",
        relay.segment,
        relay.window,
        relay.stale,
        sum(bandwidth(one.bitrate, relay.audio) for one in relay.pictures),
        [*kept, *([layout.AUDIO] if relay.audio is not None else [])],
    )
    return Service(
        name=name,
        argv=(*wrapped, *copied),
        files={
            SCRIPT: text("ladder").encode(),
            layout.MASTER: master_playlist(relay.pictures, preset=relay.preset, audio=relay.audio),
            SOURCE_FILE: source_playlist(relay),
        },
        progress=layout.progress_file(relay.stream),
        back_off=WAITS_SHORTLY,
        stop_seconds=STOP_SECONDS,
    )


def source_playlist(relay: Relay) -> bytes:
    """What the copying encoder opens."""
    address = f"http://127.0.0.1:{nginx.port(relay.port)}" + layout.source_path(
        relay.source, relay.stream, relay.generation
    )
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"# {relay.mark}"]
    if relay.audio is not None:
        lines.append(
            '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Audio",DEFAULT=YES,AUTOSELECT=YES,'
            f'URI="{address}/{layout.AUDIO}/{layout.PLAYLIST}"'
        )
    group = ',AUDIO="audio"' if relay.audio is not None else ""
    for one in relay.pictures:
        lines.append(f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth(one.bitrate, relay.audio)}{group}")
        lines.append(f"{address}/{one.name}/{layout.PLAYLIST}")
    return ("\n".join(lines) + "\n").encode()
