"""Players as people have them, without a screen: opened on a URL, and asked again and again where they are.

Each tells its position in a way of its own, in seconds that pass as the picture does; None while there is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from tests.counterparties.screen import screened


@dataclass(frozen=True)
class Watched:
    """How playing went, by the player's own clock. Seconds; `frozen` is the longest that it stood still."""

    progress: float
    frozen: float
    playing: bool


class Player(ABC):
    """One player, in a folder of its own. A context manager: leaving it ends all that it started."""

    settles = 0.0  # seconds after its first picture in which it finds its pace
    rate = 25.0  # pictures per second, where those are counted
    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @classmethod
    def missing(cls) -> str:
        return ", ".join(one for one in cls.programs if shutil.which(one) is None)

    @abstractmethod
    def open(self, url: str) -> None: ...

    @abstractmethod
    def position(self) -> float | None: ...

    def gone(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _run(self, *argv: str, env: dict[str, str] | None = None) -> None:
        self._process = self._stack.enter_context(
            running(argv, self.log, {"HOME": str(self.folder)} | (env or {}))
        )

    def started(self, within: float = 40.0) -> float:
        """Wait until it moves. Seconds that took."""
        began = time.monotonic()
        first = None
        while time.monotonic() - began < within:
            now = self.position()
            if now is not None and first is not None and now > first:
                return time.monotonic() - began
            first = now if first is None else first
            assert not self.gone(), f"{self.name} ended: {self.said()[-2000:]}"
            time.sleep(0.1)
        raise AssertionError(f"{self.name} shows nothing after {within:.0f} s: {self.said()[-2000:]}")

    def watch(self, seconds: float) -> Watched:
        began = moved = time.monotonic()
        first = last = self.position() or 0.0
        frozen = 0.0
        while time.monotonic() - began < seconds and not self.gone():
            time.sleep(0.2)
            now = self.position()
            if now is not None and now != last:
                frozen = max(frozen, time.monotonic() - moved)
                last, moved = now, time.monotonic()
        frozen = max(frozen, time.monotonic() - moved)
        return Watched(round(last - first, 1), round(frozen, 1), not self.gone())


@contextlib.contextmanager
def running(
    argv: Sequence[str], log: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its output in `log`, ended on the way out."""
    with log.open("ab") as into:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=into, stderr=into, env=os.environ | (env or {})
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


class Mpv(Player):
    name, programs = "mpv", ("mpv",)

    def open(self, url: str) -> None:
        self._socket = self.folder / "ipc"
        self._socket.unlink(missing_ok=True)
        quiet = ("--no-config", "--vo=null", "--ao=null", "--no-input-terminal", "--msg-level=all=info")
        self._run("mpv", *quiet, f"--input-ipc-server={self._socket}", url)

    def _ask(self, *words: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(5)
            try:
                one.connect(str(self._socket))
                one.sendall(json.dumps({"command": words, "request_id": 7}).encode() + b"\n")
                for line in one.makefile():
                    if (told := json.loads(line)).get("request_id") == 7:
                        return told.get("data")
            except OSError:
                return None
        return None

    def position(self) -> float | None:
        at = self._ask("get_property", "playback-time")
        return None if at is None else float(at)

    def seek(self, seconds: float) -> None:
        self._ask("seek", seconds, "relative")


class Vlc(Player):
    """VLC refuses to be root, so it is nobody then. Its time in a live stream has whole seconds: it is asked for the
    pictures that it has shown instead."""

    name, programs = "vlc", ("cvlc",)

    def open(self, url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self._port = found.getsockname()[1]
        own = ("runuser", "-u", "nobody", "--") if os.geteuid() == 0 else ()
        self.folder.chmod(0o777)
        self._run(
            *own,
            *("cvlc", "-v", "--no-color", "--vout", "dummy", "--aout", "dummy", "--no-media-library"),
            *("-I", "rc", "--rc-fake-tty", "--rc-host", f"127.0.0.1:{self._port}", "--play-and-exit", url),
            env={"XDG_RUNTIME_DIR": str(self.folder)},
        )

    def ask(self, words: str) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=3) as one:
                one.sendall(f"{words}\n".encode())
                told = b""
                one.settimeout(0.25)
                with contextlib.suppress(TimeoutError):
                    while part := one.recv(65536):
                        told += part
                return told.decode(errors="replace")
        except OSError:
            return ""

    def position(self) -> float | None:
        found = re.search(r"frames displayed\s*:\s*(\d+)", self.ask("stats"))
        return int(found[1]) / self.rate if found else None


class GStreamer(Player):
    """playbin3 with hlsdemux2. The older hlsdemux of playbin takes the times in fragments for counted from its own
    start and lets pictures wait for as long as the stream has run already."""

    name, programs = "gstreamer", ("gst-launch-1.0",)

    def open(self, url: str) -> None:
        self._run(
            *("gst-launch-1.0", "-v", "playbin3", f"uri={url}"),
            *("video-sink=fakesink name=seen sync=true silent=false", "audio-sink=fakesink sync=true"),
            env={
                "GST_PLUGIN_FEATURE_RANK": "hlsdemux2:MAX,hlsdemux:NONE",
                "GST_REGISTRY": str(self.folder / "registry"),
            },
        )

    def position(self) -> float | None:
        pictures = self.said().count("last-message = chain")
        return pictures / self.rate if pictures else None


class Ffmpeg(Player):
    name, programs = "ffmpeg", ("ffmpeg",)

    def open(self, url: str) -> None:
        self._told = self.folder / "progress"
        self._told.write_text("")
        self._run(
            *("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "level+warning", "-re", "-i", url),
            *("-map", "0:v:0", "-progress", str(self._told), "-stats_period", "0.2", "-f", "null", "-"),
        )

    def position(self) -> float | None:
        found = re.findall(r"out_time_us=(\d+)", self._told.read_text()[-2000:])
        return int(found[-1]) / 1e6 if found else None


_SETTINGS = {
    "services.webserver": "true",
    "services.webserverauthentication": "false",
    "services.zeroconf": "false",
    "services.upnp": "false",
    "services.esallinterfaces": "false",
    "general.addonupdates": "2",
}


class Kodi(Player):
    """Kodi paces by its sound, so it gets a PulseAudio whose sink takes it and plays it to nobody."""

    settles = 10.0
    name, programs = "kodi", ("kodi", "pulseaudio", "Xvfb")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._port = 0

    def _boot(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self._port = found.getsockname()[1]
        settings = self.folder / ".kodi/userdata/guisettings.xml"
        settings.parent.mkdir(parents=True)
        lines = "".join(
            f'<setting id="{name}">{value}</setting>\n'
            for name, value in (_SETTINGS | {"services.webserverport": str(self._port)}).items()
        )
        settings.write_text(f'<settings version="2">\n{lines}</settings>\n')
        heard = self.folder / "pulse"
        own = {"HOME": str(self.folder)}
        self._stack.enter_context(
            running(
                ("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no")
                + ("--disable-shm=yes", "--load=module-null-sink")
                + (f"--load=module-native-protocol-unix socket={heard} auth-anonymous=1",),
                self.folder / "pulse.log",
                own | {"XDG_RUNTIME_DIR": str(self.folder)},
            )
        )
        display = self._stack.enter_context(screened(self.folder))
        while not heard.exists():
            time.sleep(0.1)
        self._run(
            *("kodi", "--standalone", "--windowing=x11", "--audio-backend=pulseaudio"),
            env=own | display | {"PULSE_SERVER": f"unix:{heard}"},
        )
        end = time.monotonic() + 60
        while self.call("JSONRPC.Ping") != "pong":
            assert time.monotonic() < end, f"Kodi does not come up: {self.said()[-2000:]}"
            time.sleep(0.3)
        time.sleep(2)  # its skin

    def call(self, method: str, **params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/jsonrpc", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.loads(answer.read()).get("result")
        except OSError:
            return None

    def open(self, url: str) -> None:
        if not self._port:
            self._boot()
        # it answers when the player is open, or was not
        with contextlib.suppress(OSError):
            self.call("Player.Open", item={"file": url})

    def position(self) -> float | None:
        told = self.call("Player.GetProperties", playerid=1, properties=["time"])
        if not told:
            return None
        at = told["time"]
        return float(at["hours"] * 3600 + at["minutes"] * 60 + at["seconds"] + at["milliseconds"] / 1000)

    def said(self) -> str:
        own = self.folder / ".kodi/temp/kodi.log"
        return own.read_text(errors="replace") if own.exists() else super().said()


PLAYERS: tuple[type[Player], ...] = (Mpv, Vlc, GStreamer, Ffmpeg, Kodi)
