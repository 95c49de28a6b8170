"""The public server: what it tells, to whom, and what it refuses."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from telarchy.errors import ConfigError
from telarchy.store import Store
from telarchy.streaming import tokens
from telarchy.streaming.snapshots import SIGNATURE_HEADER, TIMESTAMP_HEADER, SnapshotBook, signature
from telarchy.web.public import PublicServer, parse_listen
from tests.unit.web.doors import GENERATION, SECRET, Secrets, door, live, serving

SOON = int(time.time()) + 3600
PAST = int(time.time()) - 5
REPORT = {
    "session": "0123456789abcdef",
    "endpoint": "black-origin",
    "startup": 1.2,
    "stalls": 1,
    "stalled": 0.5,
}


def token(stream: str = "nursery", expires: int = SOON, secret: str = SECRET) -> str:
    return tokens.sign(secret, stream, expires)


async def test_the_best_endpoint_comes_first_and_edges_spare_the_origin() -> None:
    states = {"garden": live("black-origin", "vps-edge", "cdn", cdn="Degraded")}
    async with serving(door(states)) as (_, client), client.get("/api/v1/streams/garden/playback") as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        told = await answer.json()
    assert told["live"] and told["generation"] == GENERATION
    assert [one["name"] for one in told["endpoints"]] == ["vps-edge", "black-origin", "cdn"]
    assert told["endpoints"][0]["url"] == f"https://edge.example/live/garden/{GENERATION}/master.m3u8"
    assert told["endpoints"][2]["url"] == "https://cdn.example/garden/720p/index.m3u8"


async def test_an_endpoint_that_still_has_an_older_run_is_left_out() -> None:
    old = {"streams": [{"name": "garden", "generation": "g2-00000000", "state": "Healthy"}]}
    async with (
        serving(door({"garden": live("black-origin", "vps-edge"), "vps-edge": old})) as (_, client),
        client.get("/api/v1/streams/garden/playback") as answer,
    ):
        assert [one["name"] for one in (await answer.json())["endpoints"]] == ["black-origin"]


async def test_what_is_built_in_is_played_from_where_the_page_came() -> None:
    async with (
        serving(door({"garden": live("desk-origin")})) as (server, client),
        client.get("/api/v1/streams/garden/playback") as answer,
    ):
        url = (await answer.json())["endpoints"][0]["url"]
    assert url == f"http://127.0.0.1:{server.port}/live/garden/{GENERATION}/master.m3u8"


async def test_an_address_that_can_be_kept_leads_to_the_best_endpoint() -> None:
    states = {
        "garden": live("black-origin", "vps-edge"),
        "nursery": live("black-origin"),
    }
    async with serving(door(states)) as (_, client):
        for method in ("GET", "HEAD"):
            answer = await client.request(method, "/live/garden/master.m3u8", allow_redirects=False)
            assert answer.status == 302 and answer.headers["Cache-Control"] == "no-store"
            there = answer.headers["Location"]
            assert there == f"https://edge.example/live/garden/{GENERATION}/master.m3u8"
        assert (await client.get("/live/nursery/master.m3u8")).status == 403
        answer = await client.get(f"{token()}/live/nursery/master.m3u8", allow_redirects=False)
        assert f"{token()}/live/nursery/{GENERATION}/master.m3u8" in answer.headers["Location"]
        answer = await client.get("/api/v1/streams/garden/playback")
        assert (await answer.json())["endpoints"][0][
            "entry"
        ] == "https://edge.example/live/garden/master.m3u8"
        assert (await client.get("/live/nobody/master.m3u8")).status == 404
    async with (
        serving(door({"garden": live("black-origin", black_origin="Stale")})) as (_, client),
        client.get("/live/garden/master.m3u8", allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "4")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({}, "Pending"),
        ({"phase": "Starting", "source": "Present"}, "Starting"),
        ({"phase": "Starting", "source": "Absent"}, "NoSource"),
        ({"phase": "Ended"}, "Ended"),
        ({"phase": "Failed"}, "Failed"),
        ({**live(), "source": "Present"}, "NoEndpoint"),
        ({**live("black-origin", black_origin="Stale")}, "EndpointAway"),
        ({**live("black-origin", black_origin="NoSource"), "source": "Absent"}, "NoSource"),
        ({"phase": "FromTheFuture"}, "Pending"),
    ],
)
async def test_it_says_why_there_is_nothing_to_see(status: dict[str, Any], reason: str) -> None:
    async with (
        serving(door({"garden": status})) as (_, client),
        client.get("/api/v1/streams/garden/playback") as answer,
    ):
        told = await answer.json()
    assert (answer.status, told["live"], told["reason"]) == (200, False, reason)
    assert told["message"].endswith(".") and told["retryAfter"] > 0


@pytest.mark.parametrize(("phase", "told"), [("Pending", "what is wrong"), ("Failed", "")])
async def test_strangers_are_not_told_what_went_wrong_on_a_host(phase: str, told: str) -> None:
    ready = {"type": "Ready", "status": "False", "reason": "Odd", "message": "what is wrong"}
    ready["lastTransitionTime"] = "2026-11-20T12:00:00Z"
    states = {"garden": {"phase": phase, "conditions": [ready]}}
    async with serving(door(states)) as (_, client), client.get("/api/v1/streams/garden/playback") as answer:
        assert (await answer.json())["detail"] == told


async def test_only_public_streams_are_listed_and_unlisted_ones_play() -> None:
    async with serving(door({"attic": live("black-origin")})) as (_, client):
        async with client.get("/api/v1/streams") as answer:
            assert [one["stream"] for one in (await answer.json())["streams"]] == ["garden"]
        async with client.get("/api/v1/streams/attic/playback") as answer:
            assert (await answer.json())["live"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/api/v1/streams/nursery/playback", 403, "TokenMissing"),
        (f"{token('garden')}/api/v1/streams/nursery/playback", 403, "TokenInvalid"),
        (f"{token(secret='guessed')}/api/v1/streams/nursery/playback", 403, "TokenInvalid"),
        (f"{token(expires=PAST)}/api/v1/streams/nursery/playback", 410, "TokenExpired"),
        ("/api/v1/streams/nursery/playback?token=x.1", 403, "TokenInvalid"),
        ("/api/v1/streams/nursery/playback?token=" + "٣" * 43 + ".1234567890", 403, "TokenInvalid"),
        ("/api/v1/streams/unheard/playback", 404, "NotFound"),
        ("/api/v1/streams/garden/playback?namespace=other", 404, "NotFound"),
    ],
)
async def test_a_private_stream_needs_its_own_unexpired_token(path: str, status: int, reason: str) -> None:
    async with serving(door({"nursery": live("black-origin")})) as (_, client), client.get(path) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (status, reason)


async def test_a_private_streams_urls_carry_the_token_that_was_shown() -> None:
    states = {"nursery": live("black-origin", "cdn")}
    sig, _, expires = token().removeprefix("/p/").partition("/")
    async with serving(door(states)) as (_, client):
        for path in (
            f"{token()}/api/v1/streams/nursery/playback",
            f"/api/v1/streams/nursery/playback?token={sig}.{expires}",
        ):
            async with client.get(path) as answer:
                told = await answer.json()
            # an external endpoint does not know our tokens
            assert [one["name"] for one in told["endpoints"]] == ["black-origin"]
            assert told["endpoints"][0]["url"] == (
                f"http://192.0.2.11:8080{token()}/live/nursery/{GENERATION}/master.m3u8"
            )
            assert told["expires"] == SOON


async def test_a_players_report_is_counted() -> None:
    report = {**REPORT, "errors": [{"kind": "network", "detail": "fragLoadError", "fatal": True}]}
    async with serving(door()) as (server, client):
        async with client.post("/api/v1/streams/garden/reports", json=report) as answer:
            assert answer.status == 204
        async with client.post(
            "/api/v1/streams/garden/reports", json={**REPORT, "endpoint": "unheard-of"}
        ) as answer:
            assert answer.status == 204
    told = server.book.streams["default", "garden"]
    assert (told.reports, told.startups, told.stalls, told.stalled) == (2, 2, 2, 1.0)
    assert told.errors == {("black-origin", "network", True): 1}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[1]", 400),
        (b"{", 400),
        (b"\xff" * 20, 400),
        (b"[" * 8000, 400),
        (json.dumps({**REPORT, "session": "<script>"}).encode(), 400),
        (json.dumps({**REPORT, "startup": -1}).encode(), 400),
        (json.dumps(REPORT).replace("1.2", "NaN").encode(), 400),
        (json.dumps({**REPORT, "more": 1}).encode(), 400),
        (json.dumps({**REPORT, "errors": [{"kind": "network"}] * 21}).encode(), 400),
        (b"x" * 8193, 413),
        (b"x" * 5_000_000, 413),
    ],
)
async def test_a_malformed_or_oversized_report_is_refused_shortly(body: bytes, status: int) -> None:
    async with (
        serving(door()) as (server, client),
        client.post("/api/v1/streams/garden/reports", data=body) as answer,
    ):
        said = await answer.json()
    assert answer.status == status
    assert len(said["error"]) <= 200 and "Traceback" not in said["error"]
    assert server.book.streams == {}


async def test_a_body_of_unsaid_length_is_cut_off_too() -> None:
    async def endless() -> Any:
        for _ in range(10_000):
            yield b"x" * 1024

    async with (
        serving(door()) as (_, client),
        client.post("/api/v1/streams/garden/reports", data=endless()) as answer,
    ):
        assert answer.status == 413


async def test_reports_are_limited_by_address() -> None:
    async with serving(door()) as (_, client):
        seen = []
        for _ in range(40):
            async with client.post("/api/v1/streams/garden/reports", json=REPORT) as answer:
                seen.append(answer.status)
                waits = answer.headers.get("Retry-After")
    assert seen[:30] == [204] * 30 and seen[-1] == 429
    assert waits is not None and int(waits) >= 1


async def test_a_report_about_a_private_stream_needs_its_token_too() -> None:
    async with serving(door()) as (_, client):
        async with client.post("/api/v1/streams/nursery/reports", json=REPORT) as answer:
            assert answer.status == 403
        for path in (token(), token(expires=int(time.time()) - 5)):
            async with client.post(f"{path}/api/v1/streams/nursery/reports", json=REPORT) as answer:
                assert answer.status == 204


async def test_a_signed_snapshot_is_taken_once_and_a_forged_one_never(tmp_path: Path) -> None:
    now = int(time.time())
    body = json.dumps(
        {"endpoint": "cdn", "sequence": 7, "streams": [{"name": "garden", "viewers": 4}]}
    ).encode()
    signed = {TIMESTAMP_HEADER: str(now), SIGNATURE_HEADER: signature(b"signed with this", now, body)}
    forged = signed | {SIGNATURE_HEADER: signature(b"guessed", now, body)}
    with Store.open(tmp_path) as store:
        book = SnapshotBook(store.memory)
        async with serving(door(book=book)) as (_, client):
            seen = []
            for name, headers, content in (
                ("cdn", forged, body),
                ("cdn", {}, body),
                ("cdn", signed, body),
                ("cdn", signed, body),
                ("cdn", signed, b"{}"),
                ("cdn", signed, b"x" * 70_000),
                ("black-origin", signed, body),
                ("unheard-of", signed, body),
            ):
                async with client.post(
                    f"/api/v1/endpoints/{name}/snapshots", headers=headers, data=content
                ) as answer:
                    seen.append(answer.status)
                    assert b"signed with this" not in await answer.read()
        assert seen == [401, 401, 204, 409, 401, 413, 404, 404]
        kept = book.latest("cdn")
    assert kept is not None and kept.streams["garden"].viewers == 4


async def test_a_snapshot_waits_where_its_secret_is_missing(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        async with (
            serving(door(book=SnapshotBook(store.memory), secrets=Secrets())) as (_, client),
            client.post("/api/v1/endpoints/cdn/snapshots", data=b"{}") as answer,
        ):
            assert answer.status == 503 and "cdn/report" not in await answer.text()


async def test_pages_are_strict_and_the_same_for_every_stream() -> None:
    async with serving(door()) as (_, client):
        async with client.get("/watch/garden") as answer:
            page = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
            assert answer.status == 200 and answer.headers["Referrer-Policy"] == "no-referrer"
            assert "script-src 'self'" in policy and "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Server"] == "telarchy"
        assert "<script>" not in page and "style=" not in page and "onclick" not in page
        for path in ("/watch/unheard-of", f"{token()}/watch/nursery", "/watch"):
            async with client.get(path) as answer:
                assert await answer.text() == page
        async with client.get("/assets/watch.js") as answer:
            assert answer.content_type == "text/javascript"
            mark = answer.headers["ETag"]
        async with client.get("/assets/watch.js", headers={"If-None-Match": mark}) as answer:
            assert answer.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/assets/watch.html",
        "/assets/../public.py",
        "/assets/..%2fpublic.py",
        "/watch/%2e%2e",
        "/watch/Garden",
        "/watch/" + "a" * 64,
        "/api/v1/streams/..%2f..%2fetc/playback",
        "/api/v1/nothing",
        "/control.sock",
        "/v1/apply",
    ],
)
async def test_other_paths_lead_nowhere(path: str) -> None:
    async with serving(door()) as (server, _):
        reader, writer = await asyncio_open(server.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    head = answer.split(b"\r\n", 1)[0]
    assert b" 404 " in head or b" 400 " in head, answer


async def asyncio_open(port: int) -> Any:
    import asyncio

    return await asyncio.open_connection("127.0.0.1", port)


async def test_nothing_can_be_changed_here() -> None:
    async with serving(door()) as (_, client):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with client.request(method, "/api/v1/streams/garden/playback") as answer:
                assert answer.status == 405


async def test_a_bug_is_told_without_its_trace() -> None:
    def broken() -> Any:
        raise RuntimeError("/srv/secret/path")

    async with serving(door(), health=broken) as (_, client), client.get("/healthz") as answer:
        assert answer.status == 500
        assert "/srv/secret" not in await answer.text()


async def test_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        from telarchy.web.fleetview import Views

        server = PublicServer(Views(lambda: ()), taken.getsockname())
        with pytest.raises(ConfigError, match="cannot be listened on"):
            await server.start()


def test_an_address_to_listen_on_is_read_strictly() -> None:
    assert parse_listen("127.0.0.1:8090") == ("127.0.0.1", 8090)
    assert parse_listen("[::1]:0") == ("::1", 0)
    for wrong in (
        "8090",
        ":8090",
        "::1:8090",
        "localhost:",
        "localhost:99999",
        "localhost:8o",
        "localhost:٣",
    ):
        with pytest.raises(ConfigError):
            parse_listen(wrong)
