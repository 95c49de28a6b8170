"""The lab keeps its own promises: what it says it can do to a host really happens to the host."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.lab.command import LabError
from tests.lab.fleet import MakeFleet
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.tree import MEDIA_PACKAGES, layers

MEDIA = "/srv/media"
MIB = 1 << 20


def ssh(host: LabHost, *remote: str, user: str = "media") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        host.ssh_command(*remote, user=user), capture_output=True, text=True, check=False, timeout=60
    )


def process_list() -> str:
    return subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout


def mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text().splitlines()


def reaches(source: LabHost, target: str) -> bool:
    return source.run(["ping", "-c1", "-W1", "-q", target], check=False).returncode == 0


def test_three_hosts_answer_ssh_within_seconds() -> None:
    layers()
    begun = time.monotonic()
    with Lab() as lab:
        hosts = lab.hosts("one", "two", "three", volumes={MEDIA: 64})
        took = time.monotonic() - begun
        print(f"three hosts in {took:.2f} s")
        assert [ssh(host, "hostname").stdout.strip() for host in hosts] == ["one", "two", "three"]
        assert {ssh(host, "id -u", user="root").stdout.strip() for host in hosts} == {"0"}
        for host in hosts:
            host.wait_user_manager()
            print(f"{host.name}: {host.memory() / MIB:.0f} MiB")
            assert host.memory() < 128 * MIB
        network = hosts[0].address.rpartition(".")[0]
    assert took < 20
    links = subprocess.run(["ip", "address"], capture_output=True, text=True, check=True).stdout
    assert f"{network}." not in links, "the lab left its network behind"


def test_two_labs_at_once_do_not_meet(lab: Lab) -> None:
    with Lab() as other:
        one = other.host("lonely")
        assert other.gateway != lab.gateway
        assert not reaches(one, lab.gateway)


def test_next_run_clears_away_what_a_crashed_one_left() -> None:
    crash = (
        "import os\n"
        "from tests.lab.lab import Lab\n"
        "host = Lab().host('orphan', volumes={'/srv/media': 32})\n"
        "print(host.address, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    crashed = subprocess.run(
        [sys.executable, "-c", crash], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    network = crashed.stdout.strip().rpartition(".")[0]
    assert network, crashed.stderr
    assert crashed.returncode == -signal.SIGKILL
    with Lab() as heir:
        assert "orphan" not in heir
        assert "--hostname=orphan" not in process_list()
        number = network.rpartition(".")[2]
        assert not [line for line in mounts() if f"/{number}/orphan" in line]


def test_volume_is_a_disk_of_its_own_that_media_owns(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas", volumes={MEDIA: 64, "/srv/archive": 32})
    for point in (MEDIA, "/srv/archive"):
        assert nas.text(["stat", "-c", "%U", point]) == "media"
        assert nas.text(["stat", "-c", "%d", point]) != nas.text(["stat", "-c", "%d", "/srv"])
    nas.write(f"{MEDIA}/tv/show/e01.mkv", b"episode")
    assert nas.read(f"{MEDIA}/tv/show/e01.mkv") == b"episode"
    assert nas.text(["stat", "-c", "%U", f"{MEDIA}/tv/show/e01.mkv"]) == "media"


def test_power_cut_keeps_what_was_synced_and_loses_the_rest(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.write(f"{MEDIA}/synced", b"s" * MIB)
    nas.run(f"dd if=/dev/zero of={MEDIA}/written bs=1M count=4 && ls {MEDIA}", "media")
    nas.run("dd if=/dev/zero of=/home/media/written bs=1M count=4", "media")

    nas.power_cut()
    assert not nas.running
    assert ssh(nas, "true").returncode == 255

    nas.start()
    nas.wait_ssh()
    assert nas.read(f"{MEDIA}/synced") == b"s" * MIB
    assert not nas.exists(f"{MEDIA}/written")
    assert not nas.exists("/home/media/written")


def test_power_cut_says_no_farewell(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    client = subprocess.Popen(nas.ssh_command("echo up; sleep 1000"), stdout=subprocess.PIPE)
    assert client.stdout is not None
    assert client.stdout.readline() == b"up\n"
    nas.power_cut()
    with pytest.raises(subprocess.TimeoutExpired):
        client.wait(timeout=1.0)
    client.kill()
    client.communicate()


def test_shutdown_keeps_everything(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.run(f"echo kept > {MEDIA}/written; echo kept > /home/media/written", "media")
    nas.shutdown()
    nas.start()
    nas.wait_ssh()
    assert nas.read(f"{MEDIA}/written") == nas.read("/home/media/written") == b"kept\n"


def test_user_jobs_outlive_their_ssh_session(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    started = ssh(nas, "systemd-run --user --unit=telarchy-copy-1 sleep 100")
    assert started.returncode == 0, started.stderr
    assert ssh(nas, "systemctl --user is-active telarchy-copy-1").stdout.strip() == "active"
    (nas,) = fleet("nas")
    assert ssh(nas, "systemctl --user is-active telarchy-copy-1").stdout.strip() == "inactive"


def test_frozen_host_takes_the_connection_and_says_nothing(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.freeze()
    with pytest.raises(LabError, match="in vain"):
        nas.wait_ssh(timeout=1.5)
    nas.thaw()
    nas.wait_ssh(timeout=5)


def test_cut_between_two_hosts_leaves_the_others(lab: Lab, fleet: MakeFleet) -> None:
    nas, vps, laptop = fleet("nas", "vps", "laptop")
    assert reaches(nas, vps.address)
    lab.cut(nas, vps)
    assert not reaches(nas, vps.address)
    assert not reaches(vps, nas.address)
    assert reaches(nas, laptop.address)
    assert ssh(nas, "true").returncode == 0
    lab.heal(nas, vps)
    assert reaches(nas, vps.address)


def test_cut_from_the_controller_leaves_the_hosts_to_each_other(lab: Lab, fleet: MakeFleet) -> None:
    nas, vps = fleet("nas", "vps")
    lab.cut(nas)
    assert ssh(nas, "true").returncode == 255
    assert reaches(vps, nas.address)
    lab.heal(nas)
    assert ssh(nas, "true").returncode == 0


def test_no_way_out_of_the_lab(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    assert "default" not in nas.text(["ip", "route"])


def test_full_volume_refuses_with_enospc_and_takes_again(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas", volumes={MEDIA: 64})
    nas.fill(MEDIA, leave_bytes=4 * MIB)
    write = f"dd if=/dev/zero of={MEDIA}/e01.mkv bs=1M count=8 conv=fsync"
    refused = nas.run(write, "media", check=False)
    assert b"No space left on device" in refused.stderr
    assert 3 * MIB <= int(nas.text(["stat", "-c", "%s", f"{MEDIA}/e01.mkv"])) <= 5 * MIB
    nas.unfill(MEDIA)
    nas.run(write, "media")
    nas.fill(MEDIA)
    assert nas.run(f"echo more > {MEDIA}/more", "media", check=False).returncode != 0


def test_unmounted_volume_is_an_empty_folder_until_it_is_back(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.write(f"{MEDIA}/e01.mkv", b"episode")
    nas.unmount(MEDIA)
    assert nas.text(["ls", "-A", MEDIA]) == ""
    nas.mount(MEDIA)
    assert nas.read(f"{MEDIA}/e01.mkv") == b"episode"


def test_pulled_volume_fails_who_holds_it_and_comes_back(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.write(f"{MEDIA}/synced", b"synced")
    nas.run(f"systemd-run --unit=holder sh -c 'exec 3>{MEDIA}/held; sleep 1; echo x >&3; sync {MEDIA}/held'")
    nas.pull(MEDIA)
    assert not nas.exists(f"{MEDIA}/synced")
    time.sleep(1.5)
    assert nas.text("systemctl is-failed holder || true") == "failed"
    nas.mount(MEDIA)
    assert nas.read(f"{MEDIA}/synced") == b"synced"


@pytest.mark.parametrize("busy", [False, True])
def test_volume_turns_read_only_even_when_busy(fleet: MakeFleet, busy: bool) -> None:
    (nas,) = fleet("nas")
    if busy:
        nas.run(f"systemd-run --unit=holder sh -c 'exec 3>{MEDIA}/held; sleep 100'")
    nas.remount_ro(MEDIA)
    refused = nas.run(f"echo x > {MEDIA}/new", "media", check=False)
    assert b"Read-only file system" in refused.stderr
    if busy:
        nas.run(["systemctl", "stop", "holder"])
    nas.remount_rw(MEDIA)
    nas.run(f"echo x > {MEDIA}/new", "media")


def test_rot_changes_one_byte_and_no_field_of_the_inode(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    path = f"{MEDIA}/tv/e01.mkv"
    before = bytes(range(256)) * 4096
    nas.write(path, before)
    fields = ["stat", "-c", "%s %y %z %i %b", path]
    inode = nas.text(fields)
    nas.rot(path, 700_001)
    after = nas.read(path)
    assert nas.text(fields) == inode
    assert [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [700_001]


def test_rot_survives_a_remount(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.write(f"{MEDIA}/e01.mkv", b"a" * 5000)
    nas.rot(f"{MEDIA}/e01.mkv", 4999)
    nas.unmount(MEDIA)
    nas.mount(MEDIA)
    assert nas.read(f"{MEDIA}/e01.mkv") == b"a" * 4999 + bytes([ord("a") ^ 0xFF])


def test_changed_host_key_is_refused_by_who_pinned_the_old_one(lab: Lab, fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    old = nas.ssh_command("true")
    pinned = lab.known_hosts(nas)
    assert subprocess.run(old, capture_output=True, check=False).returncode == 0
    nas.change_host_key()
    assert lab.known_hosts(nas) != pinned
    assert subprocess.run(old, capture_output=True, check=False).returncode == 255
    assert ssh(nas, "true").returncode == 0


def test_uninstalled_binary_is_missing_until_restored(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.uninstall("rsync")
    assert ssh(nas, "rsync --version").returncode == 127
    nas.restore("rsync")
    assert ssh(nas, "rsync --version").returncode == 0


def test_reset_restores_a_host_that_a_test_left_in_ruins(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.uninstall("b3sum")
    nas.write("/home/media/.ssh/authorized_keys", "none")
    nas.run(f"cd {MEDIA} && nohup sleep 1000 >/dev/null 2>&1 &", "media")
    nas.run("systemd-run --unit=stray sleep 1000")
    nas.run("systemctl stop ssh")
    (nas,) = fleet("nas")
    assert ssh(nas, "b3sum --version").returncode == 0
    assert nas.run(["pgrep", "sleep"], check=False).returncode == 1
    assert nas.text(["ls", "-A", MEDIA]) == "lost+found"


def test_fresh_host_has_a_new_system(fleet: MakeFleet) -> None:
    (nas,) = fleet("nas")
    nas.write("/etc/marked", "by a test", user="root")
    key = nas.host_key
    (nas,) = fleet("nas", fresh=True)
    assert not nas.exists("/etc/marked")
    assert nas.host_key != key


def test_hosts_pull_from_each_other_with_a_key_that_can_only_read(fleet: MakeFleet) -> None:
    holder, puller = fleet("nas", "vps")
    holder.write(f"{MEDIA}/tv/show/e01.mkv", b"e" * MIB)
    puller.run("ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/pull", "media")
    key = puller.text("cat /home/media/.ssh/pull.pub")
    holder.run(
        "cat >> ~/.ssh/authorized_keys", "media", input=f'command="rrsync -ro {MEDIA}",restrict {key}\n'
    )
    puller.write("/home/media/.ssh/known_hosts", f"{holder.address} {holder.host_key}\n")
    rsync = "rsync -a -e 'ssh -i /home/media/.ssh/pull -o BatchMode=yes'"

    puller.run(f"{rsync} media@{holder.address}:tv/ {MEDIA}/tv/", "media")
    assert puller.read(f"{MEDIA}/tv/show/e01.mkv") == b"e" * MIB

    written = puller.run(f"{rsync} {MEDIA}/tv/ media@{holder.address}:tv2/", "media", check=False)
    assert b"read-only" in written.stderr
    shell = puller.run(f"ssh -i ~/.ssh/pull media@{holder.address} id", "media", check=False)
    assert shell.returncode != 0
    assert b"uid=" not in shell.stdout


def test_media_host_has_the_real_parts(fleet: MakeFleet) -> None:
    (nas,) = fleet("player", packages=MEDIA_PACKAGES)
    for part in ("transmission-daemon --version", "mpv --version", "ffmpeg -version", "nginx -t"):
        assert nas.run(part, check=False).returncode == 0, part
    assert nas.text("ls /etc/nginx/modules-enabled").split() == ["50-mod-http-js.conf", "50-mod-rtmp.conf"]
    assert nas.text("systemctl is-active nginx transmission-daemon || true").split() == ["inactive"] * 2
