"""What was seen, as evidence and not as opinion. Everything a plan may look at besides the World and the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from telarchy.core.action import Action


@dataclass(frozen=True)
class Attempt:
    """What became of an action so far. `not_before` in seconds since the epoch; None means never by itself."""

    count: int
    reason: str
    message: str
    not_before: float | None


@dataclass(frozen=True)
class Progress:
    """How far a running action is. Rates in bytes per second, eta in seconds; None means not known yet."""

    phase: str
    bytes: int = 0
    total: int = 0
    rate: float | None = None
    eta: float | None = None


@dataclass(frozen=True)
class Running:
    """An action under way and how far it is."""

    action: Action
    progress: Progress = Progress("starting")


@dataclass(frozen=True)
class HostEvidence:
    """Whether a host answers, and what it said about itself.

    reached:      True, False, or None while nothing is known yet
    missing_for:  seconds that it has been observed missing without a break. Accumulated by the monotonic
                  clock while a controller was looking, so neither a clock that jumps nor a controller that
                  slept can make a host look gone
    reason:       CamelCase word when not reached (ConnectionRefused, HostKeyChanged, AuthenticationFailed…)
    uptime:       mean of hourly windows, 0..1 (see `links.uptime`)
    """

    name: str
    reached: bool | None = None
    misses: int = 0
    missing_for: float = 0.0
    endpoint: str = ""
    reason: str = ""
    message: str = ""
    uptime: float = 0.5
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """Evidence of one moment.

    hosts:     by host name
    free:      bytes free on each host's media roots, reserves included, where somebody could look
    cut_off:   the controller itself reaches nothing (no canary answers either)
    sections:  each capability's own evidence, by capability name
    running:   actions under way, by action id
    attempts:  failures so far, by action id
    approved:  ids of actions that a person released
    """

    hosts: Mapping[str, HostEvidence] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    cut_off: bool = False
    sections: Mapping[str, Any] = field(default_factory=dict)
    running: Mapping[str, Running] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
