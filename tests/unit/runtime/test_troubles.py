"""What keeps a settled fleet from being as declared, and what does not."""

import pytest

from telarchy.core.plan import Plan
from telarchy.core.world import World
from telarchy.runtime.troubles import Trouble, troubles_of
from tests.world import host


@pytest.fixture
def found():
    """The troubles of one host with this Ready condition."""

    def of(status, reason, **spec):
        one = host("black", **spec)
        ready = {"type": "Ready", "status": status, "reason": reason, "message": "it says why"}
        plan = Plan(statuses={one.ref: {"conditions": [ready]}})
        return troubles_of(plan, World.from_resources([one])) == [Trouble(one.ref, "it says why")]

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
