# enrol-authorise.sh PUBLICKEY: let the controller log in with its key. Says authorised or already.
# shellcheck shell=sh disable=SC2154  # job-lib.sh stands before this text
umask 077
mkdir -p -- "$HOME/.ssh" && cd -- "$HOME/.ssh" || exit 1
take_lock .telarchy-lock || exit 1
blob=${1#* }
blob=${blob%% *}
if grep -v '^[[:space:]]*#' authorized_keys 2>/dev/null | grep -qF -e "$blob"; then
	echo already
	exit 0
fi
if [ -s authorized_keys ] && [ -n "$(tail -c 1 authorized_keys)" ]; then
	echo >>authorized_keys || exit 1
fi
printf '%s\n' "$1" >>authorized_keys && chmod 600 authorized_keys && echo authorised
