"""The Fleet says which revision of the declaration it keeps, and why a newer one is not followed."""

from dataclasses import replace

from tests.world import fleet, host

from telarchy.core.observation import Observation
from telarchy.hosts.plan import plan_hosts
from telarchy.runtime.kubernetes.objects import compose
from telarchy.runtime.revision import Revision

HOUSE = (fleet(), host("attic"))


def told(revision: Revision) -> tuple[dict[str, str] | None, str]:
    """The Fleet's source, and the message of its Ready."""
    status = plan_hosts(revision.world("default"), Observation(), 0.0).statuses[HOUSE[0].ref]
    return status.get("source"), status["conditions"][0]["message"]


def test_a_revision_that_is_followed() -> None:
    source, ready = told(Revision(HOUSE, revision="4f2a", message="2 resources"))
    assert source == {"revision": "4f2a", "message": "2 resources"}
    assert "resources" not in ready


def test_one_that_is_not_followed_is_told_where_people_look() -> None:
    why = "revision 9b01 is not followed: home/floor.yaml:6:3: spec.copeis: unknown field"
    source, ready = told(Revision(HOUSE, revision="4f2a", message=why, healthy=False))
    assert source == {"revision": "4f2a", "message": why}
    assert ready.endswith(f"; {why}")


def test_on_a_cluster_there_is_none() -> None:
    """Its objects are the source; a status that names their state would be written at every edit."""
    assert told(replace(compose((), complete=True), resources=HOUSE))[0] is None
