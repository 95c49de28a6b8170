"""The controller's own server behind a reverse proxy: limits and viewers are those of who asks the proxy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from telarchy.errors import ConfigError
from telarchy.streaming.layout import ACCESS_LOG
from telarchy.web.fleetview import Views
from telarchy.web.forwarded import asker, networks, origin
from telarchy.web.plane import MediaPlane
from tests.unit.front import ask, proxy
from tests.unit.web.doors import door, live, serving
from tests.unit.web.test_plane import LIVE, free_port, lay, manifests

PLAYBACK = "/api/v1/streams/garden/playback"


def request(remote: str, said: str | None, proto: str = "") -> web.Request:
    """A value for pure functions; the tests below ask over real connections."""
    headers = {"Host": "tv.example:8443"}
    headers |= {"X-Forwarded-For": said} if said is not None else {}
    headers |= {"X-Forwarded-Proto": proto} if proto else {}
    return make_mocked_request("GET", "/", headers=headers).clone(remote=remote)


@pytest.mark.parametrize(
    ("remote", "said", "who"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # no proxy of ours
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 192.0.2.9", "192.0.2.9"),  # the left was said by that one
        ("10.0.0.1", "198.51.100.7, 192.0.2.9, 10.0.0.2", "192.0.2.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("", "198.51.100.7", ""),
    ],
)
def test_who_asks(remote: str, said: str | None, who: str) -> None:
    assert asker(request(remote, said), networks(["10.0.0.0/24"])) == who


def test_only_a_proxy_says_that_it_was_asked_by_https() -> None:
    trusted = networks(["10.0.0.1"])
    assert origin(request("10.0.0.1", None, "https"), trusted) == "https://tv.example:8443"
    assert origin(request("10.0.0.2", None, "https"), trusted) == "http://tv.example:8443"
    assert origin(request("10.0.0.1", None, "gopher"), trusted) == "http://tv.example:8443"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "x", "10.0.0.0/40", ""])
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        networks([text])


@pytest.mark.parametrize("trusts", [True, False])
async def test_one_who_asks_too_often_behind_a_proxy_is_refused_alone(tmp_path: Path, trusts: bool) -> None:
    trusted = networks(["127.0.0.1"]) if trusts else ()
    fleet = door({"garden": live("desk-origin")})
    async with serving(fleet, trusted=trusted) as (server, _):

        def asking() -> tuple[set[int], int, int]:
            with proxy(tmp_path / "front", server.port) as front:
                greedy = {ask(front, PLAYBACK, "127.0.0.2")[0] for _ in range(120)}
                status, body = ask(front, PLAYBACK, "127.0.0.3")
                if status == 200:
                    scheme = "https" if trusts else "http"
                    assert json.loads(body)["endpoints"][0]["url"].startswith(
                        f"{scheme}://127.0.0.1:{front}/"
                    )
                claimed = ask(server.port, PLAYBACK, "127.0.0.2", {"X-Forwarded-For": "127.0.0.9"})[0]
                return greedy, status, claimed

        greedy, other, claimed = await asyncio.to_thread(asking)
    assert greedy == {200, 429}
    assert other == (200 if trusts else 429)
    # What somebody who is no proxy says of himself changes nothing.
    assert claimed == (429 if trusts else 200)


@pytest.mark.parametrize("trusts", [True, False])
async def test_the_address_that_stays_leads_to_where_the_browser_is(trusts: bool) -> None:
    trusted = networks(["127.0.0.1"]) if trusts else ()
    said = {"Host": "tv.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9"}
    async with serving(door({"garden": live("desk-origin")}), trusted=trusted) as (_, client):
        answer = await client.get("/live/garden/master.m3u8", headers=said, allow_redirects=False)
    scheme = "https" if trusts else "http"
    assert answer.headers["Location"].startswith(f"{scheme}://tv.example/live/garden/")


@pytest.mark.parametrize("trusts", [True, False])
async def test_viewers_of_a_built_in_endpoint_are_told_apart(tmp_path: Path, trusts: bool) -> None:
    base = tmp_path / "spool" / "telarchy-default.desk-origin"
    lay(base, "garden")
    fleet = door({"garden": live("desk-origin")}, manifests=manifests(tmp_path / "spool", free_port()))
    trusted = networks(["127.0.0.1"]) if trusts else ()
    plane = MediaPlane(Views(lambda: [fleet]), trusted=trusted)
    async with serving(fleet, trusted=trusted, plane=plane) as (server, _):

        def watching() -> None:
            with proxy(tmp_path / "front", server.port) as front:
                for source in ("127.0.0.2", "127.0.0.3"):
                    assert ask(front, f"{LIVE}/master.m3u8", source)[0] == 200

        await asyncio.to_thread(watching)
    await plane.close()
    lines = (base / ACCESS_LOG).read_text().splitlines()
    assert len({line.split("\t")[9] for line in lines}) == (2 if trusts else 1)
