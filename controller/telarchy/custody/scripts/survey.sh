# shellcheck shell=sh disable=SC2154
# survey.sh BATCH ROOT ID TITLE: how a volume and one title on it stand now, before something is done about it.
#
# NUL-terminated: `space FREE-KIB`, `state writable|read-only`, `kind folder|file|none|alias|other`, the records of
# list.sh for mounts and the title's files, `end STATUS` last.
batch=$1 root=$2 id=$3 title=$4

at_volume "$root" "$id"
plain_path "$root" "$title"
cd "$root" || refuse "$GONE" "$root is not there"
printf 'space %s\000' "$(free_kib .)"
if [ -w . ] && [ -w .telarchy ]; then
    printf 'state writable\000'
else
    printf 'state read-only\000'
fi
mounts
list_title "$batch" "$title"
at_volume "$root" "$id"
printf 'end %s\000' "$listed"
