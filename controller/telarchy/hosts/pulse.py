"""What is known of one host's being there: the last answer, the misses since, for how long. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from telarchy.core.observation import HostEvidence
from telarchy.errors import HostUnreachable
from telarchy.hosts.uptime import Uptime

# These say that the network brought no answer; any other failure came from a machine that is up.
SILENT = ("TimedOut", "NoRoute", "NameNotResolved", "ConnectionLost")
# These say nothing about the network at all: nobody was asked.
UNASKED = ("HostKeyUnknown", "SecretMissing", "NotDeclared")


@dataclass(frozen=True)
class Rhythm:
    """When to probe, in seconds, for hosts that answer and for hosts that just missed a probe.

    every, timeout, misses: as declared. A short `every` shortens the timeouts too, so that with `every: 1s` three
    misses take less than three seconds.
    """

    every: float = 30.0
    timeout: float = 10.0
    misses: int = 3

    @property
    def patience(self) -> float:
        """How long a probe may take."""
        return min(self.timeout, max(0.5, self.every / 2))

    @property
    def again(self) -> float:
        """After a miss of a host that answered until now."""
        return min(self.every, max(0.1, self.every / 10))

    def pause(self, pulse: Pulse) -> float:
        """Until the next probe of this host."""
        return self.again if 0 < pulse.misses < self.misses else self.every


@dataclass
class Pulse:
    """One host. `memory`: what `to_json` gave at the end of the last controller's life."""

    name: str
    reached: bool | None = None
    misses: int = 0
    endpoint: str = ""
    reason: str = ""
    message: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    uptime: Uptime = field(default_factory=Uptime)
    monotonic: Callable[[], float] = time.monotonic
    dirty: bool = False  # something worth keeping changed
    silent: bool = False  # the last probe brought no answer from the network
    asked: bool = False  # by this controller
    _missing: float = 0.0
    _since: float | None = None  # the last moment up to which `_missing` is counted

    @classmethod
    def recalled(cls, name: str, kept: Any) -> Pulse:
        """A host as the last controller left it. The time in between does not count. Garbage is forgotten."""
        try:
            pulse = cls(name, uptime=Uptime(kept["uptime"]))
            pulse._missing = float(kept["missingFor"])
            pulse.misses = int(kept["misses"])
        except (TypeError, KeyError, ValueError):
            return cls(name)
        return pulse

    def to_json(self) -> dict[str, Any]:
        return {
            "missingFor": round(self._missing, 1),
            "misses": self.misses,
            "uptime": self.uptime.to_json(),
        }

    def answered(self, endpoint: str) -> bool:
        """A probe was answered. True when that is news."""
        news = self.reached is not True or self.endpoint != endpoint
        self.dirty = self.dirty or self.misses > 0
        self.reached, self.misses, self.endpoint, self.reason, self.message = True, 0, endpoint, "", ""
        self.silent, self.asked = False, True
        self._missing, self._since = 0.0, None
        return news

    def missed(self, failure: HostUnreachable, needed: int, *, counts: bool) -> bool:
        """A probe was not answered. True when that is news.

        counts: False while the controller itself is cut off: then the time is not the host's
        """
        now = self.monotonic()
        first = self.misses == 0
        self.misses = min(self.misses + 1, 1_000_000)
        if counts and not first:
            self._missing += now - (now if self._since is None else self._since)
        self._since = now if counts else None
        self.dirty = True
        message = str(failure).removeprefix(f"{failure.host}: ")
        news = self.reached is not False and self.misses >= needed
        if news:
            self.reached = False
        news = news or (self.reached is False and failure.reason != self.reason)
        if self.reached is not True:
            self.reason, self.message = failure.reason, message
        return news

    def pause_counting(self) -> None:
        """The controller is cut off from now on."""
        self._since = None

    def missing_for(self, longest_gap: float) -> float:
        """Seconds missing up to now. A gap between probes that is longer than that was not looked at."""
        if self.misses == 0:
            return 0.0
        running = 0.0 if self._since is None else self.monotonic() - self._since
        return self._missing + min(running, longest_gap)

    def evidence(self, longest_gap: float) -> HostEvidence:
        return HostEvidence(
            self.name,
            reached=self.reached,
            misses=self.misses,
            missing_for=self.missing_for(longest_gap),
            endpoint=self.endpoint,
            reason=self.reason,
            message=self.message,
            uptime=self.uptime.score,
            versions=self.versions,
        )
