"""Canaries: an open port and a refused one are both signs of life, silence is none."""

from __future__ import annotations

import asyncio
import socket

from telarchy.hosts import canary


async def test_open_refused_and_silent() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await canary.any_alive([f"127.0.0.1:{port}"])
    server.close()
    await server.wait_closed()
    assert await canary.any_alive([f"127.0.0.1:{port}"])  # refused
    assert await canary.any_alive(["no-such-host.invalid:53"], timeout=1) is False
    with socket.socket() as silent:  # bound and not listening: on other addresses it would be dropped
        silent.bind(("127.0.0.1", 0))
        assert await canary.any_alive(
            [f"192.0.2.1:{port}", f"127.0.0.1:{silent.getsockname()[1]}"], timeout=1
        )


async def test_without_a_gateway_there_is_nothing_to_ask(monkeypatch: object) -> None:
    async def none() -> None:
        return None

    monkeypatch.setattr(canary, "default_gateway", none)  # type: ignore[attr-defined]
    assert await canary.any_alive([]) is None
