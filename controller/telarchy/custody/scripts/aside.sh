# shellcheck shell=sh disable=SC2154
# aside.sh ROOT ID EPOCH CONTROLLER NAME WHERE ENTRY TITLE LABEL: move a title, or files of it, out of sight.
#
# WHERE is `trash` or `quarantine`; what is moved goes to .telarchy/WHERE/<UTC time>-ENTRY/, under the path that
# it has now. stdin: files of the title, NUL-separated and relative to it; none means the title as a whole.
# LABEL is written beside it (one line, tells the title). Nothing is unlinked, nothing leaves the file system.
# Prints the name of the folder.
root=$1 id=$2 epoch=$3 controller=$4 name=$5 where=$6 entry=$7 title=$8 label=$9

writer "$root" "$id" "$epoch" "$controller" "$name"
cd "$root" || refuse "$GONE" "$root is not there"
plain_path . "$title"
plain_path . ".telarchy/$where/x"
[ -e "./$title" ] || refuse "$CHANGED" "$title is not there"
folder=.telarchy/$where/$(stamp)-$entry
[ ! -e "$folder" ] || refuse "$BUSY" "$folder is there already"
mkdir -p -- "$folder" || refuse "$READ_ONLY" "$folder cannot be made"
if [ "$(device "./$title")" != "$(device "$folder")" ]; then
    rmdir -- "$folder"
    refuse "$FAILED" "$title is on another file system than its root; declare that one as a media root of its own"
fi
printf '%s\n' "$label" >"$folder/.title" || refuse "$NO_SPACE" "$folder cannot be written to"

move() { # path relative to the root
    case $1 in
    */*) mkdir -p -- "$folder/${1%/*}" || return 1 ;;
    esac
    mv -n -- "./$1" "$folder/$1" && [ ! -e "./$1" ]
}

case $where in
trash) move "$title" || refuse "$FAILED" "$title could not be moved" ;;
quarantine)
    # One at a time: damaged files are few.
    # shellcheck disable=SC2016
    xargs -0 -n 1 sh -c '
        path=$2${3:+/$3}
        [ -f "./$path" ] && [ ! -L "./$path" ] || { echo "$path is no longer a file" >&2 && exit 255; }
        case $path in
        */*) mkdir -p -- "$1/${path%/*}" || exit 255 ;;
        esac
        mv -n -- "./$path" "$1/$path" && [ ! -e "./$path" ] || exit 255' quarantine "$folder" "$title" ||
        refuse "$FAILED" "not every file of $title could be moved"
    ;;
esac
touch -- "$folder"
parent=./$title
case $title in
*/*) parent=./${title%/*} ;;
*) parent=. ;;
esac
settle "$folder" "$parent" "$folder/.title"
printf '%s' "${folder##*/}"
