"""Whether the controller's own network works: something that is nearly always there answers.

A canary answers when it takes a connection and also when it refuses one: both come from a machine that is up.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
from asyncio.subprocess import DEVNULL
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TIMEOUT = 2.0  # seconds for all canaries together
GATEWAY_PORTS = (53, 80, 443)
_ROUTES = Path("/proc/net/route")


async def any_alive(declared: Sequence[str], *, timeout: float = TIMEOUT) -> bool | None:
    """Whether one of the declared canaries (`host:port`) answers, or without any the default gateway.

    None when there is nothing to ask.
    """
    if declared:
        looks = [_answers(*_split(canary)) for canary in declared]
    else:
        gateway = await default_gateway()
        if gateway is None:
            return None
        looks = [*(_answers(gateway, port) for port in GATEWAY_PORTS), _pings(gateway)]
    tasks = [asyncio.ensure_future(look) for look in looks]
    try:
        async with asyncio.timeout(timeout):
            for answer in asyncio.as_completed(tasks):
                if await answer:
                    return True
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return False


async def default_gateway() -> str | None:
    """Address of the default gateway, from the kernel's table or from `route`."""
    if _ROUTES.exists():
        return parse_routes(_ROUTES.read_text(encoding="ascii", errors="replace"))
    try:
        process = await asyncio.create_subprocess_exec(
            "route", "-n", "get", "default", stdin=DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=DEVNULL
        )
    except OSError:
        return None
    out, _ = await process.communicate()
    for line in out.decode("ascii", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "gateway":
            return value.strip() or None
    return None


def parse_routes(table: str) -> str | None:
    """The gateway of the default route in /proc/net/route: addresses in hexadecimal, lowest byte first."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 2 and words[1] == "00000000" and words[2] != "00000000":
            with suppress(ValueError):
                return str(ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(words[2]), "little")))
    return None


def _split(canary: str) -> tuple[str, int]:
    host, _, port = canary.rpartition(":")
    return host.strip("[]"), int(port)


async def _answers(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as problem:
        return problem.errno == errno.ECONNREFUSED
    writer.close()
    return True


async def _pings(host: str) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            "ping", "-c", "1", host, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
    except OSError:
        return False
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
