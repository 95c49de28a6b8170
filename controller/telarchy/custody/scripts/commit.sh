# shellcheck shell=sh disable=SC2154
# commit.sh BATCH MERGE ROOT ID EPOCH CONTROLLER NAME ACTION TITLE LOOKED: what was staged and found good becomes the
# title.
#
# stdin: the files that must lie in the staging folder, no more and no less, as `find . -print0` names them. With LOOKED
# nothing: who asks has looked at what is staged, and where all of it gets its name in one rename, the answer is
# `kind renamed` without the files.
# A title that is absent appears in one rename; one that is there in part gets the missing files, and nothing
# that exists is ever overwritten. Done twice it does nothing the second time. Answers as survey.sh does.
batch=$1 merge=$2 root=$3 id=$4 epoch=$5 controller=$6 name=$7 action=$8 title=$9
shift 9
looked=$1

writer "$root" "$id" "$epoch" "$controller" "$name"
cd "$root" || refuse "$GONE" "$root is not there"
plain_path . ".telarchy/staging/$action/$title"
plain_path . "$title"
staged=./.telarchy/staging/$action

settling=
clash() { refuse "$CONFLICT" "$1 is in the way: something else has that name, and nothing is overwritten"; }

# move_one FROM TO: rename; TO must not be there.
if mv -T -n --version >/dev/null 2>&1; then
    move_one() { mv -T -n -- "$1" "$2"; }
else
    move_one() { mv -n -- "$1" "$2"; }
fi

whole() {
    parent=.
    case $title in
    */*) parent=./${title%/*} ;;
    esac
    mkdir -p -- "$parent" || refuse "$READ_ONLY" "$parent cannot be made"
    same_device "$parent"
    move_one "$staged/$title" "./$title" || refuse "$FAILED" "$title could not be renamed into its place"
    [ ! -e "$staged/$title" ] || clash "$title"
    # Its own entry, and those of folders that were made for it.
    set -- "$parent"
    while [ "$parent" != . ]; do
        parent=${parent%/*}
        set -- "$@" "$parent"
    done
    settle "$@" & # while it is listed
    settling=$!
}

same_device() {
    if [ "$(device "$1")" != "$(device "$staged")" ]; then
        refuse "$FAILED" "$1 is on another file system than its root; declare that one as a media root of its own"
    fi
}

merge() {
    same_device "./$title"
    there=$root/$title
    cd "$staged/$title" || refuse "$FAILED" "the staging folder cannot be read"
    # First all questions, then all answers.
    clashes=$(
        find . -type d -print0 | xargs -0 sh -c "$merge" merge folders "$there"
        find . -type f -print0 | xargs -0 sh -c "$merge" merge files "$there"
    )
    [ -z "$clashes" ] || clash "$title/$(printf '%s\n' "$clashes" | sed -n '1s/^\.\///p')"
    find . -type d -print0 | xargs -0 sh -c "$merge" merge move "$there" ||
        refuse "$FAILED" "files of $title could not be renamed into their place"
    cd "$root" || refuse "$GONE" "$root is not there"
    left=$(find "$staged/$title" -type f -print 2>/dev/null | head -n 1)
    [ -z "$left" ] || clash "$left"
    settle_all "$root" "./$title"
}

# Every name is found, and none is listed so: to stage it all anew would not help.
renamed() {
    [ "$(tr -cd '\000' <"$have" | wc -c)" -eq "$(tr -cd '\000' <"$want" | wc -c)" ] || return 0
    # shellcheck disable=SC2016
    (cd "$staged" && xargs -0 sh -c 'for one; do [ -e "$one" ] || exit 255; done' renamed) <"$want" 2>/dev/null || return 0
    rm -f -- "$have" "$want"
    refuse "$CONFLICT" "the file system of $root keeps names otherwise than they are given to it: $title would not be found"
}

if [ -e "$staged/$title" ] && [ -z "$looked" ]; then
    have=$staged/../$action.have want=$staged/../$action.want
    (cd "$staged" && find . -type f -print0 | sort -z) >"$have"
    sort -z >"$want"
    cmp -s "$want" "$have"
    same=$?
    [ "$same" -eq 0 ] || renamed
    rm -f -- "$have" "$want"
    [ "$same" -eq 0 ] || refuse "$CHANGED" "the staging folder does not hold what was digested"
fi
if [ -e "$staged/$title" ]; then
    if [ ! -e "./$title" ]; then
        whole
    elif [ -d "./$title" ] && [ -d "$staged/$title" ]; then
        merge
    elif [ -f "./$title" ] && [ -f "$staged/$title" ] && cmp -s -- "./$title" "$staged/$title"; then
        :
    else
        clash "$title"
    fi
fi
rm -rf -- "$staged" "$staged.begun" "./.telarchy/jobs/$action"
if [ -n "$looked" ] && [ -n "$settling" ] && exactly "$title"; then
    listed=0
    printf 'kind renamed\000'
else
    list_title "$batch" "$title"
fi
[ -z "$settling" ] || wait "$settling" || exit "$FAILED"
at_volume "$root" "$id"
printf 'end %s\000' "$listed"
