# watch.sh BASE PERIOD ONCE WEB STAT WINDOW [STREAM/GENERATION/RENDITION,… | @NAME=URL]…: reports how an endpoint stands.
#
# Runs over one connection for as long as somebody listens, and changes nothing but an access log that got long, the
# time of the folder, run/reached and, for its owner, the time of the marker: a sign of life for others who declare
# the same endpoint.
# Twice a second it looks whether something happened (a segment, a publisher, a process; what comes from elsewhere is
# asked for once a second), and tells it then, and else every PERIOD seconds. ONCE=yes: one report, and nothing is
# touched. Before it stand job-lib.sh, service-lib.sh, service-owner.sh and service-status.sh.
#
# WEB:     port on 127.0.0.1 where the endpoint's own server shows what viewers get; "" to read the spool itself
# STAT:    port on 127.0.0.1 of the ingest's /stat; "" without one
# WINDOW:  seconds for which somebody who fetched a media playlist counts as a viewer
# further: what to ask WEB for that lies in no spool here, and (@NAME=URL) endpoints from which this one may fetch
#
# A report is `report <length>`, a newline, that many bytes and a newline. In it, fields are separated by tabs:
#
#   at MILLISECONDS PRESENT TROUBLE              service …   as service-status.sh has it
#   owner ID TERM SINCE ALIVE NAMESPACE NAME POLICY OWNER'S_NAME       as the marker has it; the first four are empty
#                                                in one made before markers named owners
#   space FREE_KIB TOTAL_KIB WRITABLE            keys DIGEST            key NAME LINE;LINE
#   stream NAME CURRENT INPUT PUBLISHER GENERATION,… KIB AWAITED REFUSED   PUBLISHER is `?` when nobody can say; AWAITED:
#                                                since when something comes in and no segment is made of it, or nothing;
#                                                REFUSED: 1 while viewers are answered 503 (its flag in stale/ is there)
#   progress STREAM CHANGED OUT_TIME_US SPEED    input STREAM CODEC WIDTH HEIGHT RATE BYTES
#   traffic STREAM VIEWERS BYTES HITS MISSES FAILURES
#   reach NAME 1|0                               whether that endpoint gave any answer, here, within two seconds
#   blind TOOLS                                  instead of playlists: one of these is needed to ask WEB, and none is there
#   playlist STREAM GENERATION RENDITION STATUS CHANGED LENGTH, and on the next line that many bytes
# shellcheck shell=sh
base=$1 period=$2 once=$3 web=$4 stat_port=$5 window=$6
shift 6
LC_ALL=C
export LC_ALL
LOG=log/access.log
MOST_LOG=33554432
TAB='	'
fine=0.5
sleep 0.01 2>/dev/null || fine=1
bash=$(command -v bash)
blind='' # what would be needed to ask WEB and STAT
[ -n "$bash" ] || command -v curl >/dev/null || blind='bash or curl'

if stat -c %Y / >/dev/null 2>&1; then
    looks() { stat -c '%n %s %y' "$@" 2>/dev/null; }
    case $(stat -c %.3Y / 2>/dev/null) in
    *.[0-9]*) written() { stat -c %.3Y "$@" 2>/dev/null; } ;;
    *) written() { stat -c %Y "$@" 2>/dev/null; } ;;
    esac
    size_of() { stat -c %s "$1" 2>/dev/null; }
else
    looks() { stat -f '%N %z %Fm' "$@" 2>/dev/null; }
    written() { stat -f %Fm "$@" 2>/dev/null; }
    size_of() { stat -f %z "$1" 2>/dev/null; }
fi
case $(date +%s%3N) in
*N*) milliseconds() { echo "$(date +%s)000"; } ;;
*) milliseconds() { date +%s%3N; } ;;
esac

named() { # whether it could be a name of ours
    case $1 in '' | .* | -* | *[!A-Za-z0-9._-]*) return 1 ;; esac
}

# One process for all that is asked for: PORT PATH HEAD CHANGED, with a newline behind each.
# A server that hangs costs two seconds, not the report: nothing more is asked of it.
# shellcheck disable=SC2016
ASK='
hangs=""
while IFS="	" read -r port path head changed; do
    body="" status=0
    if [ "$port" != "$hangs" ] && exec 3<>"/dev/tcp/127.0.0.1/$port"; then
        printf "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" "$path" >&3
        IFS= read -r -t 2 -d "" -n 400000 body <&3
        exec 3<&- 3>&-
        status=${body#* }
        status=${status%%[^0-9]*}
        [ -n "$status" ] || hangs=$port
        body=${body#*$'"'"'\r\n\r\n'"'"'}
    fi 2>/dev/null
    [ "$status" = 200 ] || [ "$head" = stat ] || body=""
    if [ "$head" = stat ]; then
        [ "$status" != 200 ] || printf "%s\n" "$body"
    else
        printf "playlist	%s	%s	%s	%d\n%s\n" "$head" "${status:-0}" "$changed" "${#body}" "$body"
    fi
done'

ask() {
    if [ -n "$bash" ]; then
        "$bash" -c "$ASK" 2>/dev/null
    elif command -v curl >/dev/null; then
        while IFS=$TAB read -r port path head changed; do
            body=$(curl -s -f -m 2 "http://127.0.0.1:$port$path") && status=200 || status=0
            if [ "$head" = stat ]; then
                printf '%s\n' "$body"
            else
                printf 'playlist\t%s\t%s\t%s\t%d\n%s\n' "$head" "$status" "$changed" "${#body}" "$body"
            fi
        done
    fi
}

# --- the parts of a report -----------------------------------------------------------------------------------------

writable() {
    [ -w . ] && { [ ! -e spool ] || [ -w spool ]; } || return 1
    # Since Linux 6.15 an ext4 that was given up after an error looks writable until somebody tries.
    [ "$once" = yes ] || foreign || touch -c . 2>/dev/null
}

space_line() {
    df -Pk . 2>/dev/null | awk -v w="$(writable && echo 1 || echo 0)" \
        'END { if (NF > 4) printf "space\t%s\t%s\t%s\n", $(NF - 2), $(NF - 4), w }'
}

foreign() {
    [ -n "$HELD_ID" ] && [ "$HELD_ID" != "$OWNER" ]
}

# beat: the sign of life of the owner, which is the time of its marker.
BEAT_SECONDS=30
beat() {
    if [ "$once" = yes ] || [ -z "$OWNER" ] || [ "$HELD_ID $HELD_TERM" != "$OWNER $OWNER_TERM" ]; then return; fi
    if [ "$NOW" -ge "$BEATEN" ] && [ $((NOW - BEATEN)) -lt $BEAT_SECONDS ]; then return; fi
    BEATEN=$NOW
    touch -c $MARKER 2>/dev/null
}

owner_line() {
    alive=''
    ! foreign || alive=$(written $MARKER)
    # shellcheck disable=SC2086
    set -- $HELD_ABOUT
    printf 'owner\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$HELD_ID" "$HELD_TERM" "$HELD_SINCE" "$alive" \
        "${1-}" "${2-}" "${3-}" "$HELD_NAME"
}

keys_lines() {
    if [ -f keys.json ]; then
        digest=$({ sha256sum || shasum -a 256; } <keys.json 2>/dev/null)
        printf 'keys\t%s\n' "${digest%% *}"
    fi
    for file in keyuse/*; do
        if ! named "${file##*/}" || [ ! -f "$file" ]; then continue; fi
        one='' two=''
        { IFS= read -r one && IFS= read -r two; } 2>/dev/null <"$file"
        printf 'key\t%s\t%s;%s\n' "${file##*/}" "$one" "$two"
    done
}

stream_lines() {
    for place in spool/*/; do
        stream=${place#spool/}
        stream=${stream%/}
        if [ -L "spool/$stream" ] || ! named "$stream"; then continue; fi
        current='' input='' publisher='?' generations='' awaited=''
        { IFS= read -r current; } 2>/dev/null <"spool/$stream/current"
        { IFS= read -r input; } 2>/dev/null <"spool/$stream/input"
        for generation in "spool/$stream"/*/; do
            generation=${generation%/}
            generation=${generation##*/}
            ! named "$generation" || generations=$generations,$generation
        done
        case $input in
        keyed | opened)
            publisher=''
            { IFS= read -r publisher; } 2>/dev/null <"publishing/$stream"
            ;;
        esac
        if named "$current" && [ -e "spool/$stream/$current/.awaited" ]; then
            awaited=$(written "spool/$stream/$current/.awaited")
        fi
        case $SIZES in *" $stream="*) size=${SIZES##*" $stream="} ;; *) size='' ;; esac
        refused=''
        [ ! -e "stale/$stream" ] || refused=1
        printf 'stream\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$stream" "$current" "$input" "$publisher" \
            "${generations#,}" "${size%% *}" "$awaited" "$refused"
    done
    for file in publishing/*; do # nothing of theirs is in the spool yet
        stream=${file##*/}
        if named "$stream" && [ ! -d "spool/$stream" ]; then
            publisher=''
            { IFS= read -r publisher; } 2>/dev/null <"$file"
            printf 'stream\t%s\t\tkeyed\t%s\t\t\t\n' "$stream" "$publisher"
        fi
    done
}

progress_lines() {
    for file in progress/*; do
        if ! named "${file##*/}" || [ ! -s "$file" ]; then continue; fi
        changed=$(written "$file")
        tail -c 700 "$file" 2>/dev/null | awk -F= -v head="progress	${file##*/}	$changed" '
            $1 == "out_time_us" { out = $2 }
            $1 == "speed" { speed = $2 + 0 }
            END { if (out != "") printf "%s\t%s\t%s\n", head, out, speed }'
    done
}

input_lines() {
    [ -n "$stat_port" ] || return 0
    printf '%s\t/stat\tstat\t\n' "$stat_port" | ask | awk -v RS='<' '
        { tag = $0; sub(/>.*/, "", tag); text = $0; sub(/^[^>]*>/, "", text); gsub(/[^A-Za-z0-9._-]/, "", text) }
        tag == "stream" { inside = 1; name = codec = width = height = rate = bytes = ""; depth = 0 }
        tag == "client" { depth++ }
        tag == "/client" { depth-- }
        tag == "video" { video = 1 }
        tag == "/video" { video = 0 }
        inside && !depth && tag == "name" && name == "" { name = text }
        inside && !depth && tag == "bytes_in" { bytes = text }
        inside && video && tag == "codec" { codec = text }
        inside && video && tag == "width" { width = text }
        inside && video && tag == "height" { height = text }
        inside && video && tag == "frame_rate" { rate = text }
        tag == "/stream" && inside {
            inside = 0
            if (name != "") printf "input\t%s\t%s\t%s\t%s\t%s\t%s\n", name, codec, width, height, rate, bytes
        }'
}

# Which playlists there are: a line for `ask` each. Those in the spool carry the time at which they were written.
wanted_playlists() {
    for file in $PLAYLISTS; do
        [ -f "$file" ] || continue
        path=${file#spool/}
        rendition=${path%/*}
        generation=${rendition%/*}
        printf '%s\t/health/%s\t%s\t%s\t%s\t%s\n' "${web:-0}" "$path" "${generation%%/*}" "${generation#*/}" \
            "${rendition##*/}" "$(written "$file")"
    done
}

playlist_lines() {
    if [ -n "$web" ]; then
        wanted_playlists | together | ask
        [ -z "$REMOTE" ] || printf '%s\n' "$REMOTE"
        return
    fi
    wanted_playlists | while IFS=$TAB read -r _ path stream generation rendition changed; do
        body=$(head -c 400000 "spool/${path#/health/}" 2>/dev/null)
        printf 'playlist\t%s+%s+%s\t200\t%s\t%d\n%s\n' "$stream" "$generation" "$rendition" "$changed" \
            "${#body}" "$body"
    done
}

# Names have no `+`; it keeps the fields together on their way through the asking.
together() {
    while IFS=$TAB read -r port path stream generation rendition changed; do
        printf '%s\t%s\t%s+%s+%s\t%s\n' "$port" "$path" "$stream" "$generation" "$rendition" "$changed"
    done
}

# What the server here has from elsewhere, as it would stand in the report.
elsewhere() {
    for target; do
        case $target in @*) continue ;; esac
        stream=${target%%/*} renditions=${target##*/}
        generation=${target#*/}
        generation=${generation%/*}
        [ ! -d "spool/$stream/$generation" ] || continue
        IFS=,
        for rendition in $renditions; do
            printf '%s\t/health/%s/%s/%s/index.m3u8\t%s\t%s\t%s\t\n' "$web" "$stream" "$generation" "$rendition" \
                "$stream" "$generation" "$rendition"
        done
        IFS=$_ifs
    done | together | ask
}
_ifs=$IFS

# Whether an endpoint gives any HTTP answer at all. Status 2 when nobody here can tell.
# shellcheck disable=SC2016
answers() { # URL
    place=${1#http://}
    if [ "$place" != "$1" ] && [ -n "$bash" ] && command -v timeout >/dev/null; then
        place=${place%%/*}
        port=${place##*:} host=${place%:*}
        case $port in *[!0-9]*) port=80 host=$place ;; esac
        [ "$host" != "$port" ] || port=80
        host=${host#"["}
        timeout 2 "$bash" -c '
            exec 3<>"/dev/tcp/$0/$1" || exit 1
            printf "GET /ping HTTP/1.0\r\nHost: telarchy\r\nConnection: close\r\n\r\n" >&3
            IFS= read -r line <&3
            case $line in HTTP/*) ;; *) exit 1 ;; esac' "${host%"]"}" "$port" || return 1
    elif command -v curl >/dev/null; then
        curl -q -s -g -m 2 --noproxy '*' -o /dev/null "${1%/}/ping" || return 1
    else
        return 2
    fi
}

# All of them at once.
reach() {
    for target; do
        case $target in @*) ;; *) continue ;; esac
        {
            name=${target%%=*}
            answers "${target#*=}"
            case $? in
            0) printf 'reach\t%s\t1\n' "${name#@}" ;;
            1) printf 'reach\t%s\t0\n' "${name#@}" ;;
            esac
        } 2>/dev/null &
    done | sort
}

# What was found last, unless that is long ago. In the background: an endpoint that is silent holds up no report.
look_out() {
    REACHED=''
    ! foreign || return 0 # it has other sources, and what is noted here is the owner's
    if [ "$once" = yes ]; then
        REACHED=$(reach "$@")
        return
    fi
    if [ -z "$tried" ] || [ $((NOW - tried)) -ge 2 ] || [ "$NOW" -lt "$tried" ]; then
        tried=$NOW
        {
            found=$(reach "$@")
            mkdir -p run && printf '%s\n' "$found" >run/.reached && mv -f run/.reached run/reached
        } </dev/null >/dev/null 2>&1 &
    fi
    REACHED=''
    looked=$(written run/reached)
    looked=${looked%%.*}
    [ $((NOW - ${looked:-0})) -le 10 ] || return 0
    REACHED=$(cat run/reached 2>/dev/null)
}

# The log since the report before, and the viewers of the last WINDOW seconds. MARKS: `seconds:offset` of reports
# that were within the window, oldest first; SEEN: how far the last one read.
traffic_lines() {
    [ "$SIZE" -gt "$FROM" ] || return 0
    tail -c "+$((FROM + 1))" $LOG 2>/dev/null | head -c $((SIZE - FROM)) | awk -F '\t' \
        -v fresh=$((SEEN - FROM)) -v since=$((NOW - window)) '
        {
            at += length($0) + 1
            if (NF != 10 || $3 !~ /^[a-z0-9][a-z0-9.-]*$/) next
            seconds = $1 + 0
            if (seconds > 1e11) seconds /= 1000
            if ($2 == "playlist" && $6 < 400 && seconds >= since && $10 ~ /^[0-9a-f]+$/ && !(($3, $10) in known)) {
                known[$3, $10] = 1
                viewers[$3]++
                streams[$3] = 1
            }
            if (at <= fresh) next
            streams[$3] = 1
            bytes[$3] += $7
            if ($8 ~ /^(HIT|STALE|UPDATING|REVALIDATED|hit)/) hits[$3]++
            else if ($8 ~ /^(MISS|EXPIRED|BYPASS|miss|pass)/) misses[$3]++
            if ($9 ~ /^(5[0-9][0-9]|403|410)/) failures[$3]++
        }
        END {
            for (s in streams)
                printf "traffic\t%s\t%d\t%.0f\t%d\t%d\t%d\n", s, viewers[s], bytes[s], hits[s], misses[s], failures[s]
        }'
}

# Moves the marks on after a report, and the log out of the way when it got long.
mark_log() {
    SEEN=$SIZE
    # shellcheck disable=SC2086
    set -- $MARKS "$NOW:$SIZE"
    while [ $# -gt 1 ] && [ "${2%%:*}" -lt $((NOW - window)) ]; do
        shift
    done
    MARKS=$*
    if [ "$once" != yes ] && ! foreign && [ "$SIZE" -gt $MOST_LOG ] && mv -f $LOG $LOG.1; then
        pid=''
        { read -r pid; } 2>/dev/null <run/http/nginx.pid
        case $pid in '' | *[!0-9]*) ;; *) kill -USR1 "$pid" 2>/dev/null ;; esac
        SEEN=0 MARKS=$NOW:0
    fi
}

report() {
    printf 'at\t%s\t%s\t%s\n' "$(milliseconds)" "$1" "$2"
    [ "$1" = 1 ] || return 0
    owner_line
    service_lines
    space_line
    keys_lines
    stream_lines
    progress_lines
    input_lines
    traffic_lines
    [ -z "$REACHED" ] || printf '%s\n' "$REACHED"
    if [ -n "$web" ] && [ -n "$blind" ]; then
        printf 'blind\t%s\n' "$blind"
        return 0
    fi
    playlist_lines
}

send() {
    printf 'report\t%s\n%s\n' "${#1}" "$1" || exit 0
}

# What tells that something happened. Sets PLAYLISTS too.
signature() {
    PLAYLISTS=''
    for file in spool/*/current; do
        generation=''
        { IFS= read -r generation; } 2>/dev/null <"$file"
        place=${file%/current}
        if ! named "${place#spool/}" || ! named "$generation"; then continue; fi
        for playlist in "$place/$generation"/*/index.m3u8; do
            [ ! -f "$playlist" ] || PLAYLISTS="$PLAYLISTS $playlist"
        done
    done
    # shellcheck disable=SC2086
    read_owner
    SIGNATURE="$HELD_ID $HELD_TERM $HELD_ABOUT$NL$(service_lines)$NL$(looks $PLAYLISTS publishing stale keyuse/* keys.json)"
}

# --- the loop ------------------------------------------------------------------------------------------------------

SIZES=' ' MARKS='' SEEN='' LOG_SEEN='' round=0 told='' asked='' REMOTE='' tried='' REACHED='' BEATEN=0
while :; do
    cd / || exit 1
    trouble=$({ enter_base "$base"; } 2>&1)
    if ! enter_base "$base" 2>/dev/null; then
        send "$(report 0 "$trouble")"
        [ "$once" != yes ] || exit 0
        sleep "$period"
        continue
    fi
    signature
    NOW=$(date +%s)
    beat
    if [ $# -gt 0 ] && [ -n "$web" ] && [ "$NOW" != "$asked" ]; then
        asked=$NOW REMOTE=$(elsewhere "$@")
    fi
    case $* in *@*) look_out "$@" ;; esac
    SIGNATURE=$SIGNATURE$REMOTE$REACHED
    if [ -z "$told" ] || [ "$SIGNATURE" != "$LOG_SEEN" ] || [ $((NOW - told)) -ge "$period" ] || [ "$NOW" -lt "$told" ]; then
        LOG_SEEN=$SIGNATURE told=$NOW
        if [ $((round % 15)) -eq 0 ]; then
            SIZES=" $(for place in spool/*/; do
                [ -L "${place%/}" ] || [ ! -d "$place" ] || du -sk "$place" 2>/dev/null
            done | awk '{ sub(/\/$/, "", $2); sub(/^spool\//, "", $2); printf "%s=%s ", $2, $1 }')"
        fi
        round=$((round + 1))
        SIZE=$(size_of $LOG)
        SIZE=${SIZE:-0}
        if [ -z "$SEEN" ] || [ "$SIZE" -lt "$SEEN" ]; then
            SEEN=${SEEN:+0}
            SEEN=${SEEN:-$SIZE} # one that begins does not count what was before it
            MARKS=''
        fi
        FROM=${MARKS%% *} # where the oldest mark lies
        FROM=${FROM#*:}
        if [ -z "$MARKS" ]; then # those who watch already are found without reading it all
            FROM=$((SEEN > 262144 ? SEEN - 262144 : 0))
        fi
        send "$(report 1 '')"
        [ "$once" != yes ] || exit 0
        mark_log
    fi
    sleep "$fine"
done
