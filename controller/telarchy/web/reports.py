"""What players tell of how watching went: start time, stalls, errors. Checked, counted, and then forgotten.

Nothing of a viewer is kept, only sums; what a report says never becomes a label, unless it names what is declared or
is one of the words below.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from telarchy.errors import TelarchyError
from telarchy.resources.meta import Model, PartName

REPORT_BYTES = 8 * 1024
STARTUP_BOUNDS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0)  # seconds
MOST_STREAMS = 1024  # declared streams that are counted; far more than a fleet has

ErrorKind = Literal["network", "media", "mux", "keySystem", "native", "stall", "metadata", "other"]
Span = Annotated[float, Field(ge=0.0, le=86400.0, allow_inf_nan=False)]


class ReportMalformed(TelarchyError):
    """It is not what a report looks like. Says where, and repeats nothing of it."""


class PlayerError(Model):
    """Something that went wrong in a player."""

    kind: ErrorKind
    detail: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")] = ""
    fatal: bool = False


class PlayerReport(Model):
    """What one player tells since its report before. All durations in seconds."""

    session: Annotated[str, Field(pattern=r"^[0-9a-f]{8,32}$", max_length=32)]
    endpoint: PartName | None = None
    generation: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] = ""
    startup: Span | None = Field(default=None, description="From opening the page to the first picture.")
    watched: Span = 0.0
    stalls: Annotated[int, Field(ge=0, le=10_000, strict=True)] = 0
    stalled: Span = 0.0
    latency: Span | None = Field(default=None, description="Behind what is encoded now.")
    moves: Annotated[int, Field(ge=0, le=1000, strict=True)] = Field(
        default=0, description="Changes to another endpoint."
    )
    errors: Annotated[tuple[PlayerError, ...], Field(max_length=20)] = ()


def read(body: bytes) -> PlayerReport:
    """Raises ReportMalformed."""
    try:
        return PlayerReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:80]
        raise ReportMalformed(f"{place or 'the report'}: {first['msg']}"[:200]) from None


@dataclass
class StreamExperience:
    """Sums over all players of a stream since this process began."""

    reports: int = 0
    startups: int = 0
    startup_seconds: float = 0.0
    startup_buckets: list[int] = field(default_factory=lambda: [0] * len(STARTUP_BOUNDS))
    watched: float = 0.0
    stalls: int = 0
    stalled: float = 0.0
    moves: int = 0
    latency: float | None = None  # as the last player said
    errors: Counter[tuple[str, str, bool]] = field(default_factory=Counter)  # endpoint, kind, fatal


class ReportBook:
    """What players of all fleets told, by (namespace, stream)."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], StreamExperience] = {}
        self.refused: Counter[str] = Counter()  # by reason

    def take(self, namespace: str, stream: str, report: PlayerReport, endpoints: frozenset[str]) -> None:
        """Count a report about a declared stream. `endpoints`: the declared ones."""
        key = (namespace, stream)
        if key not in self.streams and len(self.streams) >= MOST_STREAMS:
            self.streams.pop(next(iter(self.streams)))
        one = self.streams.setdefault(key, StreamExperience())
        one.reports += 1
        if report.startup is not None:
            one.startups += 1
            one.startup_seconds += report.startup
            for index, bound in enumerate(STARTUP_BOUNDS):
                one.startup_buckets[index] += report.startup <= bound
        one.watched += report.watched
        one.stalls += report.stalls
        one.stalled += report.stalled
        one.moves += report.moves
        if report.latency is not None:
            one.latency = report.latency
        endpoint = report.endpoint if report.endpoint in endpoints else "other"
        for error in report.errors:
            one.errors[endpoint or "other", error.kind, error.fatal] += 1
