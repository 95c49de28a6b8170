"""The way that the bytes of a copy take: the target pulls from the holder, with a key that can do only that.

* ssh to ssh: the target has a key of its own for that root of that holder; the holder lets it run nothing but
  `rrsync -ro <root>`. Directly where the target reaches an endpoint of the holder, else through a port that the
  controller's connection forwards from the target to the holder (kind `relay`).
* one side local: rsync runs on the controller's machine and pulls or pushes with the controller's own login.
* both local: plain paths.

To log in takes a quarter of a second, as long as to move a few thousand small files. So copies from one root to one
target share a connection (ssh's ControlMaster), which stays for a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncssh

from telarchy.core.action import stable_id
from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.links import rsync
from telarchy.links.connect import known_hosts_line
from telarchy.links.link import Link
from telarchy.links.pool import LinkPool
from telarchy.links.rsync import RsyncTool, ssh_argv
from telarchy.links.scripts import script
from telarchy.links.ssh import SshLink
from telarchy.links.way import Way
from telarchy.resources.host import Endpoint

ROUTES_FOLDER = "routes"  # in the state folder
TEST_TIMEOUT = 60.0
CONNECT_TIMEOUT = 8.0
FRESH_FOR = 300.0  # seconds that a tested route is taken for good
SOCKET_PATH = 80  # bytes; a socket's may have 104 on some systems, and ssh first makes one with a longer name


@dataclass(frozen=True)
class Route:
    """How a copy from a root of `source` to `target` runs.

    runner:       host whose rsync is run: the target, or the source when it is local and pushes
    endpoint:     of the far side, as the runner reaches it; "" when both are local
    remote_root:  "." where rrsync decides the root, else the absolute path of the source's root
    socket:       on the runner, of the connection that copies may share; "" where each makes its own
    """

    kind: Literal["direct", "relay", "local"]
    source: str
    target: str
    runner: str
    source_root: str
    endpoint: str = ""
    ssh: tuple[str, ...] = ()
    address: str = ""
    remote_root: str = "."
    socket: str = ""

    def argv(
        self,
        tool: RsyncTool,
        *,
        files_from: str,
        into: str,
        bandwidth: int | None = None,
        shared: bool = False,
    ) -> list[str]:
        """The rsync to run on `runner`. `tool`: the runner's; `files_from`: a file there; `into`: on the target;
        `shared`: over the connection that `Routes.connect` opened, if it is there."""
        if self.kind == "local":
            return rsync.local(
                tool, root=self.source_root, files_from=files_from, into=into, bandwidth=bandwidth
            )
        if self.runner == self.source:
            return rsync.push(
                tool,
                ssh=self.ssh,
                root=self.source_root,
                remote=self.address,
                remote_into=into,
                files_from=files_from,
                bandwidth=bandwidth,
            )
        return rsync.pull(
            tool,
            ssh=self.sharing if shared else self.ssh,
            remote=self.address,
            remote_root=self.remote_root,
            files_from=files_from,
            into=into,
            bandwidth=bandwidth,
        )

    @property
    def sharing(self) -> tuple[str, ...]:
        """The ssh that joins the shared connection where there is one."""
        return (*self.ssh, "-S", self.socket) if self.socket else self.ssh


@dataclass(frozen=True)
class _Pair:
    """One target and one root of one holder, as declared; what was arranged for it holds until that changes."""

    target: str
    source: Way
    root: str

    @property
    def alias(self) -> str:
        return f"telarchy-{self.source.host}"


class Routes:
    """Arranges routes, and remembers for five minutes what it has arranged and tested.

    fleet:   name of the fleet, for the mark in authorized_keys
    folder:  of the controller, for the known_hosts and key files of copies that it runs itself (mode 0700)
    """

    def __init__(self, pool: LinkPool, *, fleet: str, folder: Path) -> None:
        self._pool = pool
        self._fleet = fleet
        self._folder = folder
        self._tested: dict[_Pair, tuple[float, Route]] = {}
        self._arranging: dict[_Pair, asyncio.Lock] = {}

    @asynccontextmanager
    async def open(self, target: str, source: str, root: str) -> AsyncIterator[Route]:
        """The route from `root` on `source` to `target`; a relay lasts as long as the context.

        Raises HostUnreachable when the controller reaches one of them not, ActionFailed when no route can be made
        (RrsyncMissing, RouteRefused, NoKey…).
        """
        target_link, source_link = await asyncio.gather(self._pool.link(target), self._pool.link(source))
        if not isinstance(source_link, SshLink):
            if not isinstance(target_link, SshLink):
                yield Route("local", source, target, target, root)
            else:
                yield self._own(target_link, source, target, root, runner=source)
            return
        if not isinstance(target_link, SshLink):
            yield self._own(source_link, source, target, root, runner=target)
            return
        pair = _Pair(target, source_link.way, root)
        async with self._arranging.setdefault(pair, asyncio.Lock()):
            route = self._known(pair) or await self._arrange(pair, target_link, source_link)
        if route.kind == "direct":
            yield route
            return
        async with _relay(target_link, source_link) as port:
            yield _over_relay(route, port)

    async def connect(self, target: str, source: str, root: str) -> None:
        """Have the connection open that copies may share, if this route is known. What is wrong with the way, the
        copy itself says. Raises HostUnreachable when the controller does not reach the target."""
        link, source_link = await asyncio.gather(self._pool.link(target), self._pool.link(source))
        if not (isinstance(link, SshLink) and isinstance(source_link, SshLink)):
            return
        route = self._known(_Pair(target, source_link.way, root))
        if route is not None and route.socket:
            with suppress(TimeoutError):
                argv = script("route-connect", route.address, *route.sharing)
                await link.run(argv, timeout=CONNECT_TIMEOUT)

    async def authorise(self, target: str, source: str, root: str, *, dry_run: bool = False) -> bool:
        """Make the key with which `target` pulls from a root of `source`, and have it let in, before the first copy
        asks for that. True when that was, or with `dry_run` would be, new. Between hosts that are not both reached by
        ssh nothing is needed. Raises as `open`."""
        target_link, source_link = await asyncio.gather(self._pool.link(target), self._pool.link(source))
        if not (isinstance(target_link, SshLink) and isinstance(source_link, SshLink)):
            return False
        if dry_run:
            ends = "substr($0, length($0) - length(tag) + 1) == tag"
            awk = f'BEGIN {{ tag = ENVIRON["TAG"]; found = 1 }} {ends} {{ found = 0 }} END {{ exit found }}'
            text = f"TAG=\" $1\" awk '{awk}' ~/.ssh/authorized_keys"
            return not (await source_link.run(["/bin/sh", "-c", text, "sh", self._tag(target, root)])).ok
        pair = _Pair(target, source_link.way, root)
        async with self._arranging.setdefault(pair, asyncio.Lock()):
            return (await self._authorise(pair, target_link, source_link))[1]

    def forget(self, target: str, source: str) -> None:
        """A copy over this route failed at connecting: test it again next time."""
        for pair in [pair for pair in self._tested if (pair.target, pair.source.host) == (target, source)]:
            del self._tested[pair]

    async def revoke(self, target: str, source: str, root: str) -> None:
        """Take back what `open` arranged: the holder's line, then the target's key. Neither needs to be there."""
        self.forget(target, source)
        holder = await self._pool.link(source)
        if isinstance(holder, SshLink):
            await _told(holder, script("route-authorise", root, self._tag(target, root), ""), "CannotRevoke")
        link = await self._pool.link(target)
        if isinstance(link, SshLink):
            text = (
                'cd -- "$HOME/.telarchy/keys" 2>/dev/null || exit 0; '
                'rm -f -- "$1" "$1.pub" "$1.known_hosts" "$1".*.ssh'
            )
            await _told(link, ["/bin/sh", "-c", text, "sh", self._key_name(source, root)], "CannotRevoke")

    async def _authorise(self, pair: _Pair, target: SshLink, source: SshLink) -> tuple[str, bool]:
        """The folder of keys on the target, and whether the holder did not let this one in before."""
        tag = self._tag(pair.target, pair.root)
        name = self._key_name(pair.source.host, pair.root)
        algorithm, blob, *_ = pair.source.host_key.split()
        told = await _told(target, script("route-key", name, pair.alias, f"{algorithm} {blob}", tag), "NoKey")
        folder, public = told.decode("utf-8", "surrogateescape").splitlines()[:2]
        key = " ".join(public.split()[:2])
        said = await _told(source, script("route-authorise", pair.root, tag, key), "RrsyncMissing", code=4)
        return folder, said.strip() != b"already"

    async def _arrange(self, pair: _Pair, target: SshLink, source: SshLink) -> Route:
        folder, _ = await self._authorise(pair, target, source)
        name = self._key_name(pair.source.host, pair.root)

        def ssh(endpoint: Endpoint) -> tuple[str, ...]:
            argv = ssh_argv(
                user=endpoint.user,
                port=endpoint.port,
                alias=pair.alias,
                known_hosts=f"{folder}/{name}.known_hosts",
                key=f"{folder}/{name}",
            )
            return tuple(argv)

        reached = await self._test(target, [(*ssh(one), one.host, "true") for one in pair.source.endpoints])
        endpoint = pair.source.endpoints[reached or 0]
        socket = shared_socket(f"{folder}/{name}", pair.source.host_key, str(endpoint))
        route = Route(
            "relay" if reached is None else "direct",
            pair.source.host,
            pair.target,
            pair.target,
            pair.root,
            str(endpoint),
            ssh(endpoint),
            endpoint.host,
            socket="" if reached is None else socket,
        )
        self._tested[pair] = (time.monotonic(), route)
        return route

    async def _test(self, target: Link, attempts: Sequence[tuple[str, ...]]) -> int | None:
        """Index of the first endpoint that lets the target in; None when it reaches none of them."""
        words = [word for attempt in attempts for word in (*attempt, ",")]
        answer = await target.run(script("route-test", *words), timeout=TEST_TIMEOUT)
        told = answer.stdout.strip()
        if told.isdigit():
            return int(told)
        said = answer.stderr.decode("utf-8", "replace")
        if "Permission denied (" in said:
            # Only the holder with the pinned host key comes as far as asking for a login.
            raise ActionFailed(
                f"{target.host} is not let in by the holder although its key is in authorized_keys: does sshd "
                "there read ~/.ssh/authorized_keys, and may others write to that home folder?",
                reason="RouteRefused",
            )
        if not answer.ok and not told:
            raise ActionFailed(f"{target.host}: {answer.complaint}", reason="RouteRefused")
        return None

    def _known(self, pair: _Pair) -> Route | None:
        since, route = self._tested.get(pair, (0.0, None))
        return route if route is not None and time.monotonic() - since < FRESH_FOR else None

    def _own(self, link: SshLink, source: str, target: str, root: str, *, runner: str) -> Route:
        """A copy that the controller's machine runs, with the login that the manifest gives the controller."""
        way, endpoint = link.way, link.winner
        assert endpoint is not None
        if way.password is not None and way.key is None:
            raise ActionFailed(
                f"{way.host}: copies need a key, and its manifest gives only a password: run `telarchy enroll`",
                reason="NoKey",
                transient=False,
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known_hosts = self._folder / f"{way.host}.known_hosts"
        _write(known_hosts, known_hosts_line(f"telarchy-{way.host}", way.host_key).encode())
        key = None
        if way.key is not None:
            key = self._folder / f"{way.host}.key"
            _write(key, way.key.reveal().rstrip() + b"\n")
        ssh = ssh_argv(
            user=endpoint.user,
            port=endpoint.port,
            alias=f"telarchy-{way.host}",
            known_hosts=str(known_hosts),
            key=None if key is None else str(key),
        )
        return Route(
            "direct", source, target, runner, root, str(endpoint), tuple(ssh), endpoint.host, remote_root=root
        )

    def _tag(self, target: str, root: str) -> str:
        return f"telarchy:{self._fleet}:{target}:{root}"

    def _key_name(self, source: str, root: str) -> str:
        return f"{source}-{stable_id(self._fleet, root)[:12]}"


def shared_socket(key: str, host_key: str, endpoint: str) -> str:
    """Where the shared connection of a key's file has its socket: another pinned host key is another connection. ""
    where the path is too long for a socket."""
    path = f"{key}.{stable_id(host_key, endpoint)[:8]}.ssh"
    return path if len(path.encode("utf-8", "surrogateescape")) <= SOCKET_PATH else ""


@asynccontextmanager
async def _relay(target: SshLink, source: SshLink) -> AsyncIterator[int]:
    """A port on the target's loopback that leads to the holder's sshd."""
    await source.connection()
    endpoint = source.winner
    assert endpoint is not None
    connection = await target.connection()
    try:
        listener = await connection.forward_remote_port("127.0.0.1", 0, endpoint.host, endpoint.port)
    except asyncssh.ChannelListenError:
        raise ActionFailed(
            f"{target.host} reaches no endpoint of {source.host}, and its sshd forwards no port "
            "(AllowTcpForwarding), so the controller cannot relay",
            reason="NoRoute",
        ) from None
    except (asyncssh.Error, OSError):
        raise HostUnreachable(target.host, "ConnectionLost", "the connection was lost") from None
    try:
        yield listener.get_port()
    finally:
        listener.close()


def _over_relay(route: Route, port: int) -> Route:
    ssh = list(route.ssh)
    ssh[ssh.index("-p") + 1] = str(port)
    return Route(
        "relay",
        route.source,
        route.target,
        route.runner,
        route.source_root,
        f"127.0.0.1:{port}",
        tuple(ssh),
        "127.0.0.1",
    )


async def _told(link: Link, argv: Sequence[str], reason: str, *, code: int | None = None) -> bytes:
    """stdout of a script. Its failure is an ActionFailed with `reason` (only for that exit `code`, when given)."""
    answer = await link.run(argv)
    if not answer.ok:
        named = reason if code in (None, answer.code) else "RouteRefused"
        raise ActionFailed(f"{link.host}: {answer.complaint}", reason=named)
    return answer.stdout


def _write(path: Path, content: bytes) -> None:
    """A private file with this content, replaced in one go and only when it differs."""
    if path.exists() and path.read_bytes() == content:
        return
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.rename(path)
