"""What both links promise: bytes arrive as they are, ends are told, nothing is left running."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.unit.links.loopback import Sshd

from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.links.link import Link
from telarchy.links.local import LocalLink
from telarchy.links.ssh import SshLink, parse_df

UGLY = b"a\xff\n'\"$HOME`id`\\ *\t-x".decode("utf-8", "surrogateescape")


@pytest.fixture(params=["local", "ssh"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    local = request.param == "local"
    made: Link = LocalLink("black") if local else SshLink(request.getfixturevalue("sshd").way())
    yield made
    await made.close()


def alive(marker: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in entry.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


async def gone(marker: str) -> bool:
    for _ in range(500):
        if not alive(marker):
            return True
        await asyncio.sleep(0.03)
    return False


async def test_argv_arrives_byte_for_byte(link: Link) -> None:
    result = await link.run(["printf", "%s|%s|%s", UGLY, "", "-n"])
    assert result.ok
    assert result.stdout == UGLY.encode("utf-8", "surrogateescape") + b"||-n"


async def test_a_file_with_such_a_name_is_made_and_measured(link: Link, tmp_path: Path) -> None:
    folder = f"{tmp_path}/{UGLY}"
    assert (await link.run(["mkdir", "--", folder])).ok
    assert UGLY in [entry.name for entry in tmp_path.iterdir()]
    space = await link.space(folder)
    assert 0 < space.free <= space.total


async def test_stdin_stdout_stderr_and_exit_status(link: Link) -> None:
    payload = os.urandom(300_000)
    result = await link.run(["sh", "-c", "cat; echo complaint >&2; exit 7"], stdin=payload)
    assert (result.code, result.stdout, result.complaint) == (7, payload, "complaint")


async def test_parsing_is_not_at_the_mercy_of_a_locale(link: Link) -> None:
    assert (await link.run(["sh", "-c", 'printf %s "$LC_ALL"'])).stdout == b"C"


async def test_a_program_that_is_not_there(link: Link) -> None:
    result = await link.run(["no-such-program-here"])
    assert result.code == 127
    assert "no-such-program-here" in result.complaint


async def test_a_killed_command_says_its_signal(link: Link) -> None:
    assert (await link.run(["sh", "-c", "kill -9 $$"])).code == 137


async def test_a_late_command_is_killed_with_all_it_started(link: Link) -> None:
    marker = f"77{os.getpid()}1"
    with pytest.raises(TimeoutError):
        await link.run(["sh", "-c", f"sleep {marker} & sleep {marker}"], timeout=0.5)
    assert await gone(marker)
    assert (await link.run(["true"])).ok


async def test_a_cancelled_command_is_killed(link: Link) -> None:
    marker = f"77{os.getpid()}2"
    task = asyncio.create_task(link.run(["sh", "-c", f"sleep {marker} & sleep {marker}"]))
    while not alive(marker):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(marker)


async def test_cancelled_at_any_moment_nothing_is_left(link: Link) -> None:
    marker = f"77{os.getpid()}3"
    await link.run(["true"])
    for pause in range(30):
        task = asyncio.create_task(link.run(["sleep", marker]))
        await asyncio.sleep(pause / 1000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.2)
    assert await gone(marker)
    assert (await link.run(["true"])).ok


async def test_a_stream_comes_as_it_is_written(link: Link, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = 'echo one; until [ -e "$1" ]; do sleep 0.05; done; echo two'
    async with aclosing(link.stream(["sh", "-c", script, "sh", str(go)])) as chunks:  # type: ignore[type-var]
        assert await anext(chunks) == b"one\n"
        go.touch()
        assert [chunk async for chunk in chunks] == [b"two\n"]


async def test_a_failed_stream_says_why(link: Link) -> None:
    with pytest.raises(ActionFailed, match="no luck"):
        async for _ in link.stream(["sh", "-c", "echo part; echo no luck >&2; exit 3"]):
            pass


async def test_a_stream_nobody_reads_to_its_end_is_killed(link: Link) -> None:
    marker = f"77{os.getpid()}4"
    async with aclosing(link.stream(["sh", "-c", f"echo go; exec sleep {marker}"])) as chunks:  # type: ignore[type-var]
        await anext(chunks)
    assert await gone(marker)


async def test_many_at_once(link: Link) -> None:
    results = await asyncio.gather(*(link.run(["printf", "%s", str(n)]) for n in range(40)))
    assert [int(result.stdout) for result in results] == list(range(40))


async def test_streams_leave_room_for_short_commands(link: Link) -> None:
    async def long() -> None:
        async for _ in link.stream(["sh", "-c", "echo; sleep 20"]):
            pass

    tasks = [asyncio.create_task(long()) for _ in range(12)]
    await asyncio.sleep(0.3)
    began = time.monotonic()
    assert (await link.run(["true"])).ok
    assert time.monotonic() - began < 10
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_space_of_a_folder_that_is_not_there(link: Link) -> None:
    with pytest.raises(ActionFailed) as caught:
        await link.space("/no/such/folder")
    assert caught.value.reason == "NoSuchPath"


async def test_space_without_sftp_is_read_from_df(make_sshd: object, tmp_path: Path) -> None:
    sshd: Sshd = make_sshd("plain", extra=["Subsystem other /bin/false"])  # type: ignore[operator]
    config = (sshd.folder / "config").read_text().replace("Subsystem sftp internal-sftp\n", "")
    sshd.stop()
    (sshd.folder / "config").write_text(config)
    sshd.start = lambda: None  # type: ignore[method-assign]
    import subprocess

    from tests.unit.links.loopback import SSHD

    assert SSHD is not None
    sshd.process = subprocess.Popen([SSHD, "-D", "-f", str(sshd.folder / "config")])
    await asyncio.sleep(0.3)
    link = SshLink(sshd.way())
    space = await link.space(str(tmp_path))
    truth = await LocalLink("here").space(str(tmp_path))
    assert abs(space.free - truth.free) < 1 << 26 and space.total == truth.total // 1024 * 1024
    await link.probe()
    await link.close()


def test_df_of_gnu_and_of_macos() -> None:
    gnu = b"Filesystem     1024-blocks    Used Available Capacity Mounted on\n/dev/sda1 100 40 60 40% /srv/my media\n"
    mac = b"Filesystem 1024-blocks Used Available Capacity  Mounted on\nmap auto home 200 0 150  25%  /Volumes/a b\n"
    assert (parse_df(gnu).total, parse_df(gnu).free) == (102400, 61440)
    assert (parse_df(mac).total, parse_df(mac).free) == (204800, 153600)
    with pytest.raises(ActionFailed):
        parse_df(b"nonsense")


async def test_a_lost_connection_is_said_and_made_again(sshd: Sshd) -> None:
    link = SshLink(sshd.way())
    waiting = asyncio.create_task(link.run(["sleep", "30"]))
    await asyncio.sleep(0.5)
    sshd.cut()
    with pytest.raises(HostUnreachable) as caught:
        await waiting
    assert caught.value.reason == "ConnectionLost"
    assert (await link.run(["true"])).ok
    assert link.connections == 2
    await link.close()
