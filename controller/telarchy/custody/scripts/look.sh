# shellcheck shell=sh disable=SC2154
# look.sh MODE EPOCH CONTROLLER NAME LEASE (ROOT ID)…: what stands at the roots of this host, in one go.
#
# Answers in NUL-terminated pairs of key and value; the key `root` begins the next one. MODE `write` renews this
# controller's lease on volumes that are the ones it knows (ID), and takes over leases that ran out more than
# LEASE seconds ago by this host's clock; `read` leaves no trace.
mode=$1 epoch=$2 controller=$3 name=$4 lease=$5
shift 5

emit() { printf '%s\000' "$1" "$2"; }

case $(stat -c %Y / 2>/dev/null) in
'') ages() { stat -f '%m %N' -- "$@"; } ;;
*) ages() { stat -c '%Y %n' -- "$@"; } ;;
esac

# entries KEY FOLDER: a line per folder in it: mtime, name and, where one was written down, a TAB and its title.
entries() {
    if [ ! -d "$2" ] || [ -L "$2" ]; then
        return
    fi
    set +f
    emit "$1" "$(cd "$2" && ages ./* 2>/dev/null | while read -r aged; do
        label=
        if [ -f "${aged#* }/.title" ] && [ ! -L "${aged#* }/.title" ]; then
            IFS= read -r label <"${aged#* }/.title" || :
        fi
        printf '%s\t%s\n' "$aged" "$label"
    done)"
    set -f
}

# mounted_below ROOT: its true name and the lines of the machine's table of mounts that may be about something below it;
# where that is not the kernel's, `: KIND POINT` each.
mounted_below() {
    true=$(cd "$1" 2>/dev/null && pwd -P) || return 0
    if [ -r /proc/self/mountinfo ]; then
        case $true in
        # The kernel writes some of these otherwise.
        *[!A-Za-z0-9/._-]*) table=$(cat /proc/self/mountinfo) ;;
        *) table=$(grep -F -- " ${true%/}/" /proc/self/mountinfo) ;;
        esac
    else
        table=$(mount | sed -n 's/^.* on \(\/.*\) (\([^,)]*\).*$/: \2 \1/p')
    fi
    if [ -n "$table" ]; then
        emit true "$true"
        emit mounts "$table"
    fi
}

renew() { # root
    lock "$1"
    holder "$1"
    if [ "$held_id $held_name" = "$controller $name" ] && [ "$held_epoch" -eq "$epoch" ]; then
        touch -c "$1/.telarchy/epoch"
        return
    fi
    [ "$held_epoch" -lt "$epoch" ] || return 1
    if [ -n "$held_id" ] && [ "$held_id" != "$controller" ]; then
        renewed=$(ages "$1/.telarchy/epoch") && renewed=${renewed%% *}
        age=$(($(date +%s) - ${renewed:-0}))
        # Far in the future is a clock that was set back, not a lease that was renewed.
        if [ "$age" -lt "$lease" ] && [ "$age" -gt "-$lease" ]; then
            return 1
        fi
    fi
    claim "$1" "$epoch" "$controller" "$name"
}

emit now "$(date +%s)"
boot=
[ ! -r /proc/sys/kernel/random/boot_id ] || read -r boot </proc/sys/kernel/random/boot_id || :
emit boot "$boot"
while [ $# -ge 2 ]; do
    root=$1 known=$2
    shift 2
    emit root "$root"
    if [ ! -d "$root" ]; then
        [ ! -e "$root" ] || emit exists other
        continue
    fi
    emit exists folder
    { [ -r "$root" ] && [ -x "$root" ]; } && emit readable yes
    { [ -w "$root" ] && { [ ! -e "$root/.telarchy" ] || [ -w "$root/.telarchy" ]; }; } && emit writable yes
    sentinel "$root"
    emit id "$found"
    { [ -z "$found" ] && [ -e "$root/.telarchy/volume" ]; } && emit damaged yes
    emit device "$(device "$root")"
    mounted_below "$root"
    emit space "$(df -Pk -- "$root" 2>/dev/null | sed -n 's/^.* \([0-9][0-9]*\)  *[0-9][0-9]*  *\([0-9][0-9]*\)  *[0-9][0-9]*%.*$/\1 \2/p')"
    own=$root/.telarchy
    if [ ! -d "$own" ] || [ -L "$own" ]; then
        continue
    fi
    if [ "$mode" = write ] && [ -n "$known" ] && [ "$found" = "$known" ] && [ -w "$own" ]; then
        (renew "$root") >/dev/null 2>&1
    fi
    if [ -f "$own/epoch" ] && [ ! -L "$own/epoch" ]; then
        emit renewed "$(ages "$own/epoch")"
        emit epoch "$(head -n 1 "$own/epoch")"
    fi
    entries trash "$own/trash"
    entries quarantine "$own/quarantine"
    entries staging "$own/staging"
    if [ -d "$own/jobs" ] && [ ! -L "$own/jobs" ]; then
        set +f
        for job in "$own"/jobs/*; do
            set -f
            [ -d "$job" ] || continue
            emit job "${job##*/}"
            [ ! -f "$job/custody" ] || emit meta "$(head -c 20000 "$job/custody")"
        done
        set -f
    fi
done
