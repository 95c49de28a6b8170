"""Links on real hosts: jobs as systemd units, plugs pulled under them, and the ways a copy takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab

from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.links import jobs
from telarchy.links.jobs import JobSpec, JobState
from telarchy.links.pool import LinkPool
from telarchy.links.routes import Route, Routes
from telarchy.links.rsync import RsyncTool
from telarchy.links.secrets import FileSecrets
from telarchy.resources.host import Host

MEDIA = "/srv/media"
TOOL = RsyncTool("rsync", (3, 5, 0))


def manifest(host: LabHost, user: str = "media", **ssh: Any) -> Host:
    end = host.ssh_endpoint(user)
    identity = {"secretRef": {"name": "lab", "key": "key"}}
    way = {"endpoints": [f"{user}@{end.host}:{end.port}"], "hostKey": end.host_key, "identity": identity}
    return host_model(host.name, {"ssh": way | ssh})


def host_model(name: str, connection: dict[str, Any]) -> Host:
    return Host.model_validate(
        {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": "Host",
            "metadata": {"name": name},
            "spec": {"class": "Server", "connection": connection},
        }
    )


@asynccontextmanager
async def pooled(tmp_path: Path, lab: Lab, *hosts: Host) -> AsyncIterator[LinkPool]:
    (tmp_path / "secrets/lab").mkdir(parents=True, exist_ok=True)
    (tmp_path / "secrets/lab/key").write_bytes(lab.client_key.read_bytes())
    pool = LinkPool(FileSecrets(tmp_path / "secrets", {}))
    pool.configure(hosts)
    try:
        yield pool
    finally:
        await pool.close()


def job(script: str, name: str = "a1") -> JobSpec:
    return JobSpec(name, jobs.job_folder(MEDIA, name), script)


@pytest.mark.parametrize("user", ["root", "media"])
async def test_a_job_is_a_systemd_unit(lab: Lab, fleet: MakeFleet, tmp_path: Path, user: str) -> None:
    (nas,) = fleet("nas")
    nas.wait_user_manager()
    async with pooled(tmp_path, lab, manifest(nas, user)) as pool:
        link = await pool.link("nas")
        spec = job("echo 5 >progress; sleep 1; cat /proc/self/cgroup")
        assert await jobs.start(link, spec)
        assert not await jobs.start(link, spec)
        reports = [report async for report in jobs.follow(link, spec.folder)]
        assert reports[-1].ok and reports[-1].progress == b"5"
        assert b"telarchy-a1.service" in await jobs.output(link, spec.folder)
        unit = (await jobs.output(link, spec.folder, "unit")).split()[0]
        assert unit == (b"system" if user == "root" else b"user")


@pytest.mark.parametrize("user", ["root", "media"])
async def test_a_killed_or_cancelled_unit_is_lost(
    lab: Lab, fleet: MakeFleet, tmp_path: Path, user: str
) -> None:
    (nas,) = fleet("nas")
    nas.wait_user_manager()
    async with pooled(tmp_path, lab, manifest(nas, user)) as pool:
        link = await pool.link("nas")
        spec = job("sleep 60")
        await jobs.start(link, spec)
        pid = (await jobs.output(link, spec.folder, "pid")).split()[0].decode()
        await link.run(["kill", "-9", pid])
        assert [report.state async for report in jobs.follow(link, spec.folder)][-1] is JobState.LOST
        assert await jobs.start(link, spec)
        await jobs.cancel(link, spec.folder)
        assert [one.state for one in await jobs.status(link, f"{MEDIA}/.telarchy/jobs")] == [JobState.LOST]
        assert nas.run("pgrep -x sleep", check=False).returncode == 1


async def test_a_power_cut_loses_a_job_and_the_next_start_runs_it(
    lab: Lab, fleet: MakeFleet, tmp_path: Path
) -> None:
    (nas,) = fleet("nas")
    async with pooled(tmp_path, lab, manifest(nas, "root")) as pool:
        link = await pool.link("nas")
        spec = job("[ -e again ] || { sync; sleep 60; }")
        await jobs.start(link, spec)
        await link.run(["sync"])
        nas.power_cut()
        nas.start()
        nas.wait_ssh()
        await pool.close()
    async with pooled(tmp_path, lab, manifest(nas, "root")) as pool:
        link = await pool.link("nas")
        assert [one.state for one in await jobs.status(link, f"{MEDIA}/.telarchy/jobs")] == [JobState.LOST]
        await link.run(["touch", f"{spec.folder}/again"])
        assert await jobs.start(link, spec)
        assert [report async for report in jobs.follow(link, spec.folder)][-1].ok


async def pulled(pool: LinkPool, route: Route, *names: str, shared: bool = False) -> bytes:
    """Copy files over a route as custody would; stderr."""
    link = await pool.link(route.runner)
    listed = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in names)
    await link.run(["sh", "-c", 'cat >"$0"', "/tmp/telarchy-files"], stdin=listed)
    into = f"{MEDIA}/.telarchy/incoming"
    await (await pool.link(route.target)).run(["mkdir", "-p", into])
    argv = route.argv(TOOL, files_from="/tmp/telarchy-files", into=into, shared=shared)
    return (await link.run(argv)).stderr


UGLY = "tv/a b/it's [1] *\n\udcff.mkv"


async def test_the_target_pulls_from_the_holder(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    nas.write(f"{MEDIA}/tv/e01.mkv", b"one" * 1000)
    before = nas.read("/home/media/.ssh/authorized_keys")
    async with pooled(tmp_path, lab, manifest(nas), manifest(vps)) as pool:
        link = await pool.link("nas")
        script = 'mkdir -p "${1%/*}" && printf ugly >"$1"'
        assert (await link.run(["sh", "-c", script, "sh", f"{MEDIA}/{UGLY}"])).ok
        routes = Routes(pool, fleet="home", folder=tmp_path / "ssh")
        for _ in range(2):
            async with routes.open("vps", "nas", MEDIA) as route:
                assert route.kind == "direct"
                assert await pulled(pool, route, "tv/e01.mkv", UGLY) == b""
            routes.forget("vps", "nas")
        assert vps.read(f"{MEDIA}/.telarchy/incoming/tv/e01.mkv") == b"one" * 1000
        target = await pool.link("vps")
        assert (await target.run(["cat", f"{MEDIA}/.telarchy/incoming/{UGLY}"])).stdout == b"ugly"
        after = nas.read("/home/media/.ssh/authorized_keys")
        assert after.startswith(before) and after.count(b"rrsync -ro") == 1

        # The key can read that root and do nothing else.
        login = [*route.ssh, route.address]
        assert (await target.run([*login, "cat", "/etc/passwd"])).stdout == b""
        climb = ["rsync", "-e", " ".join(route.ssh), f"{route.address}:../../etc/passwd", "/tmp/climbed"]
        assert not (await target.run(climb)).ok
        write = ["rsync", "-e", " ".join(route.ssh), "/etc/hostname", f"{route.address}:./stolen"]
        assert not (await target.run(write)).ok
        assert not nas.exists(f"{MEDIA}/stolen")

        await routes.revoke("vps", "nas", MEDIA)
        assert nas.read("/home/media/.ssh/authorized_keys") == before
        assert vps.text("ls -A /home/media/.telarchy/keys") == ""


def connections(target: LabHost) -> int:
    return int(target.run("pgrep -fc 'ssh: .*[[]mux[]]'", "media", check=False).stdout)


async def test_copies_share_a_connection(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    for number in range(4):
        nas.write(f"{MEDIA}/e{number}.mkv", b"shared")
    authorized = "/home/media/.ssh/authorized_keys"
    async with pooled(tmp_path, lab, manifest(nas), manifest(vps)) as pool:
        routes = Routes(pool, fleet="home", folder=tmp_path / "ssh")
        await routes.connect("vps", "nas", MEDIA)  # nothing is known of the way yet
        assert connections(vps) == 0
        async with routes.open("vps", "nas", MEDIA) as route:
            await asyncio.gather(*(routes.connect("vps", "nas", MEDIA) for _ in range(3)))
            await routes.connect("vps", "nas", MEDIA)
            assert connections(vps) == 1

            # Who has no key any more gets in by the open connection alone.
            let_in = nas.read(authorized)
            nas.run(f"grep -v rrsync {authorized} >/tmp/others; cat /tmp/others >{authorized}")
            assert b"Permission denied" in await pulled(pool, route, "e0.mkv")
            assert await pulled(pool, route, "e0.mkv", shared=True) == b""
            nas.write(authorized, let_in, mode="600")

            # Without its process the socket is only a name.
            vps.run("pkill -KILL -f 'ssh: .*[[]mux[]]'")
            assert vps.exists(route.socket)
            assert b"rsync error" not in await pulled(pool, route, "e1.mkv", shared=True)
            await routes.connect("vps", "nas", MEDIA)
            assert connections(vps) == 1

            # A holder that allows one session for each connection: the second copy makes its own.
            vps.run("pkill -f 'ssh: .*[[]mux[]]'")
            nas.run("echo MaxSessions 1 >/etc/ssh/sshd_config.d/one.conf && systemctl reload ssh")
            await routes.connect("vps", "nas", MEDIA)
            link = await pool.link("vps")
            server = "rsync --server --sender -e.LsfxC . e2.mkv"
            argv = ["sh", "-c", 'sleep 600 | "$@"', "-", *route.sharing, route.address, server]
            first = asyncio.create_task(link.run(argv))
            await asyncio.sleep(2)
            said = await pulled(pool, route, "e2.mkv", shared=True)
            assert b"Session open refused" in said and b"rsync error" not in said
            first.cancel()
        await routes.revoke("vps", "nas", MEDIA)
        assert vps.text("ls -A /home/media/.telarchy/keys") == ""
    for number in range(3):
        assert vps.read(f"{MEDIA}/.telarchy/incoming/e{number}.mkv") == b"shared"


async def test_without_a_way_between_them_the_controller_relays(
    lab: Lab, fleet: MakeFleet, tmp_path: Path
) -> None:
    nas, vps = fleet("nas", "vps")
    nas.write(f"{MEDIA}/e01.mkv", b"far away")
    lab.cut(nas, vps)
    async with pooled(tmp_path, lab, manifest(nas), manifest(vps)) as pool:
        routes = Routes(pool, fleet="home", folder=tmp_path / "ssh")
        async with routes.open("vps", "nas", MEDIA) as route:
            assert (route.kind, route.address) == ("relay", "127.0.0.1")
            assert await pulled(pool, route, "e01.mkv") == b""
        assert vps.read(f"{MEDIA}/.telarchy/incoming/e01.mkv") == b"far away"
        assert await pulled(pool, route, "e01.mkv") != b""  # the port is closed with the context
        lab.heal(nas, vps)
        routes.forget("vps", "nas")
        async with routes.open("vps", "nas", MEDIA) as route:
            assert route.kind == "direct"


async def test_local_on_one_side_or_both(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    (nas,) = fleet("nas")
    nas.write(f"{MEDIA}/e01.mkv", b"from the nas")
    here, there = host_model("here", {"local": {}}), host_model("there", {"local": {}})
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.mkv").write_bytes(b"from here")
    (tmp_path / "list").write_bytes(b"e01.mkv\0")
    (tmp_path / "mine").write_bytes(b"mine.mkv\0")
    async with pooled(tmp_path, lab, manifest(nas), here, there) as pool:
        routes = Routes(pool, fleet="home", folder=tmp_path / "ssh")
        link = await pool.link("here")
        async with routes.open("here", "nas", MEDIA) as route:
            assert (route.kind, route.runner) == ("direct", "here")
            argv = route.argv(TOOL, files_from=str(tmp_path / "list"), into=str(own))
            assert (await link.run(argv)).ok
        assert (own / "e01.mkv").read_bytes() == b"from the nas"
        async with routes.open("nas", "here", str(own)) as route:
            assert (route.kind, route.runner) == ("direct", "here")
            argv = route.argv(TOOL, files_from=str(tmp_path / "mine"), into=MEDIA)
            answer = await link.run(argv)
            assert answer.ok, answer.complaint
        assert nas.read(f"{MEDIA}/mine.mkv") == b"from here"
        async with routes.open("there", "here", str(own)) as route:
            assert route.kind == "local"
            (tmp_path / "copy").mkdir()
            argv = route.argv(TOOL, files_from=str(tmp_path / "mine"), into=str(tmp_path / "copy"))
            assert (await link.run(argv)).ok
        assert (tmp_path / "copy/mine.mkv").read_bytes() == b"from here"
    assert {entry.stat().st_mode & 0o777 for entry in (tmp_path / "ssh").iterdir()} == {0o600}


async def test_what_is_missing_on_the_holder_is_said(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    nas, vps = fleet("nas", "vps")
    nas.uninstall("rrsync")
    async with pooled(tmp_path, lab, manifest(nas), manifest(vps)) as pool:
        routes = Routes(pool, fleet="home", folder=tmp_path / "ssh")
        with pytest.raises(ActionFailed) as caught:
            async with routes.open("vps", "nas", MEDIA):
                pass
        assert caught.value.reason == "RrsyncMissing"
        nas.restore("rrsync")
        async with routes.open("vps", "nas", MEDIA) as route:
            assert route.kind == "direct"


async def test_a_frozen_host_is_noticed_and_a_changed_key_refused(
    lab: Lab, fleet: MakeFleet, tmp_path: Path
) -> None:
    (nas,) = fleet("nas", fresh=True)
    async with pooled(tmp_path, lab, manifest(nas)) as pool:
        link = await pool.link("nas")
        nas.freeze()
        with pytest.raises(TimeoutError):
            await link.run(["true"], timeout=1)
        nas.thaw()
        assert (await link.run(["true"])).ok
    declared = manifest(nas)
    await asyncio.to_thread(nas.change_host_key)
    async with pooled(tmp_path, lab, declared) as pool:
        with pytest.raises(HostUnreachable) as caught:
            await pool.link("nas")
        assert caught.value.reason == "HostKeyChanged"
