"""The master playlist of a generation, written by us: encoders leave out what players choose by. Pure.

It is known before the first picture comes, because sizes, profile and level are told to the encoder and not left to
it: a player that starts with the first segment has all it needs, and a publisher who comes back with another picture
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telarchy.streaming.layout import AUDIO, PLAYLIST

PEAK = 1.1  # of the bitrate, that the encoder may reach over its buffer
OVERHEAD = 1.1  # of boxes around pictures, and of a first segment
AVERAGE_OVERHEAD = 1.03
AUDIO_CODEC = "mp4a.40.2"
AUDIO_GROUP = "audio"
_BASELINE_PRESETS = frozenset({"ultrafast"})  # x264 leaves out what is above the baseline profile there
ASSUMED_FRAME_RATE = 60.0  # where it is the source's affair

# Level ×10, macroblocks a second, macroblocks of a picture, kbit/s (H.264, table A-1, Main profile).
_LEVELS = (
    (30, 40_500, 1_620, 10_000),
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
    (52, 2_073_600, 36_864, 240_000),
    (60, 4_177_920, 139_264, 240_000),
    (62, 16_711_680, 139_264, 800_000),
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a rendition looks like. `bitrate` in bits per second; `frame_rate` 0.0 where it is the source's."""

    name: str
    width: int
    height: int
    bitrate: int
    frame_rate: float = 0.0

    @property
    def level(self) -> int:
        """The lowest H.264 level (×10) that fits it."""
        blocks = ((self.width + 15) // 16) * ((self.height + 15) // 16)
        speed = blocks * (self.frame_rate or ASSUMED_FRAME_RATE)
        for level, most_speed, most_blocks, most_rate in _LEVELS:
            if speed <= most_speed and blocks <= most_blocks and self.bitrate * PEAK <= most_rate * 1000:
                return level
        return _LEVELS[-1][0]

    def codec(self, preset: str) -> str:
        """As in CODECS (RFC 6381)."""
        return f"avc1.{'42c0' if preset in _BASELINE_PRESETS else '4d40'}{self.level:02x}"


def bandwidth(video: int, audio: int | None) -> int:
    """The most that a segment takes, in bits per second."""
    return round((video * PEAK + (audio or 0)) * OVERHEAD)


def master_playlist(pictures: Sequence[Picture], *, preset: str, audio: int | None) -> bytes:
    """The text. `audio`: bits per second of the sound that all renditions share; None without sound. The best
    rendition comes first."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    sound = ""
    if audio is not None:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{AUDIO_GROUP}",NAME="Audio",DEFAULT=YES,AUTOSELECT=YES,'
            f'URI="{AUDIO}/{PLAYLIST}"'
        )
        sound = f',AUDIO="{AUDIO_GROUP}"'
    for one in sorted(pictures, key=lambda picture: -picture.bitrate):
        codecs = one.codec(preset) + (f",{AUDIO_CODEC}" if audio is not None else "")
        average = round((one.bitrate + (audio or 0)) * AVERAGE_OVERHEAD)
        rate = f",FRAME-RATE={one.frame_rate:.3f}" if one.frame_rate else ""
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth(one.bitrate, audio)},AVERAGE-BANDWIDTH={average},"
            f'CODECS="{codecs}",RESOLUTION={one.width}x{one.height}{rate}{sound}'
        )
        lines.append(f"{one.name}/{PLAYLIST}")
    return ("\n".join(lines) + "\n").encode()
