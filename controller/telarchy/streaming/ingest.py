"""Ingest: nginx with its rtmp module, as a service that publishers push to and the ladders pull from. Pure.

It is an instance of its own that nothing makes read its configuration again, because a reload loses live streams;
the configuration holds ports only. Who may publish is asked of `files/authority.js` in the same process, which reads
keys.json at each request. A single process, so that it is gone as a whole when it is gone, and so that no two answers
of the authority cross. The key is part of what a publisher sends; it is replaced by the stream's name at the first
answer and reaches no log: nginx's own messages about publishers are left out below `crit`.
"""

from __future__ import annotations

from dataclasses import dataclass

from telarchy.core.service import Service
from telarchy.streaming import nginx
from telarchy.streaming.files import content
from telarchy.streaming.layout import RTMP, health_port

APPLICATION = "ingest"
UPDATE_SECONDS = 2  # a key that is revoked ends its publisher within this, and a moment
IDLE_SECONDS = 10
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class IngestSite:
    """Where an origin takes RTMP. The authority and `/stat` lie on 127.0.0.1 at `control_port`."""

    rtmp_port: int = 1935
    address: str = "0.0.0.0"
    modules: str = nginx.DEBIAN_MODULES

    @property
    def control_port(self) -> int:
        return health_port(self.rtmp_port)


def publish_url(host: str, port: int = 1935) -> str:
    """What a person enters as the server; the key goes into the field beside it."""
    bracketed = f"[{host}]" if ":" in host else host
    return f"rtmp://{bracketed}{'' if port == 1935 else f':{port}'}/{APPLICATION}"


def play_url(stream: str, port: int = 1935) -> str:
    """From where a ladder on the same host takes a stream."""
    return f"rtmp://{LOOPBACK}:{port}/{APPLICATION}/{stream}"


def stat_url(port: int = 1935) -> str:
    """What nginx knows of its publishers, as XML; answered on the host itself only."""
    return f"http://{LOOPBACK}:{health_port(port)}/stat"


def service(site: IngestSite) -> Service:
    return Service(
        name=RTMP,
        argv=nginx.argv(RTMP),
        files={
            nginx.CONFIGURATION: configuration(site).encode(),
            nginx.START: content(nginx.START),
            "authority.js": content("authority.js"),
        },
        check=nginx.check(RTMP),
        stop="TERM",
    )


def configuration(site: IngestSite) -> str:
    control = f"{LOOPBACK}:{nginx.port(site.control_port)}"
    listens = [nginx.listen(site.address, site.rtmp_port)]
    if site.address not in ("0.0.0.0", LOOPBACK):
        listens.append(nginx.listen(LOOPBACK, site.rtmp_port))  # the ladders' way
    lines = "".join(f"    listen {one};\n" for one in listens)
    return (
        nginx.load(site.modules, ("ngx_rtmp_module", "ngx_http_js_module"))
        + f"""worker_processes 1;
master_process off;
error_log stderr crit;
pid run/rtmp/nginx.pid;
env TELARCHY_SALT;
events {{ worker_connections 512; }}
rtmp {{
  access_log off;
  max_message 8m;
  timeout 20s;
  server {{
{lines}    ping 10s;
    ping_timeout 5s;
    notify_method post;
    application {APPLICATION} {{
      live on;
      record off;
      wait_key on;
      wait_video on;
      idle_streams off;
      drop_idle_publisher {IDLE_SECONDS}s;
      notify_update_timeout {UPDATE_SECONDS}s;
      notify_update_strict on;
      on_publish http://{control}/on_publish;
      on_update http://{control}/on_update;
      on_publish_done http://{control}/on_publish_done;
      allow publish all;
      allow play {LOOPBACK};
      deny play all;
    }}
  }}
}}
http {{
  access_log off;
  server_tokens off;
{nginx.temporary(RTMP)}  js_import authority from authority.js;
  server {{
    listen {control};
    allow {LOOPBACK};
    deny all;
    client_max_body_size 16k;
    client_body_buffer_size 16k;
    client_body_in_single_buffer on;
    location = /on_publish {{ js_content authority.on_publish; }}
    location = /on_update {{ js_content authority.on_update; }}
    location = /on_publish_done {{ js_content authority.on_publish_done; }}
    location = /stat {{ rtmp_stat all; }}
    location / {{ return 404; }}
  }}
}}
"""
    )
