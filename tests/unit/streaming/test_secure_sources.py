"""Sources with https, real ones: a certificate of an authority of our own, chosen by the name that is asked (SNI)."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from telarchy.core.service import Service
from telarchy.streaming import edge, nginx, relaysite, serving, tokens, varnish
from telarchy.streaming.edge import EdgeSite
from telarchy.streaming.relaysite import RelaySite
from telarchy.streaming.serving import OriginSite, SiteStream
from tests.unit.names import name_server
from tests.unit.streaming.conftest import Run
from tests.unit.streaming.running import PATHS, free_endpoint_port, free_ports, get, listening, need, wait
from tests.unit.streaming.test_edge import answers
from tests.unit.streaming.test_serving import PLAYLIST, SEGMENT, fill

SECRET = "s3cret-ünïcode"
SECRETS = {tokens.TOKENS_FILE: tokens.tokens_json({"attic": (SECRET,)})}
STREAMS = (SiteStream(name="attic"),)
FRONT = """worker_processes 1;
error_log stderr error;
pid run/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path run/a; proxy_temp_path run/b;
  fastcgi_temp_path run/c; uwsgi_temp_path run/d; scgi_temp_path run/e;
  server {{
    listen 127.0.0.1:{port} ssl default_server;
    ssl_certificate other.example.pem; ssl_certificate_key other.example.key;
    return 421;
  }}
  server {{
    listen 127.0.0.1:{port} ssl;
    server_name live.example;
    ssl_certificate live.example.pem; ssl_certificate_key live.example.key;
    location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_set_header Host $host; }}
  }}
}}
"""


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, with keys and certificates of two names by that, and with a stranger's stranger.pem."""
    need("openssl")
    folder = tmp_path_factory.mktemp("authority")
    for name in ("ca", "stranger"):
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
        )
    for name in ("live.example", "other.example"):
        extra = folder / f"{name}.ext"
        extra.write_text(f"subjectAltName=DNS:{name}\n")
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr"),
        )
        openssl(
            *("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey"),
            *(folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", extra),
            *("-out", folder / f"{name}.pem"),
        )
    return folder


@contextmanager
def in_front(folder: Path, authority: Path, behind: int) -> Iterator[int]:
    """The port of what terminates TLS before an origin: for live.example, and with another certificate by default."""
    (folder / "run").mkdir(parents=True)
    for one in authority.glob("*.example.*"):
        shutil.copy(one, folder)
    (port,) = free_ports()
    (folder / "nginx.conf").write_text(FRONT.format(port=port, behind=behind))
    program = shutil.which("nginx", path=PATHS) or "nginx"
    words = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: listening(port), what="the front")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def asking(service: Service, names: int) -> Service:
    """The service on a host whose name server listens on this port."""
    start = service.files[nginx.START].replace(
        b'[ -z "$servers" ]', b'servers=127.0.0.1:%d\n[ -z "$servers" ]' % names
    )
    assert start != service.files[nginx.START]
    return replace(service, files={**service.files, nginx.START: start})


def served(run: Run, mode: str, url: str, authorities: Path, names: int) -> tuple[int, int, bytes]:
    """What an edge of that kind answers about the playlist and about a segment, and the segment."""
    port = free_endpoint_port()
    prefix = tokens.sign(SECRET, "attic", int(time.time()) + 60)
    base = f"{mode}-{port}"
    given = {"http_port": port, "address": "127.0.0.1", "secrets": "mark", "authorities": str(authorities)}
    if mode == "Relay":
        site = RelaySite(streams=STREAMS, upstreams=(("far", url),), **given)  # type: ignore[arg-type]
        run(asking(relaysite.service(site), names), SECRETS, base=base)
        below = f"http://127.0.0.1:{site.health_port}/source/far/attic"
    else:
        near = tuple(replace(one, sources=(url,)) for one in STREAMS)
        cached = EdgeSite(streams=near, varnish=mode == "Varnish", memory=64 << 20, **given)  # type: ignore[arg-type]
        if cached.varnish:
            cache = run(varnish.service(cached), base=base)
            wait(lambda: answers(cache.base / edge.CACHE_SOCKET), what="varnish")
        run(asking(edge.service(cached), names), SECRETS, base=base)
        below = f"http://127.0.0.1:{port}{prefix}/live/attic"
    wait(lambda: listening(port), what=mode)
    playlist, segment = get(f"{below}/{PLAYLIST}"), get(f"{below}/{SEGMENT}")
    return playlist.status, segment.status, segment.body


@pytest.mark.parametrize("mode", ["Cache", "Varnish", "Relay"])
def test_a_source_with_https_is_asked_by_its_name_and_its_certificate_is_checked(
    run: Run, tmp_path: Path, authority: Path, mode: str
) -> None:
    if mode == "Varnish":
        need("varnishd", "cc")
    origin = OriginSite(http_port=free_endpoint_port(), address="127.0.0.1", streams=STREAMS, secrets="mark")
    far = run(serving.service(origin), SECRETS, base="origin")
    fill(far.base, "attic")
    wait(lambda: listening(origin.http_port), what="origin")
    with name_server() as names, in_front(tmp_path / "front", authority, origin.http_port) as port:
        right, wrong = f"https://live.example:{port}", f"https://nobody.example:{port}"
        ca, stranger = authority / "ca.pem", authority / "stranger.pem"
        assert served(run, mode, right, ca, names) == (200, 200, bytes(range(256)) * 40)
        for url, trusted in ((right, stranger), (wrong, ca)):
            playlist, segment, _ = served(run, mode, url, trusted, names)
            assert {playlist, segment} <= {502, 503, 504}, f"{url} with {trusted.name}"
