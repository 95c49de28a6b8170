# What the job scripts share. POSIX sh with GNU or BSD userland; every script is run with this text before it.
# shellcheck shell=sh
# shellcheck disable=SC2034  # STATE, CODE and LINE are for those scripts

NL='
'
CR=$(printf '\r')

if [ -r /proc/sys/kernel/random/boot_id ]; then
	read -r BOOT </proc/sys/kernel/random/boot_id
else
	BOOT=$(sysctl -n kern.bootsessionuuid 2>/dev/null || sysctl -n kern.boot_id 2>/dev/null ||
		sysctl -n kern.boottime 2>/dev/null | sed 's/^{ sec = \([0-9]*\).*/\1/')
fi

# born PID: sets BORN to when that process started, in the system's own words; empty when there is none.
# A zombie is none. No fork where there is /proc: a follower asks ten times a second.
born() {
	BORN=''
	if [ -d /proc/self ]; then
		{ read -r _stat <"/proc/$1/stat"; } 2>/dev/null || return 0
		# Behind the name, which stands in parentheses, field 22 is the 20th word.
		# shellcheck disable=SC2086
		set -- ${_stat##*") "}
		case $1 in Z | X) return 0 ;; esac
		shift 19 && BORN=$1
	else
		BORN=$(LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null)
	fi
}

# note_pid FILE PID: so that it is recognised even when its id is recycled or the machine has rebooted since.
note_pid() {
	born "$2"
	printf '%s\n%s\n%s\n' "$2" "$BORN" "$BOOT" >"$1.$$" && mv -f "$1.$$" "$1"
}

# lives FILE: whether the process of a note_pid still runs; its id is in PID.
lives() {
	PID='' _then='' _in_boot=''
	{ read -r PID && read -r _then && read -r _in_boot; } 2>/dev/null <"$1" || return 1
	case $PID in '' | *[!0-9]*) return 1 ;; esac
	[ -n "$_then" ] && [ "$_in_boot" = "$BOOT" ] && born "$PID" && [ "$BORN" = "$_then" ]
}

# put NEW NAME: rename over, and survive a power cut: without the flush the new name may stand for an empty file.
put() {
	sync -- "$1" 2>/dev/null || sync
	mv -f -- "$1" "$2" || return 1
	sync -- "${2%/*}" 2>/dev/null || sync -- . 2>/dev/null || sync
}

# take_lock FILE: wait until it is ours; one that a dead process left is broken. Freed when the script ends.
take_lock() {
	note_pid "$1.$$" $$ || return 1
	_tries=0
	until ln "$1.$$" "$1" 2>/dev/null; do
		lives "$1" || rm -f "$1"
		_tries=$((_tries + 1))
		[ "$_tries" -lt 400 ] || { rm -f "$1.$$" && echo "$1: another process does not let go" >&2 && return 1; }
		sleep 0.05 2>/dev/null || sleep 1
	done
	rm -f "$1.$$"
	LOCK=$1
	trap 'rm -f "$LOCK"' EXIT
}

# has_ended: reads the exit status in the current folder into CODE.
has_ended() {
	CODE=''
	[ -s exit ] && read -r CODE <./exit
	case $CODE in '' | *[!0-9]*) return 1 ;; esac
}

# job_state: sets STATE (Running, Ended, Lost) and CODE for the job in the current folder.
job_state() {
	STATE=Lost
	if has_ended; then
		STATE=Ended
	elif [ -s pid ] && lives pid; then
		STATE=Running
	elif has_ended; then # between the two looks
		STATE=Ended
	fi
}

# last_line FILE: sets LINE to its last line, where a carriage return ends a line too.
last_line() {
	LINE=$(tail -c 600 "$1" 2>/dev/null)
	LINE=${LINE%"$CR"}
	LINE=${LINE##*"$CR"}
	LINE=${LINE##*"$NL"}
}

# held_by LINE: sets BY to who has the port that a line of nginx could not have, as far as this login is told.
held_by() {
	BY=''
	_port=$(printf '%s' "$1" | sed -n 's/.*bind() to .*:\([0-9][0-9]*\) failed.*/\1/p')
	[ -n "$_port" ] || return 0
	_found=$(ss -Hltnp "sport = :$_port" 2>/dev/null) && [ -n "$_found" ] || return 0
	BY=$(printf '%s\n' "$_found" | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1)
	BY="; the port is taken by ${BY:-a process of another user}"
}

# job_systemctl VERB: of the manager that runs the unit of the job in the current folder.
job_systemctl() {
	read -r _manager _unit <unit || return 1
	if [ "$_manager" = user ]; then
		XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user "$1" "$_unit"
	else
		systemctl "$1" "$_unit"
	fi
}

# strays ID: process ids of whatever the job started that still runs.
strays() {
	if [ -d /proc/self ]; then
		grep -lszx "TELARCHY_JOB=$1" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ _pid _; do
			born "$_pid"
			[ -z "$BORN" ] || printf '%s\n' "$_pid"
		done
	elif [ -s pid ]; then
		read -r _leader <pid
		LC_ALL=C ps -axo pgid=,pid= | while read -r _group _pid; do
			[ "$_group" != "$_leader" ] || printf '%s\n' "$_pid"
		done
	fi
}

# end_job ID: stop the job in the current folder, gently first, so that rsync can keep what it has. Waits.
end_job() {
	if [ -s unit ]; then
		job_systemctl stop >/dev/null 2>&1
	fi
	_round=0
	while _left=$(strays "$1") && [ -n "$_left" ]; do
		# shellcheck disable=SC2086
		case $_round in
		0) kill -s TERM $_left 2>/dev/null ;;
		1?[05]) kill -s KILL $_left 2>/dev/null ;;
		200) return 1 ;;
		esac
		_round=$((_round + 1))
		sleep 0.1 2>/dev/null || sleep 1
	done
}
