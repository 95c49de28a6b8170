# shellcheck shell=sh
# One handful of files, named by arguments. Writes a NUL-terminated record for each:
#
#     `f SIZE MTIME PATH`                       as in list.sh
#     `d SHA256 SIZE MTIME SIZE MTIME PATH`     as it was before it was read, and after; `-` for what is not there
#
#     list BASE FILE…
#     digest BASE FILE…
#     arrive BASE BEGUN DONE FILE…              digest, each file as soon as rsync (-t --inplace) is done with it:
#                                               it then has its old mtime, from before BEGUN; or DONE exists
#     stream BASE WRITER DONE SIZE FILE         digest a file of SIZE bytes while process WRITER writes it
#     place FROM TO FILE…                       copy FROM/FILE to TO/FILE, times too; what is there already stays
#
# Tools are asked about the whole handful at once and answer a line per file, in order. Where the lines do not
# add up (a file vanished, or a name with a newline met a simple tool) each file is asked for by itself.
set -u
set -f
LC_ALL=C
export LC_ALL

case $(stat -c %.9Y / 2>/dev/null) in
*[0-9].[0-9]*) look() { stat -c '%s %.9Y' -- "$@"; } ;;
*)
    if [ -n "$(stat -c %Y / 2>/dev/null)" ]; then
        look() { stat -c '%s %Y' -- "$@"; }
    else
        look() { stat -f '%z %Fm' -- "$@"; }
    fi
    ;;
esac

# openssl first: four times as fast as coreutils' own on processors with SHA instructions.
if openssl dgst -sha256 -r /dev/null >/dev/null 2>&1; then
    read_all() { openssl dgst -sha256 -r "$@"; }
    read_stdin() { openssl dgst -sha256 -r; }
elif command -v sha256sum >/dev/null 2>&1; then
    read_all() { sha256sum -- "$@"; }
    read_stdin() { sha256sum; }
elif command -v shasum >/dev/null 2>&1; then
    read_all() { shasum -a 256 -- "$@"; }
    read_stdin() { shasum -a 256; }
elif command -v sha256 >/dev/null 2>&1; then
    read_all() { sha256 -q -- "$@"; }
    read_stdin() { sha256 -q; }
else
    echo 'no tool for SHA-256 here: install openssl or coreutils' >&2
    exit 255 # makes xargs stop
fi

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

# named KIND BASE FILE…: lines from stdin become records, each with its file's path.
named() {
    kind=$1 base=$2
    shift 2
    while IFS= read -r line; do
        path=${1#"$base"}
        printf '%s %s %s\000' "$kind" "$line" "${path#/}"
        shift
    done
}

digest() { # base, files…
    in=$1
    shift
    {
        each look look_one "$@"
        each read_all read_one "$@"
        each look look_one "$@"
    } | awk -v n=$# '
        NR <= n { before[NR] = $0; next }
        NR <= 2 * n { sub(/^\\/, ""); sum[NR - n] = substr($1, 1, 64); next }
        { print sum[NR - 2 * n], before[NR - 2 * n], $0 }' | named d "$in" "$@"
}

# pause: a tenth of a second where sleep knows fractions.
pause() { sleep 0.1 2>/dev/null || sleep 1; }

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
list) each look look_one "$@" | named f "$base" "$@" ;;
digest) digest "$base" "$@" ;;
arrive)
    begun=$1 done=$2
    shift 2
    for file; do
        # shellcheck disable=SC3013 # every sh that is in use has -nt
        until [ -e "$done" ] || { [ -e "$file" ] && [ "$begun" -nt "$file" ]; }; do
            pause
        done
    done
    digest "$base" "$@"
    ;;
stream)
    writer=$1 done=$2 size=$3 file=$4
    until [ -e "$done" ] || [ -e "$file" ]; do
        pause
    done
    sum=
    if [ ! -e "$done" ]; then
        sum=$(tail -c +1 -f -s 0.1 --pid="$writer" -- "$file" 2>/dev/null | head -c "$size" | read_stdin)
        sum=${sum#\\}
        sum=${sum%% *}
    fi
    seen=$(look "$file" 2>/dev/null)
    if [ ${#sum} -eq 64 ] && [ "${seen%% *}" = "$size" ]; then
        printf '%s %s %s\n' "$sum" "$seen" "$seen" | named d "$base" "$file"
    else
        until [ -e "$done" ]; do
            pause
        done
        digest "$base" "$file"
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
