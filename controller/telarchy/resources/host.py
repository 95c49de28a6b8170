"""Host: one machine of the fleet: what it is, how it is reached, where its media lie.

A host's class says what it *is*; its duties say what it *does*, and are never declared but computed
(`resources.duties`).
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from telarchy.resources.fleet import PORT, HostClass, bandwidth_above_zero
from telarchy.resources.meta import (
    Bool,
    Column,
    ConditionStatus,
    Count,
    Int,
    Kind,
    Model,
    Name,
    PartName,
    Resource,
    ResourceStatus,
    SecretSource,
    Spec,
    Status,
    Time,
)
from telarchy.resources.quantities import Quantity
from telarchy.resources.rules import Checked, Rule, Shaped

MAX_MEDIA_ROOTS = 32
DEFAULT_SSH_PORT = 22

Reachability = Literal["HomeLAN", "WireGuard", "PublicIP"]
DutyName = Literal["custodyFloor", "publicSwarmFace", "f2fRelay", "broadcast"]
HostState = Literal["Up", "Suspect", "Down", "Unknown", "Maintenance", "Draining"]
VolumeState = Literal["Mounted", "New", "Missing", "WrongId", "ReadOnly", "Full", "Unknown", "Conflict"]

_USER = r"[A-Za-z_][A-Za-z0-9._-]*"
_ADDRESS = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]"
# Neither part may begin with `-`: an endpoint must never be readable as an option of ssh.
_ENDPOINT = re.compile(rf"(?P<user>{_USER})@(?P<host>{_ADDRESS})(:(?P<port>{PORT}))?", re.ASCII)

SshEndpoint = Annotated[
    str,
    Field(min_length=3, max_length=300),
    Shaped(
        rf"^{_USER}@({_ADDRESS})(:{PORT})?$",
        "an endpoint is written user@host or user@host:port, with IPv6 in brackets: media@[2001:db8::1]:22",
    ),
]

HostKey = Annotated[
    str,
    Field(min_length=1, max_length=8192),
    Shaped(
        r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|"
        r"sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]+={0,3}( [ -~]*)?$",
        "a host key is written as in /etc/ssh/ssh_host_ed25519_key.pub: `ssh-ed25519 AAAAC3Nza…`",
    ),
]

MediaPath = Annotated[
    str,
    Field(min_length=2, max_length=1024),
    Shaped(r"^/[^\x00-\x1f\x7f]+$", "a path is absolute, like /srv/media"),
    Checked(
        Rule(
            "path-not-normal",
            "a path is written without `.`, `..`, doubled or trailing slashes",
            lambda path: re.search(r"/(\.{0,2})(/|$)", path) is None,
            r"!self.matches('/([.]{0,2})(/|$)')",
        ),
    ),
]


class Endpoint(NamedTuple):
    """One way to a host. `host` is a name or an address, without brackets."""

    user: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}" + ("" if self.port == DEFAULT_SSH_PORT else f":{self.port}")


def parse_endpoint(text: str) -> Endpoint:
    """The parts of `user@host[:port]`. Raises ValueError where the spec would have refused it."""
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not user@host or user@host:port")
    return Endpoint(match["user"], match["host"].strip("[]"), int(match["port"] or DEFAULT_SSH_PORT))


class SshConnection(Model):
    """Reached by ssh."""

    endpoints: Annotated[tuple[SshEndpoint, ...], Field(min_length=1, max_length=8)] = Field(
        description="user@host[:port], tried in this order: the LAN first, then the overlay."
    )
    host_key: HostKey | None = Field(
        default=None,
        description="The public host key; a host that shows another is refused. `telarchy enroll` finds it.",
    )
    identity: SecretSource | None = Field(default=None, description="The private key to log in with.")
    password: SecretSource | None = Field(default=None, description="The password to log in with.")


class LocalConnection(Model):
    """Directories on the controller's own machine."""


class Connection(Model):
    """How the host is reached: exactly one way."""

    ssh: SshConnection | None = Field(default=None, description="By ssh.")
    local: LocalConnection | None = Field(default=None, description="On the controller's own machine.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "connection-not-one",
            "a host has exactly one connection: `ssh: {endpoints: [user@host]}` or `local: {}`",
            lambda one: (one.ssh is None) != (one.local is None),
            "has(self.ssh) != has(self.local)",
        ),
    )


class MediaRoot(Model):
    """A folder whose contents are titles."""

    name: PartName = Field(description="The root's name, unique on the host.")
    path: MediaPath = Field(description="The absolute path of the folder on the host.")
    reserve: Quantity | None = Field(default=None, description="Bytes to leave free for others, like 50Gi.")


class Maintenance(Model):
    """Announced absence: until then the host is not missed and not used."""

    until: Time = Field(description="When the host will be back.")


class HostTransfers(Model):
    """Limits of this host's transfers, within the fleet's."""

    max_in: Int | None = Field(default=None, ge=0, le=64, description="Transfers into this host at once.")
    max_out: Int | None = Field(default=None, ge=0, le=64, description="Transfers out of this host at once.")
    bandwidth: Quantity | None = Field(default=None, description="Bytes per second, each way.")

    rules: ClassVar[tuple[Rule, ...]] = (bandwidth_above_zero(),)


class HostSpec(Spec):
    """What the host is and how it is used."""

    host_class: HostClass = Field(alias="class", description="What the host is; decides duties and grace.")
    always_on: Bool = Field(default=False, description="Does it run day and night?")
    on_home_ip: Bool = Field(
        # A capital IP, as the source data model's users write it; alias_generator would give onHomeIp.
        default=True,
        alias="onHomeIP",
        description="Does its traffic show the home's address?",
    )
    reachable: Reachability = Field(default="HomeLAN", description="From where it can be reached.")
    connection: Connection = Field(description="How it is reached: exactly one of ssh and local.")
    media_roots: Annotated[
        tuple[MediaRoot, ...],
        Field(
            max_length=MAX_MEDIA_ROOTS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default=(), description="Folders whose contents are titles.")
    failure_domain: Name | None = Field(
        default=None,
        description="What fails together: copies in one failure domain count as one. Left out: the host.",
    )
    cordon: Bool = Field(default=False, description="Put no new copies here.")
    drain: Bool = Field(default=False, description="Put no new copies here and rebuild its copies elsewhere.")
    maintenance: Maintenance | None = Field(default=None, description="Announced absence.")
    transfers: HostTransfers = Field(default_factory=HostTransfers, description="Limits of its transfers.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "media-root-name-twice",
            "two media roots have the same name",
            lambda one: len({root.name for root in one.media_roots}) == len(one.media_roots),
            "!has(self.mediaRoots) || self.mediaRoots.all(a, self.mediaRoots.exists_one(b, a.name == b.name))",
            "mediaRoots",
        ),
    )


class HostCapacity(Status):
    """Room on the host's volumes, in bytes; left out while nobody could look."""

    free: Count | None = None
    total: Count | None = None
    reserve: Count | None = None


class HostDuty(Status):
    """A duty and the rule that gave it."""

    name: DutyName
    rule: str = Field(default="", max_length=1024)


class Volume(Status):
    """A media root as last seen, told apart by the id in its sentinel file."""

    root: str = Field(max_length=63)
    id: str = Field(default="", max_length=128)
    state: VolumeState = "Unknown"
    path: str = Field(default="", max_length=1024)
    free: Count | None = None
    total: Count | None = None
    titles: Count | None = None
    bytes: Count | None = None


class ToolVersions(Status):
    """What runs on the host; empty: not there or not asked yet."""

    os: str = Field(default="", max_length=128)
    ssh: str = Field(default="", max_length=128)
    rsync: str = Field(default="", max_length=128)
    systemd: str = Field(default="", max_length=128)
    # programs are named as they are called, without the capital that the alias generator would put in
    sha256sum: str = Field(default="", max_length=128, alias="sha256sum")
    b3sum: str = Field(default="", max_length=128, alias="b3sum")


class Transfer(Status):
    """A copy on its way."""

    title: str = Field(max_length=4096)
    from_host: str = Field(alias="from", default="", max_length=63)
    to: str = Field(default="", max_length=63)
    bytes: Count = Field(default=0, description="Bytes moved so far.")
    total: Count = Field(default=0, description="Bytes to move in all.")
    rate: Count = Field(default=0, description="Bytes per second.")
    eta: str = Field(default="", max_length=32, description="Time left, as a duration.")
    phase: str = Field(default="", max_length=64)


class HostStatus(ResourceStatus):
    """The host as last seen. Holds nothing that moves each cycle: a status is written only on change."""

    reachable: ConditionStatus = "Unknown"
    endpoint: str = Field(default="", max_length=300, description="The endpoint that answers.")
    state: HostState = "Unknown"
    uptime_score: str = Field(
        default="",
        max_length=8,
        description="How much of the last 30 days it answered, by the hour, like 0.98; a new host begins at 0.50.",
    )
    capacity: HostCapacity = Field(default_factory=HostCapacity)
    duties: Annotated[tuple[HostDuty, ...], Field(max_length=8)] = ()
    volumes: Annotated[tuple[Volume, ...], Field(max_length=MAX_MEDIA_ROOTS)] = ()
    versions: ToolVersions = Field(default_factory=ToolVersions)
    transfers: Annotated[tuple[Transfer, ...], Field(max_length=64)] = ()


class Host(Resource):
    """One machine of the fleet."""

    kind: Literal["Host"] = "Host"
    spec: HostSpec
    status: HostStatus = Field(default_factory=HostStatus)

    @property
    def failure_domain(self) -> str:
        """What copies on this host are counted under."""
        return self.spec.failure_domain or self.metadata.name


KIND = Kind(
    model=Host,
    plural="hosts",
    singular="host",
    short_names=("ho",),
    columns=(
        Column("Class", ".spec.class"),
        Column("State", ".status.state"),
        Column("Endpoint", ".status.endpoint", priority=1),
        Column("Free", ".status.capacity.free", "integer", priority=1, description="Free bytes."),
        Column("Uptime", ".status.uptimeScore", priority=1),
    ),
)
