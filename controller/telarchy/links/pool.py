"""All hosts' links, one each, made from the manifests and remade when a manifest changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from telarchy.errors import HostUnreachable
from telarchy.links.link import Link
from telarchy.links.local import LocalLink
from telarchy.links.secrets import SecretResolver
from telarchy.links.ssh import SshLink
from telarchy.links.way import way_to
from telarchy.resources.host import Host


class LinkPool:
    """Links by host name. A host whose connection is declared otherwise than before gets a new link."""

    def __init__(self, secrets: SecretResolver) -> None:
        self._secrets = secrets
        self._hosts: dict[str, Host] = {}
        self._links: dict[str, SshLink | LocalLink] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def configure(self, hosts: Sequence[Host]) -> None:
        """Take note of the declared hosts. No I/O now: links that are no longer right are closed in the background."""
        self._hosts = {host.metadata.name: host for host in hosts}
        for name in list(self._links):
            if name not in self._hosts or not self._still_right(name):
                self._let_go(self._links.pop(name))

    def host(self, name: str) -> Host:
        """The manifest of a host. Raises HostUnreachable (NotDeclared)."""
        if name not in self._hosts:
            raise HostUnreachable(name, "NotDeclared", "no such host is declared")
        return self._hosts[name]

    def get(self, name: str) -> SshLink | LocalLink:
        """The link to a host, connected or not yet. Raises HostUnreachable (NotDeclared, SecretMissing)."""
        if name not in self._links:
            way = way_to(self.host(name), self._secrets)
            self._links[name] = LocalLink(name) if way is None else SshLink(way)
        return self._links[name]

    async def link(self, name: str) -> Link:
        """The connected link to a host. Raises HostUnreachable, at once if the last attempt failed a moment ago."""
        link = self.get(name)
        if isinstance(link, SshLink):
            await link.connection()
        return link

    async def close(self) -> None:
        """Close every connection. Jobs on hosts go on."""
        self._hosts = {}
        links, self._links = self._links, {}
        await asyncio.gather(*(link.close() for link in links.values()), *self._closing)

    def _still_right(self, name: str) -> bool:
        link = self._links[name]
        try:
            way = way_to(self._hosts[name], self._secrets)
        except HostUnreachable:
            return False
        return way is None if isinstance(link, LocalLink) else way == link.way

    def _let_go(self, link: Link) -> None:
        try:
            task = asyncio.get_running_loop().create_task(link.close())
        except RuntimeError:
            return  # no loop runs, so nothing is connected either
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
