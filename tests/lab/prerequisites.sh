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
need ffmpeg ffmpeg
need nginx nginx-light
need varnishd varnish
need cc gcc # Varnish compiles its rules
for module in rtmp http-js; do
    file=/usr/lib/nginx/modules/ngx_$(printf %s "$module" | tr - _)_module.so
    [ -e "$file" ] || missing="$missing libnginx-mod-$module"
done
need chromium chromium # for tests/browser
need openssl openssl # certificates for tests
need sshd openssh-server # for tests/unit, which start it themselves
need curl curl
need b3sum b3sum # what hosts may have beside SHA-256
need lowntfs-3g ntfs-3g # a disk that folds the case of names
need shellcheck shellcheck
command -v lua >/dev/null 2>&1 || need lua5.1 lua5.1 # what Argo CD is told of our kinds is Lua
need kubectl kubernetes-client # what a client can tell of manifests
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

# The tests run programs themselves; a server that a package would start has no business here, now or at the next boot.
policy=/usr/sbin/policy-rc.d
made=""
log="$(mktemp)"
trap 'rm -f "$log" $made' EXIT
if [ ! -e "$policy" ]; then
    made="$policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # a list of package names
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 || {
    cat "$log" >&2
    echo "these packages could not be installed; the reason is above" >&2
    exit 1
}
for pair in nginx-light:nginx varnish:varnish varnish:varnishncsa openssh-server:ssh; do
    case " $missing " in
    *" ${pair%:*} "*) # only what came with this
        ! command -v systemctl >/dev/null || systemctl disable --quiet "${pair#*:}.service" 2>/dev/null || true
        ;;
    esac
done
