"""The filters of a ladder: one picture in, one of a fixed size out for each rendition. Pure.

ffmpeg-python writes the graph, so that labels and escapes are its affair; golden files pin what comes of it, since
another text is another argv, and another argv restarts ladders.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FITTED = {"force_original_aspect_ratio": "decrease", "force_divisible_by": 2}


@dataclass(frozen=True)
class Frame:
    """What is wanted, in pixels; without a `frame_rate` the source's is kept."""

    width: int
    height: int
    frame_rate: int | None = None


@dataclass(frozen=True)
class Graph:
    """`text` is for -filter_complex; `outputs` are what to -map, one for each frame."""

    text: str
    outputs: tuple[str, ...]


def fitted(frames: Sequence[Frame]) -> Graph:
    """The first input's first video, with square pixels, fitted into each frame; sides that it lacks are black."""
    import ffmpeg  # type: ignore[import-untyped]  # when first needed: planning custody does without

    square = ffmpeg.input("")["v:0"].filter("scale", "trunc(iw*sar/2)*2", "ih").filter("setsar", 1)
    copies = square.filter_multi_output("split", len(frames))
    args: list[str] = ffmpeg.get_args(
        ffmpeg.output(*(_into(copies[at], one) for at, one in enumerate(frames)), "")
    )
    mapped = tuple(value for option, value in itertools.pairwise(args) if option == "-map")
    return Graph(args[args.index("-filter_complex") + 1], mapped)


def _into(picture: Any, frame: Frame) -> Any:
    if frame.frame_rate:
        picture = picture.filter("fps", frame.frame_rate)
    scaled = picture.filter("scale", frame.width, frame.height, **FITTED)
    return scaled.filter("pad", frame.width, frame.height, "(ow-iw)/2", "(oh-ih)/2").filter("setsar", 1)
