"""Duties: the data model's rules, over fleets nobody thought of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.resources import Duty, Host, assign_duties, duty_violations
from telarchy.resources.fleet import HostClass
from telarchy.resources.host import Connection, HostSpec, LocalConnection, MediaRoot, Reachability
from telarchy.resources.meta import ObjectMeta
from telarchy.resources.quantities import Quantity


def host(name: str, host_class: HostClass = "Server", **spec: Any) -> Host:
    roots = spec.pop("roots", (MediaRoot(name="main", path="/srv/media", reserve=Quantity("10Gi")),))
    return Host(
        metadata=ObjectMeta(name=name),
        spec=HostSpec(
            host_class=host_class, connection=Connection(local=LocalConnection()), media_roots=roots, **spec
        ),
    )


def names(assigned: dict[str, tuple[Duty, ...]], name: str) -> set[str]:
    return {duty.name for duty in assigned[name]}


def test_the_example_fleet() -> None:
    black = host("black", always_on=True)
    apricot = host("apricot", always_on=True, reachable="WireGuard")
    plum = host("plum", "Roamer")
    phone = host("phone", "Consumer", always_on=True, reachable="PublicIP", on_home_ip=False)
    box = host("box", "Seedbox", always_on=True, reachable="PublicIP", on_home_ip=False, roots=())
    assigned = assign_duties([black, apricot, plum, phone, box], {"black": 2**40})
    assert names(assigned, "black") == {"custodyFloor"}
    assert names(assigned, "apricot") == {"custodyFloor", "f2fRelay"}
    assert names(assigned, "plum") == set()
    assert names(assigned, "phone") == set()
    assert names(assigned, "box") == {"broadcast", "f2fRelay", "publicSwarmFace"}
    assert all(duty.rule for duties in assigned.values() for duty in duties)


def test_home_stays_dark_even_if_the_seedbox_is_at_home() -> None:
    assigned = assign_duties([host("box", "Seedbox"), host("vps", "Broadcast", on_home_ip=False)], {})
    assert names(assigned, "vps") == {"publicSwarmFace"}


@pytest.mark.parametrize(
    ("free", "holds"), [(None, True), (10 * 2**30 + 1, True), (10 * 2**30, False), (0, False)]
)
def test_a_full_disk_takes_the_floor_away_and_an_unknown_one_does_not(free: int | None, holds: bool) -> None:
    assigned = assign_duties([host("black", always_on=True)], {"black": free})
    assert ("custodyFloor" in names(assigned, "black")) is holds


@pytest.mark.parametrize("missing", ["Seedbox", "Broadcast", "Server"])
def test_broadcast_preference(missing: str) -> None:
    order: list[HostClass] = ["Seedbox", "Broadcast", "Server", "Roamer"]
    there = order[order.index(missing) + 1 :]  # type: ignore[arg-type]
    hosts = [host(one.lower(), one, always_on=True, reachable="PublicIP") for one in reversed(there)]
    assigned = assign_duties(hosts, {})
    assert [name for name in assigned if "broadcast" in names(assigned, name)] == [there[0].lower()]


classes: list[HostClass] = ["Server", "Roamer", "Consumer", "Seedbox", "Broadcast"]
ways: list[Reachability] = ["HomeLAN", "WireGuard", "PublicIP"]
fleets = st.lists(
    st.builds(
        host,
        st.sampled_from([f"h{number}" for number in range(8)]),
        st.sampled_from(classes),
        always_on=st.booleans(),
        on_home_ip=st.booleans(),
        reachable=st.sampled_from(ways),
        roots=st.sampled_from([(), (MediaRoot(name="main", path="/srv", reserve=Quantity("1k")),)]),
    ),
    max_size=8,
    unique_by=lambda one: one.name,
)
spaces = st.dictionaries(
    st.sampled_from([f"h{number}" for number in range(8)]), st.none() | st.integers(0, 2000), max_size=8
)


@given(fleets, spaces)
def test_every_assignment_obeys_the_rules(hosts: list[Host], free: dict[str, int | None]) -> None:
    assert duty_violations(hosts, free, assign_duties(hosts, free)) == []


@given(fleets, spaces, st.randoms())
def test_the_order_of_the_hosts_decides_nothing(
    hosts: list[Host], free: dict[str, int | None], chance: Any
) -> None:
    mixed = list(hosts)
    chance.shuffle(mixed)
    assert assign_duties(mixed, free) == assign_duties(hosts, free)
    assert list(assign_duties(mixed, free)) == sorted(one.name for one in hosts)


@given(fleets.filter(bool), spaces, st.data())
def test_the_predicates_notice_a_change(hosts: list[Host], free: dict[str, int | None], data: Any) -> None:
    """Giving or taking any one duty of a right assignment breaks a rule, but for ties."""
    assigned = assign_duties(hosts, free)
    name = data.draw(st.sampled_from(sorted(assigned)))
    duty = data.draw(st.sampled_from(["custodyFloor", "publicSwarmFace", "f2fRelay", "broadcast"]))
    without = tuple(one for one in assigned[name] if one.name != duty)
    changed = without if without != assigned[name] else (*without, Duty(duty, "by hand"))
    assert duty_violations(hosts, free, {**assigned, name: changed})
