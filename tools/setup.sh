#!/bin/sh
# Prepares this folder: `setup.sh run` and `setup.sh test` make the virtual environment, `setup.sh lab` installs
# what the lab's hosts need, `setup.sh counterparties` what people publish and watch with. Does nothing, quickly,
# where nothing has changed.
set -eu
cd "$(dirname "$0")/.."
venv="${VENV:-.venv}"
BEAT="${TELARCHY_SETUP_BEAT:-10}" # seconds

say() { echo "telarchy: $*" >&2; }
stop() {
    say "$*"
    exit 1
}

# Runs a command that may take minutes, and says now and then that it still does. The subshell asks for its parent,
# which Ctrl-C ends without it; the pipe of whoever reads along is not left to its sleep.
patiently() {
    (
        waited=0
        while sleep "$BEAT" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
            waited=$((waited + BEAT))
            say "… still at it after $waited s"
        done
    ) &
    beat=$!
    done_with=0
    "$@" || done_with=$?
    kill "$beat" 2>/dev/null || true
    wait "$beat" 2>/dev/null || true
    return "$done_with"
}

install_packages() {
    {
        $as_root apt-get update -qq &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } >"$log" 2>&1
}

# Debian packages, if we may; else say what is missing and how to get it.
apt() {
    command -v apt-get >/dev/null 2>&1 ||
        stop "this needs $* and this is no Debian: install them with your package manager, then try again"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root="sudo"
    else
        stop "this needs $*: run \`apt-get install $*\` as root, then try again"
    fi
    say "installing $*"
    log="$(mktemp)"
    patiently install_packages "$@" || {
        cat "$log" >&2
        rm -f "$log"
        stop "$* could not be installed; the reason is above"
    }
    rm -f "$log"
}

# The newest of the usual names that is Python 3.11 or later, or nothing.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$name" >/dev/null 2>&1 || continue
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
}

system_packages() {
    wanted=""
    python="$(find_python)"
    if [ -z "$python" ]; then
        wanted="python3 python3-venv"
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian keeps these apart from Python itself, one package for each version.
        wanted="$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    fi
    command -v rsync >/dev/null 2>&1 || wanted="$wanted rsync"
    [ "$1" = run ] || command -v git >/dev/null 2>&1 || wanted="$wanted git"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$wanted" ] || apt $wanted
    python="$(find_python)"
    [ -n "$python" ] || stop "this needs Python 3.11 or later, and this system offers none"
}

virtual_environment() {
    extras="$1"
    fingerprint="$(cat pyproject.toml constraints.txt | cksum) $(pwd) $("$python" -V)"
    stamp="$venv/.made-for-$extras"
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ]; then
        return
    fi
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$venv"
        "$python" -m venv "$venv"
    fi
    rm -f "$venv"/.made-for-*
    say "installing Python packages into $venv (once; about a minute)"
    package="."
    [ "$extras" = run ] || package=".[$extras]"
    patiently "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
        --constraint constraints.txt --editable "$package" ||
        stop "the Python packages could not be installed; the reason is above"
    # with the test packages there is also all that a run needs
    echo "$fingerprint" >"$venv/.made-for-run"
    echo "$fingerprint" >"$stamp"
}

case "${1:-}" in
run | test)
    system_packages "$1"
    virtual_environment "$1"
    ;;
lab)
    if [ "$(id -u)" -eq 0 ]; then
        patiently sh tests/lab/prerequisites.sh
    elif [ "${CI:-}" = true ]; then
        stop "the lab needs root"
    else
        say "the lab boots real hosts and needs root; its tests are skipped (\`sudo make test\` runs them)"
    fi
    ;;
counterparties)
    wanted=""
    for one in obs-studio vlc-bin vlc-plugin-base kodi mpv pulseaudio xvfb ffmpeg nginx libnginx-mod-rtmp \
        libnginx-mod-http-js libgl1-mesa-dri gstreamer1.0-tools gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav; do
        dpkg -s "$one" >/dev/null 2>&1 || wanted="$wanted $one"
    done
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$wanted" ] || apt $wanted
    ;;
*) stop "usage: setup.sh run|test|lab|counterparties" ;;
esac
