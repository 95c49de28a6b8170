"""What a real nginx gives out of a spool: to whom, with which headers, and what it writes down about it."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from telarchy.errors import ConfigError
from telarchy.streaming import serving, tokens
from telarchy.streaming.serving import OriginSite, SiteStream
from tests.unit.streaming.conftest import Run
from tests.unit.streaming.running import (
    Answer,
    Running,
    free_endpoint_port,
    get,
    listening,
    raw,
    texts,
    wait,
)

GENERATION = "g1-00c0ffee"
SECRET, OLD = "s3cret-ünïcode", "older"
PLAYLIST, SEGMENT = f"{GENERATION}/720p/index.m3u8", f"{GENERATION}/720p/s12.m4s"


def fill(base: Path, stream: str, generation: str = GENERATION) -> None:
    """A generation in the spool, as a ladder leaves it."""
    folder = base / "spool" / stream / generation / "720p"
    folder.mkdir(parents=True)
    (folder.parent / "master.m3u8").write_text("#EXTM3U\nmaster\n")
    (folder / "index.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n")
    (folder / "init_0.mp4").write_bytes(b"init")
    (folder / "s12.m4s").write_bytes(bytes(range(256)) * 40)


class Origin:
    """A server with an open stream (garden) and a private one (attic)."""

    def __init__(self, run: Run) -> None:
        self.port = free_endpoint_port()
        self.site = OriginSite(
            http_port=self.port,
            address="127.0.0.1",
            secrets="mark",
            streams=(SiteStream(name="garden", private=False), SiteStream(name="attic")),
        )
        self.secrets = {tokens.TOKENS_FILE: tokens.tokens_json({"attic": (SECRET, OLD)})}
        self.running: Running = run(serving.service(self.site), self.secrets)
        self.base = self.running.base
        wait(lambda: listening(self.port), what="nginx")
        fill(self.base, "garden")
        fill(self.base, "attic")

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return get(f"http://127.0.0.1:{self.port}{path}", method, **headers)

    def status(self, path: str) -> int:
        """Of a request as it stands, which no client tidied."""
        text = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1")
        return int(raw(self.port, text).split()[1])

    def log(self) -> list[list[str]]:
        """By time; each worker of nginx writes its own lines once a second."""
        file = self.base / "log" / "access.log"
        return sorted(line.split("\t") for line in file.read_text().splitlines())


@pytest.fixture
def origin(run: Run) -> Origin:
    return Origin(run)


@pytest.mark.parametrize(
    ("rest", "kind", "keeps"),
    [
        (f"{GENERATION}/master.m3u8", "application/vnd.apple.mpegurl", "max-age=1"),
        (PLAYLIST, "application/vnd.apple.mpegurl", "max-age=1"),
        (f"{GENERATION}/720p/init_0.mp4", "video/mp4", "max-age=31536000, immutable"),
        (SEGMENT, "video/iso.segment", "max-age=31536000, immutable"),
        (f"{GENERATION}/720p/s13.m4s", "text/html", "no-store"),
        ("g2-00000000/720p/index.m3u8", "text/html", "no-store"),
    ],
)
def test_each_kind_is_kept_as_long_as_it_is_true(origin: Origin, rest: str, kind: str, keeps: str) -> None:
    answer = origin.get(f"/live/garden/{rest}")
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == keeps
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["server"] == "nginx"
    assert answer.status == (404 if keeps == "no-store" else 200)


def test_a_new_start_of_an_encoder_is_none_of_the_players_business(origin: Origin) -> None:
    """Times go on across it, and VLC 3 ends where it is told of one."""
    file = origin.base / "spool" / "garden" / PLAYLIST
    file.write_text("#EXTM3U\n#EXTINF:2,\ns11.m4s\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\ns12.m4s\n")
    shown = origin.get(f"/live/garden/{PLAYLIST}")
    assert shown.body == b"#EXTM3U\n#EXTINF:2,\ns11.m4s\n#EXTINF:2,\ns12.m4s\n"
    assert origin.get(f"/live/garden/{PLAYLIST}", "HEAD").status == 200


def test_ranges_and_methods(origin: Origin) -> None:
    part = origin.get(f"/live/garden/{SEGMENT}", Range="bytes=10-19")
    assert (part.status, part.body) == (206, bytes(range(10, 20)))
    assert part.headers["content-range"] == "bytes 10-19/10240"
    assert origin.get(f"/live/garden/{SEGMENT}", "HEAD").headers["content-length"] == "10240"
    preflight = origin.get(f"/live/garden/{SEGMENT}", "OPTIONS", Origin="https://x")
    assert (
        preflight.status == 204 and preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    )
    for method in ("POST", "PUT", "DELETE", "TRACE", "CONNECT", "PROPFIND"):
        assert origin.get(f"/live/garden/{SEGMENT}", method).status in (400, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/live/", "/live/garden/", "/live/garden/current", f"/live/garden/{GENERATION}/",
        "/spool/garden/current", f"/live/garden/../garden/{PLAYLIST}", f"/live/garden/%2e%2e/garden/{PLAYLIST}",
        f"//live/garden/{PLAYLIST}", f"/live//garden/{PLAYLIST}", f"/live/garden/./{PLAYLIST}",
        f"/live/garden/{GENERATION}/720p/../../../../keys.json", f"/live/garden/{GENERATION}/..%2f..%2fkeys.json",
        f"/live/garden/{GENERATION}/720p/%00", f"/live/%67arden/{PLAYLIST}", f"/live/.garden/{PLAYLIST}",
        f"/live/garden/{GENERATION}/720p\\index.m3u8", f"/live/Garden/{PLAYLIST}", f"/live/nobody/{PLAYLIST}",
        f"/live/{'a' * 9000}/{PLAYLIST}", f"/live/garden/{GENERATION}/{'a' * 300}/index.m3u8",
        f"/live/garden/{GENERATION}/720p/s12.m4s/", f"/live/garden/{GENERATION}/720p/index.m3u8;x",
        f"/health/garden/{PLAYLIST}", f"/p/{'x' * 43}/1800000000/../live/garden/{PLAYLIST}",
        "/live/garden/latest/720p/index.m3u8", "/live/garden/\xff", f"/live/link/{PLAYLIST}",
        f"/live/garden/{GENERATION}/720p/link.m4s", f"/live/garden/{GENERATION}/720p/s99.m4s",
    ],
)  # fmt: skip
def test_no_other_address_leads_anywhere(origin: Origin, path: str) -> None:
    folder = origin.base / "spool" / "garden" / GENERATION / "720p"
    (folder / "s99.m4s").symlink_to(origin.base / "services" / "http" / "files" / "nginx.conf")
    (origin.base / "spool" / "link").symlink_to(origin.base / "spool" / "garden")
    assert origin.status(path) in (400, 403, 404, 414)


def test_the_address_that_stays_leads_to_the_generation_that_plays_now(origin: Origin) -> None:
    assert origin.get("/live/garden/master.m3u8").status == 404
    for generation in (GENERATION, "g2-00c0ffee"):
        (origin.base / "spool/garden/current").write_text(f"{generation}\n")
        for method in ("GET", "HEAD"):
            answer = origin.get("/live/garden/master.m3u8?x=1", method)
            assert (answer.status, answer.headers["location"]) == (302, f"{generation}/master.m3u8")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["access-control-allow-origin"] == "*"
    for torn in ("", "../../keys.json", "g1-00c0ffee\r\nX: y", "g1"):
        (origin.base / "spool/garden/current").write_text(torn)
        assert origin.get("/live/garden/master.m3u8").status == 404
    (origin.base / "spool/attic/current").write_text(f"{GENERATION}\n")
    good, late = (tokens.sign(SECRET, "attic", now() + more) for more in (60, -60))
    assert origin.get("/live/attic/master.m3u8").status == 403
    assert origin.get(f"{late}/live/attic/master.m3u8").status == 410
    # relative, so that the token stays in front of it
    assert origin.get(f"{good}/live/attic/master.m3u8").headers["location"] == f"{GENERATION}/master.m3u8"
    assert origin.get("/live/nobody/master.m3u8").status == 404
    (origin.base / "stale/attic").touch()
    assert origin.get(f"{good}/live/attic/master.m3u8").status == 503
    time.sleep(1.2)
    assert "attic" not in (origin.base / "log/access.log").read_text()  # nobody watches by that


def test_a_stale_stream_is_left_to_others_and_the_host_still_sees_it(origin: Origin) -> None:
    flag = origin.base / "stale" / "garden"
    flag.touch()
    answer = origin.get(f"/live/garden/{PLAYLIST}")
    assert (answer.status, answer.headers["retry-after"], answer.headers["cache-control"]) == (
        503,
        "1",
        "no-store",
    )
    health = f"http://127.0.0.1:{origin.site.health_port}/health/"
    assert get(f"{health}garden/{PLAYLIST}").status == 200
    assert get(f"{health}attic/{PLAYLIST}").status == 200
    assert get(f"{health}nobody/{PLAYLIST}").status == 404
    flag.unlink()
    answer = origin.get(f"/live/garden/{PLAYLIST}")
    assert answer.status == 200 and "retry-after" not in answer.headers
    time.sleep(1.2)
    assert len(origin.log()) == 2  # the host's own look counts as nobody's


def now() -> int:
    return int(time.time())


@pytest.mark.parametrize(
    ("secret", "stream", "ends", "master", "playlist"),
    [
        (SECRET, "attic", 60, 200, 200),
        (OLD, "attic", 60, 200, 200),
        (SECRET, "attic", -5, 410, 200),
        (SECRET, "attic", 5 - tokens.GRACE_SECONDS, 410, 200),
        (SECRET, "attic", -5 - tokens.GRACE_SECONDS, 410, 410),
        ("another", "attic", 60, 403, 403),
        (SECRET, "garden", 60, 403, 403),
    ],
)
def test_a_private_stream_opens_by_its_token(
    origin: Origin, secret: str, stream: str, ends: int, master: int, playlist: int
) -> None:
    expires = now() + ends
    prefix = tokens.sign(secret, stream, expires)
    assert origin.get(f"{prefix}/live/attic/{GENERATION}/master.m3u8").status == master
    for rest in (PLAYLIST, SEGMENT):
        answer = origin.get(f"{prefix}/live/attic/{rest}")
        assert answer.status == playlist
        assert (answer.headers["cache-control"] == "no-store") == (playlist != 200)
    verdict = tokens.verify([SECRET, OLD], "attic", prefix.split("/")[2], str(expires), time.time())
    told = {"Valid": (200, 200), "Grace": (410, 200), "Expired": (410, 410), "Forged": (403, 403)}
    assert told[verdict.value] == (master, playlist)


@pytest.mark.parametrize(
    "prefix", ["", f"/p/{'A' * 43}/1800000000", "/p//", "/p/x/1", f"/p/{'A' * 44}/1800000000"]
)
def test_without_a_token_a_private_stream_is_shut_and_an_open_one_open(origin: Origin, prefix: str) -> None:
    assert origin.get(f"{prefix}/live/attic/{PLAYLIST}").status in (403, 404)
    assert origin.get(f"/live/garden/{PLAYLIST}").status == 200


def test_a_token_in_a_header_opens_as_one_in_the_path(origin: Origin) -> None:
    shown = tokens.sign(SECRET, "attic", now() + 60).removeprefix("/p/")
    path = f"/live/attic/{PLAYLIST}"
    told = {tokens.HEADER.replace("-", "_"): shown}
    assert origin.get(path, **told).status == 200
    other = ("y" if shown[0] == "x" else "x") + shown[1:]
    assert origin.get(path, Telarchy_Token=other).status == 403
    assert origin.get(path, Telarchy_Token=shown + "0").status == 403


def test_the_log_tells_viewers_apart_and_nobody_who_they_are(origin: Origin) -> None:
    prefix = tokens.sign(SECRET, "attic", now() + 60)
    asked = [
        (f"/live/garden/{PLAYLIST}", {"User_Agent": "one"}),
        (f"/live/garden/{PLAYLIST}", {"User_Agent": "one"}),
        (f"/live/garden/{PLAYLIST}", {"User_Agent": "two"}),
        (f"{prefix}/live/attic/{PLAYLIST}?token=abc", {"User_Agent": "one"}),
        (f"/live/garden/{SEGMENT}", {}),
        (f"/live/garden/{PLAYLIST}", {"Via": "1.1 telarchy"}),
        ("/nothing?here=1", {}),
        (f"/live/nobody/{PLAYLIST}", {}),  # names that somebody makes up are kept nowhere
        ("/ping", {}),
    ]
    statuses = []
    for path, headers in asked:
        statuses.append(origin.get(path, **headers).status)
        time.sleep(0.02)  # so that each has a time of its own
    assert statuses == [200] * 6 + [404, 404, 204]
    wait(lambda: len(origin.log()) == 8, seconds=4, what="the log")
    lines = origin.log()
    assert all(len(line) == 10 for line in lines)
    assert all(re.fullmatch(r"\d{10}\.\d{3}", line[0]) and line[6].isdigit() for line in lines)
    told = [tuple(line[1:6]) for line in lines]
    assert told[0] == ("playlist", "garden", GENERATION, "720p", "200")
    assert told[3][:2] == ("playlist", "attic") and told[4][0] == "segment"
    assert told[6] == ("other", "-", "-", "-", "404")
    assert told[7][:2] == ("playlist", "-")
    viewers = [line[9] for line in lines]
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in viewers[:4])
    assert viewers[0] == viewers[1] and len(set(viewers[:4])) == 3
    assert viewers[4:7] == ["-"] * 3
    assert viewers[0] != hashlib.sha256(b"127.0.0.1\none\n").hexdigest()[:16]
    origin.running.stop()
    everything = texts(origin.base, but=("services/http/files/nginx.conf",))
    assert prefix.split("/")[2] not in everything and "127.0.0.1\t" not in everything
    log = (origin.base / "log" / "access.log").read_text()
    assert "127.0.0.1" not in log and "abc" not in log


def test_a_log_that_nobody_reads_does_not_fill_the_disk(origin: Origin) -> None:
    log = origin.base / "log" / "access.log"
    os.truncate(log, 65 << 20)
    assert origin.get(f"/live/garden/{PLAYLIST}").status == 200
    wait(lambda: log.exists() and log.stat().st_size < 1 << 20, seconds=30, what="a log of its own")
    assert origin.get(f"/live/garden/{PLAYLIST}").status == 200
    wait(lambda: len(origin.log()) == 1, seconds=4, what="the log")


def test_new_settings_come_into_force_without_a_request_being_lost(origin: Origin) -> None:
    changed = replace(origin.site, streams=(SiteStream(name="attic", private=False),), secrets="")
    service = serving.service(changed)
    assert service.start_digest == serving.service(origin.site).start_digest
    assert origin.get(f"/live/attic/{PLAYLIST}").status == 403
    origin.running.reload(service)
    codes = set()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        codes.add(origin.get(f"/live/attic/{PLAYLIST}").status)
    assert codes <= {403, 200}
    assert origin.get(f"/live/attic/{PLAYLIST}").status == 200
    assert origin.get(f"/live/garden/{PLAYLIST}").status == 404


def test_only_named_generations_are_given_out_where_some_are_named(run: Run) -> None:
    port = free_endpoint_port()
    stream = SiteStream(name="garden", private=False, generations=(GENERATION,), segment=6)
    site = OriginSite(http_port=port, address="127.0.0.1", streams=(stream,), cors=("https://a.example",))
    base = run(serving.service(site)).base
    wait(lambda: listening(port), what="nginx")
    fill(base, "garden")
    fill(base, "garden", "g2-00000000")
    url = f"http://127.0.0.1:{port}/live/garden"
    good = get(f"{url}/{PLAYLIST}", Origin="https://a.example")
    assert good.status == 200 and good.headers["cache-control"] == "max-age=3"
    assert (good.headers["access-control-allow-origin"], good.headers["vary"]) == (
        "https://a.example",
        "Origin",
    )
    assert "access-control-allow-origin" not in get(f"{url}/{PLAYLIST}", Origin="https://b.example").headers
    assert get(f"{url}/g2-00000000/720p/index.m3u8").status == 404


@pytest.mark.parametrize(
    "site",
    [
        OriginSite(streams=(SiteStream(name="a;b"),)),
        OriginSite(streams=(SiteStream(name="garden", generations=("g1 1;",)),)),
        OriginSite(cors=('https://a";',)),
        OriginSite(address="0.0.0.0; x"),
        OriginSite(http_port=70000),
    ],
)
def test_what_does_not_belong_into_a_configuration_is_refused(site: OriginSite) -> None:
    with pytest.raises(ConfigError):
        serving.configuration(site)
