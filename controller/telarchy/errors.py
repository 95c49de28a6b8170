"""The errors that cross a seam. Each says what went wrong, whether trying again helps, and what to do.

Inside a room, plain exceptions are fine; what leaves a room is one of these, so that the loop can
decide (retry, hold, show) without reading messages, and so that no person ever meets a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


class TelarchyError(Exception):
    """Anything Telarchy raises on purpose. `str()` of it is one sentence for a person."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One finding about a manifest, at a place. `line` and `column` count from 1; 0 means unknown."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    severity: str = "error"  # error | warning
    rule: str = ""  # a stable kebab-case id, for SARIF and for tests

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        mark = "warning: " if self.severity == "warning" else ""
        return f"{place}: {mark}{self.message}" if place else f"{mark}{self.message}"


class ConfigError(TelarchyError):
    """What a person declared cannot be used. Carries every problem found, not the first."""

    def __init__(self, problems: list[Problem] | str) -> None:
        self.problems = [Problem(problems)] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class HostUnreachable(TelarchyError):
    """No endpoint of a host answered as that host. `reason` is a CamelCase word for a condition."""

    def __init__(self, host: str, reason: str, message: str) -> None:
        self.host, self.reason = host, reason
        super().__init__(f"{host}: {message}")


class ActionFailed(TelarchyError):
    """An action did not reach its end. `transient` ones are tried again after a back-off."""

    def __init__(self, message: str, *, reason: str = "ActionFailed", transient: bool = True) -> None:
        self.reason, self.transient = reason, transient
        super().__init__(message)


class SafetyRefusal(TelarchyError):
    """A custody rule forbids this. Never retried by itself, always shown. `rule` names the rule."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        super().__init__(message)


class StoreError(TelarchyError):
    """The store on disk cannot be used as it is; the message says what that costs."""


class PlaylistError(TelarchyError):
    """What a server answered is no HLS playlist. `rule` is a stable kebab-case id."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        super().__init__(message)
