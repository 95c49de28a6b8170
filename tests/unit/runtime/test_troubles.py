"""What keeps a settled fleet from being as declared, and what does not."""

import pytest

from telarchy.core.plan import Plan
from telarchy.core.world import World
from telarchy.resources.meta import Ref
from telarchy.runtime.troubles import in_the_way, troubles_of
from tests.world import host


@pytest.fixture
def found():
    """The troubles of one host with this Ready condition."""

    def of(status, reason, **spec):
        one = host("black", **spec)
        ready = {"type": "Ready", "status": status, "reason": reason, "message": "it says why"}
        plan = Plan(statuses={one.ref: {"conditions": [ready]}})
        found = troubles_of(plan, World.from_resources([one]))
        return [(trouble.ref, trouble.message) for trouble in found] == [(one.ref, "it says why")]

    return of


@pytest.mark.parametrize(
    ("status", "reason", "always_on", "in_trouble"),
    [
        ("True", "Reachable", True, False),
        ("Unknown", "Probing", True, False),
        ("False", "Maintenance", True, False),
        ("False", "Suspended", True, False),
        ("False", "TimedOut", True, True),
        ("False", "TimedOut", False, False),
        ("Unknown", "NoRoute", False, False),
        ("False", "ConnectionRefused", False, False),
        ("False", "Down", False, False),
        ("False", "HostKeyChanged", False, True),
        ("False", "AuthenticationFailed", False, True),
        ("False", "VolumeTrouble", False, True),
    ],
)
def test_who_is_in_trouble(found, status, reason, always_on, in_trouble):
    assert found(status, reason, always_on=always_on) is in_trouble


@pytest.mark.parametrize(
    ("reason", "states", "held_up"),
    [
        ("TimedOut", (), False),  # machines come and go
        ("Down", ("Unknown",), False),
        ("VolumeTrouble", ("Missing",), False),
        ("VolumeTrouble", ("Mounted", "Missing"), False),
        ("VolumeTrouble", ("ReadOnly",), True),
        ("VolumeTrouble", ("Missing", "WrongId"), True),
        ("HostKeyChanged", (), True),
        ("AuthenticationFailed", (), True),
        ("Maintenance", (), False),
    ],
)
def test_what_holds_up_the_end_of_a_run(reason, states, held_up):
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": "it says why"}
    status = {"conditions": [ready], "volumes": [{"state": state} for state in states]}
    assert in_the_way(Plan(statuses={Ref("Host", "default", "black"): status})) is held_up
    assert not in_the_way(Plan(statuses={Ref("MediaEndpoint", "default", "black"): status}))
