"""The lab: real Debian hosts, booted on this machine in seconds, whose plugs and cables can be pulled.

    with Lab() as lab:
        nas, vps = lab.hosts("nas", "vps", volumes={"/srv/media": 256})
        nas.write("/srv/media/tv/show/e01.mkv", b"…")
        lab.cut(nas, vps)

Needs root and what `prerequisites.sh` installs. Nothing in it leaves this machine: the hosts' network has no
way out, and names, addresses and files are the run's own (see `slot.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from tests.lab.command import LabError, command
from tests.lab.host import LabHost
from tests.lab.slot import Slot
from tests.lab.tree import layers
from tests.lab.wire import Wire

_MOST_HOSTS = 200


class Lab:
    """One run's hosts and the network between them. A context manager, plain or async."""

    def __init__(self) -> None:
        self._slot = Slot.take()
        self._wire = Wire(self._slot)
        self._hosts: dict[str, LabHost] = {}
        self._made = 0
        self._making = threading.Lock()
        self.client_key: Path = self._slot.directory / "client_key"
        """Private key that media and root of every host accept."""
        self.gateway = self._wire.gateway
        """Address of this machine (the controller) on the lab's network."""
        try:
            command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.client_key))
            self._wire.lay()
        except BaseException:
            self.close()
            raise

    # -- hosts ---------------------------------------------------------------------------------------

    def host(
        self,
        name: str,
        volumes: Mapping[str, int] | None = None,
        boot: bool = True,
        packages: Sequence[str] = (),
    ) -> LabHost:
        """Make a host with these volumes (where → megabytes); booted and answering ssh if `boot`."""
        with self._making:
            if name in self._hosts:
                raise LabError(f"the lab has a host {name!r} already")
            if self._made >= _MOST_HOSTS:
                raise LabError(f"a lab has room for {_MOST_HOSTS} hosts")
            index, self._made = self._made, self._made + 1
            lower = layers(packages)
        host = LabHost(name, index, self._slot, self._wire, lower, self.client_key)
        self._hosts[name] = host
        host.attach(volumes or {})
        if boot:
            host.start()
            host.wait_ssh()
        return host

    def hosts(
        self, *names: str, volumes: Mapping[str, int] | None = None, packages: Sequence[str] = ()
    ) -> tuple[LabHost, ...]:
        """Make and boot several alike hosts, at the same time."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            return tuple(pool.map(lambda name: self.host(name, volumes, packages=packages), names))

    def __getitem__(self, name: str) -> LabHost:
        return self._hosts[name]

    def __contains__(self, name: str) -> bool:
        return name in self._hosts

    @property
    def all_hosts(self) -> tuple[LabHost, ...]:
        """Every host made so far, running or not."""
        return tuple(self._hosts.values())

    def start(self, hosts: Iterable[LabHost]) -> None:
        """Switch on those of the hosts that are off, at the same time, and wait for their ssh servers."""

        def up(host: LabHost) -> None:
            if not host.running:
                host.start()
            host.wait_ssh()

        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(up, hosts))

    # -- network -------------------------------------------------------------------------------------

    def cut(self, one: LabHost, other: LabHost | None = None) -> None:
        """Cut the link between two hosts, or between a host and the controller. Silent, both ways."""
        self._wire.cut(one.address, other.address if other else self.gateway)

    def heal(self, one: LabHost, other: LabHost | None = None) -> None:
        """Undo the same `cut`."""
        self._wire.heal(one.address, other.address if other else self.gateway)

    def heal_all(self) -> None:
        """Undo every cut."""
        self._wire.heal_all()

    def known_hosts(self, *hosts: LabHost) -> str:
        """`known_hosts` lines of these hosts (of all of them, without any)."""
        lines = [f"{host.address} {host.host_key}\n" for host in hosts or self.all_hosts]
        return "".join(lines)

    # -- end -----------------------------------------------------------------------------------------

    def close(self) -> None:
        """End every host and remove everything that was of this run."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(LabHost.discard, self.all_hosts))
        self._slot.clear()
        self._slot.release()

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Lab:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
