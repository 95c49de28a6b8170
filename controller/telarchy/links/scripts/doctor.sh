# doctor.sh [tcp:PORT|udp:PORT]… [-- FOLDER…]: what a host can do, as `name value` lines. Changes nothing.
#   user NAME, clock SECONDS, manager system|user|none, tool NAME VERSION, module NAME, can WHAT,
#   port tcp:8080 free|unknown|held [PROCESS FOLDER], folder NUMBER PATH, room NUMBER STATE FREE TOTAL (bytes)
# shellcheck shell=sh
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
has() {
	command -v "$1" >/dev/null 2>&1
}

# version TOOL ARGUMENT: the first thing in its first lines that looks like one
version() {
	"$1" "$2" 2>&1 </dev/null | sed -n 's/^[^0-9]*\([0-9][0-9]*\.[0-9][0-9A-Za-z.]*\).*/\1/p;5q' | head -n 1
}

uid=$(id -u)
printf 'user %s\n' "$(id -un)"
printf 'clock %s\n' "$(date +%s)"

if [ ! -d /run/systemd/system ] || ! has systemctl; then
	echo 'manager none'
elif [ "$uid" = 0 ]; then
	echo 'manager system'
elif [ -S "/run/user/$uid/systemd/private" ] && [ -e "/var/lib/systemd/linger/$(id -un)" ]; then
	echo 'manager user'
else
	echo 'manager nolinger'
fi

for tool in ffmpeg ffprobe; do
	has "$tool" && printf 'tool %s %s\n' "$tool" "$(version "$tool" -version)"
done
has nginx && printf 'tool nginx %s\n' "$(version nginx -v)"
for tool in varnishd vinyld; do
	has "$tool" && printf 'tool varnishd %s\n' "$(version "$tool" -V)" && break
done
for tool in bash rsync mpv curl wget transmission-daemon; do
	has "$tool" && printf 'tool %s %s\n' "$tool" "$(version "$tool" --version)"
done

# As the rendered configurations load them; another system may have them built in.
for module in ngx_rtmp_module ngx_http_js_module; do
	[ -e "/usr/lib/nginx/modules/$module.so" ] && printf 'module %s\n' "$module"
done
if has ffmpeg; then
	encoders=$(ffmpeg -hide_banner -encoders 2>/dev/null </dev/null)
	for encoder in libx264 aac; do
		case $encoders in *" $encoder "*) printf 'can %s\n' "$encoder" ;; esac
	done
	ffmpeg -hide_banner -protocols 2>/dev/null </dev/null | grep -q '^ *srt$' && echo 'can srt'
fi

# holder PROTOCOL PORT: a line if it is listened to, with the process and its folder where those can be seen
holder() {
	case $1 in tcp) _kind=t ;; *) _kind=u ;; esac
	if has ss; then
		_line=$(ss -Hln${_kind}p "sport = :$2" 2>/dev/null | head -n 1)
		[ -n "$_line" ] || return 0
		_pid=$(printf '%s\n' "$_line" | sed -n 's/.*pid=\([0-9]*\).*/\1/p')
		_name=$(printf '%s\n' "$_line" | sed -n 's/.*users:(("\([^"]*\)".*/\1/p')
		printf 'held %s %s\n' "${_name:-?}" "$(readlink "/proc/${_pid:-none}/cwd" 2>/dev/null)"
	elif has netstat; then
		netstat -an 2>/dev/null | awk -v kind="$1" -v port="$2" '
			index($1, kind) == 1 && (kind == "udp" || /LISTEN/) && $4 ~ "[.:]" port "$" { print "held ?"; exit }'
	else
		echo unknown
	fi
}

while [ $# -gt 0 ]; do
	[ "$1" != -- ] || { shift && break; }
	found=$(holder "${1%%:*}" "${1#*:}")
	printf 'port %s %s\n' "$1" "${found:-free}"
	shift
done

number=0
for folder; do
	case $folder in
	[~]/*) folder=$HOME/${folder#??} ;;
	esac
	printf 'folder %s %s\n' "$number" "$folder"
	there=$folder
	while [ ! -e "$there" ] && [ "$there" != / ]; do
		there=$(dirname -- "$there")
	done
	state='readonly'
	if [ ! -d "$there" ]; then
		state=notafolder
	elif [ -w "$there" ] && probe=$(mktemp "$there/.telarchy-doctor-XXXXXX" 2>/dev/null); then
		rm -f -- "$probe"
		state=writable
	fi
	printf 'room %s %s %s\n' "$number" "$state" "$(df -Pk -- "$there" 2>/dev/null |
		awk 'NR == 2 { printf "%.0f %.0f", $4 * 1024, $2 * 1024 }')"
	number=$((number + 1))
done
exit 0
