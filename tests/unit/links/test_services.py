"""Services: put by digest, kept up, told from each other, and removed without a trace; with real processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from telarchy.core.service import Service, ServiceSeen, ServiceState, seen_service
from telarchy.errors import ActionFailed
from telarchy.links import services
from telarchy.links.link import Link
from telarchy.links.local import LocalLink
from telarchy.links.ssh import SshLink

DAEMONS = f"{os.environ.get('PATH', '')}:/usr/sbin"
PATIENCE = 20.0  # a busy machine; what is waited for takes a fraction of a second on an idle one


@pytest.fixture(params=["local", "ssh"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    local = request.param == "local"
    made: Link = LocalLink("black") if local else SshLink(request.getfixturevalue("sshd").way())
    yield made
    await made.close()


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[str]:
    """Of a service folder with an ugly name; what runs in it ends with the test."""
    where = f"{tmp_path}/it's $HOME \u00e4 100%/telarchy-home-origin"
    yield where
    if (Path(where) / services.MARKER).is_file():
        await services.retire(LocalLink("black"), where)


def service(script: str, name: str = "ladder-garden", **more: object) -> Service:
    return Service(name=name, argv=("/bin/sh", "-c", script), **more)  # type: ignore[arg-type]


SLEEPS = service("echo up >&2; exec sleep 1000")


async def seen(link: Link, base: str, name: str = "ladder-garden") -> ServiceSeen:
    (found,) = [one for one in await services.status(link, base) if one.name == name]
    return found


async def until(
    link: Link, base: str, right: Callable[[ServiceSeen], bool], name: str = "ladder-garden"
) -> ServiceSeen:
    start = time.monotonic()
    while not right(found := await seen(link, base, name)):
        assert time.monotonic() - start < PATIENCE, found
        await asyncio.sleep(0.02)
    return found


def running(starts: int) -> Callable[[ServiceSeen], bool]:
    return lambda one: one.state is ServiceState.RUNNING and one.starts == starts


def pid(base: str, note: str = "pid", name: str = "ladder-garden") -> int:
    return int((Path(base) / "services" / name / note).read_text().split()[0])


def alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_service_is_put_once(link: Link, base: str) -> None:
    ugly = b"\xff '\n\"$x`".decode("utf-8", "surrogateescape")
    made = Service(
        name="ladder-garden",
        argv=(
            "/bin/sh",
            "-c",
            'pwd; cat "$1"; printf "%s|" "$2" ""; exec sleep 1000',
            "x",
            "{files}/a",
            ugly,
        ),
        files={"a": b"\0bytes\n"},
    )
    assert await services.put(link, base, made, {}) == "started"
    found = await until(link, base, running(1))
    assert (found.digest, found.start_digest, found.code) == (made.digest, made.start_digest, None)
    assert abs(found.since - time.time()) < PATIENCE
    first = pid(base)
    said = await asyncio.gather(*(services.put(link, base, made, {}, "restart") for _ in range(4)))
    assert said == ["unchanged"] * 4
    assert pid(base) == first
    log = (Path(base) / "services/ladder-garden/log").read_bytes()
    assert log == os.fsencode(base) + b"\n\0bytes\n" + ugly.encode("utf-8", "surrogateescape") + b"||"


async def test_many_that_put_at_once_start_one(link: Link, base: str) -> None:
    said = await asyncio.gather(*(services.put(link, base, SLEEPS, {}) for _ in range(5)))
    assert sorted(said) == ["started"] + ["unchanged"] * 4
    found = await until(link, base, running(1))
    assert found.starts == 1


async def test_what_is_different_decides_what_happens(base: str) -> None:
    link = LocalLink("black")
    script = "trap 'echo HUP; cat services/ladder-garden/files/a' HUP; while :; do sleep 0.1; done"
    one = service(script, files={"a": b"1\n"}, reload="HUP")
    assert await services.put(link, base, one, {}) == "started"
    await until(link, base, running(1))
    first = pid(base)
    await asyncio.sleep(0.3)  # until the shell has set its trap

    two = replace(one, files={"a": b"2\n"})
    assert await services.put(link, base, two, {}, "reload") == "reloaded"
    log = Path(base) / "services/ladder-garden/log"
    await _eventually(lambda: log.read_text() == "HUP\n2\n")
    assert pid(base) == first
    found = await seen(link, base)
    assert (found.digest, found.start_digest) == (two.digest, one.start_digest)

    three = replace(two, argv=(*two.argv, "more"))
    with pytest.raises(ActionFailed) as refused:
        await services.put(link, base, three, {}, "reload")
    assert refused.value.reason == "RestartNeeded"
    assert (pid(base), (await seen(link, base)).digest) == (first, two.digest)
    assert await services.put(link, base, three, {}, "restart") == "restarted"
    found = await until(link, base, running(2))
    assert pid(base) != first and not alive(first)
    assert len(list(log.parent.glob("set-*"))) == 1


async def test_live_files_change_under_a_running_process(base: str) -> None:
    link = LocalLink("black")
    one = service("exec sleep 1000", files={"a": b"1"}, live_files=frozenset({"a"}))
    await services.put(link, base, one, {})
    await until(link, base, running(1))
    first = pid(base)
    assert await services.put(link, base, replace(one, files={"a": b"2"}), {}, "reload") == "reloaded"
    assert (Path(base) / "services/ladder-garden/files/a").read_bytes() == b"2"
    assert pid(base) == first


@pytest.mark.parametrize("there", [False, True])
async def test_files_that_do_not_pass_change_nothing(base: str, there: bool) -> None:
    link = LocalLink("black")
    check = ("/bin/sh", "-c", 'cat "$1" >&2; ! grep bad "$1"', "x", "{files}/conf")
    good = service("exec sleep 1000", files={"conf": b"good\n"}, check=check, reload="HUP")
    if there:
        await services.put(link, base, good, {})
        await until(link, base, running(1))
    said = b"nginx: [emerg] bad word in rtmp://u:pw@h/live?key=1\nnginx: configuration file x test failed\n"
    with pytest.raises(ActionFailed) as failed:
        await services.put(link, base, replace(good, files={"conf": said}), {})
    assert failed.value.reason == "CheckFailed"
    assert "[emerg] bad word in rtmp://…h/live?…" in str(failed.value)
    if there:
        found = await seen(link, base)
        assert (found.state, found.digest, found.starts) == (ServiceState.RUNNING, good.digest, 1)
        assert (Path(base) / "services/ladder-garden/files/conf").read_bytes() == b"good\n"
        assert not (Path(base) / "services/ladder-garden/next").exists()
    else:
        assert await services.status(link, base) == []
        assert not (Path(base) / "services/ladder-garden").exists()


async def test_a_killed_process_is_back_within_a_second(base: str) -> None:
    link = LocalLink("black")
    await services.put(link, base, replace(SLEEPS, progress="progress/garden"), {})
    await until(link, base, running(1))
    progress = Path(base) / "progress/garden"
    progress.write_text("frame=1\n")
    start = time.monotonic()
    os.kill(pid(base), signal.SIGKILL)
    found = await until(link, base, running(2))
    assert time.monotonic() - start < 5  # 0.4 on an idle machine
    assert (found.code, found.complaint) == (137, "up")
    assert progress.read_text() == ""


async def test_starts_that_do_not_last_come_later_and_later(base: str) -> None:
    link = LocalLink("black")
    fails = service("date +%s.%N; exit 3", back_off=(0.1, 0.6, 30))
    await services.put(link, base, fails, {})
    found = await until(link, base, lambda one: one.starts == 3 and one.state is ServiceState.BACK_OFF)
    assert found.code == 3
    times = [float(line) for line in (Path(base) / "services/ladder-garden/log").read_text().split()]
    assert times[1] - times[0] >= 0.1 and times[2] - times[1] >= 0.6
    start = time.monotonic()
    await services.stop(link, base, "ladder-garden")  # does not wait for the 30 s
    assert time.monotonic() - start < PATIENCE


async def test_what_a_dead_process_left_does_not_stay(base: str) -> None:
    """Workers of a killed nginx would keep its port."""
    link = LocalLink("black")
    await services.put(link, base, service("sleep 1000 & echo $!; wait"), {})
    await until(link, base, running(1))
    log = Path(base) / "services/ladder-garden/log"
    await _eventually(lambda: log.read_text().endswith("\n"))
    worker = int(log.read_text().split()[0])
    os.kill(pid(base), signal.SIGKILL)
    await until(link, base, running(2))
    assert not alive(worker)


@pytest.mark.skipif(not shutil.which("nginx", path=DAEMONS), reason="nginx is not installed")
async def test_a_killed_nginx_gets_its_port_back(base: str) -> None:
    link = LocalLink("black")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = f"""daemon off; pid nginx.pid; error_log stderr warn; worker_processes 2; events {{}}
        http {{ access_log off; server {{ listen 127.0.0.1:{port}; return 200 one; }} }}"""
    words = ("nginx", "-p", ".", "-e", "stderr", "-c", "{files}/nginx.conf")
    made = Service(
        name="http",
        argv=words,
        check=(*words, "-t"),
        files={"nginx.conf": conf.encode()},
        reload="HUP",
        stop="QUIT",
    )

    async def answer() -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            said = await reader.read()
            writer.close()
            return said.rsplit(b"\n", 1)[-1]
        except OSError:
            return b""

    async def says(word: bytes) -> None:
        start = time.monotonic()
        while await answer() != word:
            assert time.monotonic() - start < PATIENCE, await seen(link, base, "http")
            await asyncio.sleep(0.02)

    assert await services.put(link, base, made, {}) == "started"
    await says(b"one")
    os.kill(pid(base, name="http"), signal.SIGKILL)
    await until(link, base, running(2), "http")
    await says(b"one")
    first = pid(base, name="http")
    changed = replace(made, files={"nginx.conf": conf.replace("one", "two").encode()})
    assert await services.put(link, base, changed, {}) == "reloaded"
    await says(b"two")
    with pytest.raises(ActionFailed, match=r"\[emerg\].*unknown directive \"bogus\""):
        await services.put(link, base, replace(made, files={"nginx.conf": b"bogus on;"}), {})
    assert pid(base, name="http") == first and await answer() == b"two"
    await services.stop(link, base, "http")
    assert await answer() == b""


@pytest.mark.skipif(not shutil.which("nginx", path=DAEMONS), reason="nginx is not installed")
async def test_a_start_on_a_port_that_is_taken_says_which_and_by_whom(base: str) -> None:
    link = LocalLink("black")
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        conf = f"""daemon off; pid nginx.pid; error_log stderr warn; events {{}}
            http {{ access_log off; error_log /dev/null emerg; server {{ listen 127.0.0.1:{taken}; }} }}"""
        words = ("nginx", "-p", ".", "-e", "stderr", "-c", "{files}/nginx.conf")
        made = Service(name="http", argv=words, files={"nginx.conf": conf.encode()}, stop="QUIT")
        await services.put(link, base, made, {})
        found = await until(link, base, lambda one: one.state is ServiceState.BACK_OFF, "http")
        assert f"bind() to 127.0.0.1:{taken} failed" in found.complaint
        assert "; the port is taken by " in found.complaint and f"(process {os.getpid()})" in found.complaint


@pytest.mark.skipif(not shutil.which("nginx", path=DAEMONS), reason="nginx is not installed")
async def test_a_reload_onto_a_port_that_is_taken_is_no_reload(base: str) -> None:
    link = LocalLink("black")
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        port, taken = one.getsockname()[1], other.getsockname()[1]
        one.close()
        other.listen()
        conf = f"""daemon off; pid nginx.pid; error_log stderr warn; worker_processes 2; events {{}}
            http {{ access_log off; error_log /dev/null emerg;
            server {{ listen 127.0.0.1:{port}; return 200 one; }} }}"""
        words = ("nginx", "-p", ".", "-e", "stderr", "-c", "{files}/nginx.conf")
        made = Service(
            name="http",
            argv=words,
            check=(*words, "-t"),
            files={"nginx.conf": conf.encode()},
            reload="HUP",
            reload_error="[emerg]",
            stop="QUIT",
        )

        async def says(number: int) -> bytes:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", number)
            except OSError:
                return b""
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            said = await reader.read()
            writer.close()
            return said.rsplit(b"\n", 1)[-1]

        async def serves(number: int, word: bytes) -> None:
            start = time.monotonic()
            while await says(number) != word:
                assert time.monotonic() - start < PATIENCE
                await asyncio.sleep(0.02)

        def there(number: int) -> Service:
            moved = conf.replace(f":{port};", f":{number};").replace("one", "two")
            return replace(made, files={"nginx.conf": moved.encode()})

        await services.put(link, base, made, {})
        await serves(port, b"one")
        first = pid(base, name="http")
        for _ in range(2):  # and again, when it is tried again
            with pytest.raises(ActionFailed) as refused:
                await services.put(link, base, there(taken), {}, "reload")
            assert refused.value.reason == "NotReloaded" and refused.value.transient
            said = str(refused.value)
            assert f"bind() to 127.0.0.1:{taken} failed" in said and f"(process {os.getpid()})" in said
            found = await seen(link, base, "http")
            assert (found.digest, pid(base, name="http")) == (made.digest, first)
            assert await says(port) == b"one"
            assert (Path(base) / "services/http/files/nginx.conf").read_text() == conf
            assert len(list((Path(base) / "services/http").glob("set-*"))) == 1
        # what is killed comes up as it was
        os.kill(first, signal.SIGKILL)
        await until(link, base, running(2), "http")
        await serves(port, b"one")
    assert await services.put(link, base, there(taken), {}, "reload") == "reloaded"
    assert await says(taken) == b"two", "it listens when it is said to"
    assert (
        await services.put(link, base, replace(there(taken), files={"nginx.conf": conf.encode()}), {})
        == "reloaded"
    )
    await serves(port, b"one")


def test_what_a_compiler_of_vcl_says() -> None:
    said = b"Could not delete x\nMessage from VCC-compiler:\nSymbol not found: 'req.x'\nAt: ('v' Line 3 Pos 20)\n"
    said += b"sub vcl_recv {}\n--##--\n\nRunning VCC-compiler failed, exited with 2\nVCL compilation failed\n"
    assert services.what_matters(said) == "Symbol not found: 'req.x' At: ('v' Line 3 Pos 20)"
    assert services.what_matters(b"") == ""


async def test_a_process_waits_for_its_flag(base: str) -> None:
    link = LocalLink("black")
    flag = Path(base) / "publishing/garden"
    made = service(
        "while [ -e publishing/garden ]; do sleep 0.05; done",
        wait_for="publishing/garden",
        back_off=(0.5, 60),
    )
    assert await services.put(link, base, made, {}) == "started"
    found = await until(link, base, lambda one: one.state is ServiceState.WAITING)
    assert found.starts == 0
    flag.parent.mkdir()
    for session in (1, 2, 3):  # a publisher that leaves is no failure: the second one would wait for a minute
        flag.touch()
        await until(link, base, running(session))
        flag.unlink()
        found = await until(link, base, lambda one: one.state is ServiceState.WAITING)
        assert (found.starts, found.code) == (session, 0)


async def test_who_comes_anew_does_not_pay_for_what_failed_before(base: str) -> None:
    link = LocalLink("black")
    flag = Path(base) / "publishing/garden"
    fails = service("exit 3", wait_for="publishing/garden", back_off=(0.1, 0.1, 60))
    assert await services.put(link, base, fails, {}) == "started"
    flag.parent.mkdir()
    for starts in (3, 6, 9):
        flag.touch()
        await until(link, base, lambda one, starts=starts: one.starts == starts)  # type: ignore[misc]
        flag.unlink()
        await until(link, base, lambda one: one.state is ServiceState.WAITING)


async def test_kick_hits_only_the_process_that_is_meant(link: Link, base: str) -> None:
    stubborn = service("trap '' TERM; echo up; while :; do sleep 0.1; done", stop_seconds=1)
    await services.put(link, base, stubborn, {})
    await until(link, base, running(1))
    log = Path(base) / "services/ladder-garden/log"
    await _eventually(lambda: log.read_text() == "up\n")
    first = pid(base)
    assert not await services.kick(link, base, "ladder-garden", 2)
    assert alive(first)
    assert await services.kick(link, base, "ladder-garden", 1)
    assert not alive(first)
    found = await until(link, base, running(2))
    assert found.code == 137
    assert not await services.kick(link, base, "ladder-garden", 1)
    assert not await services.kick(link, base, "nobody", 1)


@pytest.mark.parametrize("word", ["INT", "QUIT", "TERM"])
async def test_a_process_ends_by_its_own_signal(base: str, word: str) -> None:
    link = LocalLink("black")
    script = f"trap 'echo got {word}; exit 0' {word}; echo up; while :; do sleep 0.05; done"
    await services.put(link, base, service(script, stop=word), {})
    log = Path(base) / "services/ladder-garden/log"
    await _eventually(lambda: log.exists() and log.read_text() == "up\n")
    supervisor = pid(base, "supervisor")
    kept = log.open()
    await services.stop(link, base, "ladder-garden")
    assert kept.read() == f"up\ngot {word}\n"
    kept.close()
    assert not alive(supervisor) and not (Path(base) / "services/ladder-garden").exists()
    await services.stop(link, base, "ladder-garden")


async def test_a_supervisor_that_was_killed_leaves_no_second_process(base: str) -> None:
    link = LocalLink("black")
    await services.put(link, base, SLEEPS, {})
    await until(link, base, running(1))
    first = pid(base)
    os.kill(pid(base, "supervisor"), signal.SIGKILL)
    found = await until(link, base, lambda one: one.state is ServiceState.STOPPED)
    assert alive(first) and found.since == 0
    assert await services.put(link, base, SLEEPS, {}) == "started"
    await until(link, base, running(2))
    assert not alive(first)


async def test_stopping_waits_until_nothing_runs(link: Link, base: str) -> None:
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    script = f'(setsid sh -c "{deaf}" & echo $!); sleep 1000 & echo $!; {deaf}'
    await services.put(link, base, service(script, stop_seconds=1), {})
    await until(link, base, running(1))
    log = Path(base) / "services/ladder-garden/log"
    await _eventually(lambda: len(log.read_text().split()) == 2)
    left = [int(word) for word in log.read_text().split()] + [pid(base), pid(base, "supervisor")]
    assert all(alive(process) for process in left)
    await services.stop(link, base, "ladder-garden")
    assert [alive(process) for process in left] == [False] * 4
    assert await services.status(link, base) == []


async def test_the_log_is_capped(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = LocalLink("black")
    monkeypatch.setattr(services, "LOG_BYTES", 10_000)
    made = service("yes it goes on and on | head -c 200000; echo; echo last words; exec sleep 1000")
    await services.put(link, base, made, {})
    folder = Path(base) / "services/ladder-garden"
    await _eventually(lambda: (folder / "log.1").exists())
    await _eventually(lambda: (folder / "log").stat().st_size == 0)
    assert (folder / "log.1").stat().st_size > 190_000  # what one look found; the next 10 kB are the cap
    assert (await seen(link, base)).complaint == "last words"
    assert oct((folder / "log").stat().st_mode)[-3:] == "600"


async def test_secrets_are_in_no_argv_and_no_complaint(base: str) -> None:
    link = LocalLink("black")
    secret = b"srt://h:1?passphrase=very-secret-indeed"
    made = service(
        'read -r url <"$0"; echo "$url: refused; tcp://u:p@h: gone" >&2; exit 1',
        secret_files={"url": "mark1"},
    )
    made = replace(made, argv=(*made.argv, "{files}/url"))
    with pytest.raises(ActionFailed) as lacking:
        await services.put(link, base, made, {})
    assert lacking.value.reason == "SecretMissing"
    await services.put(link, base, made, {"url": secret + b"\n", "other": b"x"})
    found = await until(link, base, lambda one: one.code == 1)
    assert found.complaint == "…: refused; tcp://…h: gone"
    held = Path(base) / "services/ladder-garden/files"
    assert [one.name for one in held.iterdir()] == ["url"]
    assert oct((held / "url").stat().st_mode)[-3:] == "600"


async def test_a_file_is_put_in_one_go(link: Link, base: str) -> None:
    await services.put_file(link, base, "keys.json", b"{}\n")
    await services.put_file(link, base, "a/b/c.txt", b"\0\xff", mode=0o644)
    keys = Path(base) / "keys.json"
    assert keys.read_bytes() == b"{}\n" and oct(keys.stat().st_mode)[-3:] == "600"
    assert (Path(base) / "a/b/c.txt").read_bytes() == b"\0\xff"
    assert sorted(one.name for one in Path(base).iterdir()) == [services.MARKER, "a", "keys.json"]
    for path in ("../x", "/x", "a//b", "", "a/../b", ".telarchy-streaming"):
        with pytest.raises(ValueError):
            await services.put_file(link, base, path, b"")


async def test_retire_leaves_nothing_and_follows_no_symlink(link: Link, base: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "film.mkv").write_bytes(b"film")
    await services.put(link, base, SLEEPS, {})
    await services.put(link, base, replace(SLEEPS, name="http"), {})
    for name in ("ladder-garden", "http"):
        await until(link, base, running(1), name)
    left = [pid(base, name=name) for name in ("ladder-garden", "http")]
    (Path(base) / "spool").symlink_to(outside)
    await services.retire(link, base)
    assert not Path(base).exists() and (outside / "film.mkv").exists()
    assert not any(alive(process) for process in left)
    await services.retire(link, base)
    assert await services.status(link, base) == []


@pytest.mark.parametrize("kind", ["unmarked", "symlink", "marker is a symlink"])
async def test_a_folder_of_a_person_is_never_touched(tmp_path: Path, kind: str) -> None:
    link = LocalLink("black")
    films = tmp_path / "films"
    (films / "services/a").mkdir(parents=True)
    (films / "film.mkv").write_bytes(b"film")
    base = films
    if kind == "symlink":
        (films / services.MARKER).touch()
        base = tmp_path / "link"
        base.symlink_to(films)
    elif kind == "marker is a symlink":
        (films / services.MARKER).symlink_to(films / "film.mkv")
    for attempt in (
        services.retire(link, str(base)),
        services.put(link, str(base), SLEEPS, {}),
        services.put_file(link, str(base), "film.mkv", b"x"),
        services.stop(link, str(base), "a"),
    ):
        with pytest.raises(ActionFailed) as refused:
            await attempt
        assert refused.value.reason == "NotOurs" and not refused.value.transient
    assert (films / "film.mkv").read_bytes() == b"film" and (films / "services/a").is_dir()


@pytest.mark.parametrize("base", ["", "/", "~", "~/", "a/b", "/a/../b", "/a\nb", "~x/a"])
async def test_a_base_that_may_not_be_one(base: str) -> None:
    for call in (services.retire, services.status):
        with pytest.raises(ValueError):
            await call(LocalLink("black"), base)


async def test_home_is_the_hosts_affair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    await services.put_file(LocalLink("black"), "~/.local/state/x/origin", "keys.json", b"{}")
    assert (tmp_path / ".local/state/x/origin/keys.json").read_bytes() == b"{}"


def test_a_line_about_something_else_is_no_service() -> None:
    torn = "service\thttp\tRunning\taa\tbb\t1"
    assert [seen_service(line) for line in ("", "P 1", torn, torn + "\tx\t\t")] == [None] * 4
    whole = seen_service(torn + "\t1700000000\t255\tsaid\tmuch\x1b[0m")
    assert whole == ServiceSeen("http", ServiceState.RUNNING, "aa", "bb", 1, 1.7e9, 255, "said much [0m")


async def _eventually(right: Callable[[], bool]) -> None:
    start = time.monotonic()
    while not right():
        assert time.monotonic() - start < PATIENCE
        await asyncio.sleep(0.02)
