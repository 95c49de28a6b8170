# route-key.sh NAME ALIAS HOSTKEY TAG: on the target. Makes the key for one root of one holder, which never leaves this
# machine, and pins the holder's host key beside it. Says the folder of keys, then the public key.
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
umask 077
mkdir -p -- "$HOME/.telarchy/keys" && cd -- "$HOME/.telarchy/keys" || exit 1
command -v ssh-keygen >/dev/null || { echo "ssh-keygen is not installed" >&2 && exit 1; }
if [ ! -s "$1" ] || [ ! -s "$1.pub" ]; then
	take_lock "$1.lock" || exit 1
	if [ ! -s "$1" ]; then
		rm -f "$1.new" "$1.new.pub"
		ssh-keygen -q -t ed25519 -N '' -C "$4" -f "$1.new" </dev/null >&2 || exit 1
		put "$1.new" "$1" || exit 1
		rm -f "$1.new.pub"
	fi
	ssh-keygen -y -P '' -f "$1" >"$1.pub.new" </dev/null || exit 1
	put "$1.pub.new" "$1.pub" || exit 1
fi
if [ "$(cat "$1.known_hosts" 2>/dev/null)" != "$2 $3" ]; then
	printf '%s\n' "$2 $3" >"$1.known_hosts.$$" && put "$1.known_hosts.$$" "$1.known_hosts" || exit 1
fi
printf '%s\n' "$PWD"
cat -- "$1.pub"
