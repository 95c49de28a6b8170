"""What endpoints are rendered to, pinned word by word in `golden/`; written anew with WRITE_GOLDEN=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from telarchy.errors import ConfigError
from telarchy.streaming import edge, ingest, nginx, relaysite, serving, varnish
from telarchy.streaming.edge import EdgeSite
from telarchy.streaming.ingest import IngestSite
from telarchy.streaming.relaysite import RelaySite
from telarchy.streaming.serving import OriginSite, SiteStream

GOLDEN = Path(__file__).parent / "golden"
NEAR, FAR = "http://192.0.2.11:8080", "https://live.example"
STREAMS = (
    SiteStream(name="attic", segment=6, generations=("g3-0f3a9c21",), sources=(FAR, NEAR)),
    SiteStream(name="garden", private=False, sources=(NEAR,)),
)
EDGE = EdgeSite(streams=STREAMS, secrets="4f1e", cors=("https://watch.example",))
TEXTS = {
    "ingest.conf": ingest.configuration(IngestSite()),
    "origin.conf": serving.configuration(OriginSite(streams=STREAMS, secrets="4f1e")),
    "edge.conf": edge.configuration(EDGE),
    "relay.conf": relaysite.configuration(
        RelaySite(streams=STREAMS, secrets="4f1e", upstreams=(("far", FAR), ("near", NEAR)))
    ),
    "edge-varnish.vcl": varnish.rules(EDGE),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_of_each_kind_is_pinned(name: str) -> None:
    file = GOLDEN / name
    if os.environ.get("WRITE_GOLDEN"):
        file.write_text(TEXTS[name])
    assert TEXTS[name].splitlines() == file.read_text().splitlines()


def test_nothing_secret_is_part_of_a_service() -> None:
    service = edge.service(EDGE)
    assert dict(service.secret_files) == {"tokens.json": "4f1e"}
    assert service.start_digest == edge.service(EdgeSite(streams=STREAMS, secrets="5a5a")).start_digest
    assert service.digest != edge.service(EdgeSite(streams=STREAMS, secrets="5a5a")).digest


def test_private_streams_are_not_served_without_their_secrets() -> None:
    with pytest.raises(ConfigError):
        serving.service(OriginSite(streams=STREAMS))


def test_every_path_of_a_service_lies_below_its_folder() -> None:
    for service in (ingest.service(IngestSite()), serving.service(OriginSite()), varnish.service(EDGE)):
        assert not any(part.startswith("/") for part in (*service.argv, *service.check))


def test_a_reload_of_a_server_counts_once_it_is_seen() -> None:
    """It tests that a configuration is right, and not that its ports are free."""
    site = serving.OriginSite(http_port=8080, address="127.0.0.1", streams=())
    assert serving.service(site).reload_error == nginx.RELOAD_ERROR
