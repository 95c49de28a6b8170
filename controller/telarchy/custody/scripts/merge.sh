# shellcheck shell=sh
# A handful of staged files or folders against the title that is there: run where the staged title lies.
#
#     folders TITLE FOLDER…   print those in whose place something else than a folder stands
#     files TITLE FILE…       print those in whose place something different stands; drop those that are there already
#     move TITLE FOLDER…      rename what is in each into its place (the whole folder where there is none)
set -u
set -f
verb=$1 title=$2
shift 2
for one; do
    there=$title/$one
    case $verb in
    folders)
        if [ -L "$there" ] || { [ -e "$there" ] && [ ! -d "$there" ]; }; then
            printf '%s\n' "$one"
        fi
        ;;
    files)
        if [ -L "$there" ]; then
            printf '%s\n' "$one"
        elif [ -e "$there" ]; then
            if [ -f "$there" ] && cmp -s -- "$one" "$there"; then
                rm -f -- "$one"
            else
                printf '%s\n' "$one"
            fi
        fi
        ;;
    move)
        [ -d "$one" ] || continue # it went along with the folder above it
        if [ ! -e "$there" ]; then
            mv -n -- "$one" "$there" || exit 255
        else
            # -n: a file that appeared meanwhile stays, and ours stays behind.
            # shellcheck disable=SC2016
            find "$one/." ! -path "$one/." -prune -type f -print0 |
                xargs -0 sh -c 'into=$1; shift; [ $# -eq 0 ] || mv -n -- "$@" "$into"' into "$there/" || exit 255
        fi
        ;;
    esac
done
