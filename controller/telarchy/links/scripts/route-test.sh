# route-test.sh [SSH… , ]…: on the target. Tries each ssh argv in turn (a lone comma ends one) and says the number of the
# first that is let in. ssh itself fails with 255; any other status comes from behind the login.
# shellcheck shell=sh
number=0
while [ $# -gt 0 ]; do
	count=0
	for word; do
		[ "$word" = , ] && break
		count=$((count + 1))
	done
	command=''
	while [ "$count" -gt 0 ]; do
		command="$command '$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")'"
		shift
		count=$((count - 1))
	done
	shift
	eval "$command" </dev/null >/dev/null
	if [ $? -ne 255 ]; then
		echo "$number"
		exit 0
	fi
	number=$((number + 1))
done
echo none
