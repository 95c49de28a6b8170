"""What the rendered nginx configurations have in common: how a value is written, and how nginx is run. Pure.

nginx runs as an ordinary user, in the endpoint's folder, with nothing of the system's configuration. Its modules are
where Debian puts them; on another system the folder is told (`modules`), or "" where they are built in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network

from telarchy.errors import ConfigError

DEBIAN_MODULES = "/usr/lib/nginx/modules"
START = "nginx-start.sh"
CONFIGURATION = "nginx.conf"
RELOAD_ERROR = "[emerg]"  # nginx tests only that a configuration is right, not that its ports are free
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_FOLDER = re.compile(r"/[A-Za-z0-9/_.+-]+")
_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?")


def name(text: str) -> str:
    """A name that may stand in a configuration, in a path and in an address."""
    if not _NAME.fullmatch(text):
        raise ConfigError(f"{text!r} cannot be part of a path")
    return text


def port(number: int) -> int:
    if not 1 <= number <= 65535:
        raise ConfigError(f"{number} is no port")
    return number


def origin(text: str) -> str:
    """A web origin that may play in its pages, or `*`."""
    if not _ORIGIN.fullmatch(text):
        raise ConfigError(f"{text!r} is no web origin such as https://example.net")
    return text


def proxies(networks: Iterable[str]) -> str:
    """The lines of a server before which these addresses and networks stand as proxies; "" for none."""
    lines = []
    for text in networks:
        try:
            one = ip_network(text, strict=False)
        except ValueError:
            raise ConfigError(f"{text!r} is no address or network of a proxy") from None
        if one.prefixlen == 0:
            raise ConfigError(f"{text!r} is everybody, who could say anything: name the proxies alone")
        lines.append(f"    set_real_ip_from {one};\n")
    if not lines:
        return ""
    return "".join(lines) + "    real_ip_header X-Forwarded-For;\n    real_ip_recursive on;\n"


def listen(address: str, number: int) -> str:
    """The argument of `listen`. IPv6 addresses take IPv6 only, so that IPv4 can be listened to beside them."""
    try:
        at = ip_address(address)
    except ValueError:
        raise ConfigError(f"{address!r} is no address to listen on") from None
    if isinstance(at, IPv6Address):
        return f"[{at}]:{port(number)} ipv6only=on"
    return f"{at}:{port(number)}"


def load(modules: str, wanted: Iterable[str]) -> str:
    """The lines that load modules from a folder."""
    if not modules:
        return ""
    if not _FOLDER.fullmatch(modules) or ".." in modules:
        raise ConfigError(f"{modules!r} is no folder of nginx modules")
    return "".join(f"load_module {modules.rstrip('/')}/{one}.so;\n" for one in wanted)


def temporary(service: str) -> str:
    """Where nginx puts what does not fit its buffers; its own defaults belong to the system."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"  {kind}_temp_path run/{service}/{kind};\n" for kind in kinds)


def argv(service: str) -> tuple[str, ...]:
    folder = f"services/{service}/files"
    return ("sh", f"{folder}/{START}", service, "run", f"{folder}/{CONFIGURATION}")


def check(service: str) -> tuple[str, ...]:
    return ("sh", f"{{files}}/{START}", service, "check", f"{{files}}/{CONFIGURATION}")
