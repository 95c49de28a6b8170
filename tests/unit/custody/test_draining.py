"""Whether a host that is being drained can go, as its status, its events and `why` tell it."""

from __future__ import annotations

import pytest

from telarchy.core.report import finish
from telarchy.custody.evidence import VolumeState
from telarchy.custody.explain import why
from telarchy.custody.plan import plan_custody
from telarchy.resources.meta import Ref
from tests.world import GIB, NOW, Seen, files, fleet, floor, host, seen

FILM = "films/Alien"
READ = files(GIB, read_at=NOW - 100)


def house(**floor_spec: object) -> Seen:
    of = seen(fleet(), host("attic", drain=True), host("b"), host("c"), floor(**floor_spec))
    of.put("attic", FILM, READ)
    return of


def conditions(of: Seen, name: str = "attic") -> dict[str, tuple[str, str, str]]:
    made = plan_custody(of.world, of.observation(), NOW)
    found = made.statuses[Ref("Host", "default", name)]["conditions"]
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def test_while_copies_are_made_elsewhere_it_says_how_many_are_not() -> None:
    of = house()
    of.put("attic", "films/Brazil", READ)
    for name in ("b", "c"):
        of.put(name, "films/Brazil", READ)
    status, reason, message = conditions(of)["Drained"]
    assert (status, reason) == ("False", "Draining")
    assert message.startswith("of its 2 titles 1 are not yet elsewhere") and FILM in message
    assert "Ready" not in conditions(of)  # that is told elsewhere


def test_once_the_others_have_it_all_it_can_go_and_says_what_is_left() -> None:
    of = house()
    for name in ("b", "c"):
        of.put(name, FILM, READ)
    status, reason, message = conditions(of)["Drained"]
    assert (status, reason) == ("True", "Drained")
    assert "no floor needs it" in message and "no floor selects" in message
    assert conditions(of)["Ready"] == (status, reason, message)
    assert f"  {message}" in why("host", "attic", of.world, of.observation(), NOW)
    assert "Drained" not in conditions(of, "b")


def test_a_host_with_nothing_on_it_can_go() -> None:
    of = house()
    of.drop("attic", FILM)
    assert conditions(of)["Drained"][:2] == ("True", "Drained")


@pytest.mark.parametrize("mode", ["Observe", "Enforce"])
def test_floors_that_only_look_are_asked_too(mode: str) -> None:
    of = house(mode=mode)
    of.put("b", FILM, READ)
    assert conditions(of)["Drained"][0] == "False"


def test_a_title_that_two_floors_select_is_asked_of_both() -> None:
    of = seen(fleet(), host("attic", drain=True), host("b"), floor("one", copies=1, alwaysOn=0), floor("two"))
    for name in ("attic", "b"):
        of.put(name, FILM, READ)
    assert conditions(of)["Drained"][0] == "False"


def test_copies_that_nobody_ever_read_are_not_believed_to_be_copies() -> None:
    of = house()
    for name in ("b", "c"):
        of.put(name, FILM, files(GIB))
    status, reason, message = conditions(of)["Drained"]
    assert (status, reason) == ("Unknown", "Unread") and FILM in message and "verify" in message
    of.put("c", FILM, READ)
    assert conditions(of)["Drained"][0] == "True"
    of.miss("c", 60.0)  # its copy counts, and nobody sees it now
    assert conditions(of)["Drained"][:2] == ("Unknown", "Unread")


def test_of_what_cannot_be_looked_at_nothing_is_said() -> None:
    of = house()
    for name in ("b", "c"):
        of.put(name, FILM, READ)
    of.set_volume("attic", state=VolumeState.MISSING)
    status, reason, message = conditions(of)["Drained"]
    assert (status, reason) == ("Unknown", "NotSeen") and "/attic" in message
    of.set_volume("attic", state=VolumeState.MOUNTED)
    of.miss("attic", 60.0)
    assert conditions(of)["Drained"][:2] == ("Unknown", "NotSeen")


def test_a_root_that_was_never_looked_at_is_not_empty() -> None:
    of = house()
    of.volumes.pop(of.key("attic"))
    assert conditions(of)["Drained"][:2] in (("Unknown", "NotSeen"), ("Unknown", "Observing"))


def test_that_it_can_go_is_an_event() -> None:
    of = house()

    class Record:
        def __init__(self) -> None:
            self.held: dict[Ref, object] = {}

        def status(self, ref: Ref):
            return self.held.get(ref)

    record = Record()

    def told() -> list[str]:
        statuses, events = finish(plan_custody(of.world, of.observation(), NOW), of.world, record, NOW)
        record.held.update(statuses)
        return [f"{one.type} {one.reason}" for one in events if one.ref.name == "attic"]

    assert told() == ["Normal Draining"]
    assert told() == []
    for name in ("b", "c"):
        of.put(name, FILM, READ)
    assert "Normal Drained" in told()
