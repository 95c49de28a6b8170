# shellcheck shell=sh disable=SC2154
# expire.sh ROOT ID EPOCH CONTROLLER NAME WHERE ENTRY…: delete folders of the trash, or of `staging`, for good.
#
# Only folders right there, by the names that this program gives; links are deleted as links, never followed.
root=$1 id=$2 epoch=$3 controller=$4 name=$5 where=$6
shift 6

writer "$root" "$id" "$epoch" "$controller" "$name"
cd "$root" || refuse "$GONE" "$root is not there"
plain_path . ".telarchy/$where/x"
cd "./.telarchy/$where" || exit 0
for entry; do
    case $entry in
    '' | . | .. | */*) refuse "$CONFLICT" "$entry is not the name of a folder of the $where" ;;
    esac
    [ ! -L "$entry" ] || refuse "$CONFLICT" "$where/$entry is a symbolic link"
done
stay=
rm --one-file-system -f -- '' 2>/dev/null && stay=--one-file-system
for entry; do
    rm -rf ${stay:+"$stay"} -- "./$entry" || refuse "$FAILED" "$where/$entry could not be deleted"
done
