# job-start.sh FOLDER ID NICE RESTART (yes or no each); the job's files come as a tar archive on stdin.
# Says started, running (it ran already) or ended (it had ended already).
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
umask 022
id=$2 nice=$3 restart=$4
mkdir -p -- "$1" && cd -- "$1" || exit 1

# One starter at a time: a controller that came back may meet the start that the old one has under way.
take_lock starting || exit 1

job_state
if [ "$STATE" = Running ] || { [ "$STATE" = Ended ] && [ "$restart" = no ]; }; then
	cat >/dev/null
	echo "$STATE" | tr RE re
	exit 0
fi
end_job "$id" || { echo "what the last run left behind cannot be stopped" >&2 && exit 1; }
rm -f pid exit unit progress out err
tar -xof - || exit 1

uid=$(id -u) manager=''
if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null; then
	if [ "$uid" = 0 ]; then
		manager=system
	elif [ -S "/run/user/$uid/systemd/private" ] && [ -e "/var/lib/systemd/linger/$(id -un)" ]; then
		# Without linger the user's manager ends with the last login, and the job with it.
		manager=user
		export XDG_RUNTIME_DIR="/run/user/$uid"
	fi
fi
if [ -n "$manager" ]; then
	echo "$manager telarchy-$id.service" >unit
	set -- --quiet --collect "--$manager" "--unit=telarchy-$id" "--description=Telarchy job $id" \
		"--setenv=TELARCHY_JOB=$id" "--setenv=HOME=$HOME" "--setenv=PATH=$PATH" \
		"--property=WorkingDirectory=$PWD" --property=TimeoutStopSec=20
	[ "$nice" = no ] || set -- "$@" --property=CPUWeight=20 --property=IOWeight=20 --property=Nice=5
	systemd-run "$@" /bin/sh ./job-run.sh 2>systemd-run.err || manager=''
fi
if [ -z "$manager" ]; then
	rm -f unit
	export TELARCHY_JOB="$id"
	set -- sh ./job-run.sh
	[ "$nice" = no ] || set -- nice -n 5 "$@"
	if command -v setsid >/dev/null; then
		setsid "$@" </dev/null >/dev/null 2>&1 &
	else
		nohup "$@" </dev/null >/dev/null 2>&1 &
	fi
fi
tries=0
until [ -s pid ] || [ -s exit ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 500 ] || { echo "the job did not start" >&2 && exit 1; }
	sleep 0.01 2>/dev/null || sleep 1
done
echo started
