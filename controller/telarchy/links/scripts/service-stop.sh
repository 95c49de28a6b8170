# service-stop.sh BASE NAME ID: stop a service, wait until nothing of it runs, remove it and its unit.
# shellcheck shell=sh disable=SC2154  # job-lib.sh and service-lib.sh stand before this text
own_base "$1"
case $? in
0) ;;
1) exit 1 ;;
6) exit 6 ;;
7) exit 7 ;;
2)
	find_manager # somebody removed the folder; its unit would try for ever
	[ -z "$MANAGER" ] || { ctl stop "$3.service" 2>/dev/null; remove_unit "$3"; }
	exit
	;;
*) exit 3 ;;
esac
[ ! -d services ] || own_service "$2" || exit 1
find_manager
end_service "$2" "$3" || { echo "$2 does not stop" >&2 && exit 1; }
remove_unit "$3" && rm -rf "services/$2"
