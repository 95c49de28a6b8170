# shellcheck shell=sh disable=SC2154
# verify.sh BATCH ROOT ID JOB: digest files of a volume in the background, calmly.
#
# Runs as a job. JOB is the job's folder, with the lists `large` (pairs of size and file, one by one) and `small`
# (files, by the handful), NUL-separated and relative to the root. A record of batch.sh per file to stdout as soon
# as it is known: what is there when the machine loses power need not be read again.
batch=$1 root=$2 id=$3 job=$4

at_volume "$root" "$id"
cd "$root" || refuse "$GONE" "$root is not there"
know_tools "$batch"
calm() {
    if ionice -c 3 true 2>/dev/null; then
        nice -n 10 ionice -c 3 "$@"
    else
        nice -n 10 "$@"
    fi
}
calm xargs -0 -n 50 sh -c "$batch" batch digest . <"$job/small" || refuse "$NO_TOOL" "files cannot be digested here"
calm xargs -0 -n 2 sh -c "$batch" batch stream . 0 / <"$job/large" || refuse "$NO_TOOL" "files cannot be digested here"
at_volume "$root" "$id"
