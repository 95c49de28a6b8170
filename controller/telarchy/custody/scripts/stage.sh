# shellcheck shell=sh disable=SC2154,SC2034
# The staging folder of an action, and what comes of moving bytes into it.

# stage ROOT ID EPOCH CONTROLLER NAME ACTION NEED RESERVE FILES: make it, if there is room (NEED and RESERVE in bytes,
# and so many FILES); sets `staged`, and `again` to non-empty when it was there already, with what an earlier try left.
stage() {
    (writer "$1" "$2" "$3" "$4" "$5") || exit
    plain_path "$1" ".telarchy/staging/$6/x"
    staged=$1/.telarchy/staging/$6
    again=
    present=0
    # What it was told when it was killed as it synced, nobody knows.
    for mark in "$1/.telarchy/staging/.$6.1.sync" "$1/.telarchy/staging/.$6.2.sync"; do
        [ -e "$mark" ] || continue
        of=''
        { read -r _ of; } 2>/dev/null <"$mark"
        this_boot
        [ "${of#*/}" != "$boot" ] || doubt_staged "$1"
        rm -f -- "$mark"
    done
    # Given up, and whoever did had no time to say so, or not the right to what is another's.
    [ -e "$staged.begun" ] || rm -rf -- "$staged"
    if [ -d "$staged" ]; then
        again=yes
        present=$(du -sk -- "$staged" 2>/dev/null | sed 's/[^0-9].*//')
    fi
    free=$(free_kib "$1")
    if [ -n "$free" ] && [ $((free + ${present:-0} - $7 / 1024 - $8 / 1024)) -lt 0 ]; then
        refuse "$NO_SPACE" "$1 has $free KiB free, too little for $(($7 / 1024)) KiB and a reserve of $(($8 / 1024)) KiB"
    fi
    # Inodes run out too, and what took the last ones and could not be finished would keep everything else out.
    inodes=$(inodes "$1")
    if [ -n "$inodes" ]; then
        left=$((${inodes#* } - $9 - ${inodes% *} / 100 - 16))
        [ -z "$again" ] || left=$((left + $(find "$staged" 2>/dev/null | wc -l)))
        [ "$left" -ge 0 ] || refuse "$NO_SPACE" "$1 has ${inodes#* } inodes free, too few for $9 files more"
    fi
    # Never .telarchy itself: where that is missing now, the disk went away, and its folder is another disk's.
    if [ -z "$again" ]; then
        [ -d "$1/.telarchy/staging" ] || mkdir -- "$1/.telarchy/staging" 2>/dev/null || [ -d "$1/.telarchy/staging" ] ||
            refuse "$READ_ONLY" "$1/.telarchy/staging cannot be made"
        mkdir -- "$staged" || refuse "$READ_ONLY" "$staged cannot be made"
    fi
    touch -- "$staged"
    # Everything in the staging folder that is not finished is younger than this file.
    [ -e "$staged.begun" ] || : >"$staged.begun"
}

this_boot() {
    boot=''
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || :
}

# born PID: sets BORN to when it started, in the system's own words; "" when there is none, or nobody can say.
born() {
    BORN=''
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    # Behind the name, which stands in parentheses, field 22 is the 20th word. A zombie is none.
    # shellcheck disable=SC2086
    set -- ${stat##*") "}
    case $1 in Z | X) return 0 ;; esac
    shift 19 && BORN=$1
}

# synced_once ROOT STAGED FILE: all of the file system reaches the disk, FILE being the mark of it meanwhile: `PID
# BORN/BOOT`. It stays where that fails and a disk that keeps nothing takes no word of it either. Who ends the job
# waits for this: killed, nobody would know what it was told.
synced_once() {
    trap '' TERM
    this_boot
    born $$
    { printf '%s %s/%s\n' $$ "$BORN" "$boot" >"$3"; } 2>/dev/null || rm -f -- "$3"
    flush -f -- "$2"
    taken=$?
    if [ "$taken" -eq 0 ] || doubt_staged "$1"; then
        rm -f -- "$3"
    fi
    trap - TERM
    return "$taken"
}

# still PID: where nobody can say when a process was born, an id may be another's after a while.
still() { kill -0 "$1" 2>/dev/null && [ "$looks" -lt 30000 ]; }

# heed_others STAGED: wait for who syncs beside us. Fails where one was killed at it, and what it was told is lost.
heed_others() {
    lost=0
    set +f
    for mark in "${1%/*}"/.*.sync; do
        set -f
        case $mark in "${1%/*}/.${1##*/}".*) continue ;; esac
        looks=0
        while [ -e "$mark" ]; do
            pid='' of=''
            { read -r pid of; } 2>/dev/null <"$mark"
            looks=$((looks + 1))
            if [ -z "$pid" ]; then
                [ "$looks" -lt 50 ] || break # nothing could be written into it
            elif [ "${of#*/}" != "$boot" ]; then
                rm -f -- "$mark" # what memory showed then is gone
                break
            else
                born "$pid"
                if [ "$BORN" != "${of%%/*}" ] || { [ -z "$BORN" ] && ! still "$pid"; }; then
                    [ -e "$mark" ] || break
                    rm -f -- "$mark"
                    lost=1
                    break
                fi
            fi
            sleep 0.02 2>/dev/null || sleep 1
        done
    done
    set -f
    return "$lost"
}

# synced ROOT STAGED: what is staged is on the disk, or this is its end. What memory still shows of it may be on no disk
# then: it all comes again.
synced() {
    synced_once "$1" "$2" "${2%/*}/.${2##*/}.2.sync" || untaken "$2"
    # Those beside us might not have found that mark any more.
    if ! heed_others "$2"; then
        doubt_staged "$1"
        untaken "$2"
    fi
    [ -e "$2.begun" ] || untaken "$2"
}

untaken() {
    cd / && rm -rf -- "$1" "$1.begun"
    rm -f -- "${1%/*}/.${1##*/}.1.sync" "${1%/*}/.${1##*/}.2.sync"
    refuse "$FAILED" "the disk did not take what arrived, and it comes again: ${unwritten:-a sync beside this one failed}"
}

# moved CODE: end with what the exit status of rsync means to the controller (see custody/transfer.py).
moved() {
    [ "$1" -ne 255 ] || exit 199
    [ "$1" -lt 126 ] || exit 198
    exit $((100 + $1))
}
