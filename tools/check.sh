#!/bin/sh
# Runs the checks that are named, in that order. The first failure ends it; with CI=true all are run and the
# failures listed at the end, since a person reads that output only once.
set -eu
cd "$(dirname "$0")/.."
bin="${VENV:-.venv}/bin"
failed=""

check() {
    case "$1" in
    lint) "$bin/ruff" check --quiet . ;;
    format) "$bin/ruff" format --check --quiet . ;;
    types) "$bin/mypy" --no-error-summary ;;
    contracts) "$bin/lint-imports" --no-cache >"$report" 2>&1 || {
        cat "$report"
        return 1
    } ;;
    generated)
        "$bin/telarchy" schema crds --out crds --check
        "$bin/telarchy" schema crds --out charts/telarchy/files/crds --check
        "$bin/telarchy" schema json --out schemas --check
        "$bin/python" tools/reference.py --check
        ;;
    pytest) "$bin/pytest" --cov --cov-report=term --durations=40 --durations-min=5 ;;
    *) echo "no such check: $1" >&2 && return 1 ;;
    esac
}

report="$(mktemp)"
trap 'rm -f "$report"' EXIT

for name in "$@"; do
    [ "$name" = pytest ] || echo "== $name"
    # a subshell with its own -e, since a function called in a condition would run on after a failure
    set +e
    (
        set -e
        check "$name"
    )
    status=$?
    set -e
    [ "$status" -eq 0 ] && continue
    failed="$failed $name"
    [ "${CI:-}" = true ] || break
done

if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
