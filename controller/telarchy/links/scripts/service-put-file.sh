# service-put-file.sh BASE PATH MODE: one file below a base, from stdin, in one go.
# shellcheck shell=sh disable=SC2154  # job-lib.sh and service-lib.sh stand before this text
umask 022
own_base "$1" make || exit $?
case $2 in */*) mkdir -p -- "${2%/*}" || exit 1 ;; esac
umask 077
new=./$2.new.$$
if cat >"$new" && chmod "$3" "$new" && put "$new" "./$2"; then
	exit 0
fi
rm -f "$new"
exit 1
