#!/bin/sh
# ladder.sh FILES STREAM GENERATION INPUT SEGMENT_MS WINDOW STALE_SECONDS NEED_KIB RENDITION,… COMMAND…
# Runs an encoder (COMMAND) that fills the spool of a stream, in the endpoint's folder (the working directory).
#
# An encoder says nothing of a full or read-only disk and ends with 0, and one that hangs lives. So this looks before
# it starts one, and beside it at the playlists, every second: one that got old makes the flag stale/STREAM (the
# origin answers 503, so that edges go elsewhere), and an encoder that brings nothing forth is ended. One that is only
# too slow is left for longer: begun anew, it would have to make again what it has half-done.
#
# FILES:    folder with master.m3u8
# INPUT:    keyed   the flag publishing/STREAM is there while somebody publishes; others write it
#           opened  the source is there once the encoder has opened it; the flag is written here
#           made    the source cannot be absent
#           relay   copied from another endpoint, which may have nothing new without a fault here
# WINDOW:   segments that stay behind the first one listed
# START in COMMAND becomes the number of the first segment: by the clock, so that origins are near each other; of no
# effect while there is a playlist to append to. OFFSET becomes the time at which pictures begin: where those before
# ended, because what reads fragments as one file (a relay) never gets over a time that goes backwards. BACK becomes
# how far back a copy begins: three segments at first, and then with the newest, so that nothing is shown twice.
# Ends as the encoder did, or with NO_INPUT where the source had nothing to give: that is no fault of an encoder.
set -u
NO_INPUT=66
files=$1 stream=$2 generation=$3 input=$4 segment=$5 window=$6 stale=$7 need=$8 renditions=$9
shift 9
LC_ALL=C
export LC_ALL
umask 022
folder=spool/$stream/$generation
flag=stale/$stream
publishing=publishing/$stream
awaited=$folder/.awaited
NL='
'

give_up() {
    echo "$1" >&2
    exit 75
}

# On one line: name, size and time of each file.
if stat -c %Y . >/dev/null 2>&1; then
    looks() { stat -c '%n %s %y' "$@" 2>/dev/null; }
    written() { stat -c %Y "$@" 2>/dev/null; }
else
    looks() { stat -f '%N %z %Fm' "$@" 2>/dev/null; }
    written() { stat -f %m "$@" 2>/dev/null; }
fi

# --- the spool ---------------------------------------------------------------------------------------------------

playlists='' whole='' count=0 # paths without spaces: names are labels
IFS=,
for rendition in $renditions; do
    playlists="$playlists $folder/$rendition/index.m3u8"
    mkdir -p "$folder/$rendition" || give_up "the spool cannot be written to (read-only, or not ours)"
    count=$((count + 1))
    [ ! -s "$folder/$rendition/index.m3u8" ] || whole="$whole $folder/$rendition/index.m3u8"
done
IFS=' '
mkdir -p progress publishing stale || give_up "the spool cannot be written to (read-only, or not ours)"
free=$(df -Pk . | awk 'END { print $4 }')
case $free in
'' | *[!0-9]*) ;;
*) [ "$free" -ge "$need" ] || give_up "the spool is full: $free KiB are free, and $need KiB are needed to begin" ;;
esac
(printf 'x\n' >"$folder/.probe") 2>/dev/null || give_up "the spool cannot be written to (full, read-only, or not ours)"
[ -s "$folder/.probe" ] || give_up "the spool is full"
rm -f "$folder/.probe"

# Since when something comes in and nothing is made of it: over all starts of an encoder, and of this publisher only.
case $input in
keyed | made)
    came=''
    [ "$input" = made ] || came=$(find "$publishing" -newer "$awaited" 2>/dev/null)
    if [ ! -e "$awaited" ] || [ -n "$came" ]; then
        true >"$awaited" || give_up "the spool cannot be written to"
    fi
    ;;
esac

# What a killed encoder left half-written.
for playlist in $playlists; do
    rm -f "${playlist%/*}"/*.tmp
done

# ends_at FOLDER NUMBER AHEAD: when the pictures of a segment end, and a moment; AHEAD: segments that others have more.
# Without ffprobe, by how long it ran.
ends_at() {
    began='' was=''
    { read -r began was; } 2>/dev/null <"$folder/.clock"
    cat "$1"/init*.mp4 "$1/s$2.m4s" 2>/dev/null |
        ffprobe -v error -select_streams v:0 -show_entries packet=pts_time,duration_time -of csv=p=0 - 2>/dev/null |
        awk -F, -v more="$3" -v segment="$segment" -v ran=$(($(date +%s) - ${began:-0})) -v was="${was:-0}" '
            $1 + $2 > end { end = $1 + $2 }
            END { printf "%.3f\n", (end ? end + 0.04 : was + ran + 10) + (more > 0 ? more * segment / 1000 : 0) }'
}

# Playlists that are whole and keep step are appended to: `keep FIRST`. Else numbers begin anew: `new AT-LEAST`.
# shellcheck disable=SC2086
verdict=$([ -z "$whole" ] || awk -v wanted="$count" '
    FNR == 1 { n++ }
    /^#EXT-X-MEDIA-SEQUENCE:/ { first[n] = substr($0, 23) + 0 }
    /^#EXTINF:/ { count[n]++ }
    END {
        for (i = 1; i <= n; i++) {
            last = first[i] + count[i] - 1
            if (!count[i]) torn = 1
            if (i == 1 || last > high) high = last
            if (i == 1 || last < low) low = last
            if (i == 1 || first[i] < least) least = first[i]
            if (i == 1) lead = last
        }
        if (n == wanted && !torn && high - low <= 1) printf "keep %.0f %.0f %.0f\n", least, lead, high - lead
        else printf "new %.0f\n", high + 1
    }' $whole)
# What went with the power: segments that are listed, and empty. No player gets past one.
lost=''
for playlist in $whole; do
    while IFS= read -r line; do
        case $line in
        s*.m4s) [ -s "${playlist%/*}/$line" ] || lost=yes ;;
        esac
    done <"$playlist"
done
case $lost$verdict in
"yeskeep "*) verdict=$(printf '%s\n' "$verdict" | awk '{ printf "new %.0f", $3 + $4 + 1 }') ;;
esac
still=''
# One that has stood still for longer than its window has lost everybody: players ran dry, and edges went to where the
# numbers went on with the clock. To go on where it stopped would keep it behind them for good; its times go on.
offset=10 back=-3
case $verdict in
"keep "*)
    set_aside() { oldest=$(($2 - window)) lead=$3 ahead=$4; }
    # shellcheck disable=SC2086
    set_aside $verdict
    # shellcheck disable=SC2086
    last=$(written $whole | sort -n | tail -n 1)
    offset=$(ends_at "$folder/${renditions%%,*}" "$lead" "$ahead")
    if [ "$((($(date +%s) - ${last:-0}) * 1000))" -gt "$((window * segment))" ]; then
        verdict="new $((lead + ahead + 1))" still=yes
    fi
    ;;
esac
case $verdict in
"keep "*)
    for playlist in $playlists; do
        for old in "${playlist%/*}"/s*.m4s; do # those of runs before, which this one does not know
            number=${old##*/s}
            number=${number%.m4s}
            case $number in '' | *[!0-9]*) continue ;; esac
            [ "$number" -ge "$oldest" ] || rm -f "$old"
        done
    done
    start=0 back=-1
    ;;
*)
    start=$(($(date +%s) * 1000 / segment))
    case $verdict in
    "new "[0-9]*) [ "${verdict#new }" -le "$start" ] || start=${verdict#new } ;;
    esac
    # Whoever waits keeps what was there until the first new segment is; only what says nothing goes at once.
    for playlist in $playlists; do
        if [ ! -s "$playlist" ] || [ -z "$still" ]; then
            rm -f "$playlist" "${playlist%/*}"/s*.m4s "${playlist%/*}"/init*.mp4
        fi
    done
    if [ -z "$still" ] && [ -s "$folder/.clock" ]; then offset=$(ends_at "" "" 0); fi
    ;;
esac

lay() { # FILE FROM: written in one go, and only when it differs
    cmp -s "$1" "$2" || { cp "$2" "$1.new" && mv -f "$1.new" "$1"; } || give_up "the spool is full"
}
lay "$folder/master.m3u8" "$files/master.m3u8"
printf '%s %s\n' "$(date +%s)" "${offset%.*}" >"$folder/.clock" || give_up "the spool is full"
printf '%s\n' "$input" >"spool/$stream/input" || give_up "the spool is full"
printf '%s\n' "$generation" >"spool/$stream/current.new" || give_up "the spool is full"
mv -f "spool/$stream/current.new" "spool/$stream/current" || give_up "the spool cannot be written to"

# --- beside the encoder --------------------------------------------------------------------------------------------

# Addresses of sources may hold credentials, and the encoder writes them into its messages.
masked() {
    while IFS= read -r rest || [ -n "$rest" ]; do
        line=''
        case $input,$rest in
        *,'Warning: using insecure memory!' | relay,*'duplicated MOOV Atom'*) continue ;; # said of nothing wrong
        relay,*"HTTP error "[45]*) true >"$refused" ;;
        relay,*) ;;
        *"Stream map '0:a:0' matches no streams"*)
            true >"$soundless"
            rest='nothing but pictures comes in: silence is sent with them'
            ;;
        *",To ignore this, add a trailing"*) continue ;;
        esac
        while :; do
            case $rest in *://*) ;; *) break ;; esac
            line=$line${rest%%://*}://…
            rest=${rest#*://}
            rest=${rest#"${rest%%[\'\" ]*}"}
        done
        printf '%s\n' "$line$rest"
    done
}

source_there() {
    case $input in
    keyed) [ -e "$publishing" ] ;;
    made) true ;;
    *) [ -s "progress/$stream" ] ;;
    esac
}

# quiet_already: seconds for which viewers have had nothing new although somebody publishes. Sets QUIET and LIMIT.
quiet_already() {
    QUIET=0 LIMIT=$grace
    [ "$input" = keyed ] && [ -e "$publishing" ] || return 0
    # shellcheck disable=SC2086
    last=$(written $playlists | sort -n | head -n 1)
    came=$(written "$publishing")
    [ -n "$last" ] && [ -n "$came" ] || return 0
    now=$(date +%s)
    if [ "$came" -gt "$last" ]; then
        QUIET=$((now - came))
    else
        QUIET=$((now - last)) LIMIT=$stale # it was cut off while they watched
    fi
    [ "$QUIET" -ge 0 ] || QUIET=0
}

# out_time: sets MADE to how much was encoded, in microseconds.
out_time() {
    MADE=$(tail -c 700 "progress/$stream" | sed -n 's/^out_time_us=\([0-9]*\)$/\1/p' | tail -n 1)
    MADE=${MADE:-0}
}

# crawls: whether the encoder goes on, only slowly; asked every few seconds. One that goes on in time and writes nothing
# has trouble with its disk.
crawls() {
    [ "$age" -lt $((4 * grace)) ] || return 1
    [ "$age" -ge "$again" ] || return 0
    was=$MADE
    out_time
    [ "$MADE" -gt "$was" ] && [ $((MADE - was)) -lt 4500000 ] || return 1
    again=$((age + 5))
}

# A round is over when each playlist has changed; a rendition that hangs behind keeps it from ending.
watch_over() { # ENCODER
    told='' age=0 ticks=0 again=0 opened=''
    # shellcheck disable=SC2086
    before=$(looks $playlists)
    missing="$playlists "
    while kill -0 "$1" 2>/dev/null; do
        sleep 1 >/dev/null # which would hold the pipe
        kill -0 $$ 2>/dev/null || kill -KILL "$1" # nobody would ever end it
        QUIET=$((QUIET + 1)) age=$((age + 1)) ticks=$((ticks + 1))
        [ $((ticks % 3600)) -ne 0 ] || true >"progress/$stream" # it grows with every second
        if [ "$input" = opened ] && [ -z "$opened" ] && source_there; then
            opened=yes
            [ -e "$awaited" ] || true >"$awaited"
        fi
        # shellcheck disable=SC2086
        found=$(looks $playlists)
        IFS=$NL
        for line in $found; do
            case "$NL$before$NL" in *"$NL$line$NL"*) continue ;; esac
            name=${line%% *} size=${line#* }
            case $size in 0\ *) QUIET=$((LIMIT + 1)) && continue ;; esac # a full disk: nobody can play that
            case $missing in *" $name "*) missing="${missing%%" $name "*} ${missing#*" $name "}" ;; esac
        done
        IFS=' '
        before=$found
        case $missing in
        *[!\ ]*) ;;
        *)
            missing="$playlists " QUIET=0 LIMIT=$stale age=0 again=0
            rm -f "$flag" "$awaited" "$refused"
            ;;
        esac
        if [ "$input" = opened ] && [ ! -e "$publishing" ] && source_there; then
            echo - >"$publishing"
        fi
        if [ "$input" = relay ] || ! source_there; then
            QUIET=0 age=0
            continue
        fi
        if [ "$QUIET" -gt "$LIMIT" ] && [ ! -e "$flag" ]; then
            true >"$flag" # and not `:`, with which a disk that refuses would end this loop
            [ -e "$awaited" ] || true >"$awaited"
        fi
        [ "$age" -ne $((grace - 5)) ] || out_time
        if [ "$age" -ge "$grace" ] && [ -z "$told" ] && ! crawls; then
            told=yes
            echo "no new segments for $age s: the encoder is started again"
            kill -TERM "$1" 2>/dev/null
            sleep 3 >/dev/null
            kill -KILL "$1" 2>/dev/null
        fi
    done
}

# --- the encoder ---------------------------------------------------------------------------------------------------

grace=$((5 * segment / 1000))
[ "$grace" -ge 15 ] || grace=15
quiet_already
[ "$input" = keyed ] || rm -f "$publishing" # of an encoder that was killed
: >"progress/$stream"

for argument; do
    shift
    [ "$argument" != START ] || argument=$start
    [ "$argument" != OFFSET ] || argument=$offset
    [ "$argument" != BACK ] || argument=$back
    case $argument in # which begins with a discontinuity where there is nothing to append to
    *+append_list) [ "$start" = 0 ] || argument=${argument%+append_list} ;;
    esac
    case ${TELARCHY_SILENCE:-},$argument in
    yes,-fflags) set -- "$@" -analyzeduration 500000 ;; # no sound is waited for
    yes,0:a:0)
        set -- "$@" '[silence]' -filter_complex 'anullsrc=sample_rate=48000:channel_layout=stereo[silence]'
        argument=-shortest # since silence never ends
        ;;
    esac
    set -- "$@" "$argument"
done

child='' ended=''
trap 'ended=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT
pipe=progress/.$stream.$$
rm -f progress/."$stream".*
soundless=progress/.$stream.soundless refused=progress/.$stream.refused
mkfifo "$pipe" || give_up "the spool cannot be written to"
masked <"$pipe" >&2 &
masker=$!
exec 8>"$pipe"
rm -f "$pipe"
"$@" 2>&8 8>&- &
child=$!
[ -z "$ended" ] || kill -TERM "$child"
watch_over "$child" >&8 2>/dev/null 8>&- &
watcher=$!
exec 8>&-

wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do # it was only a signal to us
    wait "$child"
    code=$?
done
kill "$watcher" 2>/dev/null
wait "$masker" 2>/dev/null

# What players are told of the stream has sound in it. Whether there is some shows at each start only.
if [ -e "$soundless" ] && [ -z "$ended" ] && [ "${TELARCHY_SILENCE:-}" != yes ]; then
    export TELARCHY_SILENCE=yes
    exec sh "$0" "$files" "$stream" "$generation" "$input" \
        "$segment" "$window" "$stale" "$need" "$renditions" "$@"
fi

case $input,$code in
relay,*) [ ! -e "$refused" ] || code=$NO_INPUT ;;
opened,12[67]) ;; # there is no encoder
opened,*) source_there || code=$NO_INPUT ;;
esac
source_there || rm -f "$awaited"
case $input in keyed) ;; *) rm -f "$publishing" ;; esac
if [ -e "$flag" ]; then
    round=0
    while [ "$code" = 0 ] && [ "$input" = keyed ] && [ -e "$publishing" ] && [ "$round" -lt 10 ]; do
        round=$((round + 1)) # the publisher left, and its flag is about to go
        sleep 0.1 2>/dev/null || sleep 1
    done
    # Without a source there is nothing wrong with what is there; who watches waits for it to go on.
    if [ -n "$ended" ] || [ "$input" != keyed ] || [ ! -e "$publishing" ]; then
        rm -f "$flag"
    fi
fi
exit "$code"
