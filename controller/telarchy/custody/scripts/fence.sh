# shellcheck shell=sh disable=SC2034
# What every script begins with: exit codes, the sentinel, the writer's fence, a lock.
#
# POSIX sh only (dash, ash, the sh of BSD and macOS). Names of files are bytes: they travel as arguments or
# NUL-separated on stdin, never as text of a script.
set -u
set -f
LC_ALL=C
export LC_ALL
unset CDPATH

# Exit codes that the controller knows; see custody/shell.py.
FENCED=70
GONE=71
CONFLICT=72
NO_SPACE=73
READ_ONLY=74
CHANGED=75
NO_TOOL=76
BUSY=77
FAILED=78

refuse() { # code, sentence
    printf '%s\n' "$2" >&2
    exit "$1"
}

# sentinel ROOT: set `found` to the volume id written there, or to "".
sentinel() {
    found=
    if [ -L "$1/.telarchy" ] || [ -L "$1/.telarchy/volume" ] || [ ! -f "$1/.telarchy/volume" ]; then
        return 0
    fi
    IFS= read -r found <"$1/.telarchy/volume" 2>/dev/null || :
    case $found in
    *'"id"'*) ;;
    *) found= && return 0 ;;
    esac
    found=${found#*'"id"'}
    found=${found#*'"'}
    found=${found%%'"'*}
    case $found in
    *[!0-9a-f]*) found= ;;
    esac
    [ ${#found} -eq 32 ] || found=
}

# at_volume ROOT ID: go on only if this very volume stands there now.
at_volume() {
    sentinel "$1"
    [ -n "$2" ] || refuse "$GONE" "a volume without a sentinel is never written to"
    if [ "$found" != "$2" ]; then
        refuse "$GONE" "volume $2 is not at $1 (found: ${found:-no sentinel})"
    fi
}

# holder ROOT: set held_epoch (0 when nobody ever wrote here), held_id, held_name.
holder() {
    held_epoch=0 held_id='' held_name=''
    if [ -f "$1/.telarchy/epoch" ] && [ ! -L "$1/.telarchy/epoch" ]; then
        IFS=' ' read -r held_epoch held_id held_name <"$1/.telarchy/epoch" || :
        case $held_epoch in
        '' | *[!0-9]* | ?????????????????*) held_epoch=0 held_id='' held_name='' ;;
        esac
    fi
}

# claim ROOT EPOCH ID NAME: write the lease file, complete or not at all.
claim() {
    printf '%s %s %s\n' "$2" "$3" "$4" >"$1/.telarchy/epoch.$3" &&
        mv -f "$1/.telarchy/epoch.$3" "$1/.telarchy/epoch"
}

# fence ROOT EPOCH ID NAME: go on only if nobody with a better right has written here; leave our own mark.
fence() {
    holder "$1"
    if [ "$held_epoch" -gt "$2" ] || { [ "$held_epoch" -eq "$2" ] && [ "$held_id $held_name" != "$3 $4" ]; }; then
        refuse "$FENCED" "controller $held_name ($held_id) holds epoch $held_epoch here, ours is $2"
    fi
    if [ "$held_epoch" -lt "$2" ]; then
        claim "$1" "$2" "$3" "$4" 2>/dev/null || refuse "$READ_ONLY" "$1 cannot be written to"
    fi
}

# lock_within DESCRIPTOR: have its lock within 20 s. BusyBox has a flock that cannot be told how long to wait.
lock_within() {
    flock -n "$1" && return
    case $(flock --help 2>&1) in
    *timeout*)
        flock -w 20 "$1"
        return
        ;;
    esac
    waited=0
    until flock -n "$1"; do
        waited=$((waited + 1))
        [ "$waited" -lt 20 ] || return 1
        sleep 1
    done
}

# lock ROOT: one writer script at a time on a volume, until this script ends.
lock() {
    if [ ! -w "$1/.telarchy" ] || [ -L "$1/.telarchy/lock" ]; then
        refuse "$READ_ONLY" "$1 cannot be written to"
    fi
    if command -v flock >/dev/null 2>&1; then
        exec 9>>"$1/.telarchy/lock"
        lock_within 9 || refuse "$BUSY" "another change of $1 is still under way"
        return 0
    fi
    locked=$1/.telarchy/lock.d
    waited=0
    until mkdir "$locked" 2>/dev/null; do
        # Left by a machine that lost power: no script here runs for ten minutes.
        find "$locked" -prune -mmin +10 -exec rmdir {} \; 2>/dev/null
        waited=$((waited + 1))
        [ "$waited" -lt 20 ] || refuse "$BUSY" "another change of $1 is still under way"
        sleep 1
    done
    trap 'rmdir "$locked" 2>/dev/null' EXIT
}

# writer ROOT ID EPOCH CONTROLLER NAME: the door that every change of a volume goes through.
writer() {
    at_volume "$1" "$2"
    lock "$1"
    fence "$1" "$3" "$4" "$5"
    at_volume "$1" "$2"
}

# plain_path ROOT PATH: no component of PATH is a symbolic link, and all but the last are folders if they exist.
plain_path() {
    walked=$1
    rest=$2/
    while [ -n "$rest" ]; do
        walked=$walked/${rest%%/*}
        rest=${rest#*/}
        [ ! -L "$walked" ] || refuse "$CONFLICT" "$walked is a symbolic link; nothing is written through it"
        if [ -n "$rest" ] && [ -e "$walked" ] && [ ! -d "$walked" ]; then
            refuse "$CONFLICT" "$walked is a file where a folder belongs"
        fi
    done
}

# flush [-f] PATH…: `sync` with these words. Fails, with the reason in `unwritten`, when the disk did not take it all. A
# sync that does not know these words, or may not open a folder, is asked for everything, and tells of no failure.
flush() {
    unwritten=$(sync "$@" 2>&1) && return
    case $unwritten in
    *'/output error'* | *'I/O error'* | *'o space left'* | *uota* | *'needs cleaning'* | *'tale file handle'*) return 1 ;;
    esac
    sync
}

# Linux tells of what a disk did not take once, to whoever syncs first, and of all that is on it together. So whoever
# syncs shows a mark meanwhile, and where that fails doubts all that is staged there: what has lost its .begun is never
# committed. Two roots on one disk do not hear of each other.
doubt_staged() { # ROOT
    set +f
    rm -f -- "$1"/.telarchy/staging/*.begun
    doubted=$?
    set -f
    return "$doubted"
}

# settle PATH…: these files, and the entries of these folders, reach the disk.
settle() {
    flush -- "$@" || refuse "$FAILED" "the disk did not take what was written: $unwritten"
}

# settle_all ROOT PATH: all that its file system holds reaches the disk.
settle_all() {
    flush -f -- "$2" && return
    doubt_staged "$1"
    refuse "$FAILED" "the disk did not take what was written: $unwritten"
}

# device PATH: print the number of the file system it is on.
device() {
    stat -c %d -- "$1" 2>/dev/null || stat -f %d -- "$1"
}

stamp() { date -u +%Y%m%dT%H%M%SZ; }

# free_kib PATH: print what an ordinary user may still write there, "" when df does not say.
free_kib() {
    df -Pk -- "$1" 2>/dev/null | sed -n 's/^.* [0-9][0-9]*  *[0-9][0-9]*  *\([0-9][0-9]*\)  *[0-9][0-9]*%.*$/\1/p'
}

# inodes PATH: print how many inodes its file system has, and how many are free; "" where it does not say, or makes them
# as they are needed.
inodes() {
    counted=$(stat -f -c '%c %d' -- "$1" 2>/dev/null)
    case $counted in
    [1-9]*' '[0-9]*) ;;
    *) return 0 ;;
    esac
    case ${counted% *}${counted#* } in
    *[!0-9]*) ;;
    *) printf '%s' "$counted" ;;
    esac
}

# know_tools BATCH: find out once which tools batch.sh has to work with.
know_tools() {
    TELARCHY_STAT=$(sh -c "$1" batch tools)
    TELARCHY_SHA=${TELARCHY_STAT#* }
    TELARCHY_STAT=${TELARCHY_STAT%% *}
    export TELARCHY_STAT TELARCHY_SHA
}

# python_at_hand: whether asking for python3 does no harm: that of a macOS without developer tools opens a window.
python_at_hand() { ! command -v xcode-select >/dev/null 2>&1 || xcode-select -p >/dev/null 2>&1; }

# has_python: whether reader.py can do without batch.sh.
has_python() {
    python_at_hand && python3 -I -S -c 'import sys, _hashlib; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1
}

# digest_listed BATCH READER LENGTH: digest files named on stdin: LENGTH bytes of pairs (size, file), then files alone.
digest_listed() {
    if python_at_hand; then
        python3 -I -S -c "$2" digest "$(sh -c "$1" batch stat)" "$3"
        case $? in
        0) return ;;
        1 | 2 | 126 | 127) ;; # no Python that reader.py can be run by: the names are all still there
        *) refuse "$FAILED" "files cannot be digested here" ;;
        esac
    fi
    know_tools "$1"
    if [ "$3" -gt 0 ]; then
        # Byte by byte, so that nothing of what follows is taken too.
        dd bs=1 count="$3" 2>/dev/null | xargs -0 -n 2 sh -c "$1" batch stream . 0 / ||
            refuse "$NO_TOOL" "files cannot be digested here"
    fi
    xargs -0 -n 500 sh -c "$1" batch digest . || refuse "$NO_TOOL" "files cannot be digested here"
}
