# Whose a base is, and who may change it. Stands behind service-lib.sh and before the script itself, whose first four
# arguments it takes: ID TERM NAME ABOUT. Nobody (an empty ID) may change what nobody owns.
#
# The marker: a sentence for people, then `owner ID TERM SINCE NAME`, `made-for NAMESPACE NAME POLICY` (ABOUT), and
# `base PATH`, the path as it was declared. It changes only under the exclusive lock of the base; whoever changes
# anything in a base holds the shared one from the look at the marker until all is done.
# shellcheck shell=sh
# shellcheck disable=SC2154  # MARKER, BASE and `put` come from the scripts before this one
OWNER=$1 OWNER_TERM=$2 OWNER_NAME=$3 ABOUT=$4
shift 4

# read_owner: HELD_ID, HELD_TERM, HELD_SINCE, HELD_NAME, HELD_ABOUT, HELD_BASE of the marker in the current folder.
# Empty and 0 where it does not say: it was made before markers did. Forks nothing.
read_owner() {
	HELD_ID='' HELD_TERM=0 HELD_SINCE=0 HELD_NAME='' HELD_ABOUT='' HELD_BASE=''
	while IFS= read -r _line; do
		case $_line in
		"owner "*" "*" "*" "*)
			_line=${_line#* }
			HELD_ID=${_line%% *} _line=${_line#* }
			HELD_TERM=${_line%% *} _line=${_line#* }
			HELD_SINCE=${_line%% *} HELD_NAME=${_line#* }
			;;
		"made-for "*) HELD_ABOUT=${_line#* } ;;
		"base "*) HELD_BASE=${_line#* } ;;
		esac
	done 2>/dev/null <$MARKER
	case $HELD_TERM in '' | *[!0-9]* | ?????????????????*) HELD_TERM=0 ;; esac
	case $HELD_SINCE in '' | *[!0-9]* | ?????????????????*) HELD_SINCE=0 ;; esac
}

# hold_base s|x [-n]: share the base with others who change something in it, or have it alone, until the script ends
# (-n: or fail at once). The lock is on the folder itself, which needs no block of a full disk. Where there is no flock
# it is always alone.
hold_base() {
	if command -v flock >/dev/null; then
		exec 7<. # anew, which lets go of the lock before
		if [ -n "${2-}" ]; then flock "-$1" -n 7; else lock_within 7 "$1"; fi
	else
		[ -n "${LOCK-}" ] || take_lock ./.telarchy-lock 2>/dev/null
	fi || { [ -n "${2-}" ] || echo "another process does not let go of $BASE" >&2 && return 1; }
	marked || { echo "$BASE was removed meanwhile" >&2 && return 1; }
}

# judge_owner: 0 when it is ours as it stands, 1 when it can be marked as ours, 6 when it is another's, 7 when it is
# ours of a later term.
judge_owner() {
	read_owner
	if [ "$HELD_ID" = "$OWNER" ]; then
		[ "$HELD_TERM" -gt "$OWNER_TERM" ] || { [ "$HELD_TERM" = "$OWNER_TERM" ] && return; } || return 1
		echo "$BASE is held by $HELD_NAME in term $HELD_TERM of this fleet, ours is $OWNER_TERM" >&2
		return 7
	fi
	[ -n "$HELD_ID" ] || return 1
	echo "$BASE is of controller $HELD_NAME ($HELD_ID)" >&2
	return 6
}

# write_owner: ours from now on. Only under the exclusive lock, behind read_owner.
write_owner() {
	_since=$(date +%s)
	[ "$HELD_ID" != "$OWNER" ] || _since=$HELD_SINCE
	{
		printf 'Made by Telarchy, which removes it with all that lies in it.\n'
		printf 'owner %s %s %s %s\n' "$OWNER" "$OWNER_TERM" "$_since" "$OWNER_NAME"
		printf 'made-for %s\nbase %s\n' "${ABOUT:-$HELD_ABOUT}" "$GIVEN"
	} 2>/dev/null >$MARKER.new && put ./$MARKER.new ./$MARKER && return
	rm -f ./$MARKER.new
	return 1
}

# own_base BASE [make]: the door that every change of a base goes through: go there as its owner. Status 2 and 3 as of
# enter_base, 6 and 7 as of judge_owner.
own_base() {
	GIVEN=$1
	enter_base "$@" || return
	_tries=0 _tried=''
	while :; do
		hold_base s || return 1
		judge_owner
		_judged=$?
		[ "$_judged" = 1 ] || return "$_judged"
		[ -z "$_tried" ] || return 0 # a full disk takes no marker: it is nobody's, and ours to change
		if hold_base x -n; then
			_tried=yes
			judge_owner 2>/dev/null
			[ $? != 1 ] || write_owner
		elif ! marked; then
			return 1
		else # somebody is at work in it, who may have marked it
			_tries=$((_tries + 1))
			[ "$_tries" -lt 200 ] || { echo "another process does not let go of $BASE" >&2 && return 1; }
			sleep 0.1 2>/dev/null || sleep 1
		fi
	done
}
