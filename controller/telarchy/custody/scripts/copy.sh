# shellcheck shell=sh disable=SC2154
# copy.sh BATCH READER ROOT ID EPOCH CONTROLLER NAME ACTION NEED RESERVE JOB FILES WAY [ARG…]: fill the staging
# folder.
#
# Runs as a job on the target. JOB is the job's folder, with lists of files relative to the root (NUL-separated):
# `files` to fetch, `more` for a second rsync to fetch beside the first, and all of them once more to read: `large`
# (pairs of size and file) and `small`. WAY is `rsync` with its command behind it, which writes to the staging folder
# (first, as one word, options by which it tells how far it is, or "" where the command has them); or `local` with
# "many" or "" and the source root behind it, and then a whole such command for hosts without Python (none where there
# is no rsync either). NEED and RESERVE in bytes; so many FILES.
#
# Writes progress to JOB/progress, and one record of batch.sh per file to stdout: digests of what lies in the
# staging folder, taken while it arrives where that can be. Ends with 0 when everything is there and on disk.
batch=$1 reader=$2
shift 2
root=$1 id=$2 epoch=$3 controller=$4 name=$5 action=$6 need=$7 reserve=$8 job=$9
shift 9
files=$1 way=$2
shift 2

has_python & # found out beside the rest
python=$!
stage "$root" "$id" "$epoch" "$controller" "$name" "$action" "$need" "$reserve" "$files"
begun=$root/.telarchy/staging/$action.begun
arrived=$job/arrived
flushing=$root/.telarchy/staging/.$action.1.sync
rm -f -- "$arrived" "$flushing" "$job/step"
cd "$staged" || refuse "$READ_ONLY" "$staged cannot be entered"

# Something to give back when the disk is full, or the job could not even write down that it ended.
dd if=/dev/zero of="$job/ballast" bs=1024 count=64 2>/dev/null ||
    refuse "$NO_SPACE" "$root has no room for anything"

if wait "$python"; then
    python=yes
else
    python=
    know_tools "$batch"
fi
: >"$job/progress"
# Where reader.py tells that all is read, and how far it is, of so many bytes; how rsync would tell it, of many files.
told='' total='' telling='' many=''
if [ "$way" = local ]; then
    many=$1 from=$2
    shift 2
    if [ -n "$python" ]; then
        set -- python3 -I -S -c "$reader" place "$from" "$job/files" "$need"
        [ -z "$many" ] || told=$job/progress
    fi
else
    telling=$1 rsync=$2
    shift 2
    if [ -n "$telling" ] && [ -n "$python" ] && [ -z "$again" ]; then
        told=$job/progress total=$need
        set -- "$rsync" "$@"
    else
        # shellcheck disable=SC2086 # words of ours, without blanks
        set -- "$rsync" $telling "$@"
    fi
fi
if [ -s "$job/more" ] && [ -z "$told" ]; then
    # An rsync that tells how far it is speaks for itself alone.
    cat "$job/more" >>"$job/files" && : >"$job/more"
fi
if [ $# -gt 0 ]; then
    "$@" >>"$job/progress" &
else
    xargs -0 -n 100 sh -c "$batch" batch place "$from" . <"$job/files" 3>"$job/progress" &
fi
mover=$! second='' syncing=''
fetch_more() { # the command, for the other list
    for word; do
        shift
        [ "$word" != "--files-from=$job/files" ] || word=--files-from=$job/more
        set -- "$@" "$word"
    done
    "$@" >>"$job/progress"
}
if [ -s "$job/more" ]; then
    fetch_more "$@" &
    second=$!
fi
printf '%s\n' "$mover" >"$job/step"
if [ -n "$telling$many" ]; then
    # Many small files wait in memory until somebody syncs: begin with it, so that the disk works while the line does.
    {
        set -- 0.15 0.15 0.15 0.15 # at first, or a short copy is over before it helps
        while sleep "${1:-0.4}" && kill -0 $$ && [ ! -e "$arrived" ]; do
            [ $# -eq 0 ] || shift
            synced_once "$root" . "$flushing" || exit
        done
    } </dev/null >/dev/null 2>&1 &
    syncing=$!
fi

digest_small() { xargs -0 -n 500 sh -c "$batch" batch arrive . "$begun" "$arrived" <"$job/small"; }
digest_large() {
    if [ -z "$again" ] && tail --pid=1 -n 0 /dev/null 2>/dev/null; then
        xargs -0 -n 2 sh -c "$batch" batch stream . "$mover" "$arrived" <"$job/large"
    else
        xargs -0 -n 2 sh -c "$batch" batch stream . 0 "$arrived" <"$job/large"
    fi
}
if [ -n "$python" ]; then
    python3 -I -S -c "$reader" arrive "$(sh -c "$batch" batch stat)" "$begun" "$arrived" "$job/large" "$job/small" \
        "$again" "$told" "$total" &
    small=$! large=$!
else
    digest_small &
    small=$!
    digest_large &
    large=$!
fi

wait "$mover"
code=$?
if [ -n "$second" ]; then
    printf '%s\n' "$second" >"$job/step"
    wait "$second"
    other=$?
    # A holder may let in one at a time.
    if [ "$code" -eq 0 ] && [ "$other" -ne 0 ]; then
        fetch_more "$@"
        code=$?
    elif [ "$code" -ne 0 ] && [ "$other" -eq 0 ]; then
        "$@" >>"$job/progress"
        code=$?
    fi
fi
full=
[ "$code" -eq 0 ] || full=$(free_kib .)
rm -f -- "$job/ballast"
if [ "$code" -eq 0 ]; then
    printf 'digesting\n' >>"$job/progress"
    [ -z "$told" ] || printf '%s\n' "$small" >"$job/step"
fi
: >"$arrived"
if [ "$code" -ne 0 ]; then
    kill "$small" "$large" 2>/dev/null
    if [ -n "$full" ] && [ "$full" -lt 1024 ]; then
        refuse "$NO_SPACE" "the disk is full; what arrived stays and is gone on from"
    fi
    moved "$code"
fi
synced "$root" "$staged"
while [ -e "$flushing" ] && kill -0 "$syncing" 2>/dev/null; do
    sleep 0.02 2>/dev/null || sleep 1
done
{ [ ! -e "$flushing" ] && [ -e "$begun" ]; } || untaken "$staged"
ended=0
wait "$small" || ended=1
wait "$large" || ended=1
[ "$ended" -eq 0 ] || refuse "$FAILED" "what arrived could not be digested"
