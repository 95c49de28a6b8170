# job-follow.sh FOLDER: tells how a job goes until it ends. Lines: `P <progress>` when that changed,
# `.` now and then (which is how a follower notices that nobody listens any more), at last `E <status>` or `L`.
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
cd -- "$1" 2>/dev/null || { echo L && exit 0; }
pause=0.03 each=1 # seconds of a look at the end, and looks for one at the progress
# One process that looks for us takes a tenth of the work of one `sleep` after the other. Until it cannot.
looks=yes
shown='' tick=0 step='' over=''

a_while() {
	if [ -n "$looks" ]; then
		# A job may tell in `step` which process it waits for: when that ends there is something new.
		watched=$PID
		if [ -s step ] && read -r step <./step && [ "$step" != "$over" ]; then
			case $step in
			*[!0-9]*) over=$step ;;
			*)
				if kill -0 "$step" 2>/dev/null; then
					watched=$step
				else
					over=$step
					sleep 0.02 # it is being told
					return
				fi
				;;
			esac
		fi
		often=0.02
		[ "$shown" != settling ] || often=0.005 # the last step, and a short one
		timeout 0.25 tail -f -s "$often" --pid="$watched" /dev/null 2>/dev/null
		case $? in 0 | 124) return ;; esac
		looks='' each=6
	fi
	sleep "$pause" 2>/dev/null || { pause=1 each=1 && sleep 1; }
}

show_progress() {
	last_line progress
	if [ "$LINE" != "$shown" ]; then
		shown=$LINE
		printf 'P %s\n' "$LINE"
	fi
}

job_state
while [ "$STATE" = Running ]; do
	[ $((tick % each)) -ne 0 ] || show_progress
	tick=$((tick + 1))
	if [ "$tick" -eq 300 ] && [ "$pause" != 1 ]; then
		pause=0.08 # a long job: an end that is noticed a little later matters less than the work of looking
	fi
	if [ $((tick % (10 * each))) -eq 0 ]; then
		echo . || exit 0
		job_state
		continue
	fi
	a_while
	if [ -s exit ] || [ -d /proc/self ] || ! kill -0 "$PID" 2>/dev/null; then
		job_state # without /proc this takes a fork, so there it is asked only when something happened
	fi
done
show_progress
[ "$STATE" = Ended ] && echo "E $CODE" || echo L
