# shellcheck shell=sh disable=SC2154
# push.sh ROOT ID JOB COMMAND…: send files of a volume to a staging folder elsewhere. Runs as a job on the source.
root=$1 id=$2 job=$3
shift 3

sentinel "$root"
[ "$found" = "$id" ] || refuse "$GONE" "volume $id is not at $root (found: ${found:-no sentinel})"
"$@" >"$job/progress"
code=$?
[ "$code" -eq 0 ] || moved "$code"
