# service-retire.sh BASE PREFIX: stop every service of a base, remove their units, PREFIX-*, and the folder. Symlinks in
# it are removed, not followed. A folder without our marker is left alone (status 3).
# shellcheck shell=sh disable=SC2154  # job-lib.sh and service-lib.sh stand before this text
enter_base "$1"
there=$?
[ "$there" = 0 ] || [ "$there" = 2 ] || exit 3
if [ "$there" = 0 ]; then
	hold_base x || exit 1 # nobody begins anything in it any more
	judge_owner
	judged=$?
	[ "$judged" -le 1 ] || exit "$judged"
fi
find_manager
set -- "$2"
if [ -n "$MANAGER" ]; then
	for unit in "$UNITS/$1"-*.service; do
		[ ! -e "$unit" ] || set -- "$@" "${unit##*/}"
	done
	if [ $# -gt 1 ]; then
		prefix=$1
		shift
		ctl stop "$@" 2>/dev/null # all at once
		for unit in "$@"; do
			remove_unit "${unit%.service}" || exit 1
		done
		set -- "$prefix"
	fi
fi
[ "$there" = 0 ] || exit 0
for dir in services/*/; do
	lives "${dir}supervisor" && kill -s TERM "$PID" 2>/dev/null # these, too
done
for dir in services/*/; do
	[ -d "$dir" ] || continue
	name=${dir#services/} name=${name%/}
	end_service "$name" "$1-$name" || { echo "$name does not stop" >&2 && exit 1; }
done
# The marker goes last: what was begun can be finished.
find . -mindepth 1 -maxdepth 1 ! -name "$MARKER" ! -name .telarchy-lock -exec rm -rf -- {} + || exit 1
cd / && rm -f -- "$BASE/$MARKER" "$BASE/.telarchy-lock" && rmdir -- "$BASE"
