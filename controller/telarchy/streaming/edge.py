"""Edges: nginx fetches from sources what viewers ask, once per object, and keeps it as long as it is true. Pure.

    viewer → nginx: token, log, cache → a hop for each source → the source

Between the cache and each source lies a hop: a listener of the same nginx on a unix socket, which knows that source's
scheme, name and certificate, and asks with the edge's own token for a private stream. So the sources can differ in all
of that and still stand in one ordered list for each stream: the chosen one is always asked first, the others when it
does not answer or answers 5xx. A source that is an address keeps its connections; one that is a name is looked up anew
every 30 seconds.

Measured for the cache (50 viewers at once): a lock per object, stale playlists only while a fresh one is being
fetched, no background update, playlists forgotten after two seconds without a viewer. A source's answer of 4xx or 5xx
is never kept. A playlist that cannot be fetched anew is given out for `OUTAGE_TARGETS` segments more, then 502 is; for
that the hop of a source that does not answer says nothing (444), which nginx tells from an answer of 5xx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from telarchy.core.service import Service
from telarchy.errors import ConfigError
from telarchy.streaming import nginx, serving
from telarchy.streaming.serving import OriginSite, Parts, SiteStream

DEBIAN_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
OUTAGE_TARGETS = 3
SEGMENTS_KEPT = "10m"
LEAST_FREE = "256m"  # of the disk, before nginx throws away the oldest
CACHE_SOCKET = "run/cache/http.sock"  # of Varnish, where it is the cache
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_FILE = re.compile(r"/[A-Za-z0-9/_.+-]+")


@dataclass(frozen=True, kw_only=True)
class EdgeSite(OriginSite):
    """An edge that fetches what it is asked; each of its streams names its sources.

    size:         bytes of segments that nginx keeps on disk
    memory:       bytes that Varnish keeps, which has them in memory
    varnish:      whether Varnish is the cache (`varnish.service`), and nginx only stands before and behind it
    authorities:  certificates by which sources with https are checked
    """

    size: int = 2 << 30
    memory: int = 256 << 20
    varnish: bool = False
    authorities: str = DEBIAN_AUTHORITIES

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source of any stream, in an order that a choice does not change."""
        return tuple(sorted({url for one in self.streams for url in one.sources}))

    def order(self, stream: SiteStream) -> tuple[int, ...]:
        """The numbers of a stream's sources, the chosen one first."""
        return tuple(self.sources.index(url) for url in dict.fromkeys(stream.sources))


@dataclass(frozen=True)
class Source:
    """A base URL, taken apart. `host` is without brackets; `literal` says that it is an address."""

    scheme: str
    host: str
    port: int
    literal: bool

    @property
    def place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def header(self) -> str:
        """What it is called in the request."""
        standard = {"http": 80, "https": 443}[self.scheme]
        return self.place.removesuffix(f":{self.port}") if self.port == standard else self.place


def source(url: str) -> Source:
    """Raises ConfigError for anything but a scheme, a host and a port."""
    try:
        parts = urlsplit(url)
        host, number = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError(f"{url!r} is no URL of a source") from None
    if parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise ConfigError(f"{url!r} is no URL of a source: http:// or https://, a host and perhaps a port")
    try:
        literal, host = True, str(ip_address(host))
    except ValueError:
        literal = False
        if not _HOST.fullmatch(host):
            raise ConfigError(f"{url!r} is no URL of a source: {host!r} is no host") from None
    port = nginx.port(number if number is not None else {"http": 80, "https": 443}[parts.scheme])
    return Source(parts.scheme, host, port, literal)


def hop(number: int) -> str:
    """The socket behind which a source is, by its place in the order."""
    return f"run/http/source-{number}.sock"


def service(site: EdgeSite) -> Service:
    return serving.http_service(site, configuration(site))


def check_authorities(file: str) -> None:
    """Raises ConfigError for what is no path of a file."""
    if not _FILE.fullmatch(file) or ".." in file:
        raise ConfigError(f"{file!r} is no file of certificates")


def configuration(site: EdgeSite) -> str:
    sources = [source(url) for url in site.sources]
    check_authorities(site.authorities)
    upstreams = (
        _orders(site) + lasting(site) + "".join(kept(number, one) for number, one in enumerate(sources))
    )
    parts = Parts(
        upstreams=upstreams + (_varnish() if site.varnish else _zones(site)),
        locations=_before_varnish() if site.varnish else _cached(),
        servers="".join(hop_server(number, one, site.authorities) for number, one in enumerate(sources)),
        cached="$upstream_http_x_cache" if site.varnish else "$upstream_cache_status",
    )
    return serving.frame(site, parts)


def _orders(site: EdgeSite) -> str:
    """The hops in each order that some stream has. Of several backups nginx takes turns, so the weights make the first
    of them first."""
    text, seen = "", set()
    for order in map(site.order, site.streams):
        if not order or order in seen or site.varnish:
            continue
        seen.add(order)
        lines = []
        for place, number in enumerate(order):
            weight = 10 ** min(6, 2 * (len(order) - 1 - place))
            role = f" backup weight={weight}" if place else ""
            lines.append(f"    server unix:{hop(number)} max_fails=0{role};\n")
        text += f"  upstream {_named(order)} {{\n{''.join(lines)}  }}\n"
    named = ((one.name, site.order(one)) for one in site.streams)
    cases = "".join(f"    {nginx.name(stream)} {_named(order)};\n" for stream, order in named if order)
    return f'{text}  map $t_stream $t_sources {{\n    default "";\n{cases}  }}\n'


def _named(order: tuple[int, ...]) -> str:
    return "-".join(("sources", *map(str, order)))


def _varnish() -> str:
    return f"  upstream cache {{\n    server unix:{CACHE_SOCKET} max_fails=0;\n    keepalive 32;\n  }}\n"


def _zones(site: EdgeSite) -> str:
    size = f"max_size={max(16 << 20, site.size)} min_free={LEAST_FREE} inactive={SEGMENTS_KEPT}"
    here = "use_temp_path=off"
    return f"""  proxy_cache_path cache/playlists levels=1 keys_zone=playlists:8m max_size=64m inactive=2s {here};
  proxy_cache_path cache/segments levels=1:2 keys_zone=segments:16m {size} {here};
"""


def lasting(site: OriginSite) -> str:
    """How long the cache keeps an answer, told by the hops in the words of HTTP."""
    streams = "".join(
        f"    {nginx.name(one.name)} {max(1, round(one.segment * OUTAGE_TARGETS))};\n" for one in site.streams
    )
    return f"""  map $t_stream $t_outage {{
    default 6;
{streams}  }}
  map $t_kind $t_listed {{
    default "max-age=600";
    master "max-age=$t_half, stale-if-error=$t_outage";
    playlist "max-age=$t_half, stale-if-error=$t_outage";
  }}
  map $status $t_hop_control {{
    default "no-store";
    200 $t_listed;
    206 $t_listed;
    302 "max-age=1";
  }}
"""


_COMMON = """    proxy_http_version 1.1;
    proxy_set_header Host telarchy;
    proxy_set_header Connection "";
    proxy_set_header Cookie "";
    proxy_set_header Authorization "";
    proxy_set_header Origin "";
    proxy_set_header Referer "";
    proxy_set_header User-Agent telarchy;
    proxy_set_header Accept-Encoding "";
    proxy_hide_header Cache-Control;
    proxy_hide_header Retry-After;
    proxy_hide_header Vary;
    proxy_hide_header X-Cache;
    proxy_hide_header Via;
    proxy_hide_header X-Varnish;
    proxy_hide_header Age;
    proxy_connect_timeout 1s;
    proxy_read_timeout 6s;
    proxy_send_timeout 4s;
"""


def _cached() -> str:
    """A location per kind of object. The key is the path without the token, as the expression found it."""
    shared = f"""{_COMMON.replace("    ", "      ")}      proxy_pass http://$t_sources;
      proxy_next_upstream error timeout http_500 http_502 http_503 http_504;
      proxy_next_upstream_timeout 8s;
      proxy_cache_key $t_stream/$t_gen/$t_rest;
      proxy_cache_lock on;
"""
    return f"""    if ($t_sources = "") {{ return 503; }}
    rewrite ^ /live/$t_path break;
    location ~ \\.m3u8$ {{
{shared}      proxy_cache playlists;
      proxy_cache_lock_age 5s;
      proxy_cache_lock_timeout 5s;
      proxy_cache_use_stale updating;
    }}
    location / {{
{shared}      proxy_cache segments;
      proxy_cache_lock_age 10s;
      proxy_cache_lock_timeout 20s;
      proxy_cache_use_stale error timeout updating;
    }}
"""


def _before_varnish() -> str:
    return f"""    if ($t_sources = "") {{ return 503; }}
    rewrite ^ /live/$t_path break;
    location / {{
{_COMMON.replace("    ", "      ").replace("proxy_read_timeout 6s", "proxy_read_timeout 20s")}      proxy_pass http://cache;
      proxy_set_header Telarchy-Sources $t_sources;
    }}
"""


def kept(number: int, one: Source) -> str:
    """Connections to a source that is an address."""
    if not one.literal:
        return ""
    return f"  upstream source-{number} {{\n    server {one.place} max_fails=0;\n    keepalive 8;\n  }}\n"


def hop_server(number: int, one: Source, authorities: str) -> str:
    """The listener behind which a source is. `authorities`: as of an `EdgeSite`."""
    named, target = "", f"      proxy_pass {one.scheme}://source-{number};\n"
    if (
        not one.literal
    ):  # a variable, so that the name is looked up when it is needed and need not be known before
        named = f"      set $t_place {one.place};\n"
        target = f"      proxy_pass {one.scheme}://$t_place;\n"
    secure = ""
    if one.scheme == "https":
        secure = f"""      proxy_ssl_server_name on;
      proxy_ssl_name {one.host};
      proxy_ssl_verify on;
      proxy_ssl_verify_depth 4;
      proxy_ssl_trusted_certificate {authorities};
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
"""
    return f"""  server {{
    listen unix:{hop(number)};
    access_log off;
    location = /ping {{
{named}{target}{secure}      proxy_set_header Host {one.header};
      proxy_connect_timeout 1s;
      proxy_read_timeout 2s;
      proxy_intercept_errors on;
      error_page 400 401 403 404 405 =204 /pong;
    }}
    location = /pong {{ return 204; }}
    location / {{
      if ($t_asked !~ ^(?:play|entry)$) {{ return 404; }}
{named}      rewrite ^ $t_own/live/$t_path break;
{target}{secure}      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host {one.header};
      proxy_set_header Via "1.1 telarchy";
      proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
      proxy_hide_header Cache-Control;
      proxy_hide_header Expires;
      proxy_hide_header Set-Cookie;
      proxy_hide_header Vary;
      proxy_hide_header Access-Control-Allow-Origin;
      proxy_hide_header Access-Control-Expose-Headers;
      proxy_hide_header Access-Control-Allow-Credentials;
      proxy_hide_header X-Content-Type-Options;
      proxy_max_temp_file_size 0;
      proxy_connect_timeout 1s;
      proxy_send_timeout 3s;
      proxy_read_timeout 3s;
      proxy_next_upstream_timeout 4s;
      add_header Cache-Control $t_hop_control always;
      error_page 502 504 = @gone;
    }}
    location @gone {{ return 444; }}
  }}
"""
