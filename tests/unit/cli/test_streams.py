"""The verbs about streams: keys, playback URLs, doctor; and `validate` and `get` of their kinds."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.resources.loader import load_text
from telarchy.resources.meta import Ref
from telarchy.store import Store
from telarchy.streaming import tokens
from telarchy.streaming.playbacksecrets import KEPT
from tests.unit.cli.calling import Ended, called

FLEET = """\
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: here}
spec: {class: Server, connection: {local: {}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: black}
spec: {class: Server, connection: {ssh: {endpoints: ["media@192.0.2.11"]}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: garden}
spec: {ingest: {rtmp: {}}}
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: door}
spec: {ingest: {test: {}}, visibility: Public}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {name: origin}
spec: {role: Origin, hostRef: black, publicURL: "http://live.example:8080", listen: {rtmp: 1936}}
---
apiVersion: telarchy.dev/v1alpha1
kind: MediaEndpoint
metadata: {name: edge}
spec: {role: Edge, hostRef: here, mode: Relay, sources: [{endpointRef: origin}]}
"""
LIVE = {
    "phase": "Live",
    "generation": "g1-0123abcd",
    "endpoints": [
        {"name": "origin", "role": "Origin", "state": "Degraded"},
        {"name": "edge", "role": "Edge", "state": "Healthy"},
    ],
}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TELARCHY_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def telarchy(capsys: pytest.CaptureFixture[str], state: Path) -> Any:
    def call(*arguments: object) -> Ended:
        return called(capsys, *arguments)

    return call


@pytest.fixture
def fleet(telarchy: Any, tmp_path: Path) -> Any:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    assert telarchy("apply", "-f", tmp_path / "fleet.yaml").code == 0
    return telarchy


def report(state: Path, **statuses: Any) -> None:
    """What a controller would have written; and the secret that it would have made for garden."""
    kinds = {"garden": "Stream", "door": "Stream"}
    with Store.open(state) as store:
        store.memory.put(f"{KEPT}/default/garden", "s3cret")
        store.statuses.write(
            {
                Ref(kinds.get(name, "MediaEndpoint"), "default", name): status
                for name, status in statuses.items()
            }
        )


class TestStreamKey:
    def test_the_manifest_alone_goes_to_stdout_and_holds_no_key(self, fleet: Any) -> None:
        ended = fleet("stream-key", "create", "garden", "--expires", "30d")
        assert ended.code == 0
        (key,) = re.findall(r"^ {4}([0-9a-f]{64})$", ended.err, re.M)
        assert key not in ended.out
        loaded = load_text(ended.out, "key.yaml")
        assert not loaded.problems
        manifest = yaml.safe_load(ended.out)
        assert manifest["metadata"] == {"name": "garden-key"}
        assert manifest["spec"]["verifier"] == "sha256:" + hashlib.sha256(key.encode()).hexdigest()
        assert manifest["spec"]["expiresAt"].endswith("Z")
        assert "rtmp://live.example:1936/ingest" in ended.err

    def test_every_key_is_another_and_gets_a_free_name(self, fleet: Any, tmp_path: Path) -> None:
        first = fleet("stream-key", "create", "garden", "-o", "json")
        (tmp_path / "key.json").write_text(first.out)
        assert fleet("apply", "-f", tmp_path / "key.json").code == 0
        second = json.loads(fleet("stream-key", "create", "garden", "-o", "json").out)
        assert second["metadata"]["name"] == "garden-key-2"
        assert second["spec"]["verifier"] != json.loads(first.out)["spec"]["verifier"]

    def test_into_a_file_instead_of_the_screen(self, fleet: Any, tmp_path: Path) -> None:
        file = tmp_path / "key"
        ended = fleet("stream-key", "create", "garden", "--key-file", file)
        key = file.read_text().strip()
        assert len(key) == 64 and key not in ended.out + ended.err
        assert file.stat().st_mode & 0o777 == 0o600
        again = fleet("stream-key", "create", "garden", "--key-file", file)
        assert again.code == 1 and not again.out
        assert file.read_text().strip() == key

    def test_a_stream_that_is_not_declared_or_takes_no_key_is_pointed_out(self, fleet: Any) -> None:
        assert "did you mean stream/garden?" in fleet("stream-key", "create", "gardn").err
        assert "comes in by test" in fleet("stream-key", "create", "door").err

    @pytest.mark.parametrize("expires", ["soon", "2020-01-01", "0s", "2026-13-45", "30"])
    def test_an_expiry_that_is_none(self, fleet: Any, expires: str) -> None:
        ended = fleet("stream-key", "create", "garden", "--expires", expires)
        assert ended.code == 64 and not ended.out

    def test_a_name_that_is_none(self, fleet: Any) -> None:
        for words in (["garden", "--name", "a/b"], ["garden", "--name", "a.b"], ["../x"]):
            ended = fleet("stream-key", "create", *words)
            assert ended.code == 1 and not ended.out
            assert "a name" in ended.err


class TestPlaybackUrl:
    def test_the_healthiest_endpoint_signed(self, fleet: Any, state: Path) -> None:
        report(state, garden=LIVE)
        ended = fleet("playback-url", "garden", "--for", "2h")
        assert ended.code == 0, ended.err
        url = re.fullmatch(
            r"http://127\.0\.0\.1:8080/p/([\w-]{43})/(\d{10})/live/garden/master\.m3u8\n",
            ended.out,
        )
        assert url is not None, ended.out
        until = int(url[2])
        assert tokens.verify(["s3cret"], "garden", url[1], url[2], until - 1) is tokens.Verdict.VALID
        assert "s3cret" not in ended.out + ended.err
        assert "edge, Healthy" in ended.err

    def test_one_endpoint_by_name(self, fleet: Any, state: Path) -> None:
        report(state, garden=LIVE)
        assert fleet("playback-url", "garden", "--endpoint", "origin").out.startswith(
            "http://live.example:8080/p/"
        )
        ended = fleet("playback-url", "garden", "--endpoint", "nowhere")
        assert ended.code == 1
        assert "it plays from edge, origin" in ended.err

    def test_a_public_stream_is_not_signed(self, fleet: Any, state: Path) -> None:
        report(state, door=LIVE)
        assert (
            fleet("playback-url", "door", "--endpoint", "origin").out
            == "http://live.example:8080/live/door/master.m3u8\n"
        )

    def test_a_page(self, fleet: Any, state: Path) -> None:
        report(state)
        ended = fleet("playback-url", "garden", "--page", "--at", "http://192.0.2.5:8090/")
        assert re.fullmatch(r"http://192\.0\.2\.5:8090/p/[\w-]{43}/\d{10}/watch/garden\n", ended.out)
        assert "--at URL" in fleet("playback-url", "garden", "--page").err
        assert fleet("playback-url", "garden", "--at", "ftp://x").code == 64

    def test_why_not(self, fleet: Any, state: Path) -> None:
        assert "no controller has made a playback secret" in fleet("playback-url", "garden").err
        report(state)
        ended = fleet("playback-url", "garden")
        assert (ended.code, ended.out) == (1, "")
        assert "garden: Pending. It has not been started yet." in ended.err
        assert "did you mean `garden`?" in fleet("playback-url", "gardn").err
        assert fleet("playback-url", "garden", "--for", "0s").code == 64
        assert fleet("playback-url", "garden", "--for", "500d").code == 64


class TestDoctor:
    def test_what_is_in_the_way(self, telarchy: Any, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            document = yaml.safe_load_all(FLEET)
            spec = {
                "role": "Origin",
                "hostRef": "here",
                "server": "Nginx",
                "listen": {"http": port, "rtmp": 1935 if port != 1935 else 1936},
                "spool": {"path": str(tmp_path / "a file" / "spool")},
            }
            (tmp_path / "a file").touch()
            endpoint = {
                "apiVersion": "telarchy.dev/v1alpha1",
                "kind": "MediaEndpoint",
                "metadata": {"name": "mine"},
                "spec": spec,
            }
            (tmp_path / "fleet.yaml").write_text(
                yaml.safe_dump_all([*(one for one in document if one["kind"] != "MediaEndpoint"), endpoint])
            )
            assert telarchy("apply", "-f", tmp_path / "fleet.yaml").code == 0
            ended = telarchy("doctor", "here", "-o", "json")
        assert ended.code == 1
        told = json.loads(ended.out)
        checks = {one["check"]: one for one in told["checks"]}
        assert told["ok"] is False
        assert checks[f"tcp:{port}"]["state"] in (
            "missing",
            "warning",
        )  # without ss nobody can say whose it is
        room = checks[f"{tmp_path}/a file/spool/telarchy-default.mine"]
        assert (room["state"], room["found"]) == ("missing", "a file is in its place")
        assert checks["clock"]["state"] == "ok"
        assert checks["ngx_rtmp_module"]["neededBy"] == ["mediaendpoint/mine"]
        table = telarchy("doctor", "host/here")
        assert table.code == 1
        assert table.out.startswith("CHECK")
        assert "host/here: not in order:" in table.err

    def test_a_host_of_which_nothing_is_asked(self, fleet: Any) -> None:
        assert fleet("delete", "mediaendpoint", "origin", "edge").code == 0
        ended = fleet("doctor", "here")
        assert ended.code == 0, ended.out
        assert "all that is declared can run here" in ended.err

    def test_a_host_that_is_none(self, fleet: Any) -> None:
        ended = fleet("doctor", "heer")
        assert ended.code == 1 and "did you mean host/here?" in ended.err


def test_tables_of_several_kinds_with_rates_for_people(fleet: Any, state: Path) -> None:
    report(state, garden={**LIVE, "viewers": 3}, edge={"state": "Healthy", "viewers": 3, "egress": 7_440_000})
    shown = fleet("get", "streams,mediaendpoints", "-o", "wide").out
    assert re.search(r"^mediaendpoint/edge +Edge +here +Healthy +3 .* 7\.44M ", shown, re.M)
    assert re.search(r"^stream/garden +Live +<none> +3 ", shown, re.M)


def test_validate_shows_all_at_once_at_their_places(telarchy: Any, tmp_path: Path) -> None:
    slips = (
        (
            FLEET.replace("metadata: {name: door}", "metadata: {name: door/../x}")
            .replace("hostRef: black,", "hostRef: blakc,")
            .replace("endpointRef: origin", "endpointRef: edge")
        )
        + """\
---
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {name: camera}
spec: {ingest: {pull: {url: "file:///etc/passwd"}}, segment: {duration: 500ms}}
"""
    )
    (tmp_path / "fleet.yaml").write_text(slips)
    ended = telarchy("validate", tmp_path / "fleet.yaml")
    assert ended.code == 1
    found = re.findall(r"fleet\.yaml:(\d+):(\d+): (.*)", ended.out)
    said = "\n".join(message for *_, message in found)
    for sentence in (
        "metadata.name: a name has only lower-case letters",
        "no Host is named blakc; did you mean `black`?",
        "an endpoint cannot fetch from itself",
        "a source is an rtmp, rtmps, rtsp, rtsps, srt, http, https or udp URL",
        "a segment's `duration` is written in whole seconds",
    ):
        assert sentence in said
    assert all(int(line) > 1 and int(column) > 1 for line, column, _ in found)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["stream/garden"], 0, "garden: "),
        (["st", "garden"], 0, "garden: "),
        (["mediaendpoint/edge"], 0, "edge: Unknown"),
        (["mediaendpoint/edeg"], 1, "no endpoint 'edeg' is declared (declared: edge, origin)"),
        (["streamkey/x"], 64, "cannot be explained"),
        (["stream"], 64, "say what to explain and its name"),
        (["pod/x"], 64, "cannot be explained"),
    ],
)
def test_why_by_any_name_of_a_kind(fleet: Any, words: list[str], code: int, says: str) -> None:
    ended = fleet("why", *words)
    assert ended.code == code
    assert says in (ended.err if code else ended.out)
