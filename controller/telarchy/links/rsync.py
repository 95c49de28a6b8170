"""rsync as a value: what to run for a copy, what its progress and its exit status mean. No I/O.

Every copy names its files one by one (`--files-from`, NUL between them, relative to the media root), so nothing is
ever found by a pattern and nothing is ever deleted. What was moved when a copy ends early lies in
`.telarchy-partial` beside its file, and the next run goes on from there.

A symlink that is named is skipped. A folder on the way to a name is followed even where it is a symlink out of the
root, and rrsync 3.5.0 does not stop that: lists must come from a scan that does not look behind symlinks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from telarchy.core.observation import Progress
from telarchy.errors import ActionFailed
from telarchy.links.link import shortened

PARTIAL_FOLDER = ".telarchy-partial"
TOTAL_PROGRESS = ("--info=progress2", "--no-inc-recursive", "--outbuf=L")
FILE_PROGRESS = ("--progress",)
TELLING = frozenset((*TOTAL_PROGRESS, *FILE_PROGRESS))
IO_TIMEOUT = 60  # seconds without a byte, then rsync gives up
SSH_CONNECT_TIMEOUT = 5
SSH_CIPHERS = (  # see links.connect: AES-GCM costs half the CPU of ChaCha20
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
)


@dataclass(frozen=True)
class RsyncTool:
    """Which rsync a host has. `family` openrsync is what macOS ships since 15.4; its version is that of openrsync."""

    family: Literal["rsync", "openrsync"]
    version: tuple[int, int, int]

    @property
    def has_total_progress(self) -> bool:
        return self.family == "rsync" and self.version >= (3, 1, 0)

    @property
    def has_fsync(self) -> bool:
        return self.family == "rsync" and self.version >= (3, 2, 4)

    @property
    def has_trust_sender(self) -> bool:
        return self.family == "rsync" and self.version >= (3, 2, 5)

    @property
    def escapes_arguments(self) -> bool:
        """Whether it protects remote paths from the remote shell by itself."""
        return self.family == "rsync" and self.version >= (3, 2, 4)

    def __str__(self) -> str:
        return f"{self.family} {'.'.join(map(str, self.version))}"


def parse_version(text: str) -> RsyncTool | None:
    """The tool behind the output of `rsync --version`; None when that is not one."""
    family: Literal["rsync", "openrsync"] = "openrsync" if "openrsync" in text else "rsync"
    if match := re.search(r"rsync\s+version\s+v?(\d+)\.(\d+)(?:\.(\d+))?", text):
        return RsyncTool(family, (int(match[1]), int(match[2]), int(match[3] or 0)))
    return RsyncTool(family, (0, 0, 0)) if family == "openrsync" else None


def pull(
    tool: RsyncTool,
    *,
    ssh: Sequence[str],
    remote: str,
    remote_root: str,
    files_from: str,
    into: str,
    bandwidth: int | None = None,
) -> list[str]:
    """Fetch files of a remote root. Run it where `into` is.

    remote:       user@address, as ssh takes it
    remote_root:  "." where the far side's rrsync decides the root, else its absolute path
    files_from:   file of the names, relative to the root, NUL after each
    into:         folder under which the names appear, relative to it as they were to the root
    bandwidth:    bytes per second
    """
    source = f"{_bracketed(remote)}:{_remote_path(tool, remote_root)}"
    return [*_options(tool, files_from, bandwidth, remote_root), "-e", rsh(ssh), source, _folder(into)]


def push(
    tool: RsyncTool,
    *,
    ssh: Sequence[str],
    root: str,
    remote: str,
    remote_into: str,
    files_from: str,
    bandwidth: int | None = None,
) -> list[str]:
    """Send files of a root on this machine into a folder that exists on the remote one."""
    target = f"{_bracketed(remote)}:{_remote_path(tool, remote_into)}"
    return [*_options(tool, files_from, bandwidth, remote_into), "-e", rsh(ssh), _folder(root), target]


def local(
    tool: RsyncTool, *, root: str, files_from: str, into: str, bandwidth: int | None = None
) -> list[str]:
    """Copy files between two folders of one machine."""
    return [*_options(tool, files_from, bandwidth, "."), _folder(root), _folder(into)]


def ssh_argv(
    *,
    user: str,
    port: int,
    alias: str,
    known_hosts: str,
    key: str | None,
    program: str = "ssh",
) -> list[str]:
    """The ssh that rsync runs: nothing but the pinned host key is trusted, nobody is asked, silence is noticed.

    key: file of the private key; None leaves it to the user's own keys and agent
    """
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{known_hosts}"' if " " in known_hosts else known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": alias,
        "UpdateHostKeys": "no",
        "ConnectTimeout": str(SSH_CONNECT_TIMEOUT),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
    }
    if key is not None:
        options["IdentitiesOnly"] = "yes"
    argv = [
        program,
        "-F",
        "/dev/null",
        *(part for name in options for part in ("-o", f"{name}={options[name]}")),
    ]
    if key is not None:
        argv += ["-i", key]
    return [*argv, "-c", ",".join(SSH_CIPHERS), "-l", user, "-p", str(port)]


def rsh(ssh: Sequence[str]) -> str:
    """An argv as rsync splits it again: at spaces, with quotes that are doubled inside."""
    words = []
    for word in ssh:
        if word and not re.search(r"[\s'\"]", word):
            words.append(word)
        else:
            words.append("'" + word.replace("'", "''") + "'")
    return " ".join(words)


_PROGRESS = re.compile(
    rb"^\s*(?P<bytes>[\d,.]+)\s+(?P<percent>\d+)%\s+(?P<rate>[\d.,]+)(?P<unit>[kKMGT]?i?)B/s\s+"
    rb"(?P<eta>\d+:\d\d:\d\d|\?\?:\?\?:\?\?|--:--:--)"
)
_UNITS = {b"": 1, b"k": 1024, b"K": 1024, b"M": 1024**2, b"G": 1024**3, b"T": 1024**4}


def parse_progress(line: bytes, *, total: int = 0) -> Progress | None:
    """What a line of `--info=progress2` (or of `--progress`) says; None when it is not one.

    total: bytes to move in all when known from the plan; else it is reckoned from the percentage
    """
    match = _PROGRESS.match(line)
    if match is None:
        return None
    done = int(re.sub(rb"[^\d]", b"", match["bytes"]))
    percent = int(match["percent"])
    rate = float(match["rate"].replace(b",", b".")) * _UNITS[match["unit"].rstrip(b"i")]
    eta = None
    if b"(xfr" in line or percent == 100:
        # rsync now shows the time it took, or that of one file: reckon it
        eta = (total - done) / rate if rate and total >= done else None
    elif match["eta"][:1].isdigit() and done:  # before the first byte it says 0:00:00
        hours, minutes, seconds = (int(part) for part in match["eta"].split(b":"))
        eta = float(hours * 3600 + minutes * 60 + seconds)
    return Progress("copying", done, total or (done * 100 // percent if percent else 0), rate, eta)


# exit status → (reason, whether trying again may help, sentence)
_EXITS: dict[int, tuple[str, bool, str]] = {
    1: ("RsyncUsage", False, "the two rsyncs do not understand each other's options"),
    2: ("RsyncIncompatible", False, "the two rsyncs speak incompatible protocols"),
    3: ("PathRefused", True, "a folder to read or write is not there"),
    4: ("RsyncUsage", False, "one of the rsyncs cannot do what is asked"),
    5: ("ConnectionLost", True, "the far rsync did not start"),
    6: ("CannotWrite", True, "the log cannot be written"),
    10: ("ConnectionLost", True, "the connection failed"),
    11: ("FileError", True, "a file cannot be read or written"),
    12: ("ConnectionLost", True, "the connection broke off, or the holder refused"),
    13: ("RsyncFailed", True, "rsync could not report to its own half"),
    14: ("RsyncFailed", True, "rsync's two halves lost each other"),
    20: ("Interrupted", True, "rsync was told to stop"),
    21: ("RsyncFailed", True, "rsync lost a process of its own"),
    22: ("OutOfMemory", True, "rsync got no memory"),
    23: ("FilesMissing", True, "some files could not be copied"),
    24: ("FilesVanished", True, "some files vanished from the holder while they were copied"),
    30: ("TimedOut", True, "nothing moved for a minute"),
    35: ("TimedOut", True, "the far side did not answer"),
    126: ("RsyncMissing", False, "rsync cannot be run"),
    127: ("RsyncMissing", False, "rsync is not installed"),
    137: ("Interrupted", True, "rsync was killed"),
    143: ("Interrupted", True, "rsync was told to stop"),
    255: ("ConnectionLost", True, "ssh could not connect, or was cut off"),
}


# What rsync sums up with, and ssh on its way to a connection of its own where none could be shared.
_ASIDES = ("rsync error:", "Control socket connect(", "ControlSocket ", "mux_client_request_session:")


def failure(code: int, stderr: bytes = b"") -> ActionFailed:
    """Why a copy failed, from rsync's exit status and what it said. `code` is not 0."""
    said = stderr.decode("utf-8", "replace")
    reason, transient, sentence = _EXITS.get(code, ("RsyncFailed", True, f"rsync ended with status {code}"))
    if "No space left on device" in said or "Disk quota exceeded" in said:
        reason, transient, sentence = "DiskFull", True, "the disk is full"
    elif "Read-only file system" in said:
        reason, transient, sentence = "ReadOnly", True, "the file system is read-only"
    elif "Host key verification failed" in said:
        reason, transient, sentence = (
            "HostKeyChanged",
            False,
            "the holder shows another host key than the pinned one",
        )
    elif code in (12, 255) and "Permission denied (" in said:
        reason, sentence = "AuthenticationFailed", "the holder does not accept the key"
    elif "command not found" in said or "rsync: not found" in said:
        reason, transient, sentence = "RsyncMissing", False, "rsync is not installed on the other side"
    details = [line for line in said.splitlines() if line.strip() and not line.startswith(_ASIDES)]
    return ActionFailed(
        f"{sentence}: {shortened(details[0].strip())}" if details else sentence,
        reason=reason,
        transient=transient,
    )


def _options(tool: RsyncTool, files_from: str, bandwidth: int | None, remote_path: str) -> list[str]:
    options = [
        "rsync",
        "--times",
        f"--partial-dir={PARTIAL_FOLDER}",
        f"--timeout={IO_TIMEOUT}",
        f"--files-from={files_from}",
        "--from0",
    ]
    options += TOTAL_PROGRESS if tool.has_total_progress else FILE_PROGRESS
    if tool.has_fsync:
        options.append("--fsync")
    if (
        tool.family == "rsync"
        and not tool.escapes_arguments
        and tool.version >= (3, 0, 0)
        and remote_path != "."
    ):
        options.append("--protect-args")
    if bandwidth is not None:
        options.append(f"--bwlimit={max(1, bandwidth // 1024)}")  # KiB per second; 0 would mean no limit
    return options


def _remote_path(tool: RsyncTool, path: str) -> str:
    """A path as this rsync hands it over unharmed."""
    if tool.family == "rsync" and tool.version >= (3, 0, 0):
        return _folder(path)
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", path):
        return _folder(path)
    return "'" + _folder(path).replace("'", "'\\''") + "'"  # it goes through the remote shell as it stands


def _folder(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def _bracketed(remote: str) -> str:
    """IPv6 addresses in brackets, or rsync would take their colons for its own."""
    user, at, address = remote.rpartition("@")
    return f"{user}{at}[{address}]" if ":" in address and not address.startswith("[") else remote
