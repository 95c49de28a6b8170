# route-authorise.sh ROOT TAG [PUBLICKEY]: on the holder. Lets the key read that root, and nothing else, with exactly one
# line in authorized_keys; without a key takes the line away. Says authorised, already or revoked. Every other
# line stays as it was.
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
umask 077
root=$1 tag=$2 key=$3

find_rrsync() {
	for rrsync in "$(command -v rrsync)" /usr/bin/rrsync /usr/local/bin/rrsync /opt/homebrew/bin/rrsync \
		/usr/share/doc/rsync/scripts/rrsync /usr/share/rsync/scripts/rrsync /usr/share/doc/rsync/support/rrsync; do
		[ -f "$rrsync" ] || continue
		read -r shebang <"$rrsync"
		case $shebang in
		*python3*) interpreter=python3 ;;
		*perl*) interpreter=perl ;;
		*) continue ;;
		esac
		if ! command -v "$interpreter" >/dev/null; then
			echo "rrsync needs $interpreter, which is not installed" >&2
			return 1
		fi
		[ -x "$rrsync" ] || rrsync="$interpreter $rrsync"
		return 0
	done
	echo "rrsync is not installed (it comes with the package rsync)" >&2
	return 1
}

line=''
if [ -n "$key" ]; then
	[ -d "$root" ] || { echo "$root: no such folder" >&2 && exit 1; }
	find_rrsync || exit 4
	# Quoted for the shell first, then for authorized_keys.
	quoted=$(printf '%s\n' "$root" | sed "s/'/'\\\\''/g; s/\"/\\\\\"/g")
	line="command=\"$rrsync -ro '$quoted'\",restrict $key $tag"
fi

mkdir -p -- "$HOME/.ssh" && cd -- "$HOME/.ssh" || exit 1
file=authorized_keys
if [ -L "$file" ]; then
	file=$(readlink -f "$file") || exit 1
fi
if [ -n "$line" ] && [ "$(grep -cxF -e "$line" "$file" 2>/dev/null)" = 1 ] &&
	[ "$(grep -cF -e " $tag" "$file")" = 1 ]; then
	echo already
	exit 0
fi
take_lock .telarchy-lock || exit 1
{
	if [ -e "$file" ]; then
		# Ours are the lines that end in the tag or hold the key.
		TAG=" $tag" KEY="$key" LC_ALL=C awk '
			BEGIN { tag = ENVIRON["TAG"]; split(ENVIRON["KEY"], part, " "); blob = part[2] }
			/^[ \t]*#/ { print; next }
			substr($0, length($0) - length(tag) + 1) == tag { next }
			blob != "" && index($0, blob) { next }
			{ print }
		' "$file" || exit 1
	fi
	[ -z "$line" ] || printf '%s\n' "$line"
} >"$file.telarchy.$$" && put "$file.telarchy.$$" "$file" || exit 1
[ -n "$line" ] && echo authorised || echo revoked
