# shellcheck shell=sh
# One handful of files, named by arguments. Writes a record for each:
#
#     `f SIZE MTIME PATH`                       as in list.sh, NUL-terminated
#     `d SHA256 SIZE MTIME SIZE MTIME PATH`     as it was before it was read, and after; `-` for what is not there.
#                                               Ends with `//` and a newline, which is in no path
#
#     tools                                     say which tools there are, for the two variables
#     stat                                      say the first of them
#     list BASE FILE…
#     digest BASE FILE…
#     arrive BASE BEGUN DONE FILE…              digest, each file as soon as rsync (-t --inplace) is done with it:
#                                               it then has its old mtime, from before BEGUN; or DONE exists
#     stream BASE WRITER DONE SIZE FILE         digest a file of SIZE bytes while process WRITER writes it from its
#                                               beginning on; WRITER 0: once DONE exists
#     place FROM TO FILE…                       copy FROM/FILE to TO/FILE, times too; what is there already stays
#
# Tools are asked about the whole handful at once and answer a line per file, in order. Where the lines do not
# add up (a file vanished, or a name with a newline met a simple tool) each file is asked for by itself.
set -u
set -f
LC_ALL=C
export LC_ALL

# Which tools there are is found out once and handed down, since every handful is a new shell.
if [ -z "${TELARCHY_STAT-}" ]; then
    case $(stat -c %.9Y / 2>/dev/null) in
    *[0-9].[0-9]*) TELARCHY_STAT=gnu ;;
    *) if [ -n "$(stat -c %Y / 2>/dev/null)" ]; then TELARCHY_STAT=simple; else TELARCHY_STAT=bsd; fi ;;
    esac
    if [ "$1" = stat ]; then
        printf '%s' "$TELARCHY_STAT"
        exit
    fi
    # openssl first: four times as fast as coreutils' own on processors with SHA instructions.
    if openssl dgst -sha256 -r /dev/null >/dev/null 2>&1; then
        TELARCHY_SHA=openssl
    else
        for TELARCHY_SHA in sha256sum shasum sha256 none; do
            ! command -v "$TELARCHY_SHA" >/dev/null 2>&1 || break
        done
    fi
    export TELARCHY_STAT TELARCHY_SHA
fi
case $TELARCHY_STAT in
gnu) look() { stat -c '%s %.9Y' -- "$@"; } ;;
simple) look() { stat -c '%s %Y' -- "$@"; } ;;
*) look() { stat -f '%z %Fm' -- "$@"; } ;;
esac
case $TELARCHY_SHA in
openssl)
    read_all() { openssl dgst -sha256 -r "$@"; }
    read_stdin() { openssl dgst -sha256 -r; }
    ;;
sha256sum)
    read_all() { sha256sum -- "$@"; }
    read_stdin() { sha256sum; }
    ;;
shasum)
    read_all() { shasum -a 256 -- "$@"; }
    read_stdin() { shasum -a 256; }
    ;;
sha256)
    read_all() { sha256 -q -- "$@"; }
    read_stdin() { sha256 -q; }
    ;;
*)
    read_all() { return 127; }
    read_stdin() { return 127; }
    ;;
esac

look_one() { look "$1"; }
read_one() { [ -r "$1" ] && read_stdin <"$1"; }

# each ALL ONE FILE…: a line per file, `-` where there is no answer.
each() {
    all=$1 one=$2
    shift 2
    answer=$("$all" "$@" 2>/dev/null) && [ "$(printf '%s\n' "$answer" | wc -l)" -eq $# ] &&
        printf '%s\n' "$answer" && return
    for file; do
        answer=$("$one" "$file" 2>/dev/null) || answer='- -'
        printf '%s\n' "${answer:-- -}"
    done
}

# named BASE FILE…: lines of sizes and times become records of a listing.
named() {
    base=$1
    shift
    while IFS= read -r line; do
        path=${1#"$base"}
        printf 'f %s %s\000' "$line" "${path#/}"
        shift
    done
}

# woven FILE…: lines of sizes and times, of digests, of sizes and times become a record per file. Nothing, and
# non-zero, when they do not add up. (awk takes the names from its arguments; `read` would cost a call per byte.)
woven() {
    awk '
        BEGIN {
            for (n = 1; n < ARGC; n++) name[n] = ARGV[n]
            n = ARGC - 1
            ARGC = 1 # no file of theirs is its input
        }
        { line[NR] = $0 }
        END {
            if (NR != 3 * n) exit 1
            for (i = 1; i <= n; i++) {
                sum = line[n + i]
                sub(/^\\/, "", sum)
                sub(/ .*/, "", sum)
                if (sum != "-" && (length(sum) != 64 || sum ~ /[^0-9a-f]/)) exit 1
                line[n + i] = sum
            }
            for (i = 1; i <= n; i++) printf "d %s %s %s %s//\n", line[n + i], line[i], line[2 * n + i], name[i]
        }' "$@"
}

digest() { # files…
    if [ "$TELARCHY_SHA" = none ]; then
        echo 'no tool for SHA-256 here: install openssl or coreutils' >&2
        exit 255 # makes xargs stop
    fi
    {
        look "$@" 2>/dev/null && read_all "$@" 2>/dev/null && look "$@" 2>/dev/null
    } | woven "$@" || {
        each look look_one "$@"
        each read_all read_one "$@"
        each look look_one "$@"
    } | woven "$@"
}

# pause DONE: a tenth of a second where sleep knows fractions. Whoever waits ends when the job's folder is gone.
pause() {
    [ -d "${1%/*}" ] || exit 255
    sleep 0.1 2>/dev/null || sleep 1
}

if [ "$1" = tools ]; then
    printf '%s %s' "$TELARCHY_STAT" "$TELARCHY_SHA"
    exit
fi
verb=$1 base=$2
shift 2
# GNU xargs calls once when there is nothing to do, too.
case $verb in
list | digest) fixed=0 ;;
place) fixed=1 ;;
arrive) fixed=2 ;;
stream) fixed=3 ;;
esac
[ $# -gt "$fixed" ] || exit 0
case $verb in
list) each look look_one "$@" | named "$base" "$@" ;;
digest) digest "$@" ;;
arrive)
    begun=$1 done=$2
    shift 2
    for file; do
        # shellcheck disable=SC3013 # every sh that is in use has -nt
        until [ -e "$done" ] || { [ -e "$file" ] && [ "$begun" -nt "$file" ]; }; do
            pause "$done"
        done
    done
    digest "$@"
    ;;
stream)
    writer=$1 done=$2 size=$3 file=$4
    until [ -e "$done" ] || { [ "$writer" != 0 ] && [ -e "$file" ]; }; do
        pause "$done"
    done
    sum=
    if [ ! -e "$done" ]; then
        sum=$(tail -c +1 -f -s 0.1 --pid="$writer" -- "$file" 2>/dev/null | head -c "$size" | read_stdin)
        sum=${sum#\\}
        sum=${sum%% *}
    fi
    seen=$(look "$file" 2>/dev/null)
    if [ ${#sum} -eq 64 ] && [ "${seen%% *}" = "$size" ]; then
        printf '%s\n' "$seen" "$sum" "$seen" | woven "$file"
    else
        until [ -e "$done" ]; do
            pause "$done"
        done
        digest "$file"
    fi
    ;;
place)
    to=$1
    shift
    for file; do
        wanted=$(look "$base/$file") || exit 255
        if [ "$(look "$to/$file" 2>/dev/null)" != "$wanted" ]; then
            case $file in
            */*) mkdir -p -- "$to/${file%/*}" || exit 255 ;;
            esac
            cp -p -- "$base/$file" "$to/$file" || exit 255
        fi
        printf '%s\n' "${wanted%% *}" >&3
    done
    ;;
esac
