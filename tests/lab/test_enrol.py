"""A machine becomes a host: what it lacks is added once, what cannot be is said, and a dry run changes nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab

from telarchy.errors import ConfigError, HostUnreachable
from telarchy.links.enrol import EnrolmentFailed, enrol
from telarchy.links.secrets import FileSecrets, Secret
from telarchy.links.ssh import SshLink
from telarchy.links.way import way_to
from telarchy.resources.host import Host

MEDIA = "/srv/media"


def where(host: LabHost, user: str = "media") -> str:
    return f"{user}@{host.address}"


def test_a_host_is_enrolled_once(lab: Lab, fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    said: list[str] = []
    planned = enrol(where(nas), roots=[MEDIA], identity=lab.client_key, dry_run=True, say=said.append)
    assert any(line.startswith("new host key") and "SHA256:" in line for line in said)
    assert not nas.exists(f"{MEDIA}/.telarchy") and not nas.exists("/home/media/.telarchy")
    assert "would-do" in {step.outcome for step in planned.steps}

    first = enrol(where(nas), name="nas", roots=[MEDIA], fleet="house", identity=lab.client_key)
    assert "done" in {step.outcome for step in first.steps}
    sentinel = nas.read(f"{MEDIA}/.telarchy/volume")
    content = json.loads(sentinel)
    assert content["fleet"] == "house" and len(content["id"]) == 32
    assert sentinel.count(b"\n") == 1
    assert nas.text("stat -c %a /home/media/.telarchy/keys") == "700"

    second = enrol(where(nas), name="nas", roots=[MEDIA], identity=lab.client_key, pinned=nas.host_key)
    assert {step.outcome for step in second.steps} <= {"already", "by-hand"}
    assert nas.read(f"{MEDIA}/.telarchy/volume") == sentinel
    assert second.manifest == first.manifest
    assert nas.text(f"ls {MEDIA}/.telarchy") == "volume"
    host = Host.model_validate(first.manifest)
    assert host.spec.connection.ssh is not None
    assert host.spec.connection.ssh.host_key == " ".join(nas.host_key.split()[:2])
    assert [root.path for root in host.spec.media_roots] == [MEDIA]
    assert "kind: Host" in first.yaml


def test_a_host_that_joins_others_may_pull_from_them_and_they_from_it(
    lab: Lab, fleet: MakeFleet, tmp_path: Path
) -> None:
    nas, vps = fleet("nas", "vps")
    state, manifests = tmp_path / "state", tmp_path / "fleet"
    manifests.mkdir()
    for name in ("nas", "vps"):
        login = state / "secrets" / f"{name}-login"
        login.mkdir(parents=True, mode=0o700)
        (login / "key").write_bytes(lab.client_key.read_bytes())
        (login / "key").chmod(0o600)

    def enroll(host: LabHost, *more: str) -> subprocess.CompletedProcess[str]:
        words = ["enroll", where(host), "--name", host.name, "--root", MEDIA, "-i", str(lab.client_key)]
        return telarchy(*words, *more)

    def telarchy(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "telarchy", *words, "--state", str(state)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done

    def keys(host: LabHost) -> list[str]:
        """What pulls this host lets others do."""
        return [
            line.partition("restrict")[0].removeprefix('command="')
            for line in host.text("cat /home/media/.ssh/authorized_keys").splitlines()
            if "telarchy:" in line
        ]

    (manifests / "vps.yaml").write_text(enroll(vps).stdout)
    assert keys(vps) == []  # there was nobody else
    telarchy("apply", "-f", str(manifests))
    said = enroll(nas, "--dry-run").stderr
    assert (
        f"would-do: let vps read {MEDIA} of nas" in said and f"would-do: let nas read {MEDIA} of vps" in said
    )
    assert keys(vps) == [] and not nas.exists("/home/media/.telarchy")
    first = enroll(nas)
    assert (
        f"done: let vps read {MEDIA} of nas" in first.stderr
        and f"done: let nas read {MEDIA} of vps" in first.stderr
    )
    for host in (nas, vps):
        [line] = keys(host)
        assert f"rrsync -ro '{MEDIA}'" in line
    again = enroll(nas)
    assert f"already: let vps read {MEDIA} of nas" in again.stderr and again.stdout == first.stdout
    # The others have the new one's key, and a host that cannot be asked now is asked at the first copy.
    (manifests / "nas.yaml").write_text(first.stdout)
    telarchy("apply", "-f", str(manifests))
    assert f"already: let nas read {MEDIA} of vps" in telarchy("enroll", "vps").stderr
    nas.run("systemctl stop ssh ssh.socket", check=False)
    assert f"not now, but at the first copy: let vps read {MEDIA} of nas" in telarchy("enroll", "vps").stderr


def test_with_a_password_the_controllers_key_is_let_in(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    (nas,) = fleet("nas", fresh=True)
    nas.run("echo media:geheim | chpasswd")
    nas.run("echo PasswordAuthentication yes > /etc/ssh/sshd_config.d/0-test.conf; systemctl reload ssh")
    nas.wait_ssh()
    nas.run("printf '# no newline' > /home/media/.ssh/authorized_keys")
    with pytest.raises(HostUnreachable) as caught:
        enrol(where(nas), password=Secret(b"falsch"))
    assert caught.value.reason == "AuthenticationFailed"
    assert "falsch" not in str(caught.value)
    public = lab.client_key.with_name("client_key.pub").read_text()
    for _ in range(2):
        made = enrol(where(nas), name="nas", password=Secret(b"geheim"), public_key=public)
    assert nas.read("/home/media/.ssh/authorized_keys") == b"# no newline\n" + public.encode()
    made.manifest["spec"]["connection"]["ssh"]["identity"] = {"secretRef": {"name": "lab", "key": "key"}}
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/key").write_bytes(lab.client_key.read_bytes())

    async def runs() -> bool:
        way = way_to(Host.model_validate(made.manifest), FileSecrets(tmp_path, {}))
        assert way is not None
        link = SshLink(way)
        try:
            return (await link.run(["true"])).ok
        finally:
            await link.close()

    assert asyncio.run(runs())


def test_what_is_missing_and_cannot_be_installed_is_said(lab: Lab, fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.uninstall("rsync")
    made = enrol(where(nas), roots=[MEDIA], identity=lab.client_key)
    assert ("install rsync (needs an administrator)", "by-hand") in [
        (step.description, step.outcome) for step in made.steps
    ]
    with pytest.raises(EnrolmentFailed, match=r"apt-get .*rsync"):
        enrol(where(nas, "root"), identity=lab.client_key)  # apt believes that it is there


def test_what_cannot_be_enrolled(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    (nas,) = fleet("nas")
    with pytest.raises(EnrolmentFailed, match="no such folder"):
        enrol(where(nas), roots=["/srv/nothing"], identity=lab.client_key)
    with pytest.raises(EnrolmentFailed, match="may not write"):
        enrol(where(nas), roots=["/etc"], identity=lab.client_key)
    with pytest.raises(ConfigError):
        enrol("nobody", identity=lab.client_key)
    with pytest.raises(HostUnreachable) as caught:
        enrol(f"{where(nas)}:1", identity=lab.client_key)
    assert caught.value.reason == "ConnectionRefused"
    with pytest.raises(HostUnreachable) as caught:
        enrol("media@no-such-host.invalid", identity=lab.client_key)
    assert caught.value.reason == "NameNotResolved"
    other = nas.host_key.split()[1][:-6] + "AAAAAA"
    with pytest.raises(HostUnreachable) as caught:
        enrol(where(nas), identity=lab.client_key, pinned=f"ssh-ed25519 {other}")
    assert caught.value.reason == "HostKeyChanged"
    assert not nas.exists("/home/media/.telarchy")
