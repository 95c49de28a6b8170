# shellcheck shell=sh disable=SC2154
# lease.sh BATCH ROOT ID EPOCH CONTROLLER NAME HASH LASTS TITLE: promise that a title stays, and say how it stands.
#
# The promise is a folder .telarchy/leases/HASH.EPOCH; while one is there that is younger than LASTS seconds by
# this host's clock, nobody else gets one for the same title here. One of a lower epoch holds nobody up: it was
# given to a controller that is gone, or that every volume we ask refuses. Answers as survey.sh does.
batch=$1 root=$2 id=$3 epoch=$4 controller=$5 name=$6 hash=$7 lasts=$8 title=$9

writer "$root" "$id" "$epoch" "$controller" "$name"
cd "$root" || refuse "$GONE" "$root is not there"
plain_path . "$title"
plain_path . ".telarchy/leases/x"
mkdir -p .telarchy/leases || refuse "$READ_ONLY" "$root cannot be written to"
find .telarchy/leases/. ! -path .telarchy/leases/. -prune -type d -mmin "+$(((lasts + 59) / 60))" -exec rmdir {} \;
set +f
for held in .telarchy/leases/"$hash".*; do
    set -f
    [ -e "$held" ] || continue
    of=${held##*.}
    case $of in
    '' | *[!0-9]*) of=$epoch ;;
    esac
    if [ "$of" -ge "$epoch" ] || ! rmdir -- "$held"; then
        refuse "$BUSY" "another removal counts on $title here"
    fi
done
set -f
mkdir ".telarchy/leases/$hash.$epoch" || refuse "$BUSY" "no lease on $title to be had"
mounts
list_title "$batch" "$title"
at_volume "$root" "$id"
printf 'end %s\000' "$listed"
