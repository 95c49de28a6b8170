"""A service is a value: a process that a host keeps running, with the files it reads. Pure.

What makes two services the same is what they would do: argv, files, limits. A plan compares digests and leaves
alone what is as it should be; a change of a file that can be reloaded does not restart anything.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

# Seconds before the next start, by starts that did not last. The first is short: viewers hold a few seconds.
BACK_OFF: tuple[float, ...] = (0.3, 1, 2, 5, 10, 30, 60)
LASTED_SECONDS = 300  # a run of this length starts the back-off anew


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process to be kept running in the folder `base` of a host.

    name:           unique within the folder: lower-case letters, digits and `-`
    argv:           the process; never seen by a shell. Its working directory is the base
    files:          what it reads, by name; laid into services/<name>/files/ (mode 0600) before it starts
    secret_files:   likewise, with contents that only the one who acts knows: name -> mark that changes when the
                    contents do, and tells nothing about them
    live_files:     names out of `files` and `secret_files` that the process reads anew by itself
    check:          argv that tests the files before they are taken (run in the base, `{files}` in an argument stands
                    for the folder that holds the new ones); a failure changes nothing
    reload:         signal (HUP) that makes the process read its files again; "" when only a restart does
    reload_error:   what it writes when it goes on with the files it had (nginx: a port that is taken). With it, a
                    reload counts once the process has new children
    stop:           signal that ends it cleanly
    stop_seconds:   after this it is killed
    wait_for:       path below the base that must exist before the process is started (a publisher's flag); ""
    progress:       path below the base that is emptied before each start; ""
    nice:           whether it gives way to other work
    back_off:       seconds before each further start; the last one repeats
    """

    name: str
    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    secret_files: Mapping[str, str] = field(default_factory=dict)
    live_files: frozenset[str] = frozenset()
    check: tuple[str, ...] = ()
    reload: str = ""
    reload_error: str = ""
    stop: str = "TERM"
    stop_seconds: int = 6
    wait_for: str = ""
    progress: str = ""
    nice: bool = False
    back_off: tuple[float, ...] = BACK_OFF

    @cached_property
    def digest(self) -> str:
        """16 hex digits over everything."""
        return _digest([self.start_digest, self._contents(set(self.files) | set(self.secret_files))])

    @cached_property
    def start_digest(self) -> str:
        """16 hex digits over what only a restart brings into force."""
        read_again = set(self.live_files)
        if self.reload:
            read_again |= set(self.files) | set(self.secret_files)
        held = self._contents((set(self.files) | set(self.secret_files)) - read_again)
        settled = [self.argv, self.reload, self.stop, self.stop_seconds, self.wait_for, self.progress]
        return _digest([self.name, settled, self.nice, self.back_off, held])

    def _contents(self, names: set[str]) -> list[tuple[str, str]]:
        return [
            (name, self.secret_files.get(name) or hashlib.sha256(self.files[name]).hexdigest())
            for name in sorted(names)
        ]


class ServiceState(StrEnum):
    """How a supervised process stands."""

    RUNNING = "Running"
    WAITING = "Waiting"  # what it waits for is not there (no publisher)
    BACK_OFF = "BackOff"  # it ended; the next start is a matter of seconds
    STOPPED = "Stopped"  # its supervisor is not there


@dataclass(frozen=True)
class ServiceSeen:
    """A service on a host.

    digest, start_digest:  of the `Service` that is in force there; "" while none is
    starts:                how often the process was started since the service was first put there
    since:                 when the process (Running) or the present state began; 0.0 when not known
    code:                  the last exit status of the process
    complaint:             the last line that it wrote, for a person; without what credentials may stand in
    """

    name: str
    state: ServiceState
    digest: str = ""
    start_digest: str = ""
    starts: int = 0
    since: float = 0.0
    code: int | None = None
    complaint: str = ""


STATUS_MARK = "service"
_FIELDS = 9
_CREDENTIALS = (
    re.compile(r"(?<=://)[^\s'\"/@]*@"),  # user:password of a URL
    re.compile(r"(?<=\?)[^\s'\"]*=[^\s'\"]*"),  # its query
    re.compile(r"(?i)(?<=passphrase=)[^\s&'\"]+"),
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def seen_service(line: str) -> ServiceSeen | None:
    """A line of `links/scripts/service-status.sh` as a value; None for one that is about something else or torn."""
    fields = line.rstrip("\n").split("\t", _FIELDS - 1)
    if len(fields) != _FIELDS or fields[0] != STATUS_MARK:
        return None
    _, name, state, digest, start_digest, starts, since, code, complaint = fields
    try:
        began = float(since or 0)
        if not math.isfinite(began):
            return None
        return ServiceSeen(
            name=name,
            state=ServiceState(state),
            digest=digest,
            start_digest=start_digest,
            starts=int(starts or 0),
            since=began,
            code=int(code) if code else None,
            complaint=without_credentials(complaint),
        )
    except ValueError:
        return None


def without_credentials(text: str) -> str:
    """One printable line without what credentials usually stand in: users and queries of URLs, passphrases."""
    for pattern in _CREDENTIALS:
        text = pattern.sub("…", text)
    return _UNPRINTABLE.sub(" ", text).strip()


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
