# shellcheck shell=sh disable=SC2034
# Listing a tree as NUL-terminated records, in the same form with every userland:
#
#     `f SIZE MTIME PATH`   a regular file; MTIME in seconds with a fraction, PATH relative to BASE
#     `! PATH`              a folder that cannot be looked into
#     `? KIND`              something else (link, socket…): counted, never followed

# list_tree BATCH BASE: walk BASE (a relative path that begins with `.`) without its own `.telarchy`.
# Returns non-zero when something could not be read.
list_tree() {
    if find -P "$2" -maxdepth 0 -readable -printf '' 2>/dev/null; then
        find -P "$2" -ignore_readdir_race -path ./.telarchy -prune \
            -o -type f -printf 'f %s %T@ %P\0' \
            -o -type d ! \( -readable -executable \) -printf '! %P\0' -prune \
            -o -type d -o -printf '? %y\0'
        return
    fi
    # Not following links is every find's habit; busybox does not know the word -P for it.
    exec 4>&1
    walked=$({
        {
            find "$2" -path ./.telarchy -prune -o -type f -print0
            echo $? >&3
        } | xargs -0 -n 400 sh -c "$1" batch list "$2" >&4
    } 3>&1)
    exec 4>&-
    find "$2" -path ./.telarchy -prune -o ! -type f ! -type d -exec printf '? o\000' \; 2>/dev/null
    return "$walked"
}

# exactly PATH: whether it is listed, and not only found, under these very bytes. A file system that folds case, or
# two ways to write a letter, answers to names that no scan will see. Works in the root's folder.
exactly() {
    case $1 in
    *[!\ -~]*) ;;
    *) [ -e ./.TELARCHY ] || return 0 ;;
    esac
    walked=. rest=$1/
    set +f
    while [ -n "$rest" ]; do
        part=${rest%%/*} rest=${rest#*/} hit=
        for one in "$walked"/* "$walked"/.*; do
            if [ "$one" = "$walked/$part" ]; then
                hit=yes
                break
            fi
        done
        [ -n "$hit" ] || break
        walked=$walked/$part
    done
    set -f
    [ -n "$hit" ]
}

# list_title BATCH TITLE: `kind folder|file|none|alias|other`, then its files; sets `listed` to non-zero when something
# could not be read. An alias is found, and listed under another name. Works in the root's folder.
list_title() {
    listed=0
    if [ -e "./$2" ] && ! exactly "$2"; then
        printf 'kind alias\000'
    elif [ -L "./$2" ]; then
        printf 'kind other\000'
    elif [ -d "./$2" ] || [ -f "./$2" ]; then
        if [ -d "./$2" ]; then
            printf 'kind folder\000'
        else
            printf 'kind file\000'
        fi
        list_tree "$1" "./$2" || listed=$?
    elif [ -e "./$2" ]; then
        printf 'kind other\000'
    else
        printf 'kind none\000'
    fi
}

# mounts: `r PATH`, this folder by its true name, and a mount point of the machine each: `m PATH` in the kernel's
# spelling, or `M PATH` in plain spelling.
mounts() {
    printf 'r %s\000' "$(pwd -P)"
    if [ -r /proc/self/mounts ]; then
        while read -r _ point _; do
            printf 'm %s\000' "$point"
        done </proc/self/mounts
    else
        mount | sed -n 's/^.* on \(\/.*\) (.*$/\1/p' | while IFS= read -r point; do
            printf 'M %s\000' "$point"
        done
    fi
}
