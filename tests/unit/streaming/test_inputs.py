"""Secret inputs with real ffmpeg: what is in the file opens, and nothing of it gets into argv or messages."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
import time
from pathlib import Path

import pytest

from telarchy.errors import ConfigError
from telarchy.streaming import inputs
from tests.unit.streaming.running import free_ports, need

PASSPHRASE = "it's a \\secret\" #1"
SOURCE = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25", "-t", "3"]
CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25"]


def open_input(base: Path, content: bytes) -> subprocess.Popen[str]:
    folder = base / "services" / "ladder" / "files"
    folder.mkdir(parents=True)
    (folder / inputs.INPUT_FILE).write_bytes(content)
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "warning", *inputs.argv("ladder")]
    argv += ["-c", "copy", "-f", "framecrc", "out"]
    return subprocess.Popen(argv, cwd=base, stderr=subprocess.PIPE, text=True)


def test_an_srt_publisher_with_the_passphrase_gets_in_and_others_do_not(tmp_path: Path) -> None:
    need("ffmpeg")
    (port,) = free_ports()
    listener = open_input(tmp_path, inputs.srt_listener(port, PASSPHRASE, address="127.0.0.1"))
    try:
        time.sleep(1)
        codes = []
        for given in (
            ["-passphrase", "wrong-passphrase"],
            [],
            ["-passphrase", PASSPHRASE, "-pbkeylen", "16"],
        ):
            argv = [*SOURCE, *CODED, *given, "-f", "mpegts", f"srt://127.0.0.1:{port}"]
            codes.append(subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode)
        _, told = listener.communicate(timeout=20)
    finally:
        listener.kill()
    assert [code == 0 for code in codes] == [False, False, True]
    assert listener.returncode == 0
    frames = [one for one in (tmp_path / "out").read_text().splitlines() if not one.startswith("#")]
    assert len(frames) > 60
    assert "secret" not in told


def test_a_passphrase_is_not_told_when_the_port_is_taken(tmp_path: Path) -> None:
    need("ffmpeg")
    (port,) = free_ports()
    first = open_input(tmp_path / "one", inputs.srt_listener(port, PASSPHRASE, address="127.0.0.1"))
    try:
        time.sleep(0.7)
        second = open_input(tmp_path / "two", inputs.srt_listener(port, PASSPHRASE, address="127.0.0.1"))
        _, told = second.communicate(timeout=20)
    finally:
        first.kill()
        first.communicate()
    assert "Impossible to open" in told and "secret" not in told


def test_a_stream_is_pulled_from_an_address_in_the_file(tmp_path: Path) -> None:
    need("ffmpeg")
    site = tmp_path / "site"
    site.mkdir()
    made = ["-f", "hls", "-hls_time", "1", str(site / "index.m3u8")]
    fast = [one for one in SOURCE if one != "-re"]
    subprocess.run([*fast, *CODED, *made], check=True, timeout=30)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/index.m3u8?key=it's"
        reader = open_input(tmp_path, inputs.pulled(url, {"rw_timeout": "10000000"}))
        _, told = reader.communicate(timeout=20)
    finally:
        server.shutdown()
        server.server_close()
    assert reader.returncode == 0, told
    assert (tmp_path / "out").read_text().count("\n") > 60


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "/etc/passwd", "concat:a|b", "http://x/\noption a b", "pipe:0"]
)
def test_an_address_that_means_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        inputs.pulled(url)


@pytest.mark.parametrize("passphrase", ["short", "x" * 80, "ten\ncharacters"])
def test_a_passphrase_that_srt_would_not_take_is_refused_unsaid(passphrase: str) -> None:
    with pytest.raises(ConfigError) as caught:
        inputs.srt_listener(9000, passphrase)
    assert passphrase not in str(caught.value)
