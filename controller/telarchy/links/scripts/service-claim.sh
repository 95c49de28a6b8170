# service-claim.sh BASE REPLACES: mark a base as ours: one of nobody, one of ours, or one of REPLACES. A base that is
# not there needs no mark. Says claimed, or none.
# shellcheck shell=sh disable=SC2034,SC2154  # the scripts before this one make use of GIVEN, and make HELD_ID
GIVEN=$1
enter_base "$1"
case $? in
0) ;;
2) echo none && exit 0 ;;
*) exit 3 ;;
esac
hold_base x || exit 1
read_owner
if [ -z "$2" ] || [ "$HELD_ID" != "$2" ]; then
	judge_owner
	judged=$?
	[ "$judged" -le 1 ] || exit "$judged"
fi
write_owner || { echo "the marker in $BASE cannot be written" >&2 && exit 1; }
echo claimed
