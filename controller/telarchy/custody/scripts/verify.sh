# shellcheck shell=sh disable=SC2154
# verify.sh BATCH ROOT ID JOB: digest files of a volume in the background, calmly.
#
# Runs as a job. JOB is the job's folder, with lists of files, NUL-separated and relative to the root: `small` to be
# read by the handful, `large` one by one, and `small-known`, `large-known` with a BLAKE3 in front of each file. Where
# b3sum works, these are read by it alone while they are as they were, and the others for both digests in one pass.
# A record of batch.sh per file to stdout as soon as it is known: what is there when the machine loses power need not
# be read again.
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
TELARCHY_BLAKE3=$(sh -c "$batch" batch blake3)
TELARCHY_PIPE=
if [ -n "$TELARCHY_BLAKE3" ] && command -v tee >/dev/null 2>&1; then
    spare='' TELARCHY_PIPE=$job/pipe
    trap 'rm -rf -- "$job/pipe" ${spare:+"$spare"}' EXIT
    rm -f -- "$TELARCHY_PIPE"
    if ! mkfifo -- "$TELARCHY_PIPE" 2>/dev/null; then
        # exFAT, for one, has no pipes.
        spare=$(mktemp -d 2>/dev/null) && TELARCHY_PIPE=$spare/pipe && mkfifo -- "$TELARCHY_PIPE" || TELARCHY_PIPE=
    fi
fi
export TELARCHY_BLAKE3 TELARCHY_PIPE
reading() { # list, words of a handful, verb
    calm xargs -0 -n "$2" sh -c "$batch" batch "$3" . <"$job/$1" || refuse "$NO_TOOL" "files cannot be digested here"
}
reading small-known 100 same
reading small 50 both
reading large-known 2 same
reading large 1 both
at_volume "$root" "$id"
