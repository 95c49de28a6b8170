"""Who asks, where a reverse proxy stands in front: by `X-Forwarded-For`, and only where a declared proxy says it.

Each proxy adds the address that asked it at the right end, so the list is read from there: the first one that is no
trusted proxy asked. What stands further left was said by that one, and anybody can say anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import hdrs, web

from telarchy.errors import ConfigError

Networks = tuple[IPv4Network | IPv6Network, ...]
_MOST_ADDRESSES = 32  # of a header that are looked at


def networks(texts: Iterable[str]) -> Networks:
    """`10.0.0.0/8`, `192.0.2.7`, `2001:db8::/64`. Raises ConfigError, for everybody at once (`0.0.0.0/0`) as well."""
    return _networks(tuple(texts))


@lru_cache(maxsize=256)
def _networks(texts: tuple[str, ...]) -> Networks:
    found = []
    for text in texts:
        try:
            one = ip_network(text, strict=False)
        except ValueError:
            raise ConfigError(f"{text!r} is no address of a proxy; write 192.0.2.7 or 192.0.2.0/24") from None
        if one.prefixlen == 0:
            raise ConfigError(
                f"{text!r} is everybody, and whoever asks could say anything; name your proxies alone"
            )
        found.append(one)
    return tuple(found)


def asker(request: web.BaseRequest, trusted: Networks) -> str:
    """The address that asks; "" when that is not known."""
    asking = _address(request.remote or "")
    if asking is None or not _within(asking, trusted):
        return request.remote or ""
    said = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).split(",")
    for text in reversed(said[-_MOST_ADDRESSES:]):
        further = _address(text.strip())
        if further is None:
            break  # a trusted proxy that does not know who asked it
        asking = further
        if not _within(asking, trusted):
            break
    return str(asking)


def origin(request: web.BaseRequest, trusted: Networks) -> str:
    """This server as the one who asks sees it, as a URL without a path: https where a trusted proxy says so."""
    url = request.url.origin()
    asking = _address(request.remote or "")
    said = request.headers.get(hdrs.X_FORWARDED_PROTO, "")
    if asking is not None and _within(asking, trusted) and said in ("http", "https"):
        # `Host` names the port that the browser used, if it is not the usual one
        url = type(url)(f"{said}://{request.host}").origin()
    return str(url)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _within(one: IPv4Address | IPv6Address, trusted: Networks) -> bool:
    return any(one in each for each in trusted)
