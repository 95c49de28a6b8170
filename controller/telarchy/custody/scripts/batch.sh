# shellcheck shell=sh
# One handful of files, named by arguments. Writes a record for each:
#
#     `f SIZE MTIME PATH`                       as in list.sh, NUL-terminated
#     `d SHA256 SIZE MTIME SIZE MTIME PATH`     as it was before it was read, and after; `-` for what is not there.
#                                               Ends with `//` and a newline, which is in no path. SHA256 may be
#                                               `SHA256:BLAKE3`, or `-:BLAKE3` for what was read by that alone
#
#     tools                                     say which tools there are, for the two variables
#     stat                                      say the first of them
#     blake3                                    say something if b3sum works here, for TELARCHY_BLAKE3
#     list BASE FILE…
#     digest BASE FILE…
#     both BASE FILE…                           digest for BLAKE3 too, if TELARCHY_BLAKE3; TELARCHY_PIPE is a pipe to use
#     same BASE [BLAKE3 FILE]…                  digest by b3sum alone what still has that BLAKE3, if TELARCHY_BLAKE3
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

# One core only: whoever watches something from this host comes first. Read as a file, not mapped into memory, where
# a bad sector ends the program and with it what it knew of the others.
b3() { b3sum --num-threads 1 --no-mmap --no-names "$@"; }

if [ "$1" = blake3 ]; then
    # Both ways in which it is asked here, and enough zeros to go through all of its parts: another program of that
    # name, or one that says the same of everything, is not used.
    zeros=$(dd if=/dev/zero bs=1024 count=100 2>/dev/null | b3 2>/dev/null)
    nothing=$(b3 -- /dev/null 2>/dev/null)
    if [ "$zeros" = cc6cdd54a545b95115da0a9dbf18ed49f94d63537098ef57736eb88d60a22532 ] &&
        [ "$nothing" = af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 ]; then
        echo b3sum
    fi
    exit
fi

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

# woven SUMS FILE…: lines of sizes and times, of digests (with SUMS 2: of SHA-256 and of BLAKE3), of sizes and times
# become a record per file. Nothing, and non-zero, when they do not add up. (awk takes the names from its arguments;
# `read` would cost a call per byte.)
woven() {
    awk '
        function plain(sum) {
            sub(/^\\/, "", sum)
            sub(/ .*/, "", sum)
            if (sum != "-" && (length(sum) != 64 || sum ~ /[^0-9a-f]/)) wrong = 1
            return sum
        }
        BEGIN {
            sums = ARGV[1]
            n = ARGC - 2
            for (i = 1; i <= n; i++) name[i] = ARGV[i + 1]
            ARGC = 1 # no file of theirs is its input
        }
        { line[NR] = $0 }
        END {
            if (NR != (2 + sums) * n) exit 1
            for (i = 1; i <= n; i++) {
                sum[i] = plain(line[n + i])
                if (sums == 2 && (other = plain(line[2 * n + i])) != "-") sum[i] = sum[i] ":" other
            }
            if (wrong) exit 1
            for (i = 1; i <= n; i++) printf "d %s %s %s %s//\n", sum[i], line[i], line[NR - n + i], name[i]
        }' "$@"
}

digest() { # files…
    if [ "$TELARCHY_SHA" = none ]; then
        echo 'no tool for SHA-256 here: install openssl or coreutils' >&2
        exit 255 # makes xargs stop
    fi
    {
        look "$@" 2>/dev/null && read_all "$@" 2>/dev/null && look "$@" 2>/dev/null
    } | woven 1 "$@" || {
        each look look_one "$@"
        each read_all read_one "$@"
        each look look_one "$@"
    } | woven 1 "$@"
}

b3_all() { b3 -- "$@"; }
b3_one() { [ -r "$1" ] && b3 <"$1"; }

ALIKE=67108864 # bytes that stay in memory between two tools: both then read the same

both() { # files…
    if [ -z "${TELARCHY_BLAKE3-}" ] || [ "$TELARCHY_SHA" = none ]; then
        digest "$@"
    elif [ "$(look "$@" 2>/dev/null | awk -v most="$ALIKE" '{ all += $1 } END { print (all > most) }')" = 1 ]; then
        for file; do
            in_one_pass "$file"
        done
    else
        {
            look "$@" 2>/dev/null && read_all "$@" 2>/dev/null && b3_all "$@" 2>/dev/null && look "$@" 2>/dev/null
        } | woven 2 "$@" || {
            each look look_one "$@"
            each read_all read_one "$@"
            each b3_all b3_one "$@"
            each look look_one "$@"
        } | woven 2 "$@"
    fi
}

# in_one_pass FILE: both digests of a file that is read once; SHA-256 alone where that cannot be.
in_one_pass() {
    sums='' before=''
    if [ -n "$TELARCHY_PIPE" ]; then
        before=$(look "$1" 2>/dev/null)
        sums=$(
            # Whichever of them fails, nobody waits for ever: both ends of the pipe are open before (no system lets
            # opening for both wait), what b3sum leaves is read all the same, and the pipe ends when tee has.
            # shellcheck disable=SC2094
            {
                {
                    {
                        exec 3>&- 4<&- 5>&- # for good: ksh would keep those of a group, and the pipe would not end
                        { b3; cat >/dev/null; } <&6 | sed 's/^/blake3 /'
                    } &
                    { tee "$TELARCHY_PIPE" <&4 && echo whole >&3; } | read_stdin | sed 's/^/sha256 /'
                } 5<>"$TELARCHY_PIPE" 6<"$TELARCHY_PIPE"
                wait
            } 3>&1 4<"$1" 2>/dev/null
        )
    fi
    case $sums in
    # What tee could not hand on whole says nothing about the file.
    *whole*)
        {
            printf '%s\n' "$before"
            printf '%s\n' "$sums" | sed -n 's/^sha256 //p'
            printf '%s\n' "$sums" | sed -n 's/^blake3 //p'
            look "$1" 2>/dev/null
        } | woven 2 "$1" || digest "$1"
        ;;
    *) digest "$1" ;;
    esac
}

same() { # pairs of BLAKE3 and file…
    expected=
    left=$#
    while [ "$left" -gt 0 ]; do
        expected="$expected${expected:+
}$1"
        set -- "$@" "$2"
        shift 2
        left=$((left - 2))
    done
    # Where one is not as expected, SHA-256 decides about the whole handful.
    if [ -n "${TELARCHY_BLAKE3-}" ] && before=$(look "$@" 2>/dev/null) &&
        [ "$(b3_all "$@" 2>/dev/null)" = "$expected" ]; then
        {
            printf '%s\n' "$before"
            for file; do
                echo -
            done
            printf '%s\n' "$expected"
            look "$@" 2>/dev/null
        } | woven 2 "$@" && return
    fi
    both "$@"
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
list | digest | both | same) fixed=0 ;;
place) fixed=1 ;;
arrive) fixed=2 ;;
stream) fixed=3 ;;
esac
[ $# -gt "$fixed" ] || exit 0
case $verb in
list) each look look_one "$@" | named "$base" "$@" ;;
digest | both | same) "$verb" "$@" ;;
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
        printf '%s\n' "$seen" "$sum" "$seen" | woven 1 "$file"
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
