"""Viewers behind a reverse proxy, a real nginx before a real nginx: told apart, and nobody else is believed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from telarchy.errors import ConfigError
from telarchy.streaming import edge, serving
from telarchy.streaming.edge import EdgeSite
from telarchy.streaming.serving import OriginSite, SiteStream
from tests.unit.front import ask, proxy
from tests.unit.streaming.conftest import Run
from tests.unit.streaming.running import Running, free_endpoint_port, listening, wait
from tests.unit.streaming.test_serving import PLAYLIST, fill

OPEN = SiteStream(name="garden", private=False)
PATH = f"/live/garden/{PLAYLIST}"
FORGED = {"X-Forwarded-For": "198.51.100.9"}


def viewers(server: Running) -> list[str]:
    """Of each request, in its order."""
    time.sleep(1.3)  # logs are written once a second
    lines = (server.base / "log" / "access.log").read_text().splitlines()
    # each worker writes its own when it has some
    return [line.split("\t")[9] for line in sorted(lines, key=lambda line: float(line.split("\t")[0]))]


@pytest.mark.parametrize("kind", ["origin", "edge"])
def test_viewers_behind_a_declared_proxy_are_told_apart(run: Run, tmp_path: Path, kind: str) -> None:
    port = free_endpoint_port()
    site = OriginSite(http_port=port, address="127.0.0.1", streams=(OPEN,), proxies=("127.0.0.1",))
    if kind == "edge":
        source = OriginSite(http_port=free_endpoint_port(), address="127.0.0.1", streams=(OPEN,))
        fill(run(serving.service(source), base="source").base, "garden")
        near = SiteStream(name="garden", private=False, sources=(f"http://127.0.0.1:{source.http_port}",))
        server = run(edge.service(EdgeSite(**vars(site) | {"streams": (near,)})))
    else:
        server = run(serving.service(site))
        fill(server.base, "garden")
    wait(lambda: listening(port), what=kind)
    with proxy(tmp_path / "front", port) as front:
        for source_address in ("127.0.0.2", "127.0.0.3", "127.0.0.2"):
            assert ask(front, PATH, source_address)[0] == 200
        assert ask(front, PATH, "127.0.0.2", FORGED)[0] == 200  # what it says of itself stands further left
        assert ask(port, PATH, "127.0.0.4")[0] == 200
        assert ask(port, PATH, "127.0.0.4", FORGED)[0] == 200  # no proxy of ours
        assert ask(port, PATH, "127.0.0.5", FORGED)[0] == 200
    first, second, again, forged, direct, claimed, other = viewers(server)
    assert first != second and first == again == forged
    assert direct == claimed and len({first, second, direct, other}) == 4
    everything = (server.base / "log" / "access.log").read_text()
    assert "127.0.0" not in everything and "198.51" not in everything


def test_without_a_declared_proxy_nobody_is_believed(run: Run, tmp_path: Path) -> None:
    port = free_endpoint_port()
    server = run(serving.service(OriginSite(http_port=port, address="127.0.0.1", streams=(OPEN,))))
    fill(server.base, "garden")
    wait(lambda: listening(port), what="origin")
    with proxy(tmp_path / "front", port) as front:
        for source_address in ("127.0.0.2", "127.0.0.3"):
            ask(front, PATH, source_address)
    assert len(set(viewers(server))) == 1


def test_a_change_of_proxies_is_a_reload() -> None:
    without, behind = OriginSite(), OriginSite(proxies=("10.0.0.0/8", "2001:db8::/32"))
    assert serving.service(without).start_digest == serving.service(behind).start_digest
    assert serving.service(without).digest != serving.service(behind).digest


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.0/33", "x", "10.0.0.1; deny all"])
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        serving.configuration(OriginSite(proxies=(text,)))
