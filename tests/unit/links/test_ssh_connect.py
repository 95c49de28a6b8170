"""Connecting: who is let in, what is refused, and how it is said."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.links.loopback import Sshd, free_port, make_key

from telarchy.errors import HostUnreachable
from telarchy.links.pool import LinkPool
from telarchy.links.secrets import FileSecrets, Secret, SecretMissing
from telarchy.links.ssh import SshLink
from telarchy.links.way import Way
from telarchy.resources.host import Endpoint, Host


async def refusal(way: Way) -> HostUnreachable:
    link = SshLink(way)
    with pytest.raises(HostUnreachable) as caught:
        await link.connection()
    await link.close()
    return caught.value


async def test_a_changed_host_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    other = Path(f"{make_key(tmp_path / 'other')}.pub").read_text()
    error = await refusal(replace(sshd.way(), host_key=other))
    assert error.reason == "HostKeyChanged"
    assert "reinstalled" in str(error)


async def test_a_host_key_of_another_type_is_refused(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    sshd = make_sshd()
    key = tmp_path / "ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(key)], check=True)
    error = await refusal(replace(sshd.way(), host_key=Path(f"{key}.pub").read_text()))
    assert error.reason == "HostKeyChanged", str(error)


async def test_without_a_pinned_key_nothing_is_trusted(sshd: Sshd) -> None:
    error = await refusal(replace(sshd.way(), host_key=""))
    assert error.reason == "HostKeyUnknown"
    assert "telarchy enroll" in str(error)


async def test_a_wrong_key_and_a_wrong_password(sshd: Sshd, tmp_path: Path) -> None:
    stranger = Secret(make_key(tmp_path / "stranger").read_bytes())
    assert (await refusal(replace(sshd.way(), key=stranger))).reason == "AuthenticationFailed"
    wrong = replace(sshd.way(), key=None, password=Secret(b"hunter2"))
    error = await refusal(wrong)
    assert error.reason == "AuthenticationFailed"
    assert "hunter2" not in str(error) + repr(error) + repr(wrong)
    garbage = replace(sshd.way(), key=Secret(b"not a key"))
    assert (await refusal(garbage)).reason == "AuthenticationFailed"


async def test_nothing_listens_and_no_such_name(sshd: Sshd) -> None:
    way = sshd.way()
    refused = replace(way, endpoints=(Endpoint("media", "127.0.0.1", free_port()),))
    assert (await refusal(refused)).reason == "ConnectionRefused"
    nameless = replace(way, endpoints=(Endpoint("media", "no-such-host.invalid", 22),))
    assert (await refusal(nameless)).reason == "NameNotResolved"


async def test_a_silent_endpoint_times_out(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telarchy.links.connect.CONNECT_TIMEOUT", 0.5)
    server = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    silent = Endpoint("media", "127.0.0.1", server.sockets[0].getsockname()[1])
    assert (await refusal(replace(sshd.way(), endpoints=(silent,)))).reason == "TimedOut"
    server.close()


async def test_the_second_endpoint_is_not_waited_for_long(sshd: Sshd) -> None:
    server = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    silent = Endpoint("media", "127.0.0.1", server.sockets[0].getsockname()[1])
    link = SshLink(replace(sshd.way(), endpoints=(silent, sshd.endpoint)))
    began = time.monotonic()
    assert (await link.run(["true"])).ok
    assert 0.25 < time.monotonic() - began < 8
    assert link.endpoint == str(sshd.endpoint)
    sshd.cut()
    await asyncio.sleep(0.2)
    began = time.monotonic()
    assert (await link.run(["true"])).ok  # remembers the winner
    assert time.monotonic() - began < 8
    await link.close()
    server.close()


async def test_the_most_telling_reason_is_shown(sshd: Sshd, tmp_path: Path) -> None:
    other = Path(f"{make_key(tmp_path / 'other')}.pub").read_text()
    dead = Endpoint("media", "127.0.0.1", free_port())
    way = replace(sshd.way(), host_key=other, endpoints=(dead, sshd.endpoint, dead))
    assert (await refusal(way)).reason == "HostKeyChanged"


async def test_a_failure_answers_for_a_moment(sshd: Sshd) -> None:
    link = SshLink(sshd.way(), retry_after=60)
    sshd.stop()
    for _ in range(2):
        with pytest.raises(HostUnreachable) as caught:
            await link.run(["true"])
        assert caught.value.reason == "ConnectionRefused"
    sshd.start()
    with pytest.raises(HostUnreachable):
        await link.run(["true"])  # the old answer
    await link.probe()  # asks afresh
    assert (await link.run(["true"])).ok
    await link.close()


async def test_known_hosts_and_config_of_the_user_are_not_read(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {sshd.public}\n")
    (home / ".ssh/config").write_text("Host *\n  ProxyCommand false\n")
    monkeypatch.setenv("HOME", str(home))
    assert (await refusal(replace(sshd.way(), host_key=""))).reason == "HostKeyUnknown"
    link = SshLink(sshd.way())
    assert (await link.run(["true"])).ok
    await link.close()


async def test_the_users_own_key_serves_when_none_is_declared(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id_ed25519").write_bytes(sshd.key.read_bytes())
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    link = SshLink(replace(sshd.way(), key=None))
    assert (await link.run(["true"])).ok
    await link.close()


def manifest(sshd: Sshd, **ssh: object) -> Host:
    way = {"endpoints": [str(sshd.endpoint)], "hostKey": sshd.public} | ssh
    spec = {"class": "Server", "connection": {"ssh": way}}
    return Host.model_validate(
        {"apiVersion": "telarchy.dev/v1alpha1", "kind": "Host", "metadata": {"name": "black"}, "spec": spec}
    )


async def test_the_pool_follows_the_manifests(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "secrets/login").mkdir(parents=True)
    (tmp_path / "secrets/login/key").write_bytes(sshd.key.read_bytes())
    identity = {"secretRef": {"name": "login", "key": "key"}}
    pool = LinkPool(FileSecrets(tmp_path / "secrets", {}))
    host = manifest(sshd, identity=identity)
    pool.configure([host])
    link = await pool.link("black")
    assert (await link.run(["true"])).ok
    pool.configure([host.model_copy(deep=True)])
    assert await pool.link("black") is link
    pool.configure([manifest(sshd, identity=identity, endpoints=["root@127.0.0.1:1"])])
    with pytest.raises(HostUnreachable) as caught:
        await pool.link("black")
    assert caught.value.reason == "ConnectionRefused"
    began = time.monotonic()
    with pytest.raises(HostUnreachable):
        await pool.link("black")
    assert time.monotonic() - began < 1
    pool.configure([])
    with pytest.raises(HostUnreachable) as caught:
        await pool.link("black")
    assert caught.value.reason == "NotDeclared"
    pool.configure([manifest(sshd, identity={"secretRef": {"name": "login", "key": "other"}})])
    with pytest.raises(HostUnreachable) as caught:
        await pool.link("black")
    assert caught.value.reason == "SecretMissing"
    await pool.close()


def test_secrets_come_from_files_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "black-login").mkdir()
    (tmp_path / "black-login/password").write_bytes(b"from the file\n")
    environment = {"TELARCHY_SECRET_BLACK_LOGIN_TOKEN": "from outside"}
    secrets = FileSecrets(tmp_path, environment)
    assert secrets.resolve("black-login", "password").reveal() == b"from the file"
    assert secrets.resolve("black-login", "token").reveal() == b"from outside"
    with pytest.raises(SecretMissing, match="TELARCHY_SECRET_BLACK_LOGIN_NONE"):
        secrets.resolve("black-login", "none")
    for name in ("..", "a/b", "../black-login", ""):
        with pytest.raises(SecretMissing):
            secrets.resolve(name, "password")
    assert "file" not in repr(secrets.resolve("black-login", "password"))
