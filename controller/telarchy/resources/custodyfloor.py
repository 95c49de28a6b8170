"""CustodyFloor: which titles exist how often, and where.

A floor's path patterns select titles under every media root. A pattern's depth sets the unit: `tv/*/*` is a
season, `films/*` a film. `copies` is a floor and never a ceiling: what is above it stays, unless `maxCopies`
is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from telarchy.resources.fleet import MAX_COPIES, Custody, CustodyTotals, Grace, longer_than_zero
from telarchy.resources.labels import LabelSelector
from telarchy.resources.meta import (
    Column,
    Count,
    Int,
    Kind,
    Model,
    Name,
    Resource,
    ResourceStatus,
    Spec,
    Status,
    Time,
)
from telarchy.resources.quantities import Duration
from telarchy.resources.rules import Checked, Rule

MAX_PATTERNS = 64
MAX_PATTERN = 512  # characters
WORST = 20  # titles listed in a floor's status
HISTORY = 5  # rounds listed in a floor's status

# Components that are empty (a leading, doubled or trailing slash), `.` or `..`: they climb or say nothing.
_BAD_COMPONENT = r"(^|/)[.]{0,2}(/|$)"
_OWN_FOLDER = r"^[.]telarchy(/|$)"
# Every `[` opens a class that is closed within its component (a `]` right after the opening is a member).
_BRACKETS = r"^([^\[]|\[!?(\][^\]/]*|[^\]/!][^\]/]*)\])*$"
_CONTROL = r"[\x00-\x1f\x7f]"

PathPattern = Annotated[
    str,
    Field(min_length=1, max_length=MAX_PATTERN),
    Checked(
        Rule(
            "pattern-not-relative",
            "a pattern is relative to the media root: no leading, doubled or trailing `/`, no `.` or `..`",
            lambda pattern: re.search(_BAD_COMPONENT, pattern) is None,
            f"!self.matches('{_BAD_COMPONENT}')",
        ),
        Rule(
            "pattern-double-star",
            "`**` is not supported, since a pattern's depth says what one title is: write one `*` per level",
            lambda pattern: "**" not in pattern,
            "!self.contains('**')",
        ),
        Rule(
            "pattern-own-folder",
            "`.telarchy` is Telarchy's own folder; nothing in it is a title",
            lambda pattern: re.search(_OWN_FOLDER, pattern) is None,
            f"!self.matches('{_OWN_FOLDER}')",
        ),
        Rule(
            "pattern-brackets",
            "a `[` is not closed; a bracket that is part of a name is written `[[]`",
            lambda pattern: re.search(_BRACKETS, pattern) is not None,
            "self.matches('" + _BRACKETS.replace("\\", "\\\\") + "')",
        ),
        Rule(
            "pattern-control",
            "a pattern has no control characters; write `?` for one that is part of a name",
            lambda pattern: re.search(_CONTROL, pattern) is None,
            "!self.matches('" + _CONTROL.replace("\\", "\\\\") + "')",
        ),
    ),
]


class Select(Model):
    """Which titles."""

    paths: Annotated[tuple[PathPattern, ...], Field(min_length=1, max_length=MAX_PATTERNS)] = Field(
        description="Patterns under the media roots; `*`, `?` and `[…]` stay within one level."
    )
    exclude: Annotated[tuple[PathPattern, ...], Field(max_length=MAX_PATTERNS)] = Field(
        default=(), description="Patterns of titles to leave out."
    )


class HostSelector(LabelSelector):
    """Selects hosts by name and by label; all that is given must hold. An empty one says nothing."""

    names: Annotated[tuple[Name, ...], Field(max_length=256)] = Field(default=(), description="Host names.")

    @property
    def empty(self) -> bool:
        return not (self.names or self.match_labels or self.match_expressions)

    def selects(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it picks out this host. An empty selector picks out none."""
        return not self.empty and (not self.names or name in self.names) and self.matches(labels)


class HostRules(Model):
    """Where copies may and should be."""

    required: HostSelector = Field(default_factory=HostSelector, description="Only on these hosts, if given.")
    preferred: HostSelector = Field(default_factory=HostSelector, description="Rather on these hosts.")
    excluded: HostSelector = Field(default_factory=HostSelector, description="Never on these hosts.")

    def allows(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a copy on this host counts towards the floor."""
        wanted = self.required.empty or self.required.selects(name, labels)
        return wanted and not self.excluded.selects(name, labels)

    def prefers(self, name: str, labels: Mapping[str, str]) -> bool:
        return self.preferred.selects(name, labels)


class Verify(Model):
    """How often the contents of copies are read again and compared with their digests."""

    every: Duration | None = Field(default=None, description="Left out: only when something suggests it.")

    rules: ClassVar[tuple[Rule, ...]] = (longer_than_zero("every"),)


class CustodyFloorSpec(Spec):
    """Which titles exist how often, and where."""

    select: Select = Field(description="Which titles.")
    copies: Int | None = Field(
        default=None,
        ge=1,
        le=MAX_COPIES,
        description="Copies on different failure domains. Left out: the Fleet's.",
    )
    always_on: Int | None = Field(
        default=None,
        ge=0,
        le=MAX_COPIES,
        description="How many of them on hosts that never sleep. Left out: the Fleet's.",
    )
    max_copies: Int | None = Field(
        default=None,
        ge=1,
        le=MAX_COPIES,
        description="Cull copies above this many. Left out: never remove any.",
    )
    hosts: HostRules = Field(default_factory=HostRules, description="Where copies may and should be.")
    grace: Grace = Field(default_factory=Grace, description="When a missing host's copies count as gone.")
    priority: Int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Which floor's titles go first; where two floors select one title, both are met.",
    )
    mode: Literal["Enforce", "Observe"] = Field(
        default="Enforce", description="Observe: report what is lacking, and change nothing."
    )
    verify: Verify = Field(default_factory=Verify, description="How often copies are read again.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "always-on-above-copies",
            "`alwaysOn` cannot be more than `copies`: it says how many of the copies are on always-on hosts",
            lambda one: one.always_on is None or one.copies is None or one.always_on <= one.copies,
            "!has(self.alwaysOn) || !has(self.copies) || self.alwaysOn <= self.copies",
            "alwaysOn",
        ),
        Rule(
            "max-copies-below-copies",
            "`maxCopies` cannot be less than `copies`",
            lambda one: one.max_copies is None or one.copies is None or one.max_copies >= one.copies,
            "!has(self.maxCopies) || !has(self.copies) || self.maxCopies >= self.copies",
            "maxCopies",
        ),
        Rule(
            "max-copies-below-always-on",
            "`maxCopies` cannot be less than `alwaysOn`",
            lambda one: one.max_copies is None or one.always_on is None or one.max_copies >= one.always_on,
            "!has(self.maxCopies) || !has(self.alwaysOn) || self.maxCopies >= self.alwaysOn",
            "maxCopies",
        ),
    )


class FloorNumbers(NamedTuple):
    """A floor's numbers with the Fleet's filled in."""

    copies: int
    always_on: int
    max_copies: int | None


def effective_numbers(spec: CustodyFloorSpec, fleet: Custody | None = None) -> FloorNumbers:
    """What the floor asks for. What it says itself goes first; the Fleet's default bends to fit it.

    So `copies: 1` alone under a Fleet's `alwaysOn: 2` asks for one always-on copy, and `alwaysOn: 3` alone
    under a Fleet's `copies: 2` asks for three copies. `maxCopies` never falls below the copies asked for.
    """
    default = fleet or Custody()
    copies = spec.copies if spec.copies is not None else max(default.copies, spec.always_on or 0)
    always_on = spec.always_on if spec.always_on is not None else min(default.always_on, copies)
    limit = None if spec.max_copies is None else max(spec.max_copies, copies)
    return FloorNumbers(copies, always_on, limit)


class WorstTitle(Status):
    """A title that is not as declared, and what happens next."""

    title: str = Field(max_length=4096)
    state: str = Field(default="", max_length=64)
    reason: str = Field(default="", max_length=128)
    message: str = Field(default="", max_length=4096)
    next_attempt: Time | None = None


class Round(Status):
    """One round of bringing titles to their floor."""

    started_at: Time
    finished_at: Time | None = None
    titles: Count = 0
    met: Count = 0
    lacking: Count = 0
    copied: Count = 0
    bytes: Count = 0
    digest: str = Field(default="", max_length=128)


class CustodyFloorStatus(ResourceStatus, CustodyTotals):
    """How the selected titles stand."""

    copies: Count | None = Field(
        default=None, description="Copies asked for, with the Fleet's default filled in."
    )
    always_on: Count | None = Field(default=None, description="Always-on copies asked for, likewise.")
    bytes_to_move: Count = 0
    worst: Annotated[tuple[WorstTitle, ...], Field(max_length=WORST)] = ()
    history: Annotated[tuple[Round, ...], Field(max_length=HISTORY)] = ()


class CustodyFloor(Resource):
    """Which titles exist how often, and where."""

    kind: Literal["CustodyFloor"] = "CustodyFloor"
    spec: CustodyFloorSpec
    status: CustodyFloorStatus = Field(default_factory=CustodyFloorStatus)


KIND = Kind(
    model=CustodyFloor,
    plural="custodyfloors",
    singular="custodyfloor",
    short_names=("cf", "floor", "floors"),
    columns=(
        Column("Copies", ".status.copies", "integer", description="Copies asked for."),
        Column("Met", ".status.met", "integer", description="Titles whose floor is met."),
        Column("Titles", ".status.titles", "integer", description="Titles selected."),
    ),
)
