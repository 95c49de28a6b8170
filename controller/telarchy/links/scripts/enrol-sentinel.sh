# enrol-sentinel.sh ROOT LINE: give a media root its sentinel, unless it has one. Says made or already.
# shellcheck shell=sh
umask 022
mkdir -p -- "$1/.telarchy" && cd -- "$1/.telarchy" || exit 1
printf '%s\n' "$2" >"volume.$$" || exit 1
sync "volume.$$" 2>/dev/null || sync
if ln "volume.$$" volume 2>/dev/null; then
	echo made
elif [ -e volume ]; then
	echo already
else
	mv -f "volume.$$" volume && echo made # a file system without links
fi
rm -f "volume.$$"
sync . 2>/dev/null || sync
