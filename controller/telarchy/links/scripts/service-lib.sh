# What the service scripts share; stands behind job-lib.sh. See links/services.py for what lies where.
# shellcheck shell=sh
# shellcheck disable=SC2154  # BOOT, BORN and PID come from job-lib.sh, `stop` and `stop_seconds` from settings.sh
MARKER=.telarchy-streaming
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where daemons lie, which a login by ssh may not look at

# enter_base BASE [make]: go there; BASE becomes its real path. Status 2 when there is none, 3 when it is not ours.
enter_base() {
	BASE=$1
	# shellcheck disable=SC2088
	case $BASE in "~/"*) BASE=$HOME/${BASE#"~/"} ;; esac
	if [ -L "$BASE" ]; then
		echo "$BASE is a symlink" >&2
		return 3
	fi
	if [ ! -d "$BASE" ]; then
		[ "${2-}" = make ] || return 2
		mkdir -p -- "$BASE" || return 1
	fi
	cd -- "$BASE" && BASE=$(pwd -P) || return 1
	marked && return 0
	if [ "${2-}" != make ] || [ -n "$(find . -mindepth 1 -maxdepth 1 | head -n 1)" ]; then
		marked && return 0 # another one made it between the two looks
		echo "$BASE is no folder of Telarchy's: it holds other things, and no $MARKER" >&2
		return 3
	fi
	# Never over one that somebody else made in this moment: it may say whose it is.
	(set -C && printf 'Made by Telarchy, which removes it with all that lies in it.\n' >$MARKER) 2>/dev/null || marked
}

marked() {
	[ -f $MARKER ] && [ ! -L $MARKER ]
}

# lock_within DESCRIPTOR s|x: have its lock, shared or alone, within 20 s. BusyBox has a flock that cannot be told how long
# to wait.
lock_within() {
	flock "-$2" -n "$1" && return
	case $(flock --help 2>&1) in
	*timeout*)
		flock "-$2" -w 20 "$1"
		return
		;;
	esac
	_round=0
	until flock "-$2" -n "$1"; do
		_round=$((_round + 1))
		[ "$_round" -lt 200 ] || return 1
		sleep 0.1 2>/dev/null || { sleep 1 && _round=$((_round + 9)); }
	done
}

# own_service NAME: wait until this script is the only one that changes it. Descriptor 8 holds the lock where there is
# flock, which needs no block of a full disk.
own_service() {
	[ -z "${LOCK-}" ] || return 0 # it has the whole base
	_lock=services/.$1.lock
	if ! command -v flock >/dev/null; then
		take_lock "$_lock"
		return
	fi
	[ -e "$_lock" ] || true >"$_lock" || return 1
	exec 8<"$_lock"
	lock_within 8 x || { echo "another process does not let go of $1" >&2 && return 1; }
}

# find_manager: MANAGER becomes system, user or "", UNITS the folder of its units.
find_manager() {
	MANAGER='' UNITS='' TARGET=''
	[ -d /run/systemd/system ] && command -v systemctl >/dev/null || return 0
	_uid=$(id -u)
	if [ "$_uid" = 0 ]; then
		MANAGER=system UNITS=/etc/systemd/system TARGET=multi-user.target
	elif [ -S "/run/user/$_uid/systemd/private" ] && [ -e "/var/lib/systemd/linger/$(id -un)" ]; then
		# Without linger the user's manager ends with the last login, and the services with it.
		MANAGER=user UNITS=$HOME/.config/systemd/user TARGET=default.target
		export XDG_RUNTIME_DIR="/run/user/$_uid"
	fi
}

ctl() {
	systemctl --quiet "--$MANAGER" "$@"
}

# end_noted FILE SIGNAL SECONDS: end the process of a note_pid, its group by force after SECONDS. Waits.
end_noted() {
	lives "$1" || return 0
	_pid=$PID _born=$BORN _round=0
	kill -s "$2" "$_pid" 2>/dev/null
	while born "$_pid" && [ "$BORN" = "$_born" ]; do # never the one that came after it
		_round=$((_round + 1))
		if [ "$_round" -gt $(($3 * 20)) ]; then
			kill -s KILL -- "-$_pid" 2>/dev/null
			kill -s KILL "$_pid" 2>/dev/null
		fi
		[ "$_round" -lt $(($3 * 20 + 100)) ] || return 1
		sleep 0.05 2>/dev/null || sleep 1
	done
}

# end_service NAME ID: end whatever runs of a service, cleanly first, and wait for it. Its unit stays.
end_service() {
	stop=TERM stop_seconds=6
	# shellcheck source=/dev/null
	[ ! -r "services/$1/current/settings.sh" ] || . "./services/$1/current/settings.sh"
	if [ -n "$MANAGER" ] && [ -e "$UNITS/$2.service" ]; then
		ctl stop "$2.service" 2>/dev/null
	fi
	end_noted "services/$1/supervisor" TERM $((stop_seconds + 3)) || return 1
	end_noted "services/$1/pid" "$stop" "$stop_seconds" || return 1
	_tries=0
	while _left=$(strays "$2") && [ -n "$_left" ]; do
		# shellcheck disable=SC2086
		kill -s KILL $_left 2>/dev/null
		_tries=$((_tries + 1))
		[ "$_tries" -lt 100 ] || return 1
		sleep 0.05 2>/dev/null || sleep 1
	done
	rm -f "services/$1/supervisor" "services/$1/pid"
}

# remove_unit ID: so that it does not come back.
remove_unit() {
	[ -n "$MANAGER" ] && [ -e "$UNITS/$1.service" ] || return 0
	ctl disable --no-reload "$1.service" 2>/dev/null
	rm -f -- "$UNITS/$1.service" "$UNITS/$TARGET.wants/$1.service" || return 1
	sync -- "$UNITS" 2>/dev/null
	ctl daemon-reload
	ctl reset-failed "$1.service" 2>/dev/null
	return 0
}
