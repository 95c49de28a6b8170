#!/bin/sh
# source.sh PATH HEIGHT SOUND: whether a file can be played as it is to be: there, a film, no fewer lines than HEIGHT,
# and with sound where SOUND is yes. Says what is wrong on one line. Nothing that the file names is opened.
set -u
LC_ALL=C
export LC_ALL

refuse() {
    printf '%s: %s\n' "$path" "$1" >&2
    exit 1
}

path=$1 height=$2 sound=$3
[ -e "$path" ] || refuse "it is not there"
[ -f "$path" ] || refuse "it is no file"
[ -r "$path" ] || refuse "it cannot be read by $(id -un)"
command -v ffprobe >/dev/null || exit 0
found=$(ffprobe -v error -protocol_whitelist file -show_entries stream=codec_type,height -of csv=p=0 \
    "file:$path" 2>/dev/null) || refuse "it is nothing that can be played"
lines='' heard=''
for one in $found; do
    case $one in
    video,[0-9]*)
        one=${one#video,}
        lines=${lines:-${one%%,*}}
        ;;
    audio*) heard=yes ;;
    esac
done
[ -n "$lines" ] || refuse "there is no picture in it"
[ "$height" -le "$lines" ] ||
    refuse "it has $lines lines, and a rendition with $height is asked for: give it no more than there are"
[ "$sound" != yes ] || [ -n "$heard" ] || refuse "there is no sound in it: switch the audio of the stream off"
exit 0
