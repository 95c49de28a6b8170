# job-remove.sh FOLDER: remove the folder of a job that does not run.
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
cd -- "$1" 2>/dev/null || exit 0
job_state
[ "$STATE" != Running ] || { echo "the job still runs" >&2 && exit 3; }
cd / && rm -rf -- "$1"
