"""Publishers as people have them, and the habits of encoders: what is sent, and how."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.counterparties.players import running
from tests.counterparties.screen import screened

_PICTURE = "testsrc2=size=640x360:rate=25"
_TONE = "sine=frequency=300:sample_rate=48000"
_QUIET = ("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "level+warning")
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25")
_AAC = ("-c:a", "aac", "-b:a", "96k")


def _lavfi(text: str) -> tuple[str, ...]:
    return ("-re", "-f", "lavfi", "-i", text)


def _habit(
    picture: str = _PICTURE, tone: str = _TONE, video: tuple[str, ...] = _X264, audio: tuple[str, ...] = _AAC
) -> tuple[str, ...]:
    inputs = (*(_lavfi(picture) if picture else ()), *(_lavfi(tone) if tone else ()))
    return (*inputs, *(video if picture else ()), *(audio if tone else ()))


_JUMP = "setpts='PTS+if(gte(T,6),3600,0)/TB'"
_VARIABLE = "select='not(mod(n,5))+gt(mod(n,50),25)'"

# What encoders do, apart from what is usual; ffmpeg's words without the output.
HABITS: Mapping[str, tuple[str, ...]] = {
    "usual": _habit(),
    "mono at 44.1 kHz": _habit(audio=(*_AAC, "-ac", "1", "-ar", "44100")),
    "5.1 sound": _habit(audio=(*_AAC, "-ac", "6")),
    "22 kHz sound": _habit(audio=(*_AAC, "-ar", "22050")),
    "mp3 sound": _habit(audio=("-c:a", "libmp3lame", "-ar", "44100")),
    "a keyframe every eleven seconds": _habit(
        video=(*_X264[:-2], "-g", "275", "-keyint_min", "275", "-sc_threshold", "0")
    ),
    "B-frames": _habit(video=("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "50")),
    "variable frame rate": _habit(video=("-vf", _VARIABLE, "-fps_mode", "vfr", *_X264)),
    "5 pictures per second": _habit(picture="testsrc2=size=640x360:rate=5"),
    "60 pictures per second": _habit(picture="testsrc2=size=640x360:rate=60"),
    "portrait": _habit(picture="testsrc2=size=360x640:rate=25"),
    "odd size": _habit(
        picture="testsrc2=size=853x481:rate=25", video=("-c:v", "libx264", "-preset", "ultrafast")
    ),
    "4:4:4": _habit(video=("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p", "-g", "25")),
    "ten bits": _habit(
        video=("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-g", "25")
    ),
    "times from a large number on": (*_habit(), "-output_ts_offset", "2000000"),
    "times about to overflow": (*_habit(), "-output_ts_offset", "4294950"),
    "times that jump an hour": _habit(
        video=("-vf", _JUMP, "-fps_mode", "passthrough", *_X264), audio=("-af", "a" + _JUMP, *_AAC)
    ),
    "no sound": _habit(tone=""),
}
"""Each of them is to be played as if it were the usual one."""

SOUND_ALONE = _habit(picture="")


@contextlib.contextmanager
def ffmpeg(
    log: Path, url: str, habit: tuple[str, ...] = HABITS["usual"], form: str = "flv"
) -> Iterator[subprocess.Popen[bytes]]:
    with running((*_QUIET, *habit, "-f", form, url), log) as process:
        yield process


@contextlib.contextmanager
def gstreamer(log: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    made = (
        "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=25/1 ! "
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse ! mux. "
        "audiotestsrc is-live=true volume=0.1 ! avenc_aac ! aacparse ! mux. "
        f"flvmux name=mux streamable=true ! rtmp2sink location={url}"
    )
    env = {"GST_REGISTRY": str(log.with_suffix(".registry"))}
    with running(("gst-launch-1.0", "-q", *made.split()), log, env) as process:
        yield process


_GLOBAL = """[General]
FirstRun=true
EnableAutoUpdates=false
[Basic]
Profile=evening
ProfileDir=evening
SceneCollection=evening
SceneCollectionFile=evening
[BasicWindow]
WarnBeforeStartingStream=false
"""
_PROFILE = """[General]
Name=evening
[Output]
Mode=Simple
Reconnect=true
RetryDelay=2
MaxRetries=25
[SimpleOutput]
VBitrate=800
ABitrate=128
StreamEncoder=x264
UseAdvanced=true
Preset=ultrafast
x264Settings={x264}
[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
FPSType=0
FPSCommon=30
[Audio]
SampleRate=48000
ChannelSetup=Stereo
"""


@contextlib.contextmanager
def obs(folder: Path, server: str, key: str, *, x264: str = "keyint=30") -> Iterator[subprocess.Popen[bytes]]:
    """OBS with a profile and a scene, streaming at once. Its log is `folder`/obs.log.

    x264:  as typed into "custom encoder settings"; empty leaves the keyframe interval to it (250 pictures)"""
    home = folder / "obs"
    own = home / ".config/obs-studio"
    (own / "basic/profiles/evening").mkdir(parents=True)
    (own / "basic/scenes").mkdir()
    (own / "global.ini").write_text(_GLOBAL)
    (own / "basic/profiles/evening/basic.ini").write_text(_PROFILE.format(x264=x264))
    service = {"type": "rtmp_custom", "settings": {"server": server, "key": key, "use_auth": False}}
    (own / "basic/profiles/evening/service.json").write_text(json.dumps(service))
    colour = {
        "id": "color_source",
        "versioned_id": "color_source_v3",
        "name": "Blue",
        "settings": {"color": 4294901760, "width": 640, "height": 360},
    }
    item = {"name": "Blue", "id": 1, "visible": True}
    scene = {"id": "scene", "name": "Scene", "settings": {"id_counter": 1, "items": [item]}}
    (own / "basic/scenes/evening.json").write_text(
        json.dumps(
            {
                "name": "evening",
                "current_scene": "Scene",
                "current_program_scene": "Scene",
                "scene_order": [{"name": "Scene"}],
                "sources": [colour, scene],
                "transitions": [],
                "groups": [],
            }
        )
    )
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    with screened(folder) as display:
        env = display | {"HOME": str(home), "XDG_RUNTIME_DIR": os.fspath(runtime)}
        argv = ("obs", "--startstreaming", "--minimize-to-tray", "--multi", "--disable-updater")
        with running((*argv, "--disable-missing-files-check"), folder / "obs.log", env) as process:
            yield process
