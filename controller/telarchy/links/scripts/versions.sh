# versions.sh: what runs here, as `name version` lines; a tool that is not there has no line.
# shellcheck shell=sh
# first TOOL…: the last number in its first line
first() {
	"$@" 2>/dev/null </dev/null | sed 's/.*[ v]\([0-9][0-9A-Za-z.]*\).*/\1/;q'
}

has() {
	command -v "$1" >/dev/null 2>&1
}

if [ -r /etc/os-release ]; then
	# shellcheck disable=SC1091
	os=$(. /etc/os-release && printf '%s' "$PRETTY_NAME")
elif has sw_vers; then
	os="$(sw_vers -productName) $(sw_vers -productVersion)"
else
	os=$(uname -sr)
fi
printf 'os %s\n' "$os"
has ssh && printf 'ssh %s\n' "$(ssh -V 2>&1 | sed 's/^OpenSSH_\([^ ,]*\).*/\1/;q')"
if has rsync; then
	case $(rsync --version 2>&1 | sed q) in
	*openrsync*) printf 'rsync openrsync\n' ;;
	*) printf 'rsync %s\n' "$(rsync --version 2>&1 | sed 's/.*version v*\([0-9][0-9.]*\) .*/\1/;q')" ;;
	esac
fi
has systemctl && [ -d /run/systemd/system ] && printf 'systemd %s\n' "$(first systemctl --version)"
if has sha256sum; then
	printf 'sha256sum %s\n' "$(first sha256sum --version)"
elif has shasum; then
	printf 'sha256sum shasum %s\n' "$(first shasum --version)"
fi
has b3sum && printf 'b3sum %s\n' "$(first b3sum --version)"
exit 0
