"""Hosts that exist in memory alone: a link pool that answers as `telarchy`'s own scripts would on a healthy host.

Only what an idle fleet is asked is answered: probes, versions, looks and scans. Anything else is an error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from telarchy.links.link import Completed
from telarchy.resources.host import Host

ROUND_TRIP = 0.001  # seconds
TITLES_PER_HOST = 20
TITLE_BYTES = 4_000_000_000


def manifests(hosts: int) -> str:
    """A fleet of so many hosts, each title on two of them."""
    documents = [
        "kind: Fleet\nmetadata: {name: home}\nspec:\n  custody: {copies: 2, alwaysOn: 1}\n",
        'kind: CustodyFloor\nmetadata: {name: twice}\nspec:\n  select: {paths: ["films/*"]}\n  copies: 2\n',
    ]
    documents += [
        f"kind: Host\nmetadata: {{name: host{number:04}}}\nspec:\n  class: Server\n  alwaysOn: true\n"
        f'  connection: {{ssh: {{endpoints: ["media@host{number:04}.example"], hostKey: "{_KEY}"}}}}\n'
        f"  mediaRoots: [{{name: main, path: /srv/media}}]\n"
        for number in range(hosts)
    ]
    return "---\n".join(f"apiVersion: telarchy.dev/v1alpha1\n{one}" for one in documents)


_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


class SimulatedLink:
    """One healthy host. `asked`: how often, by script."""

    connections = 1

    def __init__(self, host: str, number: int, hosts: int) -> None:
        self.host, self.endpoint = host, f"media@{host}.example"
        self.id = f"{number:08x}-0000-4000-8000-{number:012x}"
        first = number * (TITLES_PER_HOST // 2)
        count = hosts * (TITLES_PER_HOST // 2)
        self._titles = [(first + at) % count for at in range(TITLES_PER_HOST)]
        self._lease = ""
        self.asked: dict[str, int] = {}

    async def probe(self) -> None:
        self._count("probe")
        await asyncio.sleep(ROUND_TRIP)

    def drop(self) -> None:
        """There is no connection."""

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        await asyncio.sleep(ROUND_TRIP)
        script = argv[3] if len(argv) > 3 else ""
        self._count(script)
        if script == "telarchy-look":
            return Completed(0, self._look(list(argv[4:])), b"")
        if script == "bases":
            return Completed(0, b"end\n", b"")
        if script == "telarchy-scan":
            return Completed(0, self._scan(*argv[5:9]), b"")
        if "rsync" in " ".join(argv):
            return Completed(0, b"os Debian 12\nrsync 3.2.7\nsystemd 252\n", b"")
        raise AssertionError(f"an idle fleet was asked for {argv[3:]}")

    async def close(self) -> None:
        """There is no connection."""

    def _count(self, what: str) -> None:
        self.asked[what] = self.asked.get(what, 0) + 1

    def _look(self, asked: list[str]) -> bytes:
        mode, epoch, controller, name, _, root, known = asked[:7]
        now = int(time.time())
        if mode == "write" and known == self.id:
            self._lease = f"{epoch} {controller} {name}"
        pairs = [("now", str(now)), ("root", root), ("exists", "folder"), ("readable", "yes")]
        pairs += [("writable", "yes"), ("id", self.id), ("device", "1"), ("space", "20000000000 9000000000")]
        if self._lease:
            pairs += [("renewed", f"{now} {root}/.telarchy/epoch"), ("epoch", self._lease)]
        return b"".join(f"{key}\0{value}\0".encode() for key, value in pairs)

    def _scan(self, _root: str, _id: str, last: str, following: str) -> bytes:
        rows = ["scan delta"] if last else ["scan full"]
        if not last:
            rows += [f"f {TITLE_BYTES} 1700000000.0 films/Film {one:06}/film.mkv" for one in self._titles]
        rows += ["m /", f"end 0 {following}"]
        return b"".join(f"{row}\0".encode() for row in rows)


class SimulatedPool:
    """In the place of `links.pool.LinkPool`."""

    made: SimulatedPool | None = None

    def __init__(self, secrets: object) -> None:
        self.links: dict[str, SimulatedLink] = {}
        self._hosts: dict[str, Host] = {}
        SimulatedPool.made = self

    def configure(self, hosts: Sequence[Host]) -> None:
        for host in hosts:
            if host.name not in self.links:
                self.links[host.name] = SimulatedLink(host.name, len(self.links), len(hosts))
        self._hosts = {host.name: host for host in hosts}

    def host(self, name: str) -> Host:
        return self._hosts[name]

    def get(self, name: str) -> SimulatedLink:
        return self.links[name]

    async def link(self, name: str) -> SimulatedLink:
        return self.links[name]

    async def close(self) -> None:
        """There are no connections."""
