# shellcheck shell=sh disable=SC2154
# await.sh ROOT ID EPOCH CONTROLLER NAME ACTION NEED RESERVE FILES: make a staging folder for what is pushed from elsewhere.
stage "$@"
printf '%s' "$staged"
