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

# untaken STAGED: end because the disk did not take what lies there. What memory still shows of it may be on no disk:
# it all comes again.
untaken() {
    cd / && rm -rf -- "$1" "$1.begun"
    refuse "$FAILED" "the disk did not take what arrived, and it comes again: ${unwritten:-sync failed}"
}

# moved CODE: end with what the exit status of rsync means to the controller (see custody/transfer.py).
moved() {
    [ "$1" -ne 255 ] || exit 199
    [ "$1" -lt 126 ] || exit 198
    exit $((100 + $1))
}
