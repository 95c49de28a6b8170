# job-follow.sh FOLDER: tells how a job goes until it ends. Lines: `P <progress>` when that changed,
# `.` now and then (which is how a follower notices that nobody listens any more), at last `E <status>` or `L`.
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
cd -- "$1" 2>/dev/null || { echo L && exit 0; }
pause=0.03
sleep 0.01 2>/dev/null || pause=1
shown='' tick=0

show_progress() {
	last_line progress
	if [ "$LINE" != "$shown" ]; then
		shown=$LINE
		printf 'P %s\n' "$LINE"
	fi
}

job_state
while [ "$STATE" = Running ]; do
	if [ $((tick % 6)) -eq 0 ] || [ "$pause" = 1 ]; then
		show_progress
	fi
	tick=$((tick + 1))
	if [ "$tick" -eq 300 ] && [ "$pause" != 1 ]; then
		pause=0.08 # a long job: an end that is noticed a little later matters less than the work of looking
	fi
	if [ $((tick % 60)) -eq 0 ]; then
		echo . || exit 0
		job_state
		continue
	fi
	sleep "$pause"
	if [ -s exit ] || [ -d /proc/self ] || ! kill -0 "$PID" 2>/dev/null; then
		job_state # without /proc this takes a fork, so there it is asked only when something happened
	fi
done
show_progress
[ "$STATE" = Ended ] && echo "E $CODE" || echo L
