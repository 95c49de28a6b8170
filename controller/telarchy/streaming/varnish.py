"""Varnish (Vinyl) as the cache of an edge: it wakes all who wait for an object at once. Pure.

It stands between two listeners of the edge's nginx: the one that viewers reach, which checks tokens and writes the log,
and the hops to the sources (`edge`), which know TLS and the edge's own token. So it sees neither token nor viewer and
listens on a unix socket of the endpoint's folder only. nginx tells it in which order the sources of a stream are to be
asked; a source that does not answer its probe is passed over at once, and one that answers 5xx is followed by the next.
"""

from __future__ import annotations

import re

from telarchy.core.service import Service
from telarchy.errors import ConfigError
from telarchy.streaming.edge import EdgeSite, hop
from telarchy.streaming.files import content
from telarchy.streaming.layout import CACHE

PROGRAMS = ("varnishd", "vinyld")  # Varnish Cache is called Vinyl Cache from 9.0 on
START = "cache-start.sh"
RULES = "cache.vcl"
LEAST_BYTES = 32 << 20
_PROGRAM = re.compile(r"(?:/[A-Za-z0-9/_.+-]+/)?[a-z][a-z0-9-]{0,31}")


def service(site: EdgeSite, program: str = PROGRAMS[0]) -> Service:
    """Keeps `site.memory` bytes. Its rules change with the set of sources only, not with their order."""
    if not _PROGRAM.fullmatch(program):
        raise ConfigError(f"{program!r} is no program")
    size = str(max(LEAST_BYTES, site.memory))
    folder = f"services/{CACHE}/files"
    return Service(
        name=CACHE,
        argv=("sh", f"{folder}/{START}", "run", program, f"{folder}/{RULES}", size),
        files={RULES: rules(site).encode(), START: content(START)},
        check=("sh", f"{{files}}/{START}", "check", program, f"{{files}}/{RULES}", size),
        stop="TERM",
    )


def rules(site: EdgeSite) -> str:
    """The VCL. `@BASE@` stands for the endpoint's folder."""
    count = len(site.sources)
    backends = "".join(_backend(number) for number in range(count))
    choice = "".join(_choice(number) for number in range(count))
    return content(RULES).decode().replace("# @BACKENDS@\n", backends).replace("    # @CHOICE@\n", choice)


def _backend(number: int) -> str:
    return f"""backend source_{number} {{
    .path = "@BASE@/{hop(number)}";
    .connect_timeout = 1s;
    .first_byte_timeout = 4s;
    .between_bytes_timeout = 4s;
    .probe = {{
        .request = "GET /ping HTTP/1.1" "Host: telarchy" "Connection: close";
        .expected_response = 204;
        .interval = 1s;
        .timeout = 2s;
        .window = 3;
        .threshold = 2;
        .initial = 2;
    }}
}}
"""


def _choice(number: int) -> str:
    word = "if" if number == 0 else "elsif"
    return f'    {word} (bereq.http.X-Pick == "{number}") {{\n        set bereq.backend = source_{number};\n    }}\n'
