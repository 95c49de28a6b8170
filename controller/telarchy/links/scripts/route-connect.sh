# route-connect.sh ADDRESS SSH…: on the target. Opens the connection that copies share (ssh's -S is among its options),
# unless it is open. The far side's rrsync turns the login's command away, and the connection stays for a while. Nothing
# here fails: a copy that finds no connection makes one of its own.
# shellcheck shell=sh
address=$1 program=$2
shift 2
"$program" "$@" -O check "$address" </dev/null >/dev/null 2>&1 && exit
# ssh takes the first of two values. A holder that is gone is to be noticed before the next copy is tried.
"$program" -o ServerAliveInterval=5 -o ServerAliveCountMax=4 -o ControlMaster=auto -o ControlPersist=20 \
	"$@" "$address" true </dev/null >/dev/null 2>&1
exit 0
