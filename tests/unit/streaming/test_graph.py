"""The filters of a ladder are the same text each time, since another text restarts ladders, and ffmpeg takes it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from telarchy.streaming.graph import Frame, fitted

FRAMES = (Frame(1280, 720), Frame(640, 360, 15), Frame(320, 180))
SAY = "from tests.unit.streaming.test_graph import FRAMES, fitted; print(fitted(FRAMES).text)"


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_every_process_writes_the_same(seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == fitted(FRAMES).text + "\n"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_frame_has_its_output_in_order(count: int) -> None:
    graph = fitted(FRAMES[:count])
    assert len(set(graph.outputs)) == len(graph.outputs) == count
    for output, frame in zip(graph.outputs, FRAMES, strict=False):
        chain = graph.text[: graph.text.index(output)]
        assert f"scale={frame.width}:{frame.height}" in chain
        assert (
            f"scale={frame.width * 2}"
            not in chain.rpartition("split")[2].rpartition(f"scale={frame.width}")[2]
        )


def test_ffmpeg_makes_pictures_of_these_sizes() -> None:
    graph = fitted(FRAMES)
    asked = ["ffmpeg", "-hide_banner", "-loglevel", "info", "-nostdin", "-t", "0.2", "-f", "lavfi"]
    asked += ["-i", "testsrc2=size=400x400:rate=30", "-filter_complex", graph.text]
    for output in graph.outputs:
        asked += ["-map", output, "-f", "null", "-"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    for frame in FRAMES:
        assert f"{frame.width}x{frame.height}" in done.stderr
