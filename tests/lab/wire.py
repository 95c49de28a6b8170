"""The lab's network: one bridge without a way out, a cable per host, and cuts between any two ends.

A cut drops IP packets in both directions and says nothing, as a broken route does: connections hang until
they time out. A cable that is pulled (`unplug`) is silent as well.
"""

from __future__ import annotations

import threading

from tests.lab.command import command
from tests.lab.slot import Slot


class Wire:
    """The bridge of one run. The controller's end is this machine, at `.gateway`."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._bridge = slot.prefix
        self.gateway = f"{slot.network}.1"
        self._cuts: set[frozenset[str]] = set()
        self._applying = threading.Lock()

    def lay(self) -> None:
        """Make the bridge and the (empty) list of cuts."""
        command("ip", "link", "add", self._bridge, "type", "bridge")
        command("ip", "address", "add", f"{self.gateway}/24", "dev", self._bridge)
        command("ip", "link", "set", self._bridge, "up")
        command("nft", "-f", "-", text=self._rules())

    def _rules(self) -> str:
        chains = "".join(
            f"chain {hook} {{ type filter hook {hook} priority 0; policy accept; "
            f"{side} ether type ip6 drop; {side} ether type ip ip saddr . ip daddr @cuts drop; }}\n"
            for hook, side in (
                ("input", f'iifname "{self._bridge}p*"'),
                ("forward", f'iifname "{self._bridge}p*"'),
                ("output", f'oifname "{self._bridge}p*"'),
            )
        )
        cuts = "set cuts { type ipv4_addr . ipv4_addr; }\n"
        return f"table bridge {self._slot.table} {{\n{cuts}{chains}}}\n"

    def address(self, index: int) -> str:
        """The address of the host with this number."""
        return f"{self._slot.network}.{10 + index}"

    def plug(self, index: int, boot: int) -> str:
        """Give the host a new network namespace with its address up; returns the namespace's name."""
        namespace = f"{self._slot.prefix}-{index}-{boot}"
        outer = self._outer(index)
        mac = f"02:54:4c:{self._slot.number:02x}:00:{10 + index:02x}"
        command("ip", "netns", "add", namespace)
        command(
            *("ip", "link", "add", outer, "type", "veth"),
            *("peer", "name", "host0", "address", mac, "netns", namespace),
        )
        command("ip", "link", "set", outer, "master", self._bridge, "up")
        command(
            *("ip", "-netns", namespace, "-batch", "-"),
            text=(f"link set lo up\naddress add {self.address(index)}/24 dev host0\nlink set host0 up\n"),
        )
        return namespace

    def unplug(self, index: int, boot: int) -> None:
        """Pull the cable: from this instant not even a farewell packet leaves the host."""
        command("ip", "link", "delete", self._outer(index), check=False)
        command("ip", "netns", "delete", f"{self._slot.prefix}-{index}-{boot}", check=False)

    def cut(self, one: str, other: str) -> None:
        """Drop everything between two addresses."""
        self._apply(self._cuts | {frozenset((one, other))})

    def heal(self, one: str, other: str) -> None:
        """Let two addresses talk again."""
        self._apply(self._cuts - {frozenset((one, other))})

    def heal_all(self) -> None:
        """No cuts any more."""
        self._apply(set())

    def _apply(self, cuts: set[frozenset[str]]) -> None:
        lines = [f"flush set bridge {self._slot.table} cuts"]
        pairs = [(a, b) for one, other in map(sorted, cuts) for a, b in ((one, other), (other, one))]
        if pairs:
            elements = ", ".join(f"{a} . {b}" for a, b in pairs)
            lines.append(f"add element bridge {self._slot.table} cuts {{ {elements} }}")
        with self._applying:
            command("nft", "-f", "-", text="\n".join(lines) + "\n")
            self._cuts = cuts

    def _outer(self, index: int) -> str:
        return f"{self._slot.prefix}p{index}"
