"""The Debian trees that hosts boot from: one base, and optional layers of packages on top of it.

A tree is built once and kept under a name derived from its recipe, so an edit to the recipe builds a new
tree and never changes one that a running host stands on. The packages come from the mirror that this
machine's own apt is configured with, or from debootstrap's default where that is no Debian mirror.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.command import command, tools

SUITE = "bookworm"
BASE_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "openssh-server",
    "openssh-client",
    "rsync",
    "python3-minimal",
    "sudo",
    "iproute2",
    "nftables",
    "iputils-ping",
    "b3sum",
    "util-linux",
    "procps",
    "e2fsprogs",
    "socat",
    "ca-certificates",
)
MEDIA_PACKAGES = (
    "transmission-daemon",
    "mpv",
    "ffmpeg",
    "nginx",
    "libnginx-mod-rtmp",
    "libnginx-mod-http-js",
)
"""What a host needs to seed, play and broadcast: ask for it with `packages=MEDIA_PACKAGES`."""

_BASE_SETUP = r"""
set -eu
useradd --uid 1000 --create-home --shell /bin/bash media
usermod --password '*' media
usermod --password '*' root
install -d -m 700 -o media -g media /home/media/.ssh
install -d -m 700 /root/.ssh
mkdir -p /var/lib/systemd/linger && touch /var/lib/systemd/linger/media

rm -f /etc/ssh/ssh_host_*
cat > /etc/ssh/sshd_config.d/lab.conf <<END
HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
PrintMotd no
PasswordAuthentication no
PermitRootLogin prohibit-password
END
sed -i -e '/pam_motd/d' -e '/pam_mail/d' /etc/pam.d/sshd

mkdir -p /etc/systemd/system.conf.d /etc/systemd/journald.conf.d
printf '[Manager]\nDefaultTimeoutStopSec=10s\n' > /etc/systemd/system.conf.d/lab.conf
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n' > /etc/systemd/journald.conf.d/lab.conf
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer dpkg-db-backup.timer console-getty.service getty.target systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-hostnamed.service systemd-networkd-wait-online.service \
    systemd-resolved.service systemd-timesyncd.service
systemctl set-default --quiet multi-user.target
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /usr/share/doc/* /usr/share/man/*
: > /etc/machine-id
"""

_LAYER_SETUP = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$@"
rm /usr/sbin/policy-rc.d
for daemon in transmission-daemon nginx; do
    systemctl disable --quiet "$daemon" 2>/dev/null || true
done
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /usr/share/doc/* /usr/share/man/*
"""


def cache_directory() -> Path:
    """Where built trees are kept: `TELARCHY_LAB_CACHE`, or a system cache folder."""
    return Path(os.environ.get("TELARCHY_LAB_CACHE", "/var/cache/telarchy-lab"))


def layers(packages: Sequence[str] = ()) -> tuple[Path, ...]:
    """The lower layers, topmost first, of a host with `packages`; builds what is not built yet."""
    base = _built(_digest(SUITE, platform.machine(), *BASE_PACKAGES, _BASE_SETUP), _build_base)
    if not packages:
        return (base,)
    wanted = sorted(set(packages))

    def build(target: Path) -> None:
        _build_layer(base, wanted, target)

    return (_built(_digest(base.parent.name, *wanted, _LAYER_SETUP), build), base)


def _digest(*recipe: str) -> str:
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:16]


def _built(name: str, build: Callable[[Path], None]) -> Path:
    tree = cache_directory() / name / "tree"
    if tree.is_dir():
        return tree
    with _locked(cache_directory() / f"{name}.lock"):
        if not tree.is_dir():
            draft = tree.with_name("draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            build(draft)
            draft.rename(tree)
    return tree


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_base(target: Path) -> None:
    mirror = _debian_mirror()
    command(
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(BASE_PACKAGES)}",
        SUITE,
        str(target),
        *([mirror] if mirror else []),
        timeout=900,
        env=_fetching_environment(),
    )
    command("chroot", str(target), "/bin/sh", "-s", text=_BASE_SETUP)


def _build_layer(base: Path, packages: Sequence[str], target: Path) -> None:
    work, root = target.with_name("work"), target.with_name("root")
    for directory in (work, root):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
    options = f"lowerdir={base},upperdir={target},workdir={work}"
    command("mount", "-t", "overlay", "overlay", "-o", options, str(root))
    try:
        resolver = root / "etc/resolv.conf"
        resolver.unlink(missing_ok=True)
        shutil.copyfile("/etc/resolv.conf", resolver)
        command("mount", "-t", "proc", "proc", str(root / "proc"))
        environment = _fetching_environment()
        command(
            "chroot",
            str(root),
            "/bin/sh",
            "-s",
            *packages,
            text=_LAYER_SETUP,
            timeout=1800,
            env=environment,
        )
    finally:
        command("umount", "--recursive", str(root))
    (target / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.rmtree(work)
    root.rmdir()


def _debian_mirror() -> str | None:
    """The first Debian archive in this machine's apt configuration that is not the security one."""
    listed = command(
        "apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(SITE)", "Created-By: Packages"
    )
    for line in listed.splitlines():
        origin, release, site = line.split(" ", 2)
        if origin == "Debian" and "-" not in release:
            return site
    return None


def _fetching_environment() -> dict[str, str]:
    """This process' environment, with apt's own proxy for tools that are not apt."""
    environment = tools()
    proxy = command("apt-config", "shell", "proxy", "Acquire::http::Proxy")
    if proxy and "http_proxy" not in environment:
        environment["http_proxy"] = proxy.partition("=")[2].strip("'")
    return environment


if __name__ == "__main__":
    for layer in layers(sys.argv[1:]):
        print(layer)
