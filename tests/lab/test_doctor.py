"""doctor over ssh on real hosts: what is there, what is missing, whose a port is, a spool that is full or read-only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.lab.fleet import MakeFleet
from tests.lab.lab import Lab
from tests.lab.story import Story
from tests.lab.tree import MEDIA_PACKAGES

SPOOL = "/home/media/it's a spool"


def examined(story: Story, host: str) -> tuple[int, dict[str, Any]]:
    story.telarchy("apply", "-f", str(story.manifests))
    done = story.telarchy("doctor", host, "-o", "json", check=False)
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)["checks"]}


def test_a_host_that_is_ready_and_what_can_be_in_the_way(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    (nas,) = fleet("studio", fresh=True, packages=MEDIA_PACKAGES)
    story = Story(tmp_path, lab, (nas,))
    story.floor(copies=1)
    story.declare("stream", "Stream", "garden", {"ingest": {"rtmp": {}}})
    endpoint = {"role": "Origin", "hostRef": "studio", "spool": {"path": SPOOL}}
    story.declare("origin", "MediaEndpoint", "origin", endpoint)
    nas.run("loginctl disable-linger media", check=False)
    code, found = examined(story, "studio")
    assert code == 0, found
    needed = ("nginx", "ngx_rtmp_module", "ngx_http_js_module", "ffmpeg", "libx264", "aac", "rsync", "clock")
    needed += ("bash or curl",)
    assert {name: found[name]["state"] for name in needed} == dict.fromkeys(needed, "ok")
    assert found["varnishd"]["state"] == "not needed"
    assert found["services"]["state"] == "warning"
    assert "loginctl enable-linger media" in found["services"]["found"]
    assert {found[f"tcp:{port}"]["found"] for port in (8080, 18080, 1935, 11935)} == {"free"}
    assert found[f"{SPOOL}/telarchy-default.origin"]["found"].startswith("writable, ")

    nas.run("loginctl enable-linger media")
    nas.run("systemd-run --unit taken socat TCP-LISTEN:8080,fork /dev/null")
    nas.run("systemd-run --unit mine --uid media socat TCP-LISTEN:1935,fork /dev/null")
    nas.run(f'install -d -o root -m 755 "{SPOOL}"')
    story.declare(
        "edge",
        "MediaEndpoint",
        "edge",
        {
            "role": "Edge",
            "hostRef": "studio",
            "cache": "Varnish",
            "listen": {"http": 8081},
            "sources": [{"endpointRef": "origin"}],
            "spool": {"path": "/home/media", "reserve": "1Ei"},
        },
    )
    code, found = examined(story, "studio")
    assert code == 1
    assert found["services"]["state"] == "ok"
    assert found["varnishd"]["state"] == "missing"
    assert found["varnishd"]["neededBy"] == ["mediaendpoint/edge"]
    assert (found["tcp:8080"]["state"], found["tcp:8080"]["found"]) == (
        "warning",
        "held by a process of another user",
    )
    assert found["tcp:1935"]["found"] == "held by socat, which is not Telarchy's"
    assert found[f"{SPOOL}/telarchy-default.origin"]["found"] == "cannot be written to"
    assert "are to stay free" in found["/home/media/telarchy-default.edge"]["found"]
    told = story.telarchy("doctor", "studio", check=False)
    assert "On Debian: apt-get install varnish" in told.stderr


def test_a_bare_host_and_one_that_is_away(lab: Lab, fleet: MakeFleet, tmp_path: Path) -> None:
    (nas,) = fleet("bare")
    story = Story(tmp_path, lab, (nas,))
    story.floor(copies=1)
    story.declare("stream", "Stream", "garden", {"ingest": {"test": {}}})
    story.declare("origin", "MediaEndpoint", "origin", {"role": "Origin", "hostRef": "bare"})
    code, found = examined(story, "bare")
    assert code == 1
    assert {name for name, one in found.items() if one["state"] == "missing"} == {
        "ffmpeg",
        "libx264",
        "aac",
        "nginx",
        "ngx_http_js_module",
    }
    nas.power_cut()
    away = story.telarchy("doctor", "bare", check=False)
    assert away.returncode == 1 and "Traceback" not in away.stderr
    assert "bare" in away.stderr
