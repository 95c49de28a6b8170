# shellcheck shell=sh disable=SC2154
# discard.sh ROOT ID EPOCH CONTROLLER NAME ACTION: take staged files back that arrived wrong.
#
# stdin: the files, NUL-separated, relative to the staging folder of ACTION.
root=$1 id=$2 epoch=$3 controller=$4 name=$5 action=$6

writer "$root" "$id" "$epoch" "$controller" "$name"
plain_path "$root" ".telarchy/staging/$action/x"
cd "$root/.telarchy/staging/$action" 2>/dev/null || exit 0
xargs -0 rm -f -- || refuse "$FAILED" "staged files of $action could not be removed"
