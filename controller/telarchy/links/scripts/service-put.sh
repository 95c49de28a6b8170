# service-put.sh BASE NAME ID DIGEST START_DIGEST HOW [CHECK...]: bring a service into force; its new set comes as a tar
# archive on stdin: files/, settings.sh, args.sh, lib.sh, run.sh, digest. CHECK tests it, run in the base.
# Says started, restarted, reloaded or unchanged. Status 3: not our folder, 4: CHECK failed, 5: HOW is reload and only
# a restart would do, 6 and 7: another's folder (see service-owner.sh), 8: the process goes on with the files that it
# had. With 3 to 8 nothing changed.
# shellcheck shell=sh disable=SC2154  # job-lib.sh and service-lib.sh stand before this text
umask 022
own_base "$1" make || exit $?
name=$2 id=$3 digest=$4 start_digest=$5 how=$6 dir=services/$2
shift 6
umask 077
mkdir -p services && own_service "$name" || exit 1

was='' was_start='' runs=''
{ read -r was was_start; } 2>/dev/null <"$dir/applied"
lives "$dir/supervisor" && runs=yes
if [ "$runs" = yes ] && [ "$was" = "$digest" ]; then
	cat >/dev/null
	echo unchanged
	exit 0
fi
if [ "$runs" = yes ] && [ "$how" = reload ] && [ "$was_start" != "$start_digest" ]; then
	cat >/dev/null
	echo "only a restart brings this into force" >&2
	exit 5
fi

rm -rf "$dir/next" && mkdir -p "$dir/next" && tar -xof - -C "$dir/next" || exit 1
if [ $# -gt 0 ]; then
	"$@" </dev/null >/dev/null 7<&- 8<&- || {
		rm -rf "$dir/next"
		rmdir "$dir" 2>/dev/null # where there was nothing, nothing stays
		exit 4
	}
fi

before=$(readlink "$dir/current")
sync -- "$dir"/next/* "$dir"/next/files/* "$dir/next/files" "$dir/next" 2>/dev/null || sync
set=set-$digest-$$
mv -- "$dir/next" "$dir/$set" && ln -s "$set" "$dir/current.new" || exit 1
mv -Tf "$dir/current.new" "$dir/current" 2>/dev/null || mv -fh "$dir/current.new" "$dir/current" || exit 1
[ -L "$dir/files" ] || ln -s current/files "$dir/files" || exit 1
printf '%s\n%s\n' "$PATH" "$HOME" >"$dir/environment.new" && mv -f "$dir/environment.new" "$dir/environment"
sync -- "$dir/environment" "$dir" services 2>/dev/null || sync

# shellcheck source=/dev/null
. "./$dir/current/settings.sh"

# write_unit: enabled, so that it comes back with the machine.
write_unit() {
	_file=$UNITS/$id.service
	(umask 022 && mkdir -p -- "$UNITS") || return 1
	_weight=''
	[ "$nice" = no ] || _weight="CPUWeight=20${NL}IOWeight=20${NL}Nice=5"
	cat >"$_file.new" <<-END
		[Unit]
		Description=Telarchy: $name
		After=network.target
		StartLimitIntervalSec=0

		[Service]
		Type=exec
		WorkingDirectory=$(printf '%s' "$BASE" | sed 's/%/%%/g')
		ExecStart=/bin/sh services/$name/current/run.sh $name $id
		Restart=always
		RestartSec=1
		KillMode=mixed
		TimeoutStopSec=$((stop_seconds + 5))
		OOMPolicy=continue
		LimitNOFILE=65536
		$_weight

		[Install]
		WantedBy=$TARGET
	END
	if cmp -s "$_file.new" "$_file" && [ -L "$UNITS/$TARGET.wants/$id.service" ]; then
		rm -f "$_file.new"
		return
	fi
	chmod 644 "$_file.new" && put "$_file.new" "$_file" && ctl enable "$id.service" || return 1 # reloads, too
	sync -- "$UNITS/$TARGET.wants" 2>/dev/null
	return 0
}

start_detached() {
	rm -f "$dir/unit"
	set -- sh "$dir/current/run.sh" "$name" "$id"
	[ "$nice" = no ] || set -- nice -n 5 "$@"
	if command -v setsid >/dev/null; then
		setsid "$@" </dev/null >/dev/null 2>&1 7<&- 8<&- &
	else
		nohup "$@" </dev/null >/dev/null 2>&1 7<&- 8<&- &
	fi
}

# await_supervisor: until it has noted that it is there.
await_supervisor() {
	_tries=0
	until lives "$dir/supervisor"; do
		_tries=$((_tries + 1))
		[ "$_tries" -lt 500 ] || return 1
		sleep 0.01 2>/dev/null || sleep 1
	done
}

children() { # of a process, with a space behind each
	cat "/proc/$1/task/$1/children" 2>/dev/null ||
		LC_ALL=C ps -A -o ppid= -o pid= 2>/dev/null | awk -v of="$1" '$1 == of { printf "%s ", $2 }'
}

log_size() {
	_size=$({ wc -c <"$dir/log"; } 2>/dev/null)
	echo $((${_size:-0}))
}

# took PID: whether a process that was told to read its files again did so, which new children show. One that cannot
# (nginx, where a port is taken) says so in its log, may try for two seconds more, and goes on with what it had.
took() {
	_round=0 _since=''
	while [ "$_round" -lt 300 ]; do
		for _child in $(children "$1"); do
			case " $had " in *" $_child "*) ;; *) return 0 ;; esac
		done
		lives "$dir/pid" && [ "$PID" = "$1" ] || return 0 # a new one has read them
		if [ $((_round % 10)) -eq 0 ]; then
			[ "$(log_size)" -ge "$logged" ] || logged=0
			_line=$(tail -c "+$((logged + 1))" "$dir/log" 2>/dev/null | grep -F -- "$reload_error" | grep -vF 'still could not' |
				tail -n 1)
			[ -z "$_line" ] || _since=${_since:-$_round}
			[ -z "$_since" ] || [ $((_round - _since)) -lt 80 ] || break
		fi
		_round=$((_round + 1))
		sleep 0.05 2>/dev/null || { sleep 1 && _round=$((_round + 9)); }
	done
	held_by "$_line"
	printf '%s%s\n' "${_line:-it does not read its new files}" "$BY" >&2
	return 1
}

if [ "$runs" = yes ] && [ "$was_start" = "$start_digest" ]; then
	said=reloaded
	if [ -n "$reload" ] && lives "$dir/pid"; then
		process=$PID had=$(children "$PID") logged=$(log_size)
		kill -s "$reload" "$process" 2>/dev/null
		if [ -n "$reload_error" ] && ! took "$process"; then
			# What lies there is what runs: it would not come up with the new files, either.
			ln -s "$before" "$dir/current.new" &&
				{ mv -Tf "$dir/current.new" "$dir/current" 2>/dev/null || mv -fh "$dir/current.new" "$dir/current"; } &&
				rm -rf "${dir:?}/$set"
			exit 8
		fi
	fi
else
	said=started
	[ "$runs" != yes ] || said=restarted
	find_manager
	if [ -n "$MANAGER" ] && ! write_unit; then
		remove_unit "$id"
		MANAGER=''
	fi
	end_service "$name" "$id" || { echo "what runs of $name cannot be stopped" >&2 && exit 1; }
	# shellcheck source=/dev/null
	. "./$dir/current/settings.sh"
	if [ -n "$MANAGER" ]; then
		echo "$MANAGER $id.service" >"$dir/unit"
		ctl start "$id.service" || exit 1
	else
		start_detached
	fi
	await_supervisor || { echo "the supervisor of $name does not start" >&2 && exit 1; }
fi
printf '%s %s\n' "$digest" "$start_digest" >"$dir/applied.new" && put "$dir/applied.new" "$dir/applied" || exit 1
for old in "$dir"/set-*; do
	[ "$old" = "$dir/$set" ] || rm -rf "$old"
done
echo "$said"
