"""Inputs whose address or passphrase is a secret: in a file that only ffmpeg reads, never in its argv. Pure.

ffmpeg's concat demuxer opens one entry of a file with options given beside it. So a passphrase is no part of the
address, which ffmpeg writes into its messages when an input cannot be opened; an address that is a secret as a whole
is, and its service must mask addresses in what it keeps of stderr. The input ends (exit status 0) when the publisher
leaves, so a supervisor starts it anew, and an SRT listener goes on after a wrong passphrase.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from telarchy.errors import ConfigError

INPUT_FILE = "input.ffconcat"
SCHEMES = ("rtmp", "rtmps", "rtsp", "srt", "http", "https", "udp")
_PROTOCOLS = "file,crypto,data,tcp,udp,rtp,tls,http,https,httpproxy,hls,rtmp,rtmps,rtmpt,rtsp,srt"


def argv(service: str) -> tuple[str, ...]:
    """The part of ffmpeg's argv that opens the file as a service has it."""
    opened = f"services/{service}/files/{INPUT_FILE}"
    return ("-f", "concat", "-safe", "0", "-protocol_whitelist", _PROTOCOLS, "-i", opened)


def srt_listener(
    port: int, passphrase: str | None, *, latency: float = 0.2, address: str = "0.0.0.0"
) -> bytes:
    """A file that waits for one SRT publisher. `latency` in seconds; a passphrase has 10 to 79 characters."""
    options = {"latency": str(round(latency * 1_000_000))}
    if passphrase is not None:
        if not 10 <= len(passphrase.encode()) <= 79:
            raise ConfigError("an SRT passphrase has 10 to 79 characters")
        options |= {"passphrase": passphrase, "pbkeylen": "16"}
    host = f"[{address}]" if ":" in address else address
    return _file(f"srt://{host}:{port}?mode=listener", options)


def pulled(url: str, options: Mapping[str, str] | None = None) -> bytes:
    """A file that takes a stream from an address. Of schemes that could mean a file of the host, none."""
    if urlsplit(url).scheme.lower() not in SCHEMES:
        raise ConfigError(f"a stream is pulled from an address that starts with {', '.join(SCHEMES)}")
    return _file(url, options or {})


def _file(url: str, options: Mapping[str, str]) -> bytes:
    lines = ["ffconcat version 1.0", f"file {_quoted(url)}"]
    lines += [f"option {name} {_quoted(value)}" for name, value in options.items()]
    return ("\n".join(lines) + "\n").encode()


def _quoted(text: str) -> str:
    if any(ord(one) < 32 or ord(one) == 127 for one in text):
        raise ConfigError("an address or passphrase of a stream holds a control character")
    return "'" + text.replace("'", "'\\''") + "'"
