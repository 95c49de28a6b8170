"""The page plays what nginx and the built-in plane serve; start, stalls and latency are read from its player."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from telarchy.streaming import tokens
from tests.browser.stage import browser, missing, shown, staged, state, watch
from tests.unit.web.doors import SECRET

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}"),
    pytest.mark.timeout(180),
]


def told(name: str, **figures: object) -> None:
    """For whoever runs with -s: what was measured."""
    print(f"\n{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))


@pytest.mark.parametrize("nginx", [True, False], ids=["nginx", "built-in"])
async def test_it_plays_and_goes_on_when_the_encoder_is_killed(tmp_path: Path, nginx: bool) -> None:
    async with staged(tmp_path, nginx=nginx) as stage, browser() as page:
        if nginx:
            await stage.serve()
        await stage.encode()
        await asyncio.sleep(6)  # a playlist of a few segments, as a viewer who comes along finds it
        await page.goto(f"{stage.url}/watch/garden")
        first = await shown(page)
        assert first["hls"]
        calm = await watch(page, 10)
        before = stage.encoders()
        stage.kill_encoder()
        killed = await watch(page, 25)
        after = stage.encoders()
        last = await state(page)
        told("nginx" if nginx else "built-in", start=f"{first['startup']:.2f} s", calm=calm, killed=killed)
        assert before and after and before != after
        assert first["startup"] < 8
        assert (calm.frozen, calm.stalls) == (0, 0) and calm.progress > 8
        assert killed.frozen == 0 and killed.moves == 0 and killed.progress > 22
        assert 2 < killed.latency < 15
        assert last["generation"] == stage.generation and last["reason"] == ""
        assert stage.server is not None
        await page.close(run_before_unload=False)
        await asyncio.sleep(0.5)
        experience = stage.server.book.streams["default", "garden"]
        assert experience.startups == 1 and experience.startup_seconds == pytest.approx(
            first["startup"], abs=0.01
        )


async def test_a_private_stream_plays_by_its_link_and_past_its_end(tmp_path: Path) -> None:
    expires = int(time.time()) + 25
    async with staged(tmp_path, visibility="Private") as stage, browser() as page:
        await stage.serve()
        await stage.encode()
        await page.goto(f"{stage.url}/watch/garden")
        await page.wait_for_function("() => document.getElementById('what').textContent.includes('private')")
        await page.goto(f"{stage.url}{tokens.sign(SECRET, 'garden', expires)}/watch/garden")
        await shown(page)
        # the token ends while it plays: what runs goes on
        running = await watch(page, max(0.0, expires - time.time()) + 12)
        told("private", running=running)
        assert running.frozen == 0
        assert time.time() > expires
        await page.reload()
        await page.wait_for_function("() => document.getElementById('what').textContent.includes('expired')")


async def test_it_begins_by_itself_when_the_stream_does_and_says_when_it_ends(tmp_path: Path) -> None:
    async with staged(tmp_path, nginx=False) as stage, browser() as page:
        await page.goto(f"{stage.url}/watch/garden")
        await page.wait_for_function("() => document.getElementById('what').textContent === 'Not live yet'")
        await stage.encode(segment=1.0)
        await page.wait_for_function("() => window.telarchy.state.time > 1", timeout=30_000)
        stage.status.update(phase="Ended", endpoints=[])
        stage.kill_encoder()
        for _ in range(10):  # its supervisor would start it again
            stage.kill_encoder()
            await asyncio.sleep(0.3)
        (stage.folder / "master.m3u8").unlink()
        for one in stage.folder.glob("*/index.m3u8"):
            one.unlink()
        await page.wait_for_function(
            "() => document.getElementById('what').textContent === 'This stream has ended'", timeout=60_000
        )


async def test_it_moves_to_another_endpoint_when_the_one_it_plays_from_is_gone(tmp_path: Path) -> None:
    async with staged(tmp_path, nginx=True) as stage, browser() as page:
        await stage.serve()
        await stage.encode()
        await asyncio.sleep(6)

        # a second way to the same spool, by the plane of the page's own server
        async def second(route: object) -> None:
            answer = await route.fetch()  # type: ignore[attr-defined]
            body = await answer.json()
            for one in list(body["endpoints"]):
                path = one["url"].split("/live/", 1)[1]
                body["endpoints"].append({**one, "name": "other", "url": f"{stage.url}/live/{path}"})
            await route.fulfill(response=answer, json=body)  # type: ignore[attr-defined]

        await page.route("**/playback*", second)
        await page.goto(f"{stage.url}/watch/garden")
        assert (await shown(page))["endpoint"] == "desk-origin"
        await asyncio.sleep(4)
        from telarchy.links import services

        await services.stop(stage.link, str(stage.base), "http")
        moved = await watch(page, 20)
        last = await state(page)
        told("moved", moved=moved)
        assert last["endpoint"] == "other" and last["moves"] + moved.moves >= 1
        assert moved.frozen < 6 and moved.progress > 10


async def test_without_hls_js_a_browser_that_can_plays_by_itself(tmp_path: Path) -> None:
    async with staged(tmp_path, nginx=False, hls=False) as stage, browser() as page:
        await stage.encode()
        await asyncio.sleep(4)
        await page.goto(f"{stage.url}/watch/garden")
        if not await page.evaluate("() => Player.native"):
            pytest.skip("this browser plays no HLS by itself")
        assert not (await shown(page))["hls"]
        watched = await watch(page, 8)
        assert watched.progress > 6
