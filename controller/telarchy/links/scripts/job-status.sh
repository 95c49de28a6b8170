# job-status.sh FOLDER: every job in a folder of jobs, five fields each, NUL after each field:
# name, state, exit status, progress, spec.json.
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
for folder in "$1"/*/; do
	cd -- "$folder" 2>/dev/null || continue
	job_state
	last_line progress
	name=${folder%/}
	printf '%s\0%s\0%s\0%s\0' "${name##*/}" "$STATE" "$CODE" "$LINE"
	cat spec.json 2>/dev/null
	printf '\0'
done
