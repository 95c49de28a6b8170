# prune.sh BASE STREAM GENERATION…: remove generations of a stream, and what is left of it when the last one is gone.
#
# Only below a base that carries our marker, only what could be a name of ours, never through a symlink, and never
# the generation that plays now. One that is not there is removed. Before it stand job-lib.sh, service-lib.sh and
# service-owner.sh, so that it does nothing in another controller's base.
# shellcheck shell=sh
base=$1 stream=$2
shift 2

named() {
    case $1 in '' | .* | -* | *[!A-Za-z0-9._-]*) return 1 ;; esac
}

own_base "$base"
status=$?
[ "$status" != 2 ] || exit 0
[ "$status" = 0 ] || exit "$status"
named "$stream" || { echo "$stream is no stream" >&2 && exit 1; }
if [ -L spool ] || [ -L "spool/$stream" ]; then
    echo "spool/$stream is a symlink" >&2
    exit 3
fi
[ -d "spool/$stream" ] || exit 0
current='' writer=''
{ IFS= read -r current; } 2>/dev/null <"spool/$stream/current"
for service in "services/ladder-$stream" "services/relay-$stream"; do
    [ ! -e "$service/current" ] || writer=yes
done
for generation; do
    named "$generation" || { echo "$generation is no generation" >&2 && exit 1; }
    if [ -n "$writer" ] && [ "$generation" = "$current" ]; then
        echo "$generation of $stream plays now" >&2
        exit 1
    fi
    if [ -L "spool/$stream/$generation" ]; then
        rm -f -- "spool/$stream/$generation" || exit 1
    elif [ -d "spool/$stream/$generation" ]; then
        rm -rf -- "./spool/$stream/$generation" || exit 1
    fi
done
if [ -z "$writer" ]; then
    for left in "spool/$stream"/*/; do
        [ ! -d "$left" ] || exit 0
    done
    rm -f -- "spool/$stream/current" "spool/$stream/input" "progress/$stream" "stale/$stream"
    rmdir -- "spool/$stream" 2>/dev/null
fi
exit 0
