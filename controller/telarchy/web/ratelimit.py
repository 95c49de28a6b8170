"""How often one address may ask. Bounded: a flood of addresses costs no memory."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_ADDRESSES = 4096


class RateLimit:
    """`burst` questions at once, `per_second` in the long run, for each address (IPv6: each /64)."""

    def __init__(
        self, per_second: float, burst: int, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._monotonic = per_second, float(burst), monotonic
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> left, when counted

    def wait(self, address: str) -> float:
        """0.0 when it may go on, else the seconds after which it may."""
        key, now = _who(address), self._monotonic()
        left, counted = self._known.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - counted) * self._rate)
        allowed = left >= 1.0
        self._known[key] = (left - 1.0 if allowed else left, now)
        while len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._rate


def _who(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)
