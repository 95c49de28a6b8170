# shellcheck shell=sh
# release.sh ROOT HASH EPOCH: give a lease back.
rmdir -- "$1/.telarchy/leases/$2.$3" 2>/dev/null || :
