# Runs the job in the current folder to its end, as a systemd unit or detached. The job's own script is run.sh.
#
# out, err:  what it writes
# exit:      its status, written last and in one go; without it the job did not come to its end by itself
# shellcheck shell=sh
umask 022
# shellcheck source=/dev/null
. ./job-lib.sh
note_pid pid $$ || exit 1
# shellcheck source=/dev/null
. ./args.sh
export LC_ALL=C
sh ./run.sh "$@" </dev/null >out 2>err
printf '%s\n' "$?" >exit.new && mv -f exit.new exit
