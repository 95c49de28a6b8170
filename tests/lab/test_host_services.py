"""Services on real hosts: enabled units that outlive kills, power cuts and the controller, and leave nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.lab import Lab
from tests.lab.test_links import MEDIA, manifest, pooled

from telarchy.core.service import Service, ServiceSeen, ServiceState
from telarchy.errors import ActionFailed
from telarchy.links import services
from telarchy.links.link import Link

UGLY = f"{MEDIA}/it's 100% of $HOME \u00e4/telarchy-home-origin"
HOME = "~/.local/state/telarchy/streaming/home-origin"
BEAT = Service(
    name="ladder-garden",
    argv=("/bin/sh", "-c", "echo up; cat {files}/a; nice; exec sleep 1000"),
    files={"a": b"1\n"},
    nice=True,
)


async def seen(link: Link, base: str, right: Callable[[ServiceSeen], bool]) -> ServiceSeen:
    start = time.monotonic()
    while not right(found := (await services.status(link, base))[0]):
        assert time.monotonic() - start < 30, found
        await asyncio.sleep(0.05)
    return found


def running(starts: int) -> Callable[[ServiceSeen], bool]:
    return lambda one: one.state is ServiceState.RUNNING and one.starts == starts


async def note(link: Link, base: str, name: str) -> str:
    folder = base.replace("~", (await link.run(["sh", "-c", 'printf %s "$HOME"'])).stdout.decode())
    return (
        (await link.run(["head", "-n", "1", f"{folder}/services/ladder-garden/{name}"]))
        .stdout.decode()
        .strip()
    )


async def sleepers(link: Link) -> int:
    return len((await link.run(["pgrep", "-fx", "sleep 1000"])).stdout.split())


@pytest.mark.parametrize(("user", "base"), [("media", UGLY), ("media", HOME), ("root", UGLY)])
async def test_a_service_is_a_unit_that_comes_back(
    lab: Lab, fleet: MakeFleet, tmp_path: Path, user: str, base: str
) -> None:
    (nas,) = fleet("nas")
    nas.wait_user_manager()
    unit = f"{services.service_id(base, 'ladder-garden')}.service"
    scope = "--system" if user == "root" else "--user"
    bus = 'XDG_RUNTIME_DIR=/run/user/$(id -u) exec systemctl "$@"'
    left = "/etc/systemd/system /home/media/.config"
    nas.run(f"chown media {MEDIA}; install -d -o media /home/media/.config")

    async def ask(link: Link, *verb: str) -> str:
        answer = await link.run(["sh", "-c", bus, "sh", scope, *verb, unit])
        return answer.stdout.decode().strip()

    async with pooled(tmp_path, lab, manifest(nas, user)) as pool:
        link = await pool.link("nas")
        begun = time.monotonic()
        assert await services.put(link, base, BEAT, {}) == "started"
        put_seconds = time.monotonic() - begun
        assert await services.put(link, base, BEAT, {}) == "unchanged"
        await seen(link, base, running(1))
        assert (await ask(link, "is-enabled"), await ask(link, "is-active")) == ("enabled", "active")
        first = await note(link, base, "pid")
        assert unit in (await link.run(["cat", f"/proc/{first}/cgroup"])).stdout.decode()
        assert await note(link, base, "unit") == f"{scope[2:]} {unit}"

        begun = time.monotonic()
        await link.run(["kill", "-9", first])
        found = await seen(link, base, running(2))
        child_seconds = time.monotonic() - begun
        assert (found.code, found.complaint) == (137, "5")  # as nice as was asked for

        begun = time.monotonic()
        await link.run(["kill", "-9", await note(link, base, "supervisor")])
        await seen(link, base, running(3))
        supervisor_seconds = time.monotonic() - begun
        assert await sleepers(link) == 1

        changed = replace(BEAT, argv=("/bin/sh", "-c", "exec sleep 1000"), stop_seconds=2)
        assert await services.put(link, base, changed, {}) == "restarted"
        await seen(link, base, running(4))
        assert await sleepers(link) == 1

        nas.power_cut()  # nothing was synced but what `put` synced
        nas.start()
        nas.wait_ssh()
        begun = time.monotonic()
        await pool.close()
    async with pooled(tmp_path, lab, manifest(nas, user)) as pool:
        link = await pool.link("nas")
        found = await seen(link, base, lambda one: one.state is ServiceState.RUNNING)
        boot_seconds = time.monotonic() - begun
        assert (found.digest, found.start_digest) == (changed.digest, changed.start_digest)
        assert await services.put(link, base, changed, {}) == "unchanged"
        assert await ask(link, "is-active") == "active"

        await services.stop(link, base, "ladder-garden")
        assert await sleepers(link) == 0 and await services.status(link, base) == []
        assert await ask(link, "is-active") == "inactive"
        assert nas.text(f"find {left} -name 'telarchy-*'") == ""

        await services.put(link, base, BEAT, {})
        await services.put(link, base, replace(BEAT, name="http"), {})
        begun = time.monotonic()
        await services.retire(link, base)
        retire_seconds = time.monotonic() - begun
        assert await sleepers(link) == 0
        assert nas.text(f"find {left} {MEDIA} /home/media -name 'telarchy-*' -o -name home-origin") == ""
    print(
        f"{user}: put {put_seconds:.2f} s, child {child_seconds:.2f} s, supervisor {supervisor_seconds:.2f} s, "
        f"after ssh answered {boot_seconds:.2f} s, retire {retire_seconds:.2f} s"
    )


async def test_a_disk_that_takes_nothing_does_not_stop_a_service(
    lab: Lab, fleet: MakeFleet, tmp_path: Path
) -> None:
    """Full: kept up, rightly told, left as it was by a put that cannot be. Read-only: kept up."""
    (nas,) = fleet("nas", volumes={MEDIA: 64})
    nas.run(f"chown media {MEDIA}")
    async with pooled(tmp_path, lab, manifest(nas)) as pool:
        link = await pool.link("nas")
        made = replace(BEAT, progress="progress/garden")
        await services.put(link, UGLY, made, {})
        await seen(link, UGLY, running(1))
        nas.fill(MEDIA)
        for start in (1, 2, 3):
            await link.run(["kill", "-9", await note(link, UGLY, "pid")])
            found = await seen(link, UGLY, running(start + 1))
            assert found.code == 137 and found.since > time.time() - 60
        assert await services.kick(link, UGLY, BEAT.name, 4)
        await seen(link, UGLY, running(5))
        changed = replace(made, files={"a": b"2\n" * 100_000})
        with pytest.raises(ActionFailed) as failed:
            await services.put(link, UGLY, changed, {})
        assert failed.value.reason == "CannotPut" and "No space left" in str(failed.value)
        found = await seen(link, UGLY, running(5))
        assert found.digest == made.digest and await sleepers(link) == 1
        nas.unfill(MEDIA)
        assert await services.put(link, UGLY, changed, {}) == "restarted"
        await seen(link, UGLY, running(6))

        nas.remount_ro(MEDIA)
        await link.run(["kill", "-9", await note(link, UGLY, "pid")])
        start = time.monotonic()
        while await sleepers(link) == 0:
            assert time.monotonic() - start < 30
            await asyncio.sleep(0.05)
