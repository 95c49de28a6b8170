"""Whose a base is: the host itself refuses everybody but its owner, at the moment of acting; with real processes."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.unit.userland import busybox_flock, without_flock

from telarchy.core.owner import Claim, Holding, Owner, Standing
from telarchy.core.service import Service
from telarchy.errors import ActionFailed
from telarchy.links import services
from telarchy.links.link import Link
from telarchy.links.local import LocalLink
from telarchy.links.ssh import SshLink
from telarchy.streaming.watch import prune_argv

SLEEPS = Service(name="ladder-garden", argv=("/bin/sh", "-c", "exec sleep 1000"))
OTHER = Service(name="http", argv=("/bin/sh", "-c", "exec sleep 1001"))


def of(owner: str, term: int = 0, policy: str = "Release") -> Claim:
    return Claim(Owner(owner, f"{owner} at home", term), "default", "origin", policy)


A, B = of("aaaa"), of("bbbb")


@pytest.fixture(params=["local", "ssh"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    local = request.param == "local"
    made: Link = LocalLink("black") if local else SshLink(request.getfixturevalue("sshd").way())
    yield made
    await made.close()


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[str]:
    where = f"{tmp_path}/it's  $HOME 100%/telarchy-default.origin"
    yield where
    if (Path(where) / services.MARKER).is_file():
        (Path(where) / services.MARKER).write_text("")
        await services.retire(LocalLink("black"), where)


def marker(base: str) -> str:
    return (Path(base) / services.MARKER).read_text()


def pid(base: str, name: str = "ladder-garden") -> int:
    return int((Path(base) / "services" / name / "supervisor").read_text().split()[0])


async def refused(attempt: Awaitable[object]) -> ActionFailed:
    with pytest.raises(ActionFailed) as found:
        await attempt
    return found.value


async def test_the_first_has_it_and_everybody_else_is_refused(link: Link, base: str) -> None:
    assert await services.put(link, base, SLEEPS, {}, by=A) == "started"
    assert f"\nowner aaaa 0 {int(time.time()) // 1000}" in marker(base)
    assert marker(base).endswith(f"aaaa at home\nmade-for default origin Release\nbase {base}\n")
    before, process = marker(base), pid(base)
    spool = Path(base) / "spool/garden/g1-0f3a9c21"
    spool.mkdir(parents=True)
    for who in (B, None):
        for attempt in (
            services.put(link, base, SLEEPS, {}, "restart", by=who),
            services.put(link, base, OTHER, {}, by=who),
            services.put_file(link, base, "keys.json", b"{}", by=who),
            services.kick(link, base, SLEEPS.name, 1, by=who),
            services.stop(link, base, SLEEPS.name, by=who),
            services.retire(link, base, by=who),
        ):
            problem = await refused(attempt)
            assert problem.reason == "ForeignOwner" and "aaaa at home (aaaa)" in str(problem)
            assert problem.transient, "it may be given to us"
        assert (await link.run(prune_argv(base, "garden", ["g1-0f3a9c21"], who))).code == 6
    assert (await refused(services.claim(link, base, B))).reason == "ForeignOwner"
    assert (await refused(services.claim(link, base, B, replaces="cccc"))).reason == "ForeignOwner"
    assert (marker(base), pid(base)) == (before, process)
    assert sorted(one.name for one in Path(base).iterdir()) == [services.MARKER, "services", "spool"]
    assert spool.is_dir()
    assert await services.put(link, base, SLEEPS, {}, by=A) == "unchanged"
    assert (await link.run(prune_argv(base, "garden", ["g1-0f3a9c21"], A))).ok
    await services.stop(link, base, SLEEPS.name, by=A)
    await services.retire(link, base, by=A)
    assert not Path(base).exists()


async def test_of_many_who_come_at_once_one_has_it(base: str) -> None:
    link = LocalLink("black")
    claims = [of(f"{number:04x}") for number in range(6)]
    said = await asyncio.gather(
        *(services.put_file(link, base, "keys.json", one.owner.id.encode(), by=one) for one in claims),
        return_exceptions=True,
    )
    won = [one.owner.id for one, answer in zip(claims, said, strict=True) if answer is None]
    assert len(won) == 1 and f"\nowner {won[0]} " in marker(base)
    assert (Path(base) / "keys.json").read_text() == won[0]
    assert {one.reason for one in said if isinstance(one, ActionFailed)} == {"ForeignOwner"}


async def test_what_was_made_before_folders_had_owners_is_taken_quietly(base: str) -> None:
    link = LocalLink("black")
    await services.put(link, base, SLEEPS, {})  # as nobody
    (Path(base) / services.MARKER).write_text(
        "Made by Telarchy, which removes it with all that lies in it.\n"
    )
    process = pid(base)
    assert await services.put(link, base, SLEEPS, {}, by=A) == "unchanged"
    assert pid(base) == process and "\nowner aaaa 0 " in marker(base)
    assert (await refused(services.stop(link, base, SLEEPS.name, by=B))).reason == "ForeignOwner"


async def test_a_later_tenure_fences_the_one_before(base: str) -> None:
    link = LocalLink("black")
    old, new = of("lease", 3), of("lease", 4)
    await services.put(link, base, SLEEPS, {}, by=old)
    (Path(base) / services.MARKER).write_text(marker(base).replace("lease 3 1", "lease 3 7"))
    assert await services.claim(link, base, new)
    assert "\nowner lease 4 7" in marker(base), "it is still the same owner"
    problem = await refused(services.stop(link, base, SLEEPS.name, by=old))
    assert problem.reason == "Fenced" and "term 4" in str(problem)
    assert (await refused(services.claim(link, base, old))).reason == "Fenced"
    await services.stop(link, base, SLEEPS.name, by=of("lease", 9))
    assert "\nowner lease 9 " in marker(base), "whoever acts is known to be there"
    assert (await refused(services.put_file(link, base, "keys.json", b"", by=new))).reason == "Fenced"


async def test_it_changes_hands_only_from_the_one_who_is_named(base: str) -> None:
    link = LocalLink("black")
    assert not await services.claim(link, base, A) and not Path(base).exists()
    await services.put(link, base, SLEEPS, {}, by=A)
    process = pid(base)
    assert await services.claim(link, base, of("bbbb", policy="Orphan"), replaces="aaaa")
    assert "\nowner bbbb 0 " in marker(base) and "made-for default origin Orphan" in marker(base)
    assert pid(base) == process, "nothing is started anew for it"
    assert (await refused(services.retire(link, base, by=A))).reason == "ForeignOwner"
    assert (await refused(services.claim(link, base, A, replaces="cccc"))).reason == "ForeignOwner"


async def test_nobody_takes_it_while_somebody_acts(base: str) -> None:
    """The owner is looked at and acted upon in one: a put that began as the owner ends before it changes hands."""
    link = LocalLink("black")
    await services.put_file(link, base, "keys.json", b"", by=A)
    flag = Path(base) / "checking"
    slow = Service(
        name="http", argv=("/bin/sleep", "1000"), check=("/bin/sh", "-c", "touch checking; sleep 2")
    )
    putting = asyncio.create_task(services.put(link, base, slow, {}, by=A))
    await _eventually(flag.exists)
    assert await services.claim(link, base, B, replaces="aaaa")
    assert putting.done() or (Path(base) / "services/http/applied").exists()
    assert await putting == "started"
    problem = await refused(services.put(link, base, SLEEPS, {}, by=A))
    assert problem.reason == "ForeignOwner"


async def test_what_runs_keeps_no_lock(base: str) -> None:
    """Else nobody could ever take over what a detached supervisor was started in."""
    link = LocalLink("black")
    await services.put(link, base, SLEEPS, {}, by=A)
    start = time.monotonic()
    assert await services.claim(link, base, B, replaces="aaaa")
    assert time.monotonic() - start < 15


async def test_where_flock_waits_for_no_time_it_is_waited_for(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every change on such a host was refused: "another process does not let go"."""
    busybox_flock(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    link = LocalLink("black")
    slow = Service(
        name="http", argv=("/bin/sleep", "1000"), check=("/bin/sh", "-c", "touch checking; sleep 2")
    )
    putting = asyncio.create_task(services.put(link, base, slow, {}, by=A))
    await _eventually((Path(base) / "checking").exists)
    await services.put_file(link, base, "keys.json", b"", by=A)
    assert not putting.done()
    assert await services.claim(link, base, B, replaces="aaaa")
    assert putting.done() or (Path(base) / "services/http/applied").exists()
    assert await putting == "started"
    await services.stop(link, base, "http", by=B)
    await services.retire(link, base, by=B)
    assert not Path(base).exists()


async def test_without_flock_it_is_the_same(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS."""
    without_flock(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shutil.which("flock") is None
    link = LocalLink("black")
    await asyncio.gather(
        services.put(link, base, SLEEPS, {}, by=A), services.put_file(link, base, "keys.json", b"", by=A)
    )
    assert (await refused(services.stop(link, base, SLEEPS.name, by=B))).reason == "ForeignOwner"
    assert sorted(one.name for one in Path(base).iterdir()) == [services.MARKER, "keys.json", "services"]
    assert await services.claim(link, base, B, replaces="aaaa")
    await services.stop(link, base, SLEEPS.name, by=B)
    await services.retire(link, base, by=B)
    assert not Path(base).exists()


def test_how_a_controller_stands_to_a_folder() -> None:
    held = Holding("lease", "pod-1", 4)
    assert held.standing(Owner("lease", term=4)) is Standing.OURS
    assert held.standing(Owner("lease", term=5)) is Standing.OUTDATED
    assert held.standing(Owner("lease", term=3)) is Standing.FENCED
    assert held.standing(Owner("other", term=9)) is Standing.FOREIGN
    assert Holding().standing(Owner("lease")) is Standing.UNCLAIMED
    for bad in ("", "a b", "a\nb"):
        with pytest.raises(ValueError):
            Owner(bad)
    assert Owner("a", "x\ny").name == "x?y"


async def _eventually(right: Callable[[], bool]) -> None:
    start = time.monotonic()
    while not right():
        assert time.monotonic() - start < 30
        await asyncio.sleep(0.02)
