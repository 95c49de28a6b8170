# run.sh NAME ID: keeps the process of a service up, in its base, until a TERM. Run as a systemd unit or detached.
#
# It reads settings.sh and args.sh once; a new set of files comes into force by a reload, or by a new supervisor.
# state, pid, complaint, log: see links/services.py. Beside it runs a second shell that trims the log.
# shellcheck shell=sh
# shellcheck disable=SC2154  # settings.sh sets wait_for, progress, stop, stop_seconds, back_off, lasted, …
name=$1 id=$2 dir=services/$1
umask 077
# shellcheck source=/dev/null
. "./$dir/current/lib.sh"
# shellcheck source=/dev/null
. "./$dir/current/settings.sh"
{ IFS= read -r PATH && IFS= read -r HOME; } 2>/dev/null <"$dir/environment"
export PATH HOME LC_ALL=C
# Every viewer is a file.
# shellcheck disable=SC3045  # where ulimit knows no -n, this fails and nothing is lost
ulimit -n 65536 2>/dev/null || ulimit -S -n "$(ulimit -H -n)" 2>/dev/null

child='' starting='' nap='' code='' starts=0
{ read -r _ starts _ code; } 2>/dev/null <"$dir/state"
case $starts in '' | *[!0-9]*) starts=0 ;; esac

if lives "$dir/supervisor" && [ "$PID" != $$ ]; then
	echo "another supervisor has $name" >&2
	exit 1
fi
note_pid "$dir/supervisor" $$ || exit 1

# A session of its own, so that what the process leaves behind can be ended with it; and the signals that a shell
# or whoever started it keeps from the process, because they may be what ends it or makes it read its files again.
runner=''
command -v setsid >/dev/null && runner=setsid
env --default-signal=INT true 2>/dev/null && runner="env --default-signal=HUP,INT,QUIT,PIPE $runner"

if true 2>/dev/null >>"$dir/log"; then
	exec 9>>"$dir/log"
else
	exec 9>/dev/null # a disk that takes no log must not keep a stream from running
fi

# What is noted must be right on a full disk, too: written over in place it needs no new block.
tell() { # STATE
	_line="$1 $starts $(date +%s) $code"
	{ printf '%s\n' "$_line" >"$dir/state.new" && mv -f "$dir/state.new" "$dir/state"; } 2>/dev/null ||
		printf '%-63s\n' "$_line" 2>/dev/null 1<>"$dir/state"
}

note_child() {
	note_pid "$dir/pid" "$child" 2>/dev/null ||
		printf '%s\n%s\n%s\n' "$child" "$BORN" "$BOOT" 2>/dev/null 1<>"$dir/pid"
}

uptime() { # sets UP: seconds on a clock that nobody sets
	if [ -r /proc/uptime ]; then
		read -r UP _ </proc/uptime
		UP=${UP%%.*}
	else
		UP=$(date +%s)
	fi
}

coarse=''
sleep 0.01 2>/dev/null || coarse=yes

rest() { # MILLISECONDS; a TERM is heard at once
	_part=$(($1 % 1000 + 1000))
	_seconds=$(($1 / 1000)).${_part#1}
	[ -z "$coarse" ] || _seconds=$(($1 / 1000 + 1))
	sleep "$_seconds" 9>&- &
	nap=$!
	wait "$nap"
	nap=''
}

# end_child SIGNAL: and everything that it started, by force after stop_seconds.
end_child() {
	kill -s "$1" "$child" 2>/dev/null
	_round=0
	while born "$child" && [ -n "$BORN" ] && [ "$_round" -lt $((stop_seconds * 20)) ]; do
		_round=$((_round + 1))
		sleep 0.05 2>/dev/null || { sleep 1 && _round=$((_round + 19)); }
	done
	end_group
	wait "$child" 2>/dev/null
}

end_group() {
	kill -s KILL -- "-$child" 2>/dev/null
	kill -s KILL "$child" 2>/dev/null
}

leave() {
	trap '' TERM
	[ -z "$starting" ] || child=$!
	# shellcheck disable=SC2086
	kill $trimmer $nap 2>/dev/null
	[ -z "$child" ] || end_child "$stop"
	rm -f "$dir/pid" "$dir/supervisor"
	exit 0
}

# note_complaint WHO: the last line of the log, without what the secret files hold.
note_complaint() {
	last_line "$dir/log"
	case $LINE in
	*'still could not bind()'*) # which nginx says last, and which port it was before
		LINE=$(tail -c 1200 "$dir/log" | grep -F 'bind() to ' | tail -n 1)
		held_by "$LINE"
		LINE=$LINE$BY
		;;
	esac
	[ -n "$LINE" ] || return 0
	for _file in $secret_files; do
		while IFS= read -r _secret; do
			case $_secret in ????????*) ;; *) continue ;; esac # a brace says nothing
			while :; do
				case $LINE in *"$_secret"*) LINE="${LINE%%"$_secret"*}…${LINE#*"$_secret"}" ;; *) break ;; esac
			done
		done 2>/dev/null <"$dir/files/$_file"
	done
	printf '%s\n' "$LINE" >"$dir/complaint.$1" && mv -f "$dir/complaint.$1" "$dir/complaint"
}

# log_end: sets END to how far the log was written: without a fork where there is /proc.
log_end() {
	END=''
	{ read -r _ END; } 2>/dev/null </proc/self/fdinfo/9
	[ -n "$END" ] || END=$(wc -c <"$dir/log")
}

trim_log() { # in place, because the process holds it open; what it writes in between is lost
	if [ "$(wc -c <"$dir/log")" -gt "$log_bytes" ]; then
		cp "$dir/log" "$dir/log.new" && mv -f "$dir/log.new" "$dir/log.1"
		: >"$dir/log"
	fi
}

tend_log() {
	trap 'kill "$nap" 2>/dev/null; exit 0' TERM
	_seen=''
	while rest 5000; do
		{ lives "$dir/supervisor" && [ "$PID" = $$ ]; } || exit 0
		log_end
		[ "$END" != "$_seen" ] || continue
		_seen=$END
		note_complaint tended
		[ "$END" -le "$log_bytes" ] || trim_log
	done
}

wanted() { # whether what it waits for is there
	[ -z "$wait_for" ] || [ -e "$wait_for" ]
}

# await_flag: seen within 0.15 s. One perl costs a hundredth of seven forks a second; it goes when this shell goes.
await_flag() {
	if command -v perl >/dev/null; then
		# shellcheck disable=SC2016  # the dollars are perl's
		perl -e '$p = getppid; select undef, undef, undef, 0.1 until -e $ARGV[0] or getppid != $p' -- "$wait_for" 9>&- &
		nap=$!
		wait "$nap"
		nap=''
	fi
	until wanted; do rest 150; done
}

# back_off: wait before the next start. An end because the publisher left is no failure.
back_off() {
	_nth=0
	for _delay in $delays; do
		[ "$_nth" -lt "$failures" ] || break
		_nth=$((_nth + 1))
	done
	failures=$((failures + 1))
	if [ -z "$wait_for" ]; then
		rest "$_delay"
		return
	fi
	while wanted && [ "$_delay" -gt 0 ]; do
		_step=300
		[ "$_delay" -gt 900 ] || _step=100
		[ "$_delay" -ge "$_step" ] || _step=$_delay
		rest "$_step"
		_delay=$((_delay - _step))
	done
	wanted || failures=$((failures - 1))
}

trap leave TERM
if lives "$dir/pid"; then # a supervisor that was killed left it: never two
	child=$PID
	end_child "$stop"
	child=''
fi
tend_log &
trimmer=$!
failures=0
# shellcheck source=/dev/null
. "./$dir/current/args.sh"
while :; do
	if ! wanted; then
		tell Waiting
		await_flag
		failures=0 # whoever comes anew does not pay for what was
	fi
	if [ -n "$progress" ]; then
		(umask 022 && mkdir -p -- "${progress%/*}" && : >"$progress")
	fi
	read -r set_before _ <"$dir/current/digest"
	uptime
	began=$UP starts=$((starts + 1)) starting=yes
	umask 022
	# shellcheck disable=SC2086
	TELARCHY_JOB=$id $runner "$@" </dev/null >&9 2>&9 9>&- &
	child=$! starting=''
	umask 077
	note_child
	tell Running
	read -r set_after _ <"$dir/current/digest"
	if [ -n "$reload" ] && [ "$set_before" != "$set_after" ]; then
		kill -s "$reload" "$child" # its files changed while nobody could know of it yet
	fi
	wait "$child"
	code=$?
	end_group # its workers would hold its ports
	child=''
	note_complaint ended
	uptime
	[ $((UP - began)) -lt "$lasted" ] || failures=0
	tell BackOff
	back_off
done
