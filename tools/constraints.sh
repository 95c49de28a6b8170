#!/bin/sh
# Writes constraints.txt: what a fresh install of today takes, by name and version. No address of any index is
# in it, so that it serves behind whatever index a machine is configured with.
set -eu
cd "$(dirname "$0")/.."
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

"${VENV:-.venv}/bin/python" -m venv "$scratch/venv"
frozen() { # frozen PACKAGE: what there is after installing it too
    "$scratch/venv/bin/python" -m pip install -qq --disable-pip-version-check --editable "$1"
    "$scratch/venv/bin/python" -m pip freeze --exclude-editable | sort -f
}
frozen . >"$scratch/run"
frozen '.[test]' >"$scratch/test"
{
    echo "# Versions that this project is tested with. \`make constraints\` writes this file."
    echo
    echo "# to run"
    cat "$scratch/run"
    echo
    echo "# to test"
    grep -vxF -f "$scratch/run" "$scratch/test"
} >constraints.txt
