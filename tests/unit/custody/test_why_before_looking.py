"""What is told of a title before anybody has looked where it may lie: not that it is gone."""

from telarchy.custody.explain import why
from tests.world import GIB, NOW, Seen, files, fleet, floor, host, seen


def known() -> Seen:
    """A title that was seen once, on a host that is up."""
    of = seen(fleet(), host("attic"), host("cellar"), floor())
    of.put("attic", "films/Alien", files(GIB))
    return of


def told(of: Seen) -> list[str]:
    return why("title", "films/Alien", of.world, of.observation(), NOW)


def test_what_nobody_has_looked_for_is_unknown_and_not_gone() -> None:
    of = known()
    of.volumes.clear()  # a controller has just begun, or was killed before it kept what it saw
    assert told(of) == [
        "films/Alien: no copy is known",
        "custodyfloor/all asks for 2 copies, 1 always on: unknown",
        "  Observing: waiting for a first look at attic/main, cellar/main",
    ]


def test_what_was_looked_for_in_vain_is_gone() -> None:
    of = known()
    of.catalogue.drop_volume("attic-main-id")
    lines = told(of)
    assert lines[1].endswith(": unrecoverable") and "NoCopy" in lines[2]
