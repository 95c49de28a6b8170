# shellcheck shell=sh disable=SC2154
# arrived.sh BATCH READER ROOT ID ACTION LENGTH: digest what was pushed into a staging folder, and see it onto the disk.
#
# stdin: LENGTH bytes of pairs (size, file), then files by the handful; relative to the root, as they will be.
batch=$1 reader=$2 root=$3 id=$4 action=$5 length=$6

at_volume "$root" "$id"
plain_path "$root" ".telarchy/staging/$action/x"
cd "$root/.telarchy/staging/$action" || refuse "$CHANGED" "nothing is staged for $action"
synced "$root" "$root/.telarchy/staging/$action"
digest_listed "$batch" "$reader" "$length"
