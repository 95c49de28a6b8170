"""The lab's network: one bridge without a way out, a cable per host, and cuts between any two ends.

The bridge stands in a network namespace of its own, where no firewall of this machine has a say; all that
is seen outside is the controller's end of one cable.

A cut drops IP packets in both directions and says nothing, as a broken route does: connections hang until
they time out. A cable that is pulled (`unplug`) is silent as well.
"""

from __future__ import annotations

import threading

from tests.lab.command import command
from tests.lab.slot import Slot

_RULES = """
table bridge lab {
    set cuts { type ipv4_addr . ipv4_addr; }
    chain forward {
        type filter hook forward priority 0; policy accept;
        ether type ip6 drop
        ether type ip ip saddr . ip daddr @cuts drop
    }
}
"""


class Wire:
    """The bridge of one run. The controller's end is this machine, at `.gateway`."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._middle = f"{slot.prefix}-wire"
        self.gateway = f"{slot.network}.1"
        self._cuts: set[frozenset[str]] = set()
        self._applying = threading.Lock()

    def lay(self) -> None:
        """Make the bridge, the controller's cable to it, and the (empty) list of cuts."""
        command("ip", "netns", "add", self._middle)
        command(
            "ip",
            "link",
            "add",
            self._slot.prefix,
            "type",
            "veth",
            "peer",
            "controller",
            "netns",
            self._middle,
        )
        self._ip("link add bridge type bridge", "link set bridge up", "link set controller master bridge up")
        command("ip", "address", "add", f"{self.gateway}/24", "dev", self._slot.prefix)
        command("ip", "link", "set", self._slot.prefix, "up")
        self._nft(_RULES)

    def address(self, index: int) -> str:
        """The address of the host with this number."""
        return f"{self._slot.network}.{10 + index}"

    def plug(self, index: int, boot: int) -> str:
        """Give the host a new network namespace with its address up; returns the namespace's name."""
        namespace = f"{self._slot.prefix}-{index}-{boot}"
        mac = f"02:54:4c:{self._slot.number:02x}:00:{10 + index:02x}"
        command("ip", "netns", "add", namespace)
        self._ip(
            f"link add port{index} type veth peer host0 address {mac} netns {namespace}",
            f"link set port{index} master bridge up",
        )
        self._ip(
            "link set lo up",
            f"address add {self.address(index)}/24 dev host0",
            "link set host0 up",
            namespace=namespace,
        )
        return namespace

    def unplug(self, index: int, boot: int) -> None:
        """Pull the cable: from this instant not even a farewell packet leaves the host."""
        command("ip", "-netns", self._middle, "link", "delete", f"port{index}", check=False)
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
        lines = ["flush set bridge lab cuts"]
        pairs = [(a, b) for one, other in map(sorted, cuts) for a, b in ((one, other), (other, one))]
        if pairs:
            elements = ", ".join(f"{a} . {b}" for a, b in pairs)
            lines.append(f"add element bridge lab cuts {{ {elements} }}")
        with self._applying:
            self._nft("\n".join(lines) + "\n")
            self._cuts = cuts

    def _ip(self, *lines: str, namespace: str | None = None) -> None:
        command("ip", "-netns", namespace or self._middle, "-batch", "-", text="\n".join(lines) + "\n")

    def _nft(self, rules: str) -> None:
        command("nsenter", f"--net=/run/netns/{self._middle}", "nft", "-f", "-", text=rules)
