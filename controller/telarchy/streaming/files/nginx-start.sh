#!/bin/sh
# usage: nginx-start.sh rtmp|http check|run CONFIGURATION
# Runs nginx in the endpoint's folder (the working directory) as whoever one is, and makes the folders it needs.
set -eu
umask 077
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
service=$1 mode=$2 configuration=$3
export PATH

mkdir -p "run/$service" log spool stale publishing keyuse cache
case $service in rtmp) mkdir -p run/publishers ;; esac

# Marks of viewers and of refused addresses lead nowhere without this, and mean nothing after the next start.
TELARCHY_SALT=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export TELARCHY_SALT

# Names of sources are looked up anew every while; nginx asks whom this host asks.
servers=$(awk '$1 == "nameserver" { print index($2, ":") ? "[" $2 "]" : $2 }' /etc/resolv.conf 2>/dev/null |
    sed '/%/d' | head -n 3 | tr '\n' ' ')
[ -z "$servers" ] || printf 'resolver %s valid=30s;\nresolver_timeout 2s;\n' "$servers" \
    >"$(dirname "$configuration")/resolver.conf"

user=""
[ "$(id -u)" -ne 0 ] || user=" user root;" # what it reads is readable for its owner only

if [ "$mode" = check ]; then
    exec nginx -t -q -p . -c "$configuration" -e stderr -g "daemon off;$user"
fi
case $service in
rtmp) rm -f publishing/* run/publishers/* run/refusals.json* ;; # a publisher does not outlive the process
http) rm -f run/http/*.sock ;;                                  # left behind by one that was killed
esac
if [ "$service" = http ]; then
    # Whoever counts viewers shortens the log. While nobody does, it must not fill the disk.
    while sleep 15 && kill -0 $$; do
        if [ "$(wc -c <log/access.log)" -gt 67108864 ]; then
            mv -f log/access.log log/access.log.1 && kill -USR1 $$
        fi
    done </dev/null >/dev/null 2>&1 &
fi
exec nginx -p . -c "$configuration" -e stderr -g "daemon off;$user"
