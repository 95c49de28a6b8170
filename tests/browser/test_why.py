"""What the page says when there is nothing to see: in words, on a desktop and on a phone.

TELARCHY_TEST_SHOTS=folder keeps pictures of all of it, for people to look at.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from telarchy.streaming import tokens
from telarchy.web.pagefiles import PageFiles
from tests.browser.stage import ASSETS, DESKTOP, PHONE, browser, missing
from tests.unit.web.doors import SECRET, door, live, serving

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}"),
    pytest.mark.timeout(120),
]
SHOTS = os.environ.get("TELARCHY_TEST_SHOTS", "")
EXPIRED = tokens.sign(SECRET, "nursery", int(time.time()) - 3600)

CASES: dict[str, tuple[dict[str, Any], str, str]] = {  # status, path, words
    "pending": ({}, "/watch/garden", "Not live yet"),
    "starting": ({"phase": "Starting", "source": "Present"}, "/watch/garden", "Starting"),
    "no-source": ({"phase": "Starting", "source": "Absent"}, "/watch/garden", "Nothing is being sent"),
    "ended": ({"phase": "Ended"}, "/watch/garden", "This stream has ended"),
    "failed": ({"phase": "Failed"}, "/watch/garden", "This stream could not be started"),
    "no-endpoint": (live(), "/watch/garden", "No server has this stream"),
    "away": (live("black-origin", black_origin="Stale"), "/watch/garden", "The servers are not answering"),
    "unheard": ({}, "/watch/unheard-of", "There is no such stream"),
    "private": ({}, "/watch/nursery", "This stream is private"),
    "expired": ({}, f"{EXPIRED}/watch/nursery", "This link has expired"),
    "invalid": ({}, "/watch/nursery?token=abc", "This link is not valid"),
}


async def shoot(page: Page, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=f"{SHOTS}/{name}.png")


async def fits(page: Page) -> None:
    """Nothing hangs over the edge of the screen, and words are not cut off by the stage."""
    over = await page.evaluate(
        """() => {
            const cover = document.getElementById('cover');
            return [document.documentElement.scrollWidth - innerWidth,
                    cover.hidden ? 0 : cover.scrollHeight - cover.clientHeight];
        }"""
    )
    assert max(over) <= 0, over


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_it_says_why_in_words(size: dict[str, int]) -> None:
    async with browser(size) as page:
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None
        )
        for name, (status, path, words) in CASES.items():
            async with serving(door({"garden": status}), page_files=PageFiles([ASSETS])) as (server, _):
                await page.goto(f"{server.address}{path}")
                await page.wait_for_function(
                    "words => document.getElementById('what').textContent === words", arg=words
                )
                await fits(page)
                await shoot(page, f"{name}-{'phone' if size is PHONE else 'desktop'}")
                assert await page.locator("#cover").get_attribute("aria-live") == "polite"
        assert complaints == []


async def test_without_hls_js_it_says_what_to_do_where_the_browser_can_do_nothing() -> None:
    async with (
        serving(door({"garden": live("black-origin")}), page_files=PageFiles([])) as (server, _),
        browser() as page,
    ):
        await page.add_init_script(
            "HTMLMediaElement.prototype.canPlayType = () => ''"  # as in a browser without HLS
        )
        await page.goto(f"{server.address}/watch/garden")
        await page.wait_for_function(
            "() => document.getElementById('what').textContent === 'This browser cannot play it'"
        )
        assert "make assets" in await page.inner_text("#why")
        await fits(page)
        await shoot(page, "no-player-desktop")


async def test_it_says_so_when_the_server_is_gone_and_comes_back_by_itself() -> None:
    async with browser(PHONE) as page:
        async with serving(door({}), page_files=PageFiles([ASSETS])) as (server, _):
            await page.goto(f"{server.address}/watch/garden")
            await page.wait_for_function(
                "() => document.getElementById('what').textContent === 'Not live yet'"
            )
            port = server.port
        await page.click("#retry")
        await page.wait_for_function(
            "() => document.getElementById('what').textContent === 'The server does not answer'"
        )
        await shoot(page, "offline-phone")
        from telarchy.web.fleetview import Views
        from telarchy.web.public import PublicServer

        fleet = door({})
        again = PublicServer(Views(lambda: [fleet]), ("127.0.0.1", port))
        await again.start()
        try:
            await page.wait_for_function(
                "() => document.getElementById('what').textContent === 'Not live yet'", timeout=20_000
            )
        finally:
            await again.stop()


async def test_the_list_shows_public_streams_and_leads_to_them() -> None:
    async with (
        serving(door({"garden": live("black-origin")}), page_files=PageFiles([ASSETS])) as (server, _),
        browser() as page,
    ):
        await page.goto(server.address)
        await page.wait_for_selector("#list a")
        await shoot(page, "list-desktop")
        assert await page.locator("#list a").all_inner_texts() == ["garden\nLive"]
        await page.click("#list a")
        await page.wait_for_url("**/watch/garden")


async def test_a_name_cannot_speak_for_the_page() -> None:
    async with serving(door({})) as (server, _), browser() as page:
        await page.route(
            "**/playback*",
            lambda route: route.fulfill(
                json={
                    "live": False,
                    "reason": "Failed",
                    "stream": "<img src=x onerror=alert(1)>",
                    "endpoints": [],
                    "detail": "<b>bold</b>",
                    "retryAfter": 5,
                }
            ),
        )
        await page.goto(f"{server.address}/watch/garden")
        await page.wait_for_function("() => document.getElementById('name').textContent.startsWith('<img')")
        assert await page.locator("img, b").count() == 0


async def test_it_can_be_used_by_keyboard() -> None:
    async with serving(door({})) as (server, _), browser() as page:
        await page.goto(f"{server.address}/watch/garden")
        await page.wait_for_selector("#retry:not([hidden])")
        await page.keyboard.press("Tab")
        assert await page.evaluate("() => document.activeElement.id") == "retry"
        async with page.expect_request("**/playback*"):
            await page.keyboard.press("Enter")
