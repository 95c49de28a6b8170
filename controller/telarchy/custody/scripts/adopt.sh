# shellcheck shell=sh disable=SC2154
# adopt.sh ROOT REPLACES EPOCH CONTROLLER NAME LINE: make the sentinel of a root that has none (or REPLACES).
#
# LINE is the sentinel's content. Prints the id that stands there at the end: the one in LINE, or one that was
# there before and is not REPLACES.
root=$1 replaces=$2 epoch=$3 controller=$4 name=$5 line=$6

[ -d "$root" ] || refuse "$GONE" "$root is not a folder here"
[ -w "$root" ] || refuse "$READ_ONLY" "$root cannot be written to"
[ ! -L "$root/.telarchy" ] || refuse "$CONFLICT" "$root/.telarchy is a symbolic link"
mkdir -p -- "$root/.telarchy" || refuse "$READ_ONLY" "$root cannot be written to"
lock "$root"
fence "$root" "$epoch" "$controller" "$name"
sentinel "$root"
if [ -z "$found" ] || { [ -n "$replaces" ] && [ "$found" = "$replaces" ]; }; then
    if [ -z "$found" ] && [ -e "$root/.telarchy/volume" ] && [ -z "$replaces" ]; then
        refuse "$CONFLICT" "$root/.telarchy/volume is there and is no sentinel; look at it before adopting"
    fi
    [ ! -L "$root/.telarchy/volume" ] || refuse "$CONFLICT" "$root/.telarchy/volume is a symbolic link"
    printf '%s\n' "$line" >"$root/.telarchy/volume.new" || refuse "$NO_SPACE" "the sentinel cannot be written"
    settle "$root/.telarchy/volume.new"
    mv -f -- "$root/.telarchy/volume.new" "$root/.telarchy/volume" || refuse "$FAILED" "the sentinel cannot be renamed"
    settle "$root/.telarchy" "$root"
    sentinel "$root"
fi
printf '%s' "$found"
