# shellcheck shell=sh disable=SC2154
# copy.sh BATCH ROOT ID EPOCH CONTROLLER NAME ACTION NEED RESERVE JOB WAY [ARG…]: fill the staging folder.
#
# Runs as a job on the target. JOB is the job's folder, with lists of files relative to the root (NUL-separated):
# `files` (all), `large` (pairs of size and file) and `small`. WAY is `rsync` with its whole command behind it,
# which writes to the staging folder, or `cp` with the source root behind it. NEED and RESERVE in bytes.
#
# Writes progress to JOB/progress, and one record of batch.sh per file to stdout: digests of what lies in the
# staging folder, taken while it arrives where that can be. Ends with 0 when everything is there and on disk.
batch=$1 root=$2 id=$3 epoch=$4 controller=$5 name=$6 action=$7 need=$8 reserve=$9
shift 9
job=$1 way=$2
shift 2

stage "$root" "$id" "$epoch" "$controller" "$name" "$action" "$need" "$reserve"
begun=$root/.telarchy/staging/$action.begun
arrived=$job/arrived
rm -f -- "$arrived"
cd "$staged" || refuse "$READ_ONLY" "$staged cannot be entered"

# Something to give back when the disk is full, or the job could not even write down that it ended.
dd if=/dev/zero of="$job/ballast" bs=1024 count=64 2>/dev/null ||
    refuse "$NO_SPACE" "$root has no room for anything"

case $way in
rsync)
    "$@" >"$job/progress" &
    ;;
cp)
    from=$1
    xargs -0 -n 100 sh -c "$batch" batch place "$from" . <"$job/files" 3>"$job/progress" &
    ;;
esac
mover=$!

know_tools "$batch"
digest_small() { xargs -0 -n 500 sh -c "$batch" batch arrive . "$begun" "$arrived" <"$job/small"; }
digest_large() {
    if [ -z "$again" ] && tail --pid=1 -n 0 /dev/null 2>/dev/null; then
        xargs -0 -n 2 sh -c "$batch" batch stream . "$mover" "$arrived" <"$job/large"
    else
        xargs -0 -n 2 sh -c "$batch" batch stream . 0 "$arrived" <"$job/large"
    fi
}
digest_small &
small=$!
digest_large &
large=$!

wait "$mover"
code=$?
full=
[ "$code" -eq 0 ] || full=$(free_kib .)
rm -f -- "$job/ballast"
: >"$arrived"
if [ "$code" -ne 0 ]; then
    kill "$small" "$large" 2>/dev/null
    if [ -n "$full" ] && [ "$full" -lt 1024 ]; then
        refuse "$NO_SPACE" "the disk is full; what arrived stays and is gone on from"
    fi
    moved "$code"
fi
printf 'digesting\n' >>"$job/progress"
sync -f . 2>/dev/null || sync
ended=0
wait "$small" || ended=1
wait "$large" || ended=1
[ "$ended" -eq 0 ] || refuse "$FAILED" "what arrived could not be digested"
