# bases.sh TOOLS [PARENT…]: the folders of endpoints that lie here, whoever made them: all below the default place, and
# below each PARENT those of our name. Changes nothing. Before it stand job-lib.sh, service-lib.sh and service-owner.sh.
#
# A line each, with tabs between: base BASE OWNER_ID TERM SINCE ALIVE NAMESPACE NAME POLICY OWNER'S_NAME. BASE is the path
# as it was declared, or where the folder lies with a colon before it: it does not say, or was moved. With TOOLS=yes also what
# endpoints run with: tool NAME VERSION, module NAME. At last: end.
# shellcheck shell=sh
LC_ALL=C
export LC_ALL
MOST=1000
tools=$1
shift

if stat -c %Y / >/dev/null 2>&1; then
    written() { stat -c %Y "$1" 2>/dev/null; }
else
    written() { stat -f %m "$1" 2>/dev/null; }
fi

# leads BASE FOLDER: whether the declared path is this very folder.
leads() {
    case $1 in
    "~/"*) set -- "$HOME/${1#"~/"}" "$2" ;;
    /*) ;;
    *) return 1 ;;
    esac
    [ -d "$1" ] && [ "$(cd -- "$1" 2>/dev/null && pwd -P)" = "$2" ]
}

show() { # in the folder
    marked || return
    read_owner
    here=$(pwd -P)
    leads "$HELD_BASE" "$here" || HELD_BASE=''
    alive=$(written $MARKER)
    # shellcheck disable=SC2086
    set -- $HELD_ABOUT
    printf 'base\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "${HELD_BASE:-:$here}" "$HELD_ID" "$HELD_TERM" "$HELD_SINCE" \
        "$alive" "${1-}" "${2-}" "${3-}" "$HELD_NAME"
}

count=0
for place in "$HOME"/.local/state/telarchy/streaming/*/; do
    if [ -L "${place%/}" ] || [ ! -d "$place" ] || [ $count -ge $MOST ]; then continue; fi
    count=$((count + 1))
    (cd -- "$place" && show) 2>/dev/null
done
for parent; do
    for place in "$parent"/telarchy-*/; do
        if [ -L "${place%/}" ] || [ ! -d "$place" ] || [ $count -ge $MOST ]; then continue; fi
        count=$((count + 1))
        (cd -- "$place" && show) 2>/dev/null
    done
done

# version NAME TOOL ARGUMENT: the first thing in its first lines that looks like one.
version() {
    command -v "$2" >/dev/null || return
    printf 'tool\t%s\t%s\n' "$1" "$("$2" "$3" 2>&1 </dev/null |
        sed -n 's/^[^0-9]*\([0-9][0-9]*\.[0-9][0-9A-Za-z.]*\).*/\1/p;5q' | head -n 1)"
}
if [ "$tools" = yes ]; then
    version nginx nginx -v
    version ffmpeg ffmpeg -version
    version varnish varnishd -V || version varnish vinyld -V
    for module in ngx_rtmp_module ngx_http_js_module; do
        [ ! -e "/usr/lib/nginx/modules/$module.so" ] || printf 'module\t%s\n' "$module"
    done
fi
echo end
