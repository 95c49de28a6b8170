# shellcheck shell=sh disable=SC2154
# read.sh BATCH READER ROOT ID LENGTH: digest files of a volume, a record of batch.sh for each.
#
# stdin: LENGTH bytes of pairs (size, file) to be read one by one, then files to be read by the handful.
batch=$1 reader=$2 root=$3 id=$4 length=$5

sentinel "$root"
[ "$found" = "$id" ] || refuse "$GONE" "volume ${id:-(new)} is not at $root (found: ${found:-no sentinel})"
cd "$root" || refuse "$GONE" "$root is not there"
digest_listed "$batch" "$reader" "$length"
sentinel "$root"
[ "$found" = "$id" ] || refuse "$GONE" "the volume at $root went away while files were read"
