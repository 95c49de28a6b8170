"""Serving: nginx as a service that gives viewers what lies in the spool, and what an edge shares with it. Pure.

Only addresses that could have been made for a declared stream are looked at: one regular expression over the request
as it came says what is asked for, before nginx decodes or tidies anything, and everything else is 404. A private
stream opens by a token in the path (`files/playback.js`). What went wrong is never cached; a stream that its origin
calls stale is answered 503, so that edges and players look elsewhere. Each generation has addresses of its own; one
that people can keep, `/live/<stream>/master.m3u8`, leads on to the generation that plays now.

The access log has one line per request and no address and no token in it; what nginx itself would say about a request
names both, so that is left out (`error_log /dev/null` within http). A second listener on 127.0.0.1 shows the host
itself the same things without a token, under `/health/`, also while a stream is called stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from telarchy.core.service import Service
from telarchy.errors import ConfigError
from telarchy.streaming import nginx
from telarchy.streaming.files import content
from telarchy.streaming.layout import ACCESS_LOG, HTTP, MASTER, PLAYLIST, health_port
from telarchy.streaming.tokens import TOKENS_FILE

GENERATION = "g[0-9]{1,10}-[0-9a-f]{8}"
NAME = "[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
RENDITION = "[a-z0-9][a-z0-9-]{0,62}"
FOR_EVER = 31536000
WORKERS = 2
LOG_FIELDS = (
    ("$msec", "$t_kind", "$t_told", "$t_gen", "$t_rendition", "$status", "$bytes_sent")
    + ("$t_cached", "$upstream_status", "$t_viewer")
)  # fmt: skip


class Access(StrEnum):
    """How a server treats a stream: who may is decided by its visibility."""

    OPEN = "open"
    PRIVATE = "private"


@dataclass(frozen=True, kw_only=True)
class SiteStream:
    """A stream as a server knows it.

    generations:  the only ones that are given out; none named is any
    segment:      seconds, the length of its segments
    sources:      on an edge: base URLs in the order in which they are asked for it, the chosen one first
    """

    name: str
    private: bool = True
    generations: tuple[str, ...] = ()
    segment: float = 2.0
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OriginSite:
    """A server of what lies in the spool: an origin, or an edge that fills a spool itself.

    cors:     web origins whose pages may play; `*` is any
    proxies:  addresses and networks of reverse proxies in front of it, whose word is taken for who asks
    secrets:  mark of the secrets of its private streams; the one who acts gives `tokens.json` (`tokens.tokens_json`)
    """

    http_port: int = 8080
    address: str = "0.0.0.0"
    streams: tuple[SiteStream, ...] = ()
    cors: tuple[str, ...] = ("*",)
    proxies: tuple[str, ...] = ()
    secrets: str = ""
    modules: str = nginx.DEBIAN_MODULES

    @property
    def health_port(self) -> int:
        return health_port(self.http_port)

    @property
    def has_private(self) -> bool:
        return any(one.private for one in self.streams)


@dataclass(frozen=True)
class Parts:
    """What a kind of server puts into the common frame: blocks of configuration text."""

    upstreams: str = ""
    locations: str = ""
    servers: str = ""
    cached: str = '"-"'  # an expression for the log and the header X-Cache
    gate: str = ""  # what happens to a public request that is let in
    local: str = ""  # locations of the host's own listener below /source/


SPOOL_GATE = """    if (-f stale/$t_stream) { return 503; }
    if ($t_entry != "") { return 302 $t_entry; }
    if ($t_asked = entry) { return 404; }
"""
# A new start of an encoder is written down as a discontinuity, though its times, its units and its frame go on where
# those before ended, which is all that the tag is for (RFC 8216, 4.3.2.3). VLC 3 ends at one among fMP4 segments.
DISCONTINUITY = b"#EXT-X-DISCONTINUITY\n"
SPOOL = """    location / {
      root spool;
      disable_symlinks on from=$document_root;
      log_not_found off;
      etag on;
      sub_filter "#EXT-X-DISCONTINUITY\\n" "";
      sub_filter_types application/vnd.apple.mpegurl;
      sub_filter_once off;
      rewrite ^ /$t_stream/$t_gen/$t_rest break;
    }
"""


def service(site: OriginSite) -> Service:
    return http_service(site, configuration(site))


def http_service(site: OriginSite, text: str) -> Service:
    """Raises ConfigError where private streams come without the mark of their secrets."""
    if site.has_private and not site.secrets:
        raise ConfigError("the secrets of private streams are not known here, so they cannot be served")
    return Service(
        name=HTTP,
        argv=nginx.argv(HTTP),
        files={
            nginx.CONFIGURATION: text.encode(),
            nginx.START: content(nginx.START),
            "playback.js": content("playback.js"),
        },
        secret_files={TOKENS_FILE: site.secrets} if site.has_private else {},
        check=nginx.check(HTTP),
        reload="HUP",
        reload_error=nginx.RELOAD_ERROR,
        stop="TERM",
    )


def configuration(site: OriginSite) -> str:
    return frame(site, Parts(gate=SPOOL_GATE, locations=SPOOL))


def frame(site: OriginSite, parts: Parts) -> str:
    """The whole configuration of a server of `site`."""
    listens = nginx.listen(site.address, site.http_port)
    own = "!~ ^(?:health|source)$" if parts.local else "!= health"
    return f"""{nginx.load(site.modules, ("ngx_http_js_module",))}pcre_jit on;
worker_processes {WORKERS};
worker_rlimit_nofile 8192;
worker_shutdown_timeout 30s;
error_log stderr error;
pid run/http/nginx.pid;
env TELARCHY_SALT;
events {{ worker_connections 4096; }}
http {{
  error_log /dev/null emerg;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 65s;
  keepalive_requests 100000;
  reset_timedout_connection on;
  client_header_timeout 10s;
  client_body_timeout 10s;
  send_timeout 30s;
  client_max_body_size 1k;
  client_header_buffer_size 2k;
  large_client_header_buffers 4 8k;
  server_names_hash_bucket_size 128;
  map_hash_bucket_size 512;
  variables_hash_max_size 2048;
  include resolver*.conf;
{nginx.temporary(HTTP)}  default_type application/octet-stream;
  types {{
    application/vnd.apple.mpegurl m3u8;
    video/mp4 mp4;
    video/iso.segment m4s;
  }}
{_script(site)}{_maps(site, parts)}{parts.upstreams}
  log_format telarchy escape=default "{_TAB.join(LOG_FIELDS)}";
  server {{
    listen {listens} backlog=1024;
    access_log {ACCESS_LOG} telarchy buffer=16k flush=1s if=$t_logged;
    merge_slashes off;
{nginx.proxies(site.proxies)}{_HEADERS}    if ($t_asked = alive) {{ return 204; }}
    if ($request_method !~ ^(?:GET|HEAD|OPTIONS)$) {{ return 405; }}
    if ($t_asked !~ ^(?:play|entry)$) {{ return 404; }}
    if ($t_known = 0) {{ return 404; }}
    if ($request_method = OPTIONS) {{ rewrite ^ /preflight last; }}
    if ($t_gate = 403) {{ return 403; }}
    if ($t_gate = 410) {{ return 410; }}
{parts.gate}{_PREFLIGHT}{parts.locations}  }}
  server {{
    listen {nginx.listen("127.0.0.1", site.health_port)};
    access_log off;
    merge_slashes off;
{_HEADERS}    if ($request_method !~ ^(?:GET|HEAD)$) {{ return 405; }}
    if ($t_asked {own}) {{ return 404; }}
    if ($t_known = 0) {{ return 404; }}
{parts.local}{parts.locations}  }}
{parts.servers}}}
"""


_TAB = "\\t"
_HEADERS = """    add_header Cache-Control $t_cache_control always;
    add_header Access-Control-Allow-Origin $t_cors always;
    add_header Access-Control-Expose-Headers $t_cors_expose always;
    add_header Vary $t_vary always;
    add_header Retry-After $t_retry always;
    add_header X-Cache $t_x_cache always;
    add_header X-Content-Type-Options nosniff always;
"""

_PREFLIGHT = """    location = /preflight {
      internal;
      add_header Access-Control-Allow-Origin $t_cors always;
      add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS" always;
      add_header Access-Control-Allow-Headers "Range, Cache-Control" always;
      add_header Access-Control-Max-Age 86400 always;
      add_header Vary $t_vary always;
      return 204;
    }
"""


def _script(site: OriginSite) -> str:
    tokens = f"  js_preload_object telarchy_tokens from {TOKENS_FILE};\n" if site.has_private else ""
    return f"""  js_import playback from playback.js;
{tokens}  js_set $t_verdict playback.verdict;
  js_set $t_own playback.own;
  js_set $t_viewer_mark playback.viewer;
  js_set $t_present playback.present;
"""


def _maps(site: OriginSite, parts: Parts) -> str:
    media = rf"{_escaped(PLAYLIST)}|init[0-9a-z_-]{{0,32}}\.mp4|s[0-9]{{1,20}}\.m4s"
    rest = f"(?<t_rest>{_escaped(MASTER)}|(?<t_folder>{RENDITION})/(?<t_file>{media}))"
    what = rf"(?<t_stream>{NAME})/(?<t_gen>{GENERATION})/{rest}(?:\?.*)?$"
    token = "(?:/p/(?<t_sig>[A-Za-z0-9_-]{43})/(?<t_exp>[1-9][0-9]{9}))?"
    source = f'    "~^/source/(?<t_from>{RENDITION})/{what}" source;\n' if parts.local else ""
    streams = "".join(
        f"    {nginx.name(one.name)} {Access.PRIVATE if one.private else Access.OPEN};\n"
        for one in site.streams
    )
    halves = "".join(f"    {nginx.name(one.name)} {max(1, int(one.segment // 2))};\n" for one in site.streams)
    return rf"""  map $request_uri $t_asked {{
    default other;
    /ping alive;
    "~^{token}/live/{what}" play;
    "~^{token}/live/(?<t_stream>{NAME})/(?<t_rest>{_escaped(MASTER)})(?:\?.*)?$" entry;
    "~^/health/{what}" health;
{source}  }}
  map $t_asked $t_logged {{
    default 1;
    alive 0;
    entry 0;
  }}
  map $t_asked $t_entry {{
    default "";
    entry $t_present;
  }}
  map $t_asked $t_path {{
    default $t_stream/$t_gen/$t_rest;
    entry $t_stream/$t_rest;
  }}
  map $t_known $t_told {{
    default "-";
    1 $t_stream;
  }}
  map $t_file $t_kind {{
    default other;
    "" $t_whole;
    {PLAYLIST} playlist;
    "~\.mp4$" init;
    "~\.m4s$" segment;
  }}
  map $t_rest $t_whole {{
    default other;
    {MASTER} master;
  }}
  map $t_folder $t_rendition {{
    default $t_folder;
    "" "-";
  }}
  map $t_stream $t_access {{
    default none;
{streams}  }}
  map $t_stream $t_half {{
    default 1;
{halves}  }}
{_known(site)}  map $t_access $t_gate {{
    default 404;
    {Access.OPEN} ok;
    {Access.PRIVATE} $t_verdict;
  }}
  map $t_kind $t_lasts {{
    default no-store;
    master max-age=$t_half;
    playlist max-age=$t_half;
    init "max-age={FOR_EVER}, immutable";
    segment "max-age={FOR_EVER}, immutable";
  }}
  map $status $t_cache_control {{
    default no-store;
    200 $t_lasts;
    206 $t_lasts;
    304 $t_lasts;
  }}
  map $status $t_retry {{
    default "";
    503 1;
  }}
  map $http_via $t_between {{
    default $t_viewer_mark;
    "~telarchy" "-";
  }}
  map $t_kind $t_viewer {{
    default "-";
    master $t_between;
    playlist $t_between;
  }}
  map {parts.cached} $t_cached {{
    default {parts.cached};
    "" "-";
  }}
  map $t_cached $t_x_cache {{
    default $t_cached;
    "-" "";
  }}
{_cors(site.cors)}"""


def _known(site: OriginSite) -> str:
    """Whether a server gives out a generation of a stream."""
    streams, listed = "", ""
    for one in site.streams:
        streams += f"    {nginx.name(one.name)} {'$t_listed_run' if one.generations else 1};\n"
        listed += "".join(f"    {one.name}/{nginx.name(generation)} 1;\n" for generation in one.generations)
    return (
        f'  map "$t_stream/$t_gen" $t_listed_run {{\n    default 0;\n{listed}  }}\n'
        f"  map $t_stream $t_known {{\n    default 0;\n{streams}  }}\n"
    )


def _cors(origins: tuple[str, ...]) -> str:
    anybody = "*" in origins
    listed = "".join(f'    "{nginx.origin(one)}" $http_origin;\n' for one in origins if one != "*")
    maps = [
        ("$http_origin", "cors", '"*"' if anybody else '""', "" if anybody else listed),
        ("$t_asked", "vary", '""' if anybody else "Origin", ""),
        ("$t_cors", "cors_expose", '"Content-Length, Content-Range, Date, X-Cache"', '    "" "";\n'),
    ]
    return "".join(
        f"  map {key} $t_{name} {{\n    default {default};\n{cases}  }}\n"
        for key, name, default, cases in maps
    )


def _escaped(text: str) -> str:
    return text.replace(".", r"\.")
