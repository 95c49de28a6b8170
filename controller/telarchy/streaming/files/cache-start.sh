#!/bin/sh
# usage: cache-start.sh check|run PROGRAM VCL BYTES
# Runs Varnish (varnishd, vinyld) in the endpoint's folder, the working directory. It takes absolute paths only.
set -eu
umask 077
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH
mode=$1 program=$2 vcl=$3 bytes=$4

here=$(pwd -P)
case $here in
*[!A-Za-z0-9/_.+@:,~-]*)
    echo "Varnish takes no folder with such characters in its path: $here" >&2
    exit 78
    ;;
esac
socket=$here/run/cache/http.sock
if [ "${#socket}" -gt 107 ]; then
    echo "the path of the cache's socket is longer than 107 characters: $socket" >&2
    exit 78
fi
mkdir -p run/cache log
if [ "$mode" = check ]; then
    trial=run/cache/trial.$$
    trap 'rm -rf "$trial" "$trial.vcl"' EXIT
    sed "s|@BASE@|$here|g" "$vcl" >"$trial.vcl"
    mkdir "$trial"
    if ! said=$("$program" -j none -n "$here/$trial" -C -f "$here/$trial.vcl" 2>&1 >/dev/null); then
        printf '%s\n' "$said" | tail -n 20 >&2
        exit 1
    fi
    exit 0
fi
sed "s|@BASE@|$here|g" "$vcl" >run/cache/current.vcl
rm -f "$socket" # left behind by one that was killed
exec "$program" -F -j none -n "$here/run/cache/work" -f "$here/run/cache/current.vcl" \
    -a "http=$socket,mode=600" -s "default,$bytes" \
    -p thread_pool_min=25 -p thread_pool_max=1000 -p http_resp_hdr_len=4k -p vsl_mask=-Debug
