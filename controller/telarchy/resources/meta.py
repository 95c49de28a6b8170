"""What every kind has in common: metadata, spec, status, conditions, selectors.

The shapes are Kubernetes' own (API conventions, apimachinery `ObjectMeta`, `metav1.Condition`,
`LabelSelector`), so that one file works under `telarchy` and under `kubectl`. Models are frozen: a resource
is a value that may be shared between the loop's snapshots. In Python fields are snake_case; in manifests
camelCase. Construct with Python names; read a person's manifest with `resources.loader`, which also knows
the line numbers.

Numbers and booleans are strict: `copies: "2"` and `alwaysOn: 1` are errors here because the Kubernetes API
server refuses them too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError

from telarchy.resources.rules import Checked, Rule, Shaped, broken

GROUP = "telarchy.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
DEFAULT_NAMESPACE = "default"
ALL_NAMESPACES = "*"  # in a question, for any namespace; no name can look like that

MAX_NAME = 63
MAX_MESSAGE = 4096  # characters of a condition's message; metav1 allows 32768, nobody reads that

# datetime.fromisoformat takes more than the API server does (`20261120T1830Z`, a space for the T).
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"

Int = Annotated[int, Strict()]
Bool = Annotated[bool, Strict()]
Int64 = Annotated[int, Strict(), Field(json_schema_extra={"format": "int64"})]
"""Byte counts and the like: the API server needs to be told that they outgrow 32 bits."""
Count = Annotated[int, Strict(), Field(ge=0, json_schema_extra={"format": "int64"})]

Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME),
    Shaped(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a name has only lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit",
    ),
]
"""A DNS-1123 subdomain of at most 63 characters (so that it fits into a label value too)."""

PartName = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME),
    Shaped(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a name has only lower-case letters, digits and `-`, and begins and ends with a letter or digit",
    ),
]
"""The name of a part of a resource (a media root): a DNS-1123 label."""

LabelKey = Annotated[
    str,
    Field(min_length=1, max_length=317),
    Shaped(
        rf"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_LABEL}$",
        "a label key is a word of at most 63 letters, digits, `-`, `_`, `.`, optionally after `domain/`",
    ),
]
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Shaped(rf"^({_LABEL})?$", "a label value has at most 63 letters, digits, `-`, `_`, `.`"),
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]


def parse_time(value: Any) -> datetime:
    """An RFC 3339 time, in UTC; anything else is an error with a sentence for a person."""
    try:
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a 30th of February, or a time that is before the year 1 in UTC
    says = "a time is written with its zone, like 2026-11-20T18:30:00Z or 2026-11-20T18:30:00+01:00"
    raise PydanticCustomError("time", "{says}", {"says": says})


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC, to the second (metav1.Time): `2026-11-20T18:30:00Z`."""
    return value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


Time = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 64}),
]


class Model(BaseModel):
    """The base of everything declared: frozen, camelCase outside, unknown fields refused, rules enforced."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        if type(self).rules:
            broken(self, type(self).rules)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        described = handler.resolve_ref_schema(handler(schema))
        if cls.rules:
            described["x-kubernetes-validations"] = [rule.validation() for rule in cls.rules]
        return described


class Status(Model):
    """What was learned. Unknown fields are dropped, so that an older Telarchy reads a newer one's status."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, order=True)
class Ref:
    """Which resource, within one fleet's manifests. Sorts by kind, namespace, name; prints `host/black`."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class OwnerReference(Model):
    """The object that this one belongs to (written by Kubernetes; kept, not used)."""

    model_config = ConfigDict(extra="ignore")

    api_version: str
    kind: str
    name: str
    uid: str


class ObjectMeta(Model):
    """Standard object metadata. What only the API server writes is accepted, and left out again."""

    name: Name = Field(description="The name, unique per kind and namespace.")
    namespace: Name = Field(default=DEFAULT_NAMESPACE, description="The fleet this belongs to.")
    labels: Labels = Field(default_factory=dict, description="Labels that selectors match.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Notes; some steer Telarchy.")
    generation: Int = Field(default=0, ge=0, description="Counts changes of the spec.")
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: Int | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    generate_name: str = Field(default="", exclude=True)
    self_link: str = Field(default="", exclude=True)
    managed_fields: tuple[Any, ...] = Field(default=(), exclude=True)


LabelNamed = Annotated[
    ObjectMeta,
    Checked(
        Rule(
            "name-with-dot",
            "a name of this kind has no `.`: it becomes part of URLs, files and services",
            lambda meta: "." not in meta.name,
            "!self.name.contains('.')",
            "name",
        )
    ),
]
"""Metadata of a kind whose names are one DNS-1123 label."""

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Status):
    """One observed fact about a resource (metav1.Condition). Times move only when `status` changes."""

    type: str = Field(min_length=1, max_length=316, description="What this is about, CamelCase.")
    status: ConditionStatus = Field(description="Whether it holds.")
    reason: Annotated[
        str,
        Field(min_length=1, max_length=1024),
        Shaped(r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", "a reason is one CamelCase word"),
    ] = Field(description="Why, as one CamelCase word for programs.")
    message: str = Field(default="", max_length=32768, description="Why, for a person, and what to do.")
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: Count = Field(default=0, description="The generation of the spec this is about.")


def set_condition(
    conditions: Sequence[Condition],
    condition_type: str,
    status: ConditionStatus,
    reason: str,
    message: str = "",
    *,
    now: datetime,
    observed_generation: int = 0,
) -> tuple[Condition, ...]:
    """`conditions` with the one of this type replaced in place, or added at the end.

    `lastTransitionTime` stays while the status stays, so that an unchanged world writes an unchanged status.
    """
    before = next((one for one in conditions if one.type == condition_type), None)
    since = before.last_transition_time if before is not None and before.status == status else now
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1] + "…"
    condition = Condition(
        type=condition_type,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=observed_generation,
    )
    if before is None:
        return (*conditions, condition)
    return tuple(condition if one.type == condition_type else one for one in conditions)


def get_condition(conditions: Sequence[Condition], condition_type: str) -> Condition | None:
    """The condition of this type, if it was ever reported."""
    return next((one for one in conditions if one.type == condition_type), None)


class Spec(Model):
    """What every kind's spec has."""

    suspend: Bool = Field(default=False, description="Leave everything as it is: observe, but do not act.")


class ResourceStatus(Status):
    """What every kind's status has."""

    observed_generation: Int64 = Field(
        default=-1,
        ge=-1,
        description="The generation of the spec that this status answers; -1 means none yet.",
    )
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = Field(default=(), description="Ready, Reconciling, Stalled, and what else is worth knowing.")
    last_handled_reconcile_at: str = Field(
        default="",
        max_length=256,
        description="The last `telarchy.dev/reconcile-at` that was acted on (Kubernetes only).",
    )


DeletionPolicy = Literal["Release", "Orphan"]
"""What becomes of what a resource has on hosts when it is deleted: it is undone, or left as it is. The type of
`spec.deletionPolicy`, for kinds that put more on hosts than titles; others have no such field."""


class Resource(Model):
    """One declared thing. Each kind narrows `kind`, `spec` and `status`."""

    api_version: Literal["telarchy.dev/v1alpha1"] = "telarchy.dev/v1alpha1"
    kind: str
    metadata: ObjectMeta
    spec: Spec
    status: ResourceStatus

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, self.metadata.namespace, self.metadata.name)

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def undone(self) -> bool:
        """Whether deleting it is to undo what it has on hosts."""
        return getattr(self.spec, "deletion_policy", "Orphan") == "Release"

    def manifest(self) -> dict[str, Any]:
        """Plain data (dict, list, str, int, bool) as in a manifest: what was said, without the defaults.

        A status that says nothing yet is left out.
        """
        document: dict[str, Any] = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": self.metadata.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            "spec": self.spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True),
        }
        if self.status != type(self.status)():
            document["status"] = self.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        return document


class SecretRef(Model):
    """Where a secret lies: a Kubernetes Secret, or a file `<secrets>/<name>/<key>` when running alone."""

    name: Name = Field(description="The secret's name, in the same namespace.")
    key: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Shaped(r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", "a key has only letters, digits, `-`, `_` and `.`"),
    ] = Field(description="Which entry of the secret.")


class SecretSource(Model):
    """A value that is kept out of the manifest."""

    secret_ref: SecretRef = Field(description="Where the value lies.")


@dataclass(frozen=True)
class Column:
    """A printer column. `type` is OpenAPI's: string, integer, number, boolean, date."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status', description="Is it as declared?")
MESSAGE = Column("Status", '.status.conditions[?(@.type=="Ready")].message', description="Why, or what next.")
SUSPENDED = Column("Suspended", ".spec.suspend", "boolean", priority=1)
AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Kind:
    """A kind as the registry knows it. Columns are those between the name and Ready."""

    model: type[Resource]
    plural: str
    singular: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...] = ()

    @property
    def name(self) -> str:
        """`Host`, the CamelCase kind."""
        return self.model.__name__

    @property
    def can_be_undone(self) -> bool:
        """Whether its spec has a `deletionPolicy`."""
        spec = self.model.model_fields["spec"].annotation
        return isinstance(spec, type) and issubclass(spec, Spec) and "deletion_policy" in spec.model_fields

    @property
    def printer_columns(self) -> tuple[Column, ...]:
        return (*self.columns, READY, MESSAGE, AGE, SUSPENDED)
