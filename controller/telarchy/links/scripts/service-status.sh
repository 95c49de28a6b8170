# service_lines: how every service of the base in the current folder stands. Stands behind job-lib.sh; forks nothing
# where there is /proc, so that it can be asked every second. One line each, nine fields with a tab between them:
#
#   service NAME STATE DIGEST START_DIGEST STARTS SINCE CODE COMPLAINT
#
# STATE:    Running, Waiting (for its flag), BackOff (it ended and is started again soon), Stopped (nobody supervises)
# DIGEST, START_DIGEST:  of what is in force; empty while nothing is
# STARTS:   how often the process was started; SINCE: epoch seconds of the state, 0 when not known
# CODE:     exit status of the last process that ended, or empty; COMPLAINT: the last line that it wrote, any bytes
#
# `seen_service` in core/service.py reads a line.
# shellcheck shell=sh
service_lines() {
	_tab='	'
	for _service in services/*/current; do
		[ -L "$_service" ] || continue
		_service=${_service%/current}
		_state='' _starts='' _since='' _code='' _digest='' _start_digest='' _complaint=''
		{ read -r _state _starts _since _code; } 2>/dev/null <"$_service/state"
		{ read -r _digest _start_digest; } 2>/dev/null <"$_service/applied"
		{ IFS= read -r _complaint; } 2>/dev/null <"$_service/complaint"
		lives "$_service/supervisor" || _state='' _since=0
		printf '%s\n' "service$_tab${_service##*/}$_tab${_state:-Stopped}$_tab$_digest$_tab$_start_digest$_tab${_starts:-0}$_tab${_since:-0}$_tab$_code$_tab$_complaint"
	done
}
