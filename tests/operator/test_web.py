"""The operator's web server: any replica says where a stream plays, and the one that acts takes reports."""

from __future__ import annotations

import socket

import aiohttp

from tests.operator.client import until

STREAM = {"visibility": "Public", "ingest": {"test": {}}}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_every_replica_tells_of_streams_and_figures_have_what_players_told(api, operators):
    await api.apply("Stream", "garden", STREAM)
    await api.apply("Stream", "nursery", STREAM | {"visibility": "Private"})
    ports = [free_port(), free_port()]
    first = await operators.start("op-a", "--listen", f"127.0.0.1:{ports[0]}", toys=False)

    async def leads():
        return await first.leads(api.namespace)

    await until(leads, 30)
    second = await operators.start("op-b", "--listen", f"127.0.0.1:{ports[1]}", toys=False)
    await second.until_listed()
    async with aiohttp.ClientSession() as client:

        async def told(port, path):
            async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.json()

        for port in ports:

            async def known(port=port):
                status, said = await told(port, "/api/v1/streams/garden/playback")
                return status == 200 and said["reason"] in ("Pending", "Starting", "NoSource")

            await until(known, 20)
            assert (await told(port, "/api/v1/streams/nursery/playback"))[0] == 403
            assert (await told(port, "/api/v1/streams/garden/playback?namespace=elsewhere"))[0] == 404
            assert (await told(port, "/metrics"))[0] == 404, (
                "it is served where the probe is, and not to viewers"
            )
            assert await told(port, "/healthz") == (200, {})
        report = {"session": "0123456789abcdef", "startup": 2.5}
        async with client.post(
            f"http://127.0.0.1:{ports[0]}/api/v1/streams/garden/reports", json=report
        ) as answer:
            assert answer.status == 204
    figures = await first.metrics()
    assert f'telarchy_player_reports_total{{namespace="{api.namespace}",stream="garden"}} 1.0' in figures
