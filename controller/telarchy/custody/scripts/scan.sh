# shellcheck shell=sh disable=SC2154
# scan.sh BATCH ROOT ID LAST NEXT: every file under ROOT, if volume ID (may be "") stands there all the while.
#
# NUL-terminated records: `scan full` or `scan delta` first; then those of list.sh, in a delta each with `+`
# (new or changed) or `-` (gone) before it; those of mounts; `end STATUS LISTED` last, without which the answer is worth
# nothing. LAST names the listing that the controller has, NEXT the one that it will have ("" for no trace on the disk).
batch=$1 root=$2 id=$3 last=$4 next=$5

cd "$root" 2>/dev/null || refuse "$GONE" "$root is not there"
sentinel "$root"
[ "$found" = "$id" ] || refuse "$GONE" "volume ${id:-(new)} is not at $root (found: ${found:-no sentinel})"
place=$(device .)

listings=.telarchy/scan
keep=
if [ -n "$next" ] && [ -n "$id" ] && [ -w .telarchy ] && [ ! -L "$listings" ] &&
    comm -z /dev/null /dev/null 2>/dev/null && mkdir -p "$listings" 2>/dev/null && [ -w "$listings" ]; then
    keep=yes
fi

if [ -n "$keep" ]; then
    rm -rf "$listings"/new
    status=$({
        {
            list_tree "$batch" .
            echo $? >&3
        } | sort -z >"$listings/new" || echo 'no room' >&3
    } 3>&1)
    case $status in
    *'no room'*) rm -f "$listings/new" && keep= ;;
    esac
fi
if [ -z "$keep" ]; then
    printf 'scan full\000'
    list_tree "$batch" .
    status=$?
elif [ -n "$last" ] && [ -f "$listings/list.$last" ]; then
    printf 'scan delta\000'
    comm -z -13 "$listings/list.$last" "$listings/new" | sed -z 's/^/+/'
    comm -z -23 "$listings/list.$last" "$listings/new" | sed -z 's/^/-/'
else
    printf 'scan full\000'
    cat "$listings/new"
fi

# When a file system below this root goes missing, its titles are unknown and not gone.
mounts

sentinel "$root"
if [ "$found" != "$id" ] || [ "$(device "$root" 2>/dev/null)" != "$place" ]; then
    [ -z "$keep" ] || rm -f "$listings/new"
    refuse "$GONE" "the volume at $root went away during the scan"
fi
if [ -n "$keep" ]; then
    set +f
    for old in "$listings"/list.*; do
        [ "$old" = "$listings/list.$last" ] || [ ! -e "$old" ] || rm -f "$old"
    done
    set -f
    # The one before stays until the next scan: the controller may not have stored this one's name yet.
    mv -f "$listings/new" "$listings/list.$next" || status=1
fi
printf 'end %s %s\000' "$status" "${keep:+$next}"
