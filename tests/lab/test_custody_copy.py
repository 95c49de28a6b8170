"""Custody on real hosts: bytes that travel by ssh, and what happens when plugs are pulled on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.unit.custody.fleet import API, MemoryInRam

from telarchy.core.action import Action
from telarchy.core.clock import SteadyClock
from telarchy.core.observation import Progress
from telarchy.core.world import World
from telarchy.custody.actions import AdoptVolume, Copy, Quarantine, Verify
from telarchy.custody.capability import Custody
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.evidence import VolumeSeen
from telarchy.custody.lease import Controller
from telarchy.custody.manifest import Manifest, fingerprint
from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.links.pool import LinkPool
from telarchy.links.routes import Routes
from telarchy.links.secrets import FileSecrets
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host

MEDIA = "/srv/media"
TITLE = "tv/Show: The 'Best' \n/S1"
REPOSITORY = Path(__file__).parents[2]


class SshFleet:
    """Lab hosts with one root each, and a controller on this machine that reaches them by ssh."""

    def __init__(
        self, folder: Path, key: Path, hosts: Mapping[str, dict[str, Any] | str], number: int = 1
    ) -> None:
        """hosts: name -> the `ssh` part of its connection, without the identity; or the path of a local root."""
        self.folder = folder
        (folder / "secrets/lab").mkdir(parents=True, exist_ok=True)
        (folder / "secrets/lab/key").write_bytes(key.read_bytes())
        self.key, self.hosts = key, dict(hosts)
        self.spec: dict[str, Any] = {}
        self.memory = MemoryInRam()
        self.catalogue = Catalogue()
        self.progress: list[Progress] = []
        self.pool = LinkPool(FileSecrets(folder / "secrets", {}))
        self.custody = Custody(
            self.pool,
            Routes(self.pool, fleet="lab", folder=folder / "routes"),
            self.catalogue,
            self.memory,
            SteadyClock(),
            Controller(f"controller{number}", f"desk {number}"),
            lambda: None,
        )
        self.configure()

    def configure(self) -> None:
        world = self.world()
        self.pool.configure(world.of(Host))
        self.custody.configure(world)

    def world(self) -> World:
        identity = {"secretRef": {"name": "lab", "key": "key"}}
        hosts = [
            Host.model_validate(
                {
                    "apiVersion": API,
                    "kind": "Host",
                    "metadata": {"name": name},
                    "spec": {
                        "class": "Server",
                        "connection": {"local": {}}
                        if isinstance(way, str)
                        else {"ssh": {**way, "identity": identity}},
                        "mediaRoots": [{"name": "main", "path": self.root(name), "reserve": "1M"}],
                    },
                }
            )
            for name, way in self.hosts.items()
        ]
        fleet = {"apiVersion": API, "kind": "Fleet", "metadata": {"name": "lab"}, "spec": self.spec}
        floor = {
            "apiVersion": API,
            "kind": "CustodyFloor",
            "metadata": {"name": "all"},
            "spec": {"select": {"paths": ["tv/*/*", "films/*"]}, "alwaysOn": 0},
        }
        return World.from_resources([Fleet.model_validate(fleet), CustodyFloor.model_validate(floor), *hosts])

    def root(self, name: str) -> str:
        way = self.hosts[name]
        return way if isinstance(way, str) else MEDIA

    async def look(self) -> dict[str, VolumeSeen]:
        """Volumes by host."""
        await self.custody.observe()
        return {seen.host: seen for seen in self.custody.section().volumes.values()}

    async def adopt_all(self) -> None:
        for seen in (await self.look()).values():
            if seen.state == "New":
                await self.act(AdoptVolume(host=seen.host, root="main", volume=seen.key, path=seen.path))
        await self.look()

    async def act(self, action: Action) -> None:
        self.custody.section()
        await self.custody.act(action, self.progress.append)

    def volume(self, host: str) -> str:
        return next(seen.key for seen in self.custody.section().volumes.values() if seen.host == host)

    def manifest(self, host: str, title: str = TITLE) -> Manifest:
        return self.catalogue.manifest(self.volume(host), title)

    def copy(self, source: str, target: str, title: str = TITLE) -> Copy:
        manifest = self.manifest(source, title)
        return Copy(
            host=target,
            root="main",
            volume=self.volume(target),
            bytes=sum(one.size for one in manifest),
            title=title,
            source_host=source,
            source_root="main",
            source_volume=self.volume(source),
            fingerprint=fingerprint(manifest),
            files=len(manifest),
        )

    def slow(self, rate: int) -> None:
        self.spec = {"transfers": {"bandwidth": str(rate), "maxParallel": 1}}
        self.configure()

    async def close(self) -> None:
        await self.custody.close()
        await self.pool.close()


def reach(host: LabHost) -> dict[str, Any]:
    end = host.ssh_endpoint("media")
    return {"endpoints": [f"media@{end.host}:{end.port}"], "hostKey": end.host_key}


@asynccontextmanager
async def custody_of(folder: Path, lab: Lab, *hosts: LabHost) -> AsyncIterator[SshFleet]:
    for host in hosts:
        await asyncio.to_thread(host.wait_user_manager)
    fleet = SshFleet(folder, lab.client_key, {host.name: reach(host) for host in hosts})
    try:
        await fleet.adopt_all()
        yield fleet
    finally:
        await fleet.close()


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.1)


def staged(host: LabHost) -> int:
    """Bytes in the staging folder of a host."""
    text = host.text(
        f"find {MEDIA}/.telarchy/staging -type f -printf '%s\\n' 2>/dev/null | awk '{{n+=$1}} END {{print n+0}}'"
    )
    return int(text)


def contents(host: LabHost, title: str = TITLE) -> dict[str, str]:
    """sha256 of each file of a title, by path."""
    done = host.run(["find", f"{MEDIA}/{title}", "-type", "f", "-exec", "sha256sum", "-z", "{}", "+"])
    rows = [row.decode() for row in done.stdout.split(b"\0") if row]
    return {row[66:].removeprefix(f"{MEDIA}/{title}"): row[:64] for row in rows}


def fill_title(host: LabHost, sizes: Mapping[str, int]) -> dict[str, str]:
    for name, size in sizes.items():
        host.write(f"{MEDIA}/{TITLE}/{name}", os.urandom(size))
    return contents(host)


async def test_a_title_goes_from_host_to_host(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    wanted = fill_title(nas, {"e1.mkv": 3_000_000, "sub/e2 \n'x'.mkv": 10, "empty": 0})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        await custody.act(custody.copy("nas", "vps"))
        assert contents(vps) == wanted
        assert {f"/{one.path}": one.sha256 for one in custody.manifest("vps")} == wanted
        seen = await custody.look()
        assert seen["vps"].jobs == () and staged(vps) == 0
        began = time.monotonic()
        await custody.act(Verify(host="vps", root="main", volume=custody.volume("vps"), title=TITLE))
        assert time.monotonic() - began < 10


async def test_a_local_folder_gives_and_takes(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    (vps,) = fleet("vps")
    desk = tmp_path / "desk"
    files = {"e1.mkv": os.urandom(40_000_000), "sub/e2 \n'x'": b"small", "empty": b""}
    for name, data in files.items():
        path = desk / TITLE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    await asyncio.to_thread(vps.wait_user_manager)
    custody = SshFleet(tmp_path, lab.client_key, {"desk": str(desk), "vps": reach(vps)})
    try:
        await custody.adopt_all()
        await custody.act(custody.copy("desk", "vps"))
        wanted = {f"/{name}": hashlib.sha256(data).hexdigest() for name, data in files.items()}
        assert contents(vps) == wanted
        assert {f"/{one.path}": one.sha256 for one in custody.manifest("vps")} == wanted
        assert list((desk / ".telarchy/jobs").iterdir()) == [] and staged(vps) == 0
        title = "tv/back/S1"
        vps.run(["mkdir", "-p", f"{MEDIA}/tv/back"])
        vps.run(["mv", f"{MEDIA}/{TITLE}", f"{MEDIA}/{title}"])
        await custody.look()
        await custody.act(custody.copy("vps", "desk", title))
        assert {name: (desk / title / name).read_bytes() for name in files} == files
    finally:
        await custody.close()


async def test_a_rotten_byte_is_found_set_aside_and_healed(
    lab: Lab, fleet: MakeFleet, tmp_path: Path
) -> None:
    nas, vps = fleet("nas", "vps")
    wanted = fill_title(nas, {"e1.mkv": 3_000_000, "e2.mkv": 100_000})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        await custody.act(custody.copy("nas", "vps"))
        verify = Verify(host="vps", root="main", volume=custody.volume("vps"), title=TITLE)
        await custody.act(verify)
        assert all(one.blake3 and not one.damaged for one in custody.manifest("vps"))
        await asyncio.to_thread(vps.rot, f"{MEDIA}/{TITLE}/e1.mkv", 1_234_567)
        await custody.act(verify)  # by b3sum, and where that differs by SHA-256
        e1, e2 = custody.manifest("vps")
        assert e1.damaged and not e2.damaged
        vps.uninstall("b3sum")
        await custody.act(verify)
        assert [one.damaged for one in custody.manifest("vps")] == [True, False]
        await custody.act(
            Quarantine(
                host="vps",
                root="main",
                volume=custody.volume("vps"),
                title=TITLE,
                paths=("e1.mkv",),
                keepers=(custody.volume("nas"),),
            )
        )
        assert contents(vps) == {"/e2.mkv": wanted["/e2.mkv"]}
        await custody.look()
        await custody.act(custody.copy("nas", "vps"))
        assert contents(vps) == wanted


@pytest.mark.parametrize("victim", ["nas", "vps"])
async def test_a_power_cut_on_the_way(lab: Lab, fleet: MakeFleet, tmp_path: Path, victim: str) -> None:
    nas, vps = fleet("nas", "vps")
    cut = {"nas": nas, "vps": vps}[victim]
    wanted = fill_title(nas, {"e1.mkv": 6_000_000, "e2.mkv": 6_000_000})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        custody.slow(2_000_000)
        action = custody.copy("nas", "vps")
        task = asyncio.create_task(custody.act(action))
        await until(lambda: staged(vps) > 3_000_000)
        await asyncio.to_thread(cut.power_cut)
        # Back soon, so that the other end is told by the first packet and not by a timeout.
        await asyncio.to_thread(lab.start, [cut])
        await asyncio.to_thread(cut.wait_user_manager)
        with pytest.raises((ActionFailed, HostUnreachable)):
            await asyncio.wait_for(task, 90)
        assert not vps.exists(f"{MEDIA}/{TITLE}")
        custody.slow(100_000_000)
        await _again(custody, action)
        assert contents(vps) == wanted and staged(vps) == 0


async def _again(custody: SshFleet, action: Action, tries: int = 20) -> None:
    """What the loop does: try again after a while."""
    for left in reversed(range(tries)):
        try:
            await custody.look()
            return await custody.act(action)
        except (ActionFailed, HostUnreachable):
            if not left:
                raise
            await asyncio.sleep(2)


async def test_a_cut_cable_between_the_hosts(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    wanted = fill_title(nas, {"e1.mkv": 6_000_000})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        lab.cut(nas, vps)
        began = time.monotonic()
        await custody.act(custody.copy("nas", "vps"))
        assert contents(vps) == wanted
        assert time.monotonic() - began < 60, "the controller relays"


# As soon as something has arrived: the line of two rsyncs.
CUT_TWO = f"""
tries=0
until [ "$(find {MEDIA}/.telarchy/staging -type f -name 'f*' | head -n 200 | wc -l)" -eq 200 ]; do
    tries=$((tries + 1)); [ "$tries" -lt 2000 ] || exit 1
    sleep 0.01
done 2>/dev/null
pgrep -f '^rsync .*--files-from=[^ ]*/more ' >/dev/null && pkill -x ssh
"""


async def test_many_small_files_whose_line_breaks(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    folder = f"{MEDIA}/{TITLE}"
    text = """mkdir -p "$1" && cd "$1" && head -c 120000000 /dev/urandom | split -b 20000 -a 4 -d - f &&
        touch -d 2024-01-01 f* && chown -R media: /srv/media/tv"""
    await asyncio.to_thread(nas.run, ["sh", "-c", text, "sh", folder])
    wanted = contents(nas)
    assert len(wanted) == 6000
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        action = custody.copy("nas", "vps")
        cutting = asyncio.create_task(asyncio.to_thread(vps.run, CUT_TWO))
        with pytest.raises(ActionFailed) as caught:
            await custody.act(action)
        await cutting
        assert caught.value.transient and not vps.exists(folder)
        arrived = staged(vps)
        await _again(custody, action)
        assert arrived > 0 and contents(vps) == wanted and staged(vps) == 0


CONTROLLER = """
import asyncio, json, pathlib, sys
from tests.lab.test_custody_copy import SshFleet, TITLE

async def main():
    folder, key, hosts, rate = sys.argv[1:]
    fleet = SshFleet(pathlib.Path(folder), pathlib.Path(key), json.loads(hosts))
    await fleet.look()
    fleet.slow(int(rate))
    await fleet.act(fleet.copy("nas", "vps"))

asyncio.run(main())
"""


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0, 3.5])
async def test_a_controller_killed_at_any_moment(
    lab: Lab, fleet: MakeFleet, tmp_path: Path, seconds: float
) -> None:
    nas, vps = fleet("nas", "vps")
    wanted = fill_title(nas, {"e1.mkv": 3_000_000, "e2.mkv": 3_000_000})
    async with custody_of(tmp_path, lab, nas, vps):
        path = ":".join([str(REPOSITORY / "controller"), str(REPOSITORY)])
        hosts = json.dumps({host.name: reach(host) for host in (nas, vps)})
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                CONTROLLER,
                str(tmp_path / "first"),
                str(lab.client_key),
                hosts,
                "4000000",
            ],
            env={**os.environ, "PYTHONPATH": path},
            cwd=REPOSITORY,
        )
        await until(
            lambda: vps.exists(f"{MEDIA}/.telarchy/jobs") and bool(vps.text(f"ls {MEDIA}/.telarchy/jobs"))
        )
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # begun after the other's end, as a restart is: one that held an epoch before takes a later one for a copy of itself
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        action = custody.copy("nas", "vps")
        inodes = _inodes(vps)
        await _again(custody, action)
        assert contents(vps) == wanted and staged(vps) == 0
        after = _inodes(vps)
        assert inodes <= after, "what had arrived was not moved again"


def _inodes(host: LabHost) -> set[str]:
    """Inodes of finished files of the title, staged or in place."""
    found = host.text(f"find {MEDIA} -name 'e?.mkv' -size 3000000c -printf '%i\\n'")
    return set(found.split())


async def test_a_full_disk(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps", volumes={MEDIA: 64})
    wanted = fill_title(nas, {"e1.mkv": 12_000_000})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        custody.slow(4_000_000)
        action = custody.copy("nas", "vps")
        task = asyncio.create_task(custody.act(action))
        await until(lambda: staged(vps) > 1_000_000)
        await asyncio.to_thread(vps.fill, MEDIA, 0)
        with pytest.raises(ActionFailed) as caught:
            await task
        assert caught.value.reason == "NoSpace", caught.value
        assert not vps.exists(f"{MEDIA}/{TITLE}")
        with pytest.raises(ActionFailed) as caught:
            await custody.act(action)
        assert caught.value.reason == "NoSpace", caught.value
        await asyncio.to_thread(vps.unfill, MEDIA)
        custody.slow(100_000_000)
        await _again(custody, action)
        assert contents(vps) == wanted


async def test_an_unmounted_disk_is_not_an_empty_one(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    fill_title(nas, {"e1.mkv": 1000})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        volume, files = custody.volume("nas"), custody.manifest("nas")
        action = custody.copy("nas", "vps")
        await asyncio.to_thread(nas.unmount, MEDIA)
        with pytest.raises(ActionFailed) as caught:
            await custody.act(action)
        assert caught.value.reason == "VolumeGone"
        seen = (await custody.look())["nas"]
        assert (seen.state, seen.id) == ("Missing", volume)
        assert custody.manifest("nas") == files
        assert nas.text(f"ls -A {MEDIA}") == ""
        await asyncio.to_thread(nas.mount, MEDIA)
        assert (await custody.look())["nas"].state == "Mounted"
        await custody.act(action)


async def test_a_disk_that_turned_read_only(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    fill_title(nas, {"e1.mkv": 1000})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        await asyncio.to_thread(vps.remount_ro, MEDIA)
        with pytest.raises(ActionFailed) as caught:
            await custody.act(custody.copy("nas", "vps"))
        assert caught.value.reason in ("ReadOnly", "JobNotStarted"), caught.value
        assert (await custody.look())["vps"].state == "ReadOnly"
        await asyncio.to_thread(nas.remount_ro, MEDIA)
        assert (await custody.look())["nas"].state == "ReadOnly"
        await asyncio.to_thread(vps.remount_rw, MEDIA)
        await custody.look()
        await custody.act(custody.copy("nas", "vps"))  # a read-only holder can still give


async def test_a_missing_rsync_says_what_to_install(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    fill_title(nas, {"e1.mkv": 1000})
    async with custody_of(tmp_path, lab, nas, vps) as custody:
        await asyncio.to_thread(vps.uninstall, "rsync")
        try:
            with pytest.raises(ActionFailed) as caught:
                await custody.act(custody.copy("nas", "vps"))
            assert caught.value.reason == "RsyncMissing" and "apt install rsync" in str(caught.value)
        finally:
            await asyncio.to_thread(vps.restore, "rsync")
        await custody.act(custody.copy("nas", "vps"))


async def test_without_openssl_digests_are_the_same(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    wanted = fill_title(nas, {"e1.mkv": 40_000_000, "e2.mkv": 1000})
    for tool in ("openssl", "flock"):
        if vps.run(["which", tool], check=False).returncode == 0:
            vps.uninstall(tool)
    try:
        async with custody_of(tmp_path, lab, nas, vps) as custody:
            await custody.act(custody.copy("nas", "vps"))
            assert {f"/{one.path}": one.sha256 for one in custody.manifest("vps")} == wanted
            assert hashlib.sha256(vps.read(f"{MEDIA}/{TITLE}/e2.mkv")).hexdigest() == wanted["/e2.mkv"]
    finally:
        vps.restore()
