# service-kick.sh BASE NAME STARTS: end the process of a service if it is that one; its supervisor starts the next.
# Says kicked, or other.
# shellcheck shell=sh disable=SC2154  # job-lib.sh and service-lib.sh stand before this text
own_base "$1"
case $? in
0) ;;
2) echo other && exit 0 ;;
*) exit ;;
esac
dir=services/$2
[ -d "$dir" ] || { echo other && exit 0; }
own_service "$2" || exit 1
state='' starts=''
{ read -r state starts _; } 2>/dev/null <"$dir/state"
if [ "$state" = Running ] && [ "$starts" = "$3" ] && lives "$dir/supervisor" && lives "$dir/pid"; then
	# shellcheck source=/dev/null
	. "./$dir/current/settings.sh"
	end_noted "$dir/pid" "$stop" "$stop_seconds" || { echo "the process $PID does not end" >&2 && exit 1; }
	echo kicked
else
	echo other
fi
