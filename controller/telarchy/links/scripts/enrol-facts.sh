# enrol-facts.sh [ROOT]…: what a machine is and has, as `name value` lines; for each root `root STATE`, in order:
# missing, notafolder, unwritable, new (no sentinel), known (has one).
# shellcheck shell=sh
has() {
	command -v "$1" >/dev/null 2>&1
}

printf 'hostname %s\n' "$(hostname 2>/dev/null || uname -n)"
printf 'uid %s\n' "$(id -u)"
printf 'user %s\n' "$(id -un)"
printf 'shell %s\n' "${SHELL##*/}"
if [ "$(id -u)" = 0 ]; then
	echo 'privileges root'
elif has sudo && sudo -n true 2>/dev/null; then
	echo 'privileges sudo'
else
	echo 'privileges none'
fi
for manager in apt-get dnf apk pacman zypper pkg brew; do
	has "$manager" && printf 'packages %s\n' "$manager" && break
done
for tool in rsync ssh ssh-keygen python3 sha256sum shasum b3sum tar; do
	has "$tool" && printf 'has %s\n' "$tool"
done
for place in "$(command -v rrsync)" /usr/bin/rrsync /usr/local/bin/rrsync /opt/homebrew/bin/rrsync \
	/usr/share/doc/rsync/scripts/rrsync /usr/share/rsync/scripts/rrsync /usr/share/doc/rsync/support/rrsync; do
	[ -f "$place" ] && echo 'has rrsync' && break
done
for battery in /sys/class/power_supply/BAT*; do
	[ -e "$battery" ] && echo 'has battery' && break
done
if [ -d /run/systemd/system ]; then
	echo 'has systemd'
	[ -e "/var/lib/systemd/linger/$(id -un)" ] && echo 'has linger'
fi
[ -d "$HOME/.telarchy/keys" ] && echo 'has keys'
for root; do
	if [ ! -e "$root" ]; then
		echo 'root missing'
	elif [ ! -d "$root" ]; then
		echo 'root notafolder'
	elif [ -e "$root/.telarchy/volume" ]; then
		echo 'root known'
	elif [ ! -w "$root" ]; then
		echo 'root unwritable'
	else
		echo 'root new'
	fi
done
exit 0
