#!/bin/sh
# Installs what the lab needs on this machine, and only what is missing. Safe to run as often as you like.
set -eu

missing=""
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

PATH="$PATH:/usr/sbin:/sbin"
need debootstrap debootstrap
need systemd-nspawn systemd-container
need ip iproute2
need nft nftables
need rsync rsync
need ssh openssh-client
need mkfs.ext4 e2fsprogs
need losetup mount
need nsenter util-linux
need chromium chromium # for tests/browser
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"

if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "the lab lacks:$missing; run $0 as root" >&2
    exit 1
fi
echo "installing for the lab:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of package names
apt-get install -y -qq --no-install-recommends $missing
