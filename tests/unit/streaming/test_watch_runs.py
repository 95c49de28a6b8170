"""The watch on a host, with a real server in front of the spool: what viewers get, who they are, and what it costs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from telarchy.core.service import Service, ServiceState
from telarchy.links import services
from telarchy.streaming import layout, serving
from telarchy.streaming.evidence import EndpointSeen
from telarchy.streaming.ladder import Pattern
from telarchy.streaming.report import Reports
from telarchy.streaming.watch import Elsewhere, watch_argv
from tests.unit.streaming.running import free_endpoint_port, get, need
from tests.unit.streaming.test_ladder_runs import FOLDERS, PATIENCE, Host, ladder, until
from tests.unit.streaming.test_ladder_runs import host as host  # a fixture

LIVE = "/live/garden/g1-0f3a9c21"


class Watch:
    """The script as it runs over a link."""

    def __init__(self, base: Path, **told: object) -> None:
        self.argv = watch_argv(str(base), **told)  # type: ignore[arg-type]
        self.reports = Reports("origin")
        self.waiting: list[EndpointSeen] = []

    async def __aenter__(self) -> Watch:
        self.process = await asyncio.create_subprocess_exec(*self.argv, stdout=subprocess.PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.kill()
        await self.process.wait()

    async def next(self) -> EndpointSeen:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while not self.waiting:
                chunk = await self.process.stdout.read(65536)
                assert chunk, "it ended"
                self.waiting += self.reports.feed(chunk, time.time())
        return self.waiting.pop(0)


@pytest.fixture
async def web(host: Host) -> AsyncIterator[int]:
    """The port of a server in front of a ladder that runs."""
    need("nginx")
    port = free_endpoint_port()
    await host.encode(ladder(Pattern()))
    stream = serving.SiteStream(name="garden", private=False)
    await host.put(
        serving.service(serving.OriginSite(http_port=port, address="127.0.0.1", streams=(stream,)))
    )
    await host.reaches(3)
    yield port


def watches(port: int, agent: str, rendition: str = "270p") -> int:
    return get(f"http://127.0.0.1:{port}{LIVE}/{rendition}/index.m3u8", User_Agent=agent).status


async def test_viewers_are_who_fetches_playlists_and_are_gone_when_they_do_not(host: Host, web: int) -> None:
    async with Watch(host.base, web_port=layout.health_port(web), target=1.0) as watch:
        seen = await watch.next()
        assert set(seen.streams["garden"].playlists) == set(FOLDERS)
        assert seen.streams["garden"].viewers == 0
        for agent in ("one", "two", "one"):
            assert watches(web, agent) == 200
        assert get(f"http://127.0.0.1:{web}{LIVE}/master.m3u8", User_Agent="three").status == 200
        assert watches(web, "four", "1080p") == 404
        start, counts, egress = time.monotonic(), [], []
        while time.monotonic() - start < 8:
            stream = (await watch.next()).streams["garden"]
            counts.append(stream.viewers)
            egress.append(stream.egress)
        assert max(counts) == 2 and counts[-1] == 0
        assert max(egress) > 0


async def test_that_viewers_are_refused_is_told_at_once_and_for_as_long(host: Host, web: int) -> None:
    flag = host.base / layout.stale_flag("garden")
    async with Watch(host.base, web_port=layout.health_port(web), period=60) as watch:
        assert not (await watch.next()).streams["garden"].refused
        for _ in range(20):  # the ladder takes it away as soon as there is something new
            flag.touch()
            if watches(web, "one") == 503 and (await watch.next()).streams["garden"].refused:
                break
        else:
            pytest.fail("nobody was told")
        while (await watch.next()).streams["garden"].refused:
            pass
        assert watches(web, "one") == 200


async def test_a_server_that_is_gone_shows_no_playlists(host: Host, web: int) -> None:
    port = layout.health_port(web)
    assert (await host.look(web_port=port)).streams["garden"].playlists
    await services.stop(host.link, str(host.base), layout.HTTP)
    seen = await host.look(web_port=port)
    assert seen.streams["garden"].playlists == {} and "http" not in seen.services
    assert (await host.look()).streams["garden"].playlists  # the spool itself has them


async def test_a_server_that_hangs_costs_two_seconds_and_not_the_report(host: Host, web: int) -> None:
    nginx = [int(one) for one in subprocess.run(
        ["pgrep", "-f", "nginx: worker"], capture_output=True, text=True, check=False
    ).stdout.split() if Path(f"/proc/{one}/cwd").readlink() == host.base]  # fmt: skip
    assert nginx
    for one in nginx:
        os.kill(one, signal.SIGSTOP)
    try:
        start = time.monotonic()
        assert (await host.look(web_port=layout.health_port(web))).streams["garden"].playlists == {}
        assert time.monotonic() - start < 5  # and not two for each playlist
    finally:
        for one in nginx:
            os.kill(one, signal.SIGCONT)


async def test_streams_of_elsewhere_are_asked_for(host: Host, web: int) -> None:
    known = Elsewhere("garden", "g9-00000000", ("270p", "audio"))
    seen = await host.look(web_port=layout.health_port(web), elsewhere=[known])
    assert seen.streams["garden"].generation == "g1-0f3a9c21"  # that one is nowhere
    edge = Host(host.base.parent / "telarchy-home-edge")
    edge.base.mkdir()
    (edge.base / services.MARKER).touch()
    known = Elsewhere("garden", "g1-0f3a9c21", ("270p", "audio"))
    seen = await edge.look(web_port=layout.health_port(web), elsewhere=[known])
    stream = seen.streams["garden"]
    assert stream.generation == "g1-0f3a9c21" and set(stream.playlists) == {"270p", "audio"}
    assert stream.publisher is None and stream.generations == ()


async def test_sources_are_tried_and_a_silent_one_holds_up_no_report(host: Host, web: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        taken = [
            ("well", f"http://127.0.0.1:{web}"),
            ("silent", f"http://127.0.0.1:{silent.getsockname()[1]}"),
            ("gone", f"http://localhost:{free_endpoint_port()}"),
        ]
        expected = {"well": True, "silent": False, "gone": False}
        once = await host.look(sources=taken)
        assert {name: one.answers for name, one in once.reach.items()} == expected
        assert not (host.base / "run" / "reached").exists()

        async with Watch(host.base, web_port=layout.health_port(web), target=1.0, sources=taken) as watch:
            first = await watch.next()
            assert first.reach == {}, "it did not wait for them"
            seen = first
            while not seen.reach:
                seen = await watch.next()
            assert {name: one.answers for name, one in seen.reach.items()} == expected
            since, before = seen.reach["silent"].since, seen.reported
            while seen.reported < since + 6:
                seen = await watch.next()
                assert seen.reported - before < 4, "reports go on"
                before = seen.reported
                assert seen.reach["silent"].since == since
            threading.Thread(target=answer, args=(silent,), daemon=True).start()
            while not seen.reach["silent"].answers:
                seen = await watch.next()


async def test_a_source_may_have_a_name_or_an_address_of_either_kind_and_a_certificate(host: Host) -> None:
    await host.put(Service(name="idle", argv=("sleep", "1000")))
    taken = {"name": "localhost", "four": "127.0.0.1", "six": "[::1]"}
    expected, sources = {}, []
    with ExitStack() as kept:
        for name, place in taken.items():
            family = socket.AF_INET6 if name == "six" else socket.AF_INET
            try:
                server = kept.enter_context(socket.create_server((place.strip("[]"), 0), family=family))
            except OSError:
                continue  # a machine without IPv6
            threading.Thread(target=answer, args=(server,), daemon=True).start()
            sources.append((name, f"http://{place}:{server.getsockname()[1]}/"))
            expected[name] = True
        if shutil.which("curl"):
            sources.append(("secure", sources[-1][1].replace("http:", "https:")))
            expected["secure"] = False
        seen = await host.look(sources=sources)
    assert {name: one.answers for name, one in seen.reach.items()} == expected


def answer(server: socket.socket) -> None:
    """What somebody else's server might say."""
    with suppress(OSError):
        while True:
            with server.accept()[0] as asker:
                heard = b""
                while b"\r\n\r\n" not in heard and (more := asker.recv(4096)):  # it comes line by line
                    heard += more
                asker.sendall(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")


async def test_without_a_tool_to_ask_with_nothing_is_known_of_playlists(
    host: Host, web: int, tmp_path: Path
) -> None:
    """A host with neither bash nor curl: its PATH lacks them, and nothing else."""
    few = tmp_path / "few"
    few.mkdir()
    for folder in map(Path, ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")):
        for one in folder.glob("*") if folder.is_dir() else ():
            if one.name not in ("bash", "rbash", "curl") and not (few / one.name).exists():
                (few / one.name).symlink_to(one)
    argv = list(watch_argv(str(host.base), web_port=layout.health_port(web), once=True))

    async def look(path: str) -> EndpointSeen:
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=subprocess.PIPE, env={"PATH": path, "HOME": str(tmp_path)}
        )
        out, _ = await process.communicate()
        (seen,) = Reports("origin").feed(out, time.time())
        return seen

    seen = await look(str(few))
    assert seen.blind == "bash or curl" and not seen.trouble
    assert seen.streams["garden"].playlists == {}
    assert seen.services["http"].state is ServiceState.RUNNING, "the rest is known"
    seen = await look(os.environ["PATH"])
    assert not seen.blind and set(seen.streams["garden"].playlists) == set(FOLDERS)


async def test_what_happens_is_told_at_once_and_ages_stay_small(host: Host, web: int) -> None:
    async with Watch(host.base, web_port=layout.health_port(web), target=1.0) as watch:
        await watch.next()
        ages = []
        for _ in range(8):
            seen = await watch.next()
            age = seen.streams["garden"].age
            assert age is not None
            ages.append(seen.reported - age)
        assert max(ages) < 1.0 + 1.0  # a segment, and what a busy machine takes
        os.kill(host.encoder(), signal.SIGSTOP)
        try:
            while (seen := await watch.next()).reported - (seen.streams["garden"].age or 0) < 4:
                pass
        finally:
            os.kill(host.encoder(), signal.SIGCONT)


async def test_a_long_log_is_moved_away_and_the_server_goes_on_with_a_new_one(host: Host, web: int) -> None:
    log = host.base / "log" / "access.log"
    await until(log.exists, "the log")
    os.truncate(log, 33 * 1024 * 1024)
    async with Watch(host.base, web_port=layout.health_port(web)) as watch:
        await watch.next()
        await until(lambda: (host.base / "log" / "access.log.1").exists(), "the old log")
        await until(log.exists, "the new log")
        assert watches(web, "one") == 200
        seen = await watch.next()
        while not seen.streams["garden"].viewers:
            seen = await watch.next()
        sent = seen.streams["garden"].carried.sent
        assert sent > 0 and watches(web, "one") == 200
        before = sent
        while sent == before:
            sent = (await watch.next()).streams["garden"].carried.sent
            assert sent >= before, "a counter never goes back"
    assert log.stat().st_size < 10_000


async def test_a_single_look_leaves_no_trace(host: Host) -> None:
    await host.put(Service(name="idle", argv=("sleep", "1000")))
    (host.base / "spool").mkdir()
    (host.base / "log").mkdir()
    (host.base / "log" / "access.log").write_bytes(b"")
    os.truncate(host.base / "log" / "access.log", 40 * 1024 * 1024)

    def all_files() -> dict[str, int]:
        return {str(one): one.stat().st_mtime_ns for one in sorted(host.base.rglob("*"))}

    await asyncio.sleep(0.3)
    before = all_files()
    seen = await host.look()
    assert seen.services["idle"].state == "Running"
    assert all_files() == before


async def test_strange_names_in_the_spool_are_passed_over(host: Host) -> None:
    await host.put(Service(name="idle", argv=("sleep", "1000")))
    spool = host.base / "spool"
    for name in ("a b", "x\ny", "-rf", "ok"):
        (spool / name / "g1").mkdir(parents=True)
        (spool / name / "current").write_text("$(touch pwned)\n" if name == "ok" else "g1\n")
    (spool / "link").symlink_to("/etc")
    seen = await host.look()
    assert set(seen.streams) == {"ok"}
    assert seen.streams["ok"].playlists == {} and seen.streams["ok"].generations == ("g1",)
