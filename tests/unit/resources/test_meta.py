"""What all kinds share: identity, conditions, selectors, and writing a manifest back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from telarchy.errors import ConfigError
from telarchy.resources import (
    KINDS,
    Condition,
    CustodyFloor,
    Fleet,
    Host,
    Ref,
    get_condition,
    parse_endpoint,
    resolve_kind,
    resource_from_manifest,
    set_condition,
)
from telarchy.resources.custodyfloor import (
    CustodyFloorSpec,
    HostRules,
    HostSelector,
    Select,
    effective_numbers,
)
from telarchy.resources.fleet import Custody, FleetGrace, Grace
from telarchy.resources.labels import LabelRequirement, LabelSelector
from telarchy.resources.meta import (
    API_VERSION,
    ObjectMeta,
    format_time,
    parse_time,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOST: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "Host",
    "metadata": {"name": "black", "labels": {"site": "home"}},
    "spec": {
        "class": "Server",
        "onHomeIP": False,
        "connection": {"local": {}},
        "mediaRoots": [{"name": "main", "path": "/srv/media", "reserve": "1024Mi"}],
        "maintenance": {"until": "2026-11-20T13:00:00+01:00"},
    },
}


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = set_condition((), "Ready", "False", "Copying", "1 of 2", now=NOON)
    later = set_condition(first, "Ready", "False", "Copying", "2 of 2", now=NOON + timedelta(hours=1))
    assert later[0].last_transition_time == NOON
    assert later[0].message == "2 of 2"
    done = set_condition(
        later, "Ready", "True", "FloorMet", now=NOON + timedelta(hours=2), observed_generation=3
    )
    assert done[0].last_transition_time == NOON + timedelta(hours=2)
    assert done[0].observed_generation == 3


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"),
        ("2026-11-20T12:00:00.999+01:00", "2026-11-20T11:00:00Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00Z"),
        ("2026-11-20T12:00:00", None),
        ("2026-11-20 12:00:00Z", None),
        ("20261120T120000Z", None),
        ("2026-02-30T12:00:00Z", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("tomorrow", None),
    ],
)
def test_times(text: str, written: str | None) -> None:
    try:
        assert format_time(parse_time(text)) == written
    except PydanticCustomError:
        assert written is None


def test_conditions_keep_their_order_and_unchanged_ones_are_equal() -> None:
    both = set_condition(set_condition((), "Ready", "True", "A", now=NOON), "Stalled", "False", "B", now=NOON)
    again = set_condition(both, "Ready", "True", "A", now=NOON + timedelta(days=1))
    assert again == both
    assert [one.type for one in again] == ["Ready", "Stalled"]
    stalled = get_condition(again, "Stalled")
    assert stalled is not None and stalled.reason == "B"
    assert get_condition(again, "Reconciling") is None


def test_a_reason_is_one_word_and_a_message_is_bounded() -> None:
    with pytest.raises(ValidationError):
        set_condition((), "Ready", "True", "two words", now=NOON)
    (long,) = set_condition((), "Ready", "True", "A", "x" * 100_000, now=NOON)
    assert len(long.message) < 5000


@pytest.mark.parametrize(
    ("operator", "values", "with_a", "with_b", "without"),
    [
        ("In", ("a",), True, False, False),
        ("NotIn", ("a",), False, True, True),
        ("Exists", (), True, True, False),
        ("DoesNotExist", (), False, False, True),
    ],
)
def test_label_requirements(operator: Any, values: Any, with_a: bool, with_b: bool, without: bool) -> None:
    one = LabelRequirement(key="k", operator=operator, values=values)
    assert [one.matches(labels) for labels in ({"k": "a"}, {"k": "b"}, {})] == [with_a, with_b, without]


def test_every_part_of_a_selector_must_hold() -> None:
    selector = LabelSelector(
        match_labels={"site": "home"},
        match_expressions=(LabelRequirement(key="old", operator="DoesNotExist"),),
    )
    assert selector.matches({"site": "home"})
    assert not selector.matches({"site": "home", "old": "yes"})
    assert LabelSelector().matches({})


def test_an_empty_host_selector_says_nothing() -> None:
    rules = HostRules()
    assert rules.allows("black", {})
    assert not rules.prefers("black", {})
    rules = HostRules(
        required=HostSelector(match_labels={"site": "home"}), excluded=HostSelector(names=("plum",))
    )
    assert rules.allows("black", {"site": "home"})
    assert not rules.allows("plum", {"site": "home"})
    assert not rules.allows("far", {"site": "away"})


def test_a_manifest_comes_out_as_it_went_in() -> None:
    host = Host.model_validate(HOST, by_alias=True, by_name=False)
    assert host.manifest() == {
        **HOST,
        "spec": {**HOST["spec"], "maintenance": {"until": "2026-11-20T12:00:00Z"}},
    }
    assert resource_from_manifest(host.manifest()) == host
    assert host.ref == Ref("Host", "default", "black")
    assert str(host.ref) == "host/black"


@pytest.mark.parametrize("kind", KINDS)
def test_a_status_is_written_and_read_back(kind: str) -> None:
    specs: dict[str, dict[str, Any]] = {
        "Fleet": {},
        "Host": HOST["spec"],
        "CustodyFloor": {"select": {"paths": ["a/*"]}},
        "Stream": {"ingest": {"test": {}}},
        "StreamKey": {"streamRef": "garden", "verifier": f"sha256:{64 * '0'}"},
        "MediaEndpoint": {"role": "Origin", "hostRef": "black"},
    }
    spec = specs[kind]
    bare = resource_from_manifest(
        {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    )
    assert "status" not in bare.manifest()
    ready = set_condition((), "Ready", "True", "AsDeclared", now=NOON)
    status = bare.status.model_copy(update={"conditions": ready, "observed_generation": 2})
    seen = bare.model_copy(update={"status": status})
    assert resource_from_manifest(seen.manifest()) == seen


def test_a_newer_status_is_read_and_what_kubernetes_adds_is_tolerated() -> None:
    manifest = {
        **HOST,
        "metadata": {
            **HOST["metadata"],
            "uid": "d1",
            "generation": 3,
            "creationTimestamp": "2026-11-20T12:00:00Z",
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "X", "name": "y", "uid": "z", "controller": True}
            ],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}\n"},
        },
        "status": {"observedGeneration": 3, "fromTheFuture": {"a": 1}, "state": "Up"},
    }
    host = resource_from_manifest(manifest)
    assert isinstance(host, Host)
    assert host.status.state == "Up"
    assert host.metadata.creation_timestamp == NOON
    assert "managedFields" not in host.manifest()["metadata"]


def test_a_manifest_of_a_program_is_refused_with_every_reason() -> None:
    with pytest.raises(ConfigError) as caught:
        resource_from_manifest({**HOST, "spec": {"class": "server"}}, "store")
    assert [problem.rule for problem in caught.value.problems] == ["unknown-value", "missing-field"]
    with pytest.raises(ConfigError, match="Toaster"):
        resource_from_manifest({"apiVersion": API_VERSION, "kind": "Toaster"})


def test_resources_are_values() -> None:
    fleet = Fleet(metadata=ObjectMeta(name="home"))
    with pytest.raises(ValidationError):
        fleet.spec = fleet.spec  # type: ignore[misc]


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("cf", "CustodyFloor"),
        ("floor", "CustodyFloor"),
        ("floors", "CustodyFloor"),
        ("custodyfloor", "CustodyFloor"),
        ("custodyfloors.telarchy.dev", "CustodyFloor"),
        ("CustodyFloor", "CustodyFloor"),
        ("ho", "Host"),
        ("hosts", "Host"),
        ("fl", "Fleet"),
        ("st", "Stream"),
        ("sk", "StreamKey"),
        ("me", "MediaEndpoint"),
    ],
)
def test_kinds_are_found_by_every_name(typed: str, kind: str) -> None:
    found = resolve_kind(typed)
    assert found is not None and found.name == kind


def test_a_kind_that_is_none() -> None:
    assert resolve_kind("pods") is None


@pytest.mark.parametrize(
    ("copies", "always_on", "max_copies", "asked"),
    [
        (None, None, None, (2, 1, None)),
        (1, None, None, (1, 1, None)),
        (3, None, 5, (3, 1, 5)),
        (None, 3, None, (3, 3, None)),
        (None, 0, None, (2, 0, None)),
        (None, None, 1, (2, 1, 2)),
    ],
)
def test_a_floors_numbers_bend_the_fleets(copies: Any, always_on: Any, max_copies: Any, asked: Any) -> None:
    spec = CustodyFloorSpec(
        select=Select(paths=("a/*",)), copies=copies, always_on=always_on, max_copies=max_copies
    )
    assert effective_numbers(spec, Custody(copies=2, always_on=1)) == asked
    assert effective_numbers(spec) == asked


def test_grace_by_class() -> None:
    roamer = FleetGrace().for_class("Roamer")
    assert roamer is not None and roamer.seconds == 72 * 3600
    assert FleetGrace().volume is None
    assert Grace().for_class("Server") is None


def test_endpoints_come_apart() -> None:
    assert parse_endpoint("media@192.0.2.11") == ("media", "192.0.2.11", 22)
    assert parse_endpoint("media@[2001:db8::1]:2222") == ("media", "2001:db8::1", 2222)
    assert str(parse_endpoint("media@[2001:db8::1]:2222")) == "media@[2001:db8::1]:2222"
    with pytest.raises(ValueError, match="not user@host"):
        parse_endpoint("-oProxyCommand=x")


def test_conditions_are_published_models() -> None:
    assert Condition.model_fields["last_transition_time"].alias == "lastTransitionTime"
    assert CustodyFloor.model_fields["spec"].is_required()
