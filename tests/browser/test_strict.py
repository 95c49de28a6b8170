"""What a ladder lays down is put to a strict parser that is not ours, every second, across a kill of the encoder."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import playwright
import pytest

from tests.browser.stage import ASSETS, RENDITIONS, missing, staged

PARSER = ASSETS / "hls-parser.min.js"
NODE = shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")
JUDGE = """
globalThis.self = globalThis;
const parser = require(process.argv[1]);
parser.setOptions({strictMode: true});
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = texts.map((text) => {
    try {
        const one = parser.parse(text);
        return {master: one.isMasterPlaylist, count: (one.variants || one.segments).length};
    } catch (error) {
        return {error: String(error.message)};
    }
});
console.log(JSON.stringify(found));
"""

pytestmark = [
    pytest.mark.skipif(
        bool(missing()) or not PARSER.is_file(), reason=f"needs {missing() or 'hls-parser (`make pytest`)'}"
    ),
    pytest.mark.timeout(120),
]


def judged(texts: list[str]) -> list[dict[str, object]]:
    done = subprocess.run(
        [NODE, "-e", JUDGE, str(PARSER)], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_the_judge_is_strict() -> None:
    good = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n"
    bad = good.replace("EXTINF:2", "EXTINF:9"), "#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=1x1\na.m3u8\n"
    assert judged([good])[0] == {"master": False, "count": 1}
    assert all("error" in one for one in judged([*bad]))


async def test_every_playlist_is_strictly_right_across_a_kill(tmp_path: Path) -> None:
    async with staged(tmp_path, nginx=False) as stage:
        await stage.encode(segment=1.0)
        files = [stage.folder / one / "index.m3u8" for one in (*(each.name for each in RENDITIONS), "audio")]
        texts = [(stage.folder / "master.m3u8").read_text()]
        for second in range(20):
            if second == 8:
                stage.kill_encoder()
            texts += [one.read_text() for one in files]
            await asyncio.sleep(1)
    assert any("#EXT-X-DISCONTINUITY" in text for text in texts)
    found = judged(texts)
    assert [one for one in found if "error" in one] == []
    assert found[0] == {"master": True, "count": len(RENDITIONS)}
