"""Findings between streams, keys, endpoints and hosts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from telarchy.errors import Problem
from telarchy.resources import check, load_text

from .test_references import host, manifest

NOW = datetime(2026, 11, 20, tzinfo=UTC)
WARNINGS_OF_LONELY_STREAMS = {"stream-without-origin", "stream-without-key"}


def stream(name: str = "garden", labels: dict[str, str] | None = None, **ingest: Any) -> dict[str, Any]:
    return manifest("Stream", name, {"ingest": ingest or {"test": {}}}, labels=labels or {})


def key(name: str = "obs", of: str = "garden", digit: str = "a", **spec: Any) -> dict[str, Any]:
    return manifest("StreamKey", name, {"streamRef": of, "verifier": f"sha256:{64 * digit}", **spec})


def origin(name: str = "origin", on: str = "black", **spec: Any) -> dict[str, Any]:
    return manifest("MediaEndpoint", name, {"role": "Origin", "hostRef": on, **spec})


def edge(name: str, *sources: str, on: str = "vps", **spec: Any) -> dict[str, Any]:
    listed = [{"endpointRef": one} for one in sources]
    return manifest("MediaEndpoint", name, {"role": "Edge", "hostRef": on, "sources": listed, **spec})


def local(name: str) -> dict[str, Any]:
    return host(name, connection={"local": {}}, mediaRoots=[{"name": "main", "path": f"/srv/{name}"}])


def external(name: str, **spec: Any) -> dict[str, Any]:
    return manifest("MediaEndpoint", name, {"role": "ExternalOrigin", **spec})


def found(*manifests: dict[str, Any], now: datetime | None = NOW) -> list[Problem]:
    loaded = load_text(yaml.safe_dump_all(manifests, sort_keys=False), "fleet.yaml")
    assert loaded.problems == []
    return check(loaded, now)


HOSTS = (host("black"), host("vps"))
GOOD = (*HOSTS, stream("garden", rtmp={}), key(), origin(), edge("edge", "origin"))


def test_a_fleet_with_streams_has_no_findings() -> None:
    assert found(*GOOD) == []


@pytest.mark.parametrize(
    ("manifests", "rule", "sentence", "severity"),
    [
        ([origin(on="blakc")], "unknown-host", "no Host is named blakc; did you mean `black`?", "error"),
        ([origin(server="BuiltIn")], "built-in-elsewhere", "black is another machine", "error"),
        (
            [stream(), origin(), key(of="gardn")],
            "unknown-stream",
            "no Stream is named gardn; did you mean `garden`?",
            "error",
        ),
        (
            [origin(), edge("edge", "orgin")],
            "unknown-endpoint",
            "no MediaEndpoint is named orgin; did you mean `origin`?",
            "error",
        ),
        (
            [local("here"), origin(), edge("e", "origin", on="here")],
            "built-in-cache",
            "`mode: Relay`, or `server: Nginx`",
            "error",
        ),
        ([edge("edge", "edge")], "source-itself", "cannot fetch from itself", "error"),
        (
            [
                edge("a", "b", listen={"http": 8001}),
                edge("b", "c", listen={"http": 8002}),
                edge("c", "a", listen={"http": 8003}),
            ],
            "cyclic-sources",
            "in a circle: a → b → c → a",
            "error",
        ),
        (
            [
                external("mux", external={"playlistURL": "https://mux.example/{stream}.m3u8"}),
                edge("e", "mux"),
            ],
            "source-without-url",
            "mux has no `publicURL`",
            "error",
        ),
        (
            [
                external("far", publicURL="https://far.example"),
                edge("e", "far", mode="Relay"),
                stream(),
            ],
            "source-without-secret",
            "give the stream `playback: {secretRef: …}` with the secret that is in force there",
            "error",
        ),
        (
            [
                stream(labels={"a": "b"}),
                origin(),
                origin("other", on="vps", streamSelector={"matchLabels": {"a": "c"}}),
                edge("e", "other", "origin", listen={"http": 8081}),
            ],
            "source-without-streams",
            "other has none of the streams",
            "warning",
        ),
        (
            [origin(), origin("other", listen={"rtmp": 1936})],
            "port-twice",
            "port 8080 of host/black (http) is also mediaendpoint/origin's http port",
            "error",
        ),
        (
            [origin(), origin("other", listen={"http": 8081})],
            "port-twice",
            "port 1935 of host/black (rtmp) is also mediaendpoint/origin's rtmp port",
            "error",
        ),
        (
            [origin(), edge("e", "origin", on="black", listen={"http": 18080})],
            "port-twice",
            "port 18080 of host/black (http) is also mediaendpoint/origin's health port",
            "error",
        ),
        (
            [origin(), edge("e", "origin", on="black", listen={"http": 11935})],
            "port-twice",
            "port 11935 of host/black (http) is also mediaendpoint/origin's ingest's control port",
            "error",
        ),
        (
            [local("here"), local("there"), origin(on="here"), edge("e", "origin", on="there", mode="Relay")],
            "port-twice",
            "port 8080 of the controller's machine (http) is also mediaendpoint/origin's http port",
            "error",
        ),
        (
            [stream("a", srt={"port": 9000}), stream("b", srt={"port": 9000}), origin()],
            "srt-port-twice",
            "stream/a takes SRT on port 9000 of host/black already",
            "error",
        ),
        (
            [stream(), origin(), key(), key("other")],
            "verifier-twice",
            "streamkey/obs has the same verifier",
            "error",
        ),
        (
            [stream(), origin(), key(expiresAt="2026-11-19T00:00:00Z")],
            "key-expired",
            "this key has expired",
            "warning",
        ),
        ([stream()], "stream-without-origin", "no MediaEndpoint is declared", "warning"),
        (
            [stream(), origin(streamSelector={"matchLabels": {"a": "b"}})],
            "stream-without-origin",
            "no MediaEndpoint of role Origin selects it",
            "warning",
        ),
        (
            [stream(rtmp={}), origin(), key(revoked=True)],
            "stream-without-key",
            "`telarchy stream-key create garden` makes one",
            "warning",
        ),
        (
            [stream(file={"title": "films/a.mkv"}), host("bare", mediaRoots=[]), origin(on="bare")],
            "file-without-root",
            "host/bare of mediaendpoint/origin has no mediaRoots",
            "error",
        ),
        (
            [stream(file={"title": "films/a.mkv", "root": "mian"}), origin()],
            "unknown-root",
            "has no media root mian; did you mean `main`?",
            "error",
        ),
    ],
)
def test_findings(manifests: list[Any], rule: str, sentence: str, severity: str) -> None:
    problems = found(*HOSTS, *manifests)
    mine = [one for one in problems if one.rule == rule]
    assert [(one.rule, one.severity) for one in mine] == [(rule, severity)], problems
    assert sentence in mine[0].message
    assert mine[0].line > 0 and mine[0].column > 0


def test_what_is_fine() -> None:
    apart = origin("other", listen={"http": 8080, "rtmp": 1935, "address": "127.0.0.2"})
    near = origin(listen={"address": "127.0.0.1"})
    assert {one.rule for one in found(*HOSTS, near, apart)} == {"port-twice"}  # both are probed on 127.0.0.1
    beside = edge("e", "origin", on="black", listen={"http": 8081})
    assert found(*HOSTS, stream(), origin(), beside) == []
    two = (stream("a", {"x": "a"}, srt={"port": 9000}), stream("b", {"x": "b"}, srt={"port": 9000}))
    one_each = (
        origin("oa", on="black", streamSelector={"matchLabels": {"x": "a"}}),
        origin("ob", on="vps", streamSelector={"matchLabels": {"x": "b"}}),
    )
    assert found(*HOSTS, *two, *one_each) == []
    here = edge("e", "origin", on="here", mode="Relay")
    assert found(*HOSTS, local("here"), origin(), here) == []
    mux = external(
        "mux", publicURL="https://mux.example", external={"playlistURL": "https://mux.example/{stream}.m3u8"}
    )
    assert found(*HOSTS, mux, edge("e", "mux")) == []


def test_every_circle_is_named_once() -> None:
    def linked(name: str, port: int, *sources: str) -> dict[str, Any]:
        return edge(name, *sources, listen={"http": port})

    circles = [
        one.message.rpartition(": ")[2]
        for one in found(
            *HOSTS,
            linked("a", 8001, "b", "c"),
            linked("b", 8002, "a"),
            linked("c", 8003, "d"),
            linked("d", 8004, "c", "origin"),
            origin(),
        )
        if one.rule == "cyclic-sources"
    ]
    assert circles == ["a → b → a", "c → d → c"]


def test_files_of_a_fleet_that_is_not_whole() -> None:
    problems = found(key(), origin(), now=None)
    assert [(one.rule, one.severity) for one in problems] == [
        ("no-streams", "warning"),
        ("no-hosts", "warning"),
    ]


def test_all_at_once_in_the_order_of_the_file() -> None:
    problems = found(
        *HOSTS,
        origin(on="nobody"),
        edge("e", "e", "gone"),
        stream(file={"title": "a.mkv", "root": "nowhere"}),
        key(of="nothing"),
    )
    assert [one.rule for one in problems] == [
        "unknown-host",
        "source-itself",
        "unknown-endpoint",
        "unknown-stream",
    ]
    assert [one.line for one in problems] == sorted(one.line for one in problems)


def test_another_namespace_is_another_fleet() -> None:
    elsewhere = edge("edge", "origin", on="black")
    elsewhere["metadata"]["namespace"] = "cabin"
    assert {one.rule for one in found(*GOOD, elsewhere)} == {"no-hosts", "unknown-endpoint"}


@pytest.mark.parametrize(
    ("role", "spec"),
    [
        ("ExternalOrigin", {"visibility": "Unlisted"}),
        ("ExternalOrigin", {"playback": {"secretRef": {"name": "garden", "key": "playback"}}}),
        ("ExternalEdge", {}),  # a CDN in front of ours passes on what it is asked
    ],
)
@pytest.mark.parametrize("mode", ["Cache", "Relay"])
def test_a_source_elsewhere_can_give_what_it_knows_the_secret_of(
    role: str, spec: dict[str, Any], mode: str
) -> None:
    garden = manifest("Stream", "garden", {"ingest": {"test": {}}, **spec})
    far = manifest("MediaEndpoint", "far", {"role": role, "publicURL": "https://far.example"})
    problems = found(host("black"), host("vps"), origin(), far, edge("e", "far", mode=mode), garden)
    assert "source-without-secret" not in {one.rule for one in problems}
