"""From the save of a Stream to the first playlist that plays, with a publisher waiting; beside the same by hand.

The publisher is one ffmpeg after another until one is taken, as OBS tries again. By hand means: the very nginx and
ffmpeg command lines that the engine came to, started by this program in a copy of the folder, the encoder as soon as
the publisher is in. What the engine adds is reading the file, planning, laying files and asking systemd or the shell.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import yaml

from bench.figures import Row, Skipped, median, seconds

RUNS = 3
BOUND_SECONDS = 1.0  # more than by hand
PATIENCE = 40.0
KEY = "a-key-of-no-secret"
RENDITION = {"name": "180p", "height": 180, "videoBitrate": "300k"}


def run() -> list[Row]:
    """One row: how much later than by hand. Raises Skipped without nginx and its modules, or ffmpeg."""
    modules = Path("/usr/lib/nginx/modules")
    there = shutil.which("ffmpeg") and all(
        (modules / f"ngx_{name}_module.so").exists() for name in ("rtmp", "http_js")
    )
    if not there:
        raise Skipped("ffmpeg, or nginx with its rtmp and js modules, is not installed")
    engine, by_hand = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="telarchy-first-") as name:
            evening = Evening(Path(name))
            engine.append(evening.engine())
            by_hand.append(evening.by_hand())
    later = median(engine) - median(by_hand)
    return [
        Row(
            "first-manifest",
            "Stream saved → first playable playlist, later than by hand",
            seconds(later),
            f"≤ {seconds(BOUND_SECONDS)}",
            later <= BOUND_SECONDS,
            f"{seconds(median(engine))} : {seconds(median(by_hand))} by hand; n {RUNS}",
        )
    ]


class Evening:
    """One origin on this machine, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fleet = folder, folder / "fleet"
        self.fleet.mkdir()
        self.rtmp = free_port()
        self.base = folder / "spool" / "telarchy-default.origin"
        self.commands: dict[str, list[str]] = {}

    def declare(self, name: str, kind: str, **spec: object) -> None:
        api = {"apiVersion": "telarchy.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        fresh = self.folder / "fresh"
        fresh.write_text(yaml.safe_dump(api))
        fresh.rename(self.fleet / f"{kind}-{name}.yaml")

    def engine(self) -> float:
        """Seconds from the save of the Stream, with a controller that runs and knows its host."""
        self.declare("here", "Host", **{"class": "Server", "connection": {"local": {}}})
        self.declare(
            "origin",
            "MediaEndpoint",
            role="Origin",
            hostRef="here",
            server="Nginx",
            spool={"path": str(self.folder / "spool")},
            listen={"address": "127.0.0.1", "http": free_port(), "rtmp": self.rtmp},
        )
        self.declare(
            "obs",
            "StreamKey",
            streamRef="garden",
            verifier=f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}",
        )
        with ExitStack() as ending:
            command = [sys.executable, "-m", "telarchy", "run", "--source", str(self.fleet)]
            controller = self.start([*command, "--state", str(self.folder / "state")], ending)
            self.until(lambda: "host/here Reachable" in (self.folder / "log").read_text())
            time.sleep(2.0)  # nothing but the waiting publisher is left to do
            publisher = Publisher(self.rtmp, ending)
            began = time.perf_counter()
            self.declare("garden", "Stream", ingest={"rtmp": {}}, renditions=[RENDITION], visibility="Public")
            took = self.first_playlist(self.base, publisher) - began
            self.commands = {
                "nginx": running(self.base, "nginx", "rtmp"),
                "ffmpeg": running(self.base, "ffmpeg", "garden"),
            }
            shutil.copytree(
                self.base, self.folder / "by hand", ignore=shutil.ignore_patterns("*.m4s", "*.m3u8")
            )
            self.declare("garden", "Stream", ingest={"rtmp": {}}, renditions=[RENDITION], running=False)
            (self.fleet / "MediaEndpoint-origin.yaml").unlink()
            self.until(lambda: not self.base.exists())
            controller.terminate()
            controller.wait(20)
        return took

    def by_hand(self) -> float:
        """Seconds from the start of nginx."""
        base = self.folder / "by hand"
        flag = base / "publishing" / "garden"
        flag.unlink(missing_ok=True)
        with ExitStack() as ending:
            publisher = Publisher(self.rtmp, ending)
            began = time.perf_counter()
            self.start(self.commands["nginx"], ending, base)
            self.until(lambda: publisher.keep_trying() or flag.exists())
            self.start(self.commands["ffmpeg"], ending, base)
            return self.first_playlist(base, publisher) - began

    def first_playlist(self, base: Path, publisher: Publisher) -> float:
        found: list[float] = []

        def look() -> bool:
            publisher.keep_trying()
            for playlist in base.glob("spool/garden/*/180p/index.m3u8"):
                with suppress(FileNotFoundError):
                    if "#EXTINF" in playlist.read_text():
                        found.append(time.perf_counter())
            return bool(found)

        self.until(look)
        return found[0]

    def start(self, argv: list[str], ending: ExitStack, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        log = ending.enter_context((self.folder / "log").open("ab"))
        process = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ending.callback(end, process)
        return process

    def until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"nothing came of it in {PATIENCE:.0f} s\n{(self.folder / 'log').read_text()[-2000:]}"
                )
            time.sleep(0.01)


class Publisher:
    """Tries until it is taken."""

    def __init__(self, port: int, ending: ExitStack) -> None:
        inputs = [
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
        ]
        codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-f", "flv"]
        place = f"rtmp://127.0.0.1:{port}/ingest/{KEY}"
        self._argv = ["ffmpeg", "-nostdin", "-loglevel", "quiet", *inputs, *codecs, place]
        self._process: subprocess.Popen[bytes] | None = None
        ending.callback(lambda: self._process and end(self._process))
        self.keep_trying()

    def keep_trying(self) -> bool:
        """False, so that it can stand in a condition."""
        if self._process is None or self._process.poll() is not None:
            quiet = subprocess.DEVNULL
            self._process = subprocess.Popen(self._argv, stdin=quiet, stdout=quiet, stderr=quiet)
        return False


def running(base: Path, program: str, mark: str) -> list[str]:
    """The command line of a process that works in the folder, with a word in it that tells it from others."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (process / "cmdline").read_bytes().decode().split("\0")[:-1]
            here = (process / "cwd").readlink().is_relative_to(base)
            if here and any(Path(word).name == program for word in argv[:1]) and mark in " ".join(argv):
                return argv
    raise RuntimeError(f"no {program} runs in {base}")


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """One whose neighbours 10000 above and below are likely to be free as well."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port
