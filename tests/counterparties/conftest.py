"""One evening for all: an origin, a Cache edge and a Relay on this machine, with a public and a private stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.test_streams_whole import Evening, free_port

ASKED_FOR = "TELARCHY_TEST_COUNTERPARTIES"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))
            if not os.environ.get(ASKED_FOR):
                item.add_marker(pytest.mark.skip(reason="`make counterparties` installs and runs these"))


@pytest.fixture(scope="session")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    folder = tmp_path_factory.mktemp("evening")
    made = Evening(folder)
    made.declare("here", "Host", **{"class": "Server", "connection": {"local": {}}})
    common: dict[str, Any] = {
        "hostRef": "here",
        "server": "Nginx",
        "spool": {"path": str(folder / "spool")},
        "deletionPolicy": "Release",
    }
    listen = {"address": "127.0.0.1", "http": free_port(), "rtmp": made.rtmp}
    made.declare("origin", "MediaEndpoint", role="Origin", listen=listen, **common)
    for name, mode in (("cache", "Cache"), ("relay", "Relay")):
        made.declare(
            name,
            "MediaEndpoint",
            role="Edge",
            mode=mode,
            listen={"address": "127.0.0.1", "http": free_port()},
            sources=[{"endpointRef": "origin"}],
            **common,
        )
    for name, visibility in (("garden", "Public"), ("attic", "Private")):
        made.declare(
            name,
            "Stream",
            visibility=visibility,
            ingest={"rtmp": {}},
            renditions=[
                {"name": "360p", "height": 360, "videoBitrate": "600k"},
                {"name": "180p", "height": 180, "videoBitrate": "200k"},
            ],
            encoder={"preset": "ultrafast"},
        )
        key = made.telarchy("stream-key", "create", name, "--key-file", str(folder / f"key-{name}"))
        (made.fleet / f"key-{name}.yaml").write_text(key.stdout)
    made.start(
        *(sys.executable, "-m", "telarchy", "run", "--plain"),
        *("--source", str(made.fleet), "--state", str(made.state)),
    )
    made.until(lambda: made.phase() == "Starting", "it waits for a publisher")
    yield made
    for manifest in made.fleet.glob("*.yaml"):
        if not manifest.name.startswith("Host"):
            manifest.unlink()
    made.until(lambda: not list((folder / "spool").iterdir()), "everything is stopped and removed")
    for process in reversed(made.processes):
        process.terminate()
        process.wait(60)
