"""Fleet: policy for every host and floor of a namespace.

There is one per namespace; without one the defaults written here hold. Where a default is a judgement, the
comment beside it says whose.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from telarchy.resources.meta import (
    Bool,
    Column,
    Count,
    Int,
    Kind,
    Model,
    Resource,
    ResourceStatus,
    Spec,
    Status,
    Time,
)
from telarchy.resources.quantities import Duration, Quantity
from telarchy.resources.rules import Rule, Shaped

MAX_COPIES = 64

HostClass = Literal["Server", "Roamer", "Consumer", "Seedbox", "Broadcast"]
"""What a host is: a server, a laptop that comes and goes, a pure sink, a rented seedbox, a broadcast VPS."""

TimeOfDay = Annotated[
    str,
    Field(min_length=5, max_length=5),
    Shaped(r"^([01][0-9]|2[0-3]):[0-5][0-9]$", "a time of day is written like 01:30 or 23:00"),
]
TimeZone = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Shaped(r"^[A-Za-z][A-Za-z0-9_+/-]*$", "a time zone is written like UTC or Europe/Brussels"),
]
PORT = r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
Canary = Annotated[
    str,
    Field(min_length=3, max_length=300),
    Shaped(
        r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]):" + PORT + "$",
        "a canary is written host:port, like 192.0.2.1:53 or [2001:db8::1]:443",
    ),
]


def longer_than_zero(field: str) -> Rule:
    """The rule that a duration field, if given, is not zero (CEL's own durations know no days)."""
    return Rule(
        "duration-zero",
        f"`{field}` must be longer than zero",
        lambda one: (span := getattr(one, field)) is None or span.seconds > 0,
        f"!has(self.{field}) || self.{field}.matches('[1-9]')",
        field,
    )


def bandwidth_above_zero() -> Rule:
    """A transfer budget of nothing is a suspend in disguise; the field for that is `suspend`."""
    return Rule(
        "bandwidth-zero",
        "`bandwidth` must be more than zero; to stop all transfers, set `suspend: true`",
        lambda one: one.bandwidth is None or one.bandwidth.bytes > 0,
        "!has(self.bandwidth) || (type(self.bandwidth) == string"
        " ? self.bandwidth.matches('^[0-9.]*[1-9]') : self.bandwidth > 0)",
        "bandwidth",
    )


class Custody(Model):
    """What a CustodyFloor asks for where it does not say otherwise."""

    copies: Int = Field(default=2, ge=1, le=MAX_COPIES, description="Copies on different failure domains.")
    always_on: Int = Field(
        default=1, ge=0, le=MAX_COPIES, description="How many of them on hosts that never sleep."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "always-on-above-copies",
            "`alwaysOn` cannot be more than `copies`: it says how many of the copies are on always-on hosts",
            lambda one: one.always_on <= one.copies,
            "(has(self.alwaysOn) ? self.alwaysOn : 1) <= (has(self.copies) ? self.copies : 2)",
            "alwaysOn",
        ),
    )


class TransferWindow(Model):
    """A daily span in which transfers may start. `end` before `start` goes over midnight."""

    start: TimeOfDay = Field(description="From, as HH:MM.")
    end: TimeOfDay = Field(description="Until, as HH:MM.")
    time_zone: TimeZone = Field(default="UTC", description="An IANA time zone, like Europe/Brussels.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "window-empty",
            "`start` and `end` are the same; leave the window out to allow the whole day",
            lambda one: one.start != one.end,
            "self.start != self.end",
            "end",
        ),
    )


class FleetTransfers(Model):
    """The budget of all transfers together. Repair is calm: a storm helps nobody."""

    max_parallel: Int = Field(default=4, ge=1, le=1024, description="Transfers at once, fleet-wide.")
    # One writer per disk keeps it sequential; two readers keep a link busy while one waits.
    per_host_in: Int = Field(default=1, ge=1, le=64, description="Transfers into one host at once.")
    per_host_out: Int = Field(default=2, ge=1, le=64, description="Transfers out of one host at once.")
    bandwidth: Quantity | None = Field(
        default=None, description="Bytes per second, fleet-wide; none: no limit."
    )
    windows: Annotated[tuple[TransferWindow, ...], Field(max_length=16)] = Field(
        default=(), description="When transfers may start; none: always."
    )

    rules: ClassVar[tuple[Rule, ...]] = (bandwidth_above_zero(),)


class Grace(Model):
    """How long a host of each class may be away before its copies count as gone. Left out: the Fleet's."""

    server: Duration | None = Field(default=None, description="For class Server.")
    seedbox: Duration | None = Field(default=None, description="For class Seedbox.")
    broadcast: Duration | None = Field(default=None, description="For class Broadcast.")
    roamer: Duration | None = Field(default=None, description="For class Roamer.")
    consumer: Duration | None = Field(default=None, description="For class Consumer.")
    volume: Duration | None = Field(
        default=None,
        description="For a missing volume on a host that is up. Left out: never, since an unmounted disk is "
        "not an empty disk.",
    )

    def for_class(self, host_class: HostClass) -> Duration | None:
        """The grace this gives a host class, or None where it says nothing."""
        span: Duration | None = getattr(self, host_class.lower())
        return span


class FleetGrace(Grace):
    """How long a host of each class may be away before its copies count as gone."""

    server: Duration = Field(default=Duration("15m"), description="For class Server.")
    seedbox: Duration = Field(default=Duration("15m"), description="For class Seedbox.")
    broadcast: Duration = Field(default=Duration("15m"), description="For class Broadcast.")
    roamer: Duration = Field(default=Duration("72h"), description="For class Roamer.")
    consumer: Duration = Field(default=Duration("72h"), description="For class Consumer.")


class Brakes(Model):
    """When to do nothing and ask a person: a large fault or a large change is probably a mistake."""

    min_up_percent: Int = Field(
        default=75,
        ge=0,
        le=100,
        description="With fewer custodians up than this, nothing is repaired and nothing removed.",
    )
    max_change_titles: Int = Field(
        default=20,
        ge=0,
        le=1_000_000,
        description="Removals beyond this many titles wait for `telarchy approve`.",
    )
    max_change_percent: Int = Field(
        default=5, ge=0, le=100, description="Removals beyond this share of a host's titles wait too."
    )


class Probes(Model):
    """How hosts are asked whether they are there."""

    every: Duration = Field(default=Duration("30s"), description="How often each host is asked.")
    timeout: Duration = Field(default=Duration("10s"), description="How long an answer may take.")
    misses: Int = Field(default=3, ge=1, le=100, description="Misses in a row before a host counts as down.")
    canaries: Annotated[tuple[Canary, ...], Field(max_length=16)] = Field(
        default=(),
        description="host:port of things that are nearly always there; when none answers, it is the "
        "controller that is cut off, not the fleet that is down.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (longer_than_zero("every"), longer_than_zero("timeout"))


class Scan(Model):
    """How often media roots are looked through in full, besides when something suggests a change."""

    every: Duration | None = Field(default=None, description="Left out: the controller chooses.")

    rules: ClassVar[tuple[Rule, ...]] = (longer_than_zero("every"),)


class Trash(Model):
    """What is culled moves to a trash folder on its volume."""

    keep: Duration = Field(default=Duration("30d"), description="How long before it is deleted for good.")


class Trim(Model):
    """Removal of copies above `maxCopies`."""

    cooldown: Duration = Field(
        default=Duration("7d"),
        description="How long a title must have had too many copies before one is culled.",
    )


class FleetSpec(Spec):
    """Fleet-wide policy."""

    custody: Custody = Field(default_factory=Custody, description="The default floor.")
    transfers: FleetTransfers = Field(default_factory=FleetTransfers, description="The transfer budget.")
    grace: FleetGrace = Field(
        default_factory=FleetGrace, description="When a missing host's copies count as gone."
    )
    brakes: Brakes = Field(default_factory=Brakes, description="When to do nothing and ask a person.")
    probes: Probes = Field(default_factory=Probes, description="How hosts are asked whether they are there.")
    scan: Scan = Field(default_factory=Scan, description="How often media roots are looked through.")
    trash: Trash = Field(default_factory=Trash, description="How long culled titles are kept.")
    trim: Trim = Field(default_factory=Trim, description="When surplus copies are culled.")


class HostTotals(Status):
    """How many hosts there are and answer."""

    total: Count = 0
    up: Count = 0


class FleetCapacity(Status):
    """Room in the fleet, in bytes."""

    free: Count = Field(default=0, description="Free bytes above the reserves, on hosts that hold copies.")
    total: Count = Field(default=0, description="Size of all volumes, in bytes.")
    custody: Count = Field(
        default=0,
        description="Free bytes of always-on hosts, weighed by uptime: what new floors can count on.",
    )


class CustodyTotals(Status):
    """How titles stand against their floors, in titles."""

    titles: Count = 0
    met: Count = 0
    lacking: Count = 0
    copying: Count = 0
    badly_placed: Count = 0
    unrecoverable: Count = 0
    unknown: Count = 0


class BrakeState(Status):
    """Whether the fleet brake is on."""

    engaged: Bool = False
    reason: str = Field(default="", max_length=1024)
    since: Time | None = None


class HeldChange(Status):
    """A change that waits for `telarchy approve HASH`."""

    hash: str = Field(min_length=1, max_length=128)
    reason: str = Field(default="", max_length=1024)
    summary: str = Field(default="", max_length=4096)
    actions: Count = 0
    bytes: Count = 0
    since: Time | None = None


class SourceState(Status):
    """Where the desired state came from; left out on a cluster, where it is the objects themselves."""

    revision: str = Field(default="", max_length=253, description="The one that is followed.")
    message: str = Field(
        default="", max_length=4096, description="What was read; or why a newer one is not followed."
    )


class FleetStatus(ResourceStatus):
    """The fleet as last seen."""

    hosts: HostTotals = Field(default_factory=HostTotals)
    capacity: FleetCapacity = Field(default_factory=FleetCapacity)
    custody: CustodyTotals = Field(default_factory=CustodyTotals)
    brake: BrakeState = Field(default_factory=BrakeState)
    held: Annotated[tuple[HeldChange, ...], Field(max_length=64)] = Field(
        default=(), description="Changes that wait for a person."
    )
    source: SourceState | None = None


class Fleet(Resource):
    """Policy for every host and floor of a namespace."""

    kind: Literal["Fleet"] = "Fleet"
    spec: FleetSpec = Field(default_factory=FleetSpec)
    status: FleetStatus = Field(default_factory=FleetStatus)


KIND = Kind(
    model=Fleet,
    plural="fleets",
    singular="fleet",
    short_names=("fl",),
    columns=(
        Column("Hosts", ".status.hosts.up", "integer", description="Hosts that answer."),
        Column("Met", ".status.custody.met", "integer", description="Titles whose floor is met."),
        Column("Titles", ".status.custody.titles", "integer", description="Titles under a floor."),
    ),
)
