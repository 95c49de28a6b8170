"""Making the one connection to a host: endpoints raced in order, the host key pinned, failures with a reason.

Only the manifest says which key a host has. `~/.ssh/known_hosts` and `~/.ssh/config` are not read, so that a
fleet behaves the same for whoever runs the controller.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import asyncssh

from telarchy.errors import HostUnreachable
from telarchy.links.way import Way, login, pinned_key
from telarchy.resources.host import Endpoint

CONNECT_TIMEOUT = 10.0  # seconds for one endpoint: TCP, key exchange and login
STAGGER = 0.3  # seconds that an endpoint is ahead of the next
WINNER_STAGGER = 0.05  # seconds that the first endpoint is ahead of the one that won last time
KEEPALIVE_INTERVAL = 15.0  # seconds of silence before a sign of life is asked for
KEEPALIVE_COUNT = 3  # unanswered ones before the connection counts as lost

# AES-GCM first: with AES instructions, which nearly every host has, ssh spent 0.66 s of CPU per GB with it and 1.15 s
# with ChaCha20 (OpenSSH 9.2, EPYC, loopback). The rest is for the others.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
)

HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)

# When every endpoint fails, the most telling reason is shown: what a person has to decide comes first.
_TELLING = (
    "HostKeyChanged",
    "AuthenticationFailed",
    "ConnectionRefused",
    "ConnectionLost",
    "TimedOut",
    "NoRoute",
    "NameNotResolved",
)


async def connect(
    way: Way, *, winner: Endpoint | None = None
) -> tuple[asyncssh.SSHClientConnection, Endpoint]:
    """The first connection that comes about, and its endpoint. Raises HostUnreachable with the most telling reason.

    Every endpoint has a head start of 300 ms before the next; a failure starts the next at once. The endpoint
    that won last time (`winner`) starts with the first, so a host that left the LAN is not waited for each time,
    and one that came back is reached over the LAN again.
    """
    pinned = pinned_key(way)
    options: dict[str, Any] = {
        "known_hosts": ([pinned], [], []),
        "server_host_key_algs": host_key_algorithms(pinned),
        "config": [],
        "encryption_algs": CIPHERS,
        "connect_timeout": CONNECT_TIMEOUT,
        "login_timeout": CONNECT_TIMEOUT,
        "keepalive_interval": KEEPALIVE_INTERVAL,
        "keepalive_count_max": KEEPALIVE_COUNT,
        **login(way),
    }
    order = list(way.endpoints)
    if winner in order[1:]:
        order.remove(winner)
        order.insert(1, winner)
    running: dict[asyncio.Task[asyncssh.SSHClientConnection], Endpoint] = {}
    failures: list[HostUnreachable] = []
    try:
        while order or running:
            if order:
                endpoint = order.pop(0)
                running[asyncio.create_task(_attempt(way, endpoint, options))] = endpoint
            wait = WINNER_STAGGER if order and order[0] == winner else STAGGER
            done, _ = await asyncio.wait(
                running, timeout=wait if order else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                endpoint = running.pop(task)
                failure = task.exception()
                if failure is None:
                    return task.result(), endpoint
                if not isinstance(failure, HostUnreachable):
                    raise failure
                failures.append(failure)
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_abandon)
    raise min(failures, key=lambda failure: _rank(failure.reason))


async def _attempt(way: Way, endpoint: Endpoint, options: dict[str, Any]) -> asyncssh.SSHClientConnection:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT + 1):
            return await asyncssh.connect(endpoint.host, endpoint.port, username=endpoint.user, **options)
    except (OSError, TimeoutError, asyncssh.Error) as problem:
        reason, message = explain(problem, endpoint)
        raise HostUnreachable(way.host, reason, message) from None


def explain(problem: Exception, endpoint: Endpoint) -> tuple[str, str]:
    """A CamelCase reason and a sentence for a person, for what went wrong while connecting."""
    if isinstance(problem, asyncssh.HostKeyNotVerifiable) or (
        isinstance(problem, asyncssh.KeyExchangeFailed) and "host key" in str(problem).lower()
    ):
        return "HostKeyChanged", (
            f"{endpoint} shows another host key than the pinned one, so it is refused. If the machine was "
            "reinstalled, compare the new key on its console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) "
            "and put it into `hostKey`; if not, something else answers in its place"
        )
    if isinstance(problem, asyncssh.PermissionDenied):
        return (
            "AuthenticationFailed",
            f"{endpoint} refuses the login: {problem.reason or 'permission denied'}",
        )
    if isinstance(problem, socket.gaierror):
        return "NameNotResolved", f"the name {endpoint.host} is not known ({problem.strerror})"
    if isinstance(problem, TimeoutError) or (
        isinstance(problem, OSError) and problem.errno == errno.ETIMEDOUT
    ):
        return "TimedOut", f"{endpoint} does not answer"
    if isinstance(problem, ConnectionRefusedError) or (
        isinstance(problem, OSError) and problem.errno == errno.ECONNREFUSED
    ):
        return "ConnectionRefused", f"{endpoint} refuses the connection: no sshd listens there"
    if isinstance(problem, OSError) and problem.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "NoRoute", f"there is no route to {endpoint}"
    if isinstance(problem, asyncssh.ConnectionLost) and "timeout" in str(problem).lower():
        return "TimedOut", f"{endpoint} does not answer"
    return "ConnectionLost", f"the connection to {endpoint} ended: {problem or type(problem).__name__}"


def _rank(reason: str) -> int:
    return _TELLING.index(reason) if reason in _TELLING else len(_TELLING)


def _abandon(task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    """A racer that arrives after the winner is sent home."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def known_hosts_line(alias: str, host_key: str) -> str:
    """A line of a known_hosts file that pins `host_key` under a HostKeyAlias."""
    algorithm, blob, *_ = host_key.split()
    return f"{alias} {algorithm} {blob}\n"


def host_key_algorithms(pinned: asyncssh.SSHKey) -> list[str]:
    """The pinned key's own first. The others too, so that a host that has only another key is told from a lost one."""
    own = [algorithm.decode() for algorithm in pinned.sig_algorithms]
    return [*own, *(algorithm for algorithm in HOST_KEY_ALGORITHMS if algorithm not in own)]
