"""A person's evening with one machine: a key, a publisher, viewers, a key taken back, everything gone.

With the real controller, nginx and ffmpeg on loopback; the lab does it with hosts of their own.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.links import services
from telarchy.links.local import LocalLink

MODULES = Path("/usr/lib/nginx/modules")
needs_media = pytest.mark.skipif(
    not (
        shutil.which("ffmpeg")
        and (shutil.which("nginx") or Path("/usr/sbin/nginx").exists())
        and (MODULES / "ngx_rtmp_module.so").exists()
        and (MODULES / "ngx_http_js_module.so").exists()
    ),
    reason="ffmpeg, or nginx with its rtmp and js modules, is not installed",
)
pytestmark = needs_media
SECONDS = 45.0


def free_port() -> int:
    """One whose neighbour 10000 above is free as well."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port: int = found.getsockname()[1]
        beside = port + 10000 if port + 10000 <= 65535 else port - 10000
        try:
            socket.create_server(("127.0.0.1", beside)).close()
        except OSError:
            continue
        return port


class Evening:
    """Manifests in a folder, and the controller over them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fleet, self.state = folder, folder / "fleet", folder / "state"
        self.fleet.mkdir()
        self.rtmp = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    def declare(self, name: str, kind: str, **spec: Any) -> None:
        document = {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        (self.fleet / f"{kind}-{name}.yaml").write_text(yaml.safe_dump(document))

    def telarchy(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "telarchy", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"TELARCHY_STATE": str(self.state)},
        )

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def publish(self, key: str) -> subprocess.Popen[bytes]:
        return self.start(
            *("ffmpeg", "-nostdin", "-loglevel", "quiet"),
            *(
                "-re",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=320x180:rate=25",
                "-re",
                "-f",
                "lavfi",
                "-i",
                "sine",
            ),
            *("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac"),
            *("-f", "flv", f"rtmp://127.0.0.1:{self.rtmp}/ingest/{key}"),
        )

    def until(self, right: Callable[[], object], what: str) -> None:
        end = time.monotonic() + SECONDS
        while not right():
            assert time.monotonic() < end, (
                f"{what} within {SECONDS:.0f} s\n{(self.folder / 'log').read_text()}"
            )
            time.sleep(0.2)

    def phase(self) -> str:
        shown = self.telarchy("get", "stream", "garden", "--no-headers").stdout.split()
        return shown[1] if len(shown) > 1 else ""


@pytest.fixture
def evening(tmp_path: Path) -> Iterator[Evening]:
    made = Evening(tmp_path)
    made.declare("here", "Host", **{"class": "Server", "connection": {"local": {}}})
    common: dict[str, Any] = {
        "hostRef": "here",
        "server": "Nginx",
        "spool": {"path": str(tmp_path / "a spool")},
        "deletionPolicy": "Release",
    }
    listen = {"address": "127.0.0.1", "http": free_port(), "rtmp": made.rtmp}
    made.declare("origin", "MediaEndpoint", role="Origin", listen=listen, **common)
    at_edge = {"address": "127.0.0.1", "http": free_port()}
    sources = [{"endpointRef": "origin"}]
    made.declare("edge", "MediaEndpoint", role="Edge", listen=at_edge, sources=sources, **common)
    rendition = {"name": "180p", "height": 180, "videoBitrate": "300k"}
    made.declare(
        "garden",
        "Stream",
        ingest={"rtmp": {}},
        renditions=[rendition],
        segment={"duration": "1s"},
        encoder={"preset": "ultrafast"},
    )
    yield made
    for process in reversed(made.processes):
        process.terminate()
    for process in made.processes:
        process.wait(20)
    for base in (tmp_path / "a spool").glob("*"):  # a test that failed leaves its services
        (base / services.MARKER).write_text("")  # its owner is gone: it is nobody's
        asyncio.run(services.retire(LocalLink("here"), str(base)))


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_from_the_key_to_the_end(evening: Evening, tmp_path: Path) -> None:
    made = evening.telarchy("stream-key", "create", "garden", "--key-file", str(tmp_path / "key"))
    (evening.fleet / "key.yaml").write_text(made.stdout)
    key = (tmp_path / "key").read_text().strip()
    checked = evening.telarchy("validate", "--strict", str(evening.fleet))
    assert checked.returncode == 0, checked.stdout
    evening.start(
        *(sys.executable, "-m", "telarchy", "run", "--plain"),
        *("--source", str(evening.fleet), "--state", str(evening.state)),
    )

    evening.until(lambda: evening.phase() == "Starting", "it waits for a publisher")
    doctor = evening.telarchy("doctor", "here")
    assert doctor.returncode == 0, doctor.stdout
    refused = evening.publish("0" * 64)
    evening.until(lambda: refused.poll() is not None, "a wrong key is refused")
    publisher = evening.publish(key)
    evening.until(lambda: evening.phase() == "Live", "it is live")

    url = evening.telarchy("playback-url", "garden", "--endpoint", "edge", "--for", "10m").stdout.strip()
    evening.until(lambda: status_of(url) == 200, "the edge plays")
    assert status_of(re.sub(r"/p/[^/]+/\d+", "", url)) == 403
    assert status_of(re.sub(r"/p/[^/]", "/p/!", url)) in (403, 404)
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,height", "-of", "csv=p=0", url],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "h264,180" in probed.stdout and "aac" in probed.stdout, probed.stderr
    said = evening.telarchy("why", "stream/garden").stdout
    assert "takes it from origin since" in said

    manifest = yaml.safe_load((evening.fleet / "key.yaml").read_text())
    manifest["spec"]["revoked"] = True
    (evening.fleet / "key.yaml").write_text(yaml.safe_dump(manifest))
    began = time.monotonic()
    evening.until(lambda: publisher.poll() is not None, "a revoked key cuts its publisher")
    assert time.monotonic() - began < 10.0
    evening.until(
        lambda: "Revoked" in evening.telarchy("get", "streamkeys", "--no-headers").stdout, "and is shown"
    )

    secret = evening.telarchy("get", "all", "-o", "yaml").stdout + (tmp_path / "log").read_text()
    for place in (evening.state, tmp_path / "a spool"):
        for file in (one for one in place.rglob("*") if one.is_file()):
            secret += file.read_bytes().decode("latin-1")
    assert key not in secret

    for file in evening.fleet.glob("*.yaml"):
        if not file.name.startswith("Host"):
            file.unlink()
    evening.until(lambda: not list((tmp_path / "a spool").iterdir()), "everything is stopped and removed")
    found = subprocess.run(["pgrep", "-f", f"{tmp_path}/a spool"], capture_output=True, text=True)
    assert found.stdout == ""
